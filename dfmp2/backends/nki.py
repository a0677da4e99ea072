"""The operations through NKI kernels, on a Neuron device or in a simulator, in float32.

B[i,P,a] lies in memory in that order: rows of a are contiguous and the contraction index P is on
rows, which is what the kernels multiply without a transpose. Arrays are NumPy in a simulator and
torch tensors on a device; they are moved there once and stay until the energies come back.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.base import Array, Tensor
from dfmp2.backends.launching import Runner, device_operation
from dfmp2.kernels.ao2mo import ao2mo
from dfmp2.kernels.batched_gemm import batched_gemm
from dfmp2.kernels.gemm import gemm
from dfmp2.kernels.mp2_energy import mp2_energy
from dfmp2.kernels.pair_energy import pair_energy
from dfmp2.kernels.syrk import syrk
from dfmp2.kernels.trsm import trsm

__all__ = ["NkiBackend"]

RIGHT_HAND_SIDES = 8192
"""Columns of one triangular solve: the factor crosses to the device once for each."""


class NkiBackend:
    """`dfmp2.backends.base.Backend` through NKI kernels.

    Parameters
    ----------
    runner : Runner
        A simulator or a device.
    device_loop : bool
        Use the form of `pair_energy` that loops on the device; unproven on hardware.
    """

    def __init__(self, runner: Runner, device_loop: bool = False) -> None:
        self.runner = runner
        self.where = runner.where
        self._device_loop = device_loop

    def asarray(self, x: Array) -> Tensor:
        return self.runner.put(np.asarray(x, dtype=np.float32))

    def to_host(self, x: Tensor) -> Array:
        return self.runner.get(x).astype(np.float64)

    def materialize(self, *x: Tensor) -> None:
        """Nothing is left to cut: every launch ends its own graph."""

    def empty_b(self, nocc: int, naux: int, nvir: int) -> Tensor:
        return self.asarray(np.zeros((nocc, naux, nvir)))

    def to_float32(self, b: Tensor) -> Tensor:
        return b

    def warm_up(self) -> None:
        """Nothing to warm: programs are compiled on first use and kept by the compiler's cache."""

    @device_operation
    def gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        return gemm(a, b, transpose_a, launch=self.runner)

    @device_operation
    def batched_gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        shape = (len(b), *a.shape[1:])
        wide = np.broadcast_to(a, shape) if isinstance(a, np.ndarray) else a.expand(shape)
        return batched_gemm(wide, b, transpose_a, launch=self.runner)

    @device_operation
    def syrk(self, a: Tensor, transpose_a: bool = False) -> Tensor:
        return syrk(a, transpose_a, launch=self.runner)

    @device_operation
    def trsm(self, a: Array, b: Tensor) -> Tensor:
        """`a` is float64 on the host: its diagonal blocks are inverted there."""
        nocc, naux, nvir = b.shape
        at_once = max(1, RIGHT_HAND_SIDES // nvir)
        solved = []  # b stays as it is until every launch has succeeded
        for i0 in range(0, nocc, at_once):
            columns = b[i0 : i0 + at_once].swapaxes(0, 1).reshape(naux, -1)  # [P, (i,a)]
            solved.append(trsm(a, columns, launch=self.runner))
        for block, x in enumerate(solved):
            i = slice(block * at_once, (block + 1) * at_once)
            b[i] = x.reshape(naux, -1, nvir).swapaxes(0, 1)
        return b

    @device_operation
    def ao2mo(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        out[...] = ao2mo(eri, c_occ, c_vir, launch=self.runner)

    @device_operation
    def mp2_energy(self, t: Tensor, e_ij: Array, e_vir: Array) -> tuple[Array, Array]:
        return mp2_energy(t, e_ij, e_vir, launch=self.runner)

    @device_operation
    def pair_energy(
        self,
        b_i: Tensor,
        b_j: Tensor,
        e_i: Array,
        e_j: Array,
        e_vir: Array,
        diagonal: bool = False,
    ) -> tuple[Array, Array]:
        return pair_energy(
            b_i,
            b_i if diagonal else b_j,
            e_i,
            e_j,
            e_vir,
            diagonal,
            launch=self.runner,
            device_loop=self._device_loop,
        )

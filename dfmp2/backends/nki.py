"""The operations by NKI kernels, on a Neuron device or in a simulator, in float32.

B[i,P,a] is stored in this order. The rows (P) are the contraction index, so the kernels need no
transpose. Arrays are NumPy arrays in a simulator and torch tensors on a device. They are copied to
the device once. Every operand is padded to the sizes of `dfmp2.backends.buckets`. The kernels pad
the contracted dimensions (atomic orbitals, auxiliary functions) to whole tiles themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfmp2.backends.buckets import padded, padded_energies
from dfmp2.backends.launching import Runner, device_operation
from dfmp2.backends.protocol import Array, PairBlock, PairCase, TBlock, Tensor
from dfmp2.errors import BackendUnavailable
from dfmp2.kernels.ao2mo import ao2mo
from dfmp2.kernels.batched_gemm import batched_gemm
from dfmp2.kernels.gemm import gemm
from dfmp2.kernels.launch import instruction_limit
from dfmp2.kernels.layout import check_shapes
from dfmp2.kernels.mp2_energy import mp2_energy
from dfmp2.kernels.pair_energy import pair_energy
from dfmp2.kernels.syrk import syrk
from dfmp2.kernels.trsm import trsm

__all__ = ["NO_KAPPA", "NkiBackend"]

NO_KAPPA = "the NKI kernels compute no regularised energies (kappa)"

RIGHT_HAND_SIDES = 8192
"""Columns of one triangular solve. The factor is copied to the device once for each solve, so more
columns mean fewer copies."""


class NkiBackend:
    """`dfmp2.backends.protocol.Backend` by NKI kernels.

    Parameters
    ----------
    runner : Runner
        A simulator or a device.

    Attributes
    ----------
    where : Where
    """

    def __init__(self, runner: Runner) -> None:
        instruction_limit(runner)  # a wrong DFMP2_NKI_INSTRUCTIONS is found before the work starts
        self.runner = runner
        self.where = runner.where

    def asarray(self, x: Array) -> Tensor:
        return self.runner.put(np.asarray(x, dtype=np.float32))

    def to_host(self, x: Tensor) -> Array:
        return self.runner.get(x).astype(np.float64)

    def materialize(self, *x: Tensor) -> None:
        """Do nothing: the graph is cut after every launch."""

    def empty_b(self, nocc: int, naux: int, nvir: int) -> Tensor:
        return self.asarray(np.zeros((nocc, naux, nvir)))

    def to_float32(self, b: Tensor) -> Tensor:
        return b

    def engine(self) -> None:
        return None

    def warm_up(
        self, cases: Sequence[PairCase] = (PairCase.CLOSED,), dtypes: Sequence[str] = ("float64",)
    ) -> None:
        """Do nothing: the compiler compiles a program on first use and stores it in its cache."""

    @device_operation
    def gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        k = 0 if transpose_a else 1
        m, n = a.shape[1 - k], b.shape[1]
        c = gemm(padded(a, exact=(k,)), padded(b, exact=(0,)), transpose_a, launch=self.runner)
        return c[:m, :n]

    @device_operation
    def batched_gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        k = 1 if transpose_a else 2
        if a.shape[0] != 1:  # padding would hide other misfits
            check_shapes("batched_gemm", "xkm xkn" if transpose_a else "xmk xkn", a=a, b=b)
        (items, _, n), m = b.shape, a.shape[3 - k]
        shape = (items, *a.shape[1:])
        wide = np.broadcast_to(a, shape) if isinstance(a, np.ndarray) else a.expand(shape)
        left, right = padded(wide, exact=(k,)), padded(b, exact=(1,))
        return batched_gemm(left, right, transpose_a, launch=self.runner)[:items, :m, :n]

    @device_operation
    def syrk(self, a: Tensor, transpose_a: bool = False) -> Tensor:
        k = 0 if transpose_a else 1
        n = a.shape[1 - k]
        return syrk(padded(a, exact=(k,)), transpose_a, launch=self.runner)[:n, :n]

    @device_operation
    def trsm(self, a: Array, b: Tensor) -> Tensor:
        """Solve with `a`, whose diagonal blocks are inverted on the host in float64."""
        nocc, naux, nvir = b.shape
        at_once = max(1, RIGHT_HAND_SIDES // nvir)
        solved = []  # b is changed only after every launch has succeeded, as torch may need it
        for i0 in range(0, nocc, at_once):
            columns = b[i0 : i0 + at_once].swapaxes(0, 1).reshape(naux, -1)  # [P, (i,a)]
            x = trsm(a, padded(columns, exact=(0,)), launch=self.runner)
            solved.append(x[:, : columns.shape[1]])
        for block, x in enumerate(solved):
            i = slice(block * at_once, (block + 1) * at_once)
            b[i] = x.reshape(naux, -1, nvir).swapaxes(0, 1)
        return b

    @device_operation
    def ao2mo(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        check_shapes("ao2mo", "Pmm mi ma iPa", eri=eri, c_occ=c_occ, c_vir=c_vir, out=out)
        nocc, nblock, nvir = out.shape
        b = ao2mo(
            padded(eri, exact=(1, 2)),
            padded(c_occ, exact=(0,)),
            padded(c_vir, exact=(0,)),
            launch=self.runner,
        )
        out[...] = b[:nocc, :nblock, :nvir]

    @device_operation
    def mp2_energy(self, block: TBlock) -> Array:
        energies = mp2_energy(
            padded(block.t),
            padded_energies(block.e_ij),
            *_virtual_energies(block),
            launch=self.runner,
        )
        return _of_case(block, np.array(energies)[:, : len(block.e_ij)])

    @device_operation
    def pair_energy(self, block: PairBlock) -> Array:
        b_i, b_j, ni, nj = block.b_i, block.b_j, len(block.e_i), len(block.e_j)
        left = padded(b_i, exact=(1,))
        right = left if block.diagonal else padded(b_j, exact=(1,))
        e_a, e_b = _virtual_energies(block)
        energies = pair_energy(
            left,
            right,
            padded_energies(block.e_i),
            padded_energies(block.e_j),
            e_a,
            block.diagonal,
            e_b,
            launch=self.runner,
        )
        return _of_case(block, np.array(energies)[:, :ni, :nj])


def _virtual_energies(block: PairBlock | TBlock) -> tuple[Array, Array | None]:
    """Padded energies of a, and those of b if the spins differ.

    Raises
    ------
    BackendUnavailable
        If regularised energies are wanted. A run is refused before its work starts.
    """
    if block.kappas:
        raise BackendUnavailable(f"{NO_KAPPA}; use backend pytorch (--backend pytorch)")
    opposite = block.case is PairCase.OPPOSITE_SPIN
    return padded_energies(block.e_a, True), padded_energies(block.e_b, True) if opposite else None


def _of_case(block: PairBlock | TBlock, energies: Array) -> Array:
    """The energies that pairs of these spins have."""
    if block.case is PairCase.SAME_SPIN:
        energies[0] = 0.0
    return energies

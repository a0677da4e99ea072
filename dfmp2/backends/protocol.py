"""What a backend must do: the arithmetic of the pipeline, and nothing else.

Shapes use the letters of `dfmp2.kernels.reference`, which defines each operation. A `Tensor`
is whatever the backend computes on; only `asarray` and `to_host` cross the border to NumPy.

B is addressed as B[i,P,a]. Which of its indices is contiguous is the backend's choice, made in
`empty_b`: strides, not names, carry it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dfmp2.results.provenance import Where

if TYPE_CHECKING:
    from dfmp2.tensors.overlap import Engine

__all__ = ["Array", "Backend", "Tensor"]

Array = NDArray[np.float64]
Tensor = Any


class Backend(Protocol):
    """Operations of DF-MP2 on one kind of device."""

    where: Where

    def asarray(self, x: Array) -> Tensor:
        """Bring a host array to the device (without a copy where the device is the host)."""

    def to_host(self, x: Tensor) -> Array:
        """Bring a tensor to the host as NumPy."""

    def materialize(self, *x: Tensor) -> None:
        """Wait until these tensors hold their values; cuts a lazy graph."""

    def empty_b(self, nocc: int, naux: int, nvir: int) -> Tensor:
        """Uninitialised B[i,P,a] in the memory order that the other operations like best."""

    def to_float32(self, b: Tensor) -> Tensor:
        """B[i,P,a] rounded to float32, in the same memory; `b` is gone afterwards."""

    def engine(self) -> Engine | None:
        """Queues that work beside the host; None where the device waits for each operation."""

    def warm_up(self) -> None:
        """Run one small GEMM and triangular solve, so that libraries have loaded their parts."""

    def gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        """C[m,n] = sum_k A[m,k] B[k,n]."""

    def batched_gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        """C[x,m,n] = sum_k A[x,m,k] B[x,k,n]; one A serves all x where it has only one."""

    def syrk(self, a: Tensor, transpose_a: bool = False) -> Tensor:
        """C[m,n] = sum_k A[m,k] A[n,k]."""

    def trsm(self, a: Array, b: Tensor) -> Tensor:
        """Overwrite B[i,P,a] with A^-1 B[i] for lower triangular A[P,Q] on the host; returns B."""

    def ao2mo(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        """Write out[i,P,a] = sum_mn eri[P,m,n] C_occ[m,i] C_vir[n,a]."""

    def mp2_energy(self, t: Tensor, e_ij: Array, e_vir: Array) -> tuple[Array, Array]:
        """e_os[x], e_ss[x] of T[x,a,b]; float64 on the host."""

    def pair_energy(
        self,
        b_i: Tensor,
        b_j: Tensor,
        e_i: Array,
        e_j: Array,
        e_vir: Array,
        diagonal: bool = False,
    ) -> tuple[Array, Array]:
        """e_os[i,j], e_ss[i,j] of two blocks of B, T never stored; float64 on the host."""

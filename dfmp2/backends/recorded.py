"""A backend that writes down what it did, and the flop count of every operation.

The pipeline computes only through this class, so that no arithmetic escapes the provenance.
A row is added after an operation has returned, never before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dfmp2.backends.base import Array, Backend, Tensor
from dfmp2.provenance import Provenance

__all__ = ["RecordedBackend"]


class RecordedBackend:
    """`backend`, with each call filed in `provenance`."""

    def __init__(self, backend: Backend, provenance: Provenance) -> None:
        self._backend = backend
        self.provenance = provenance
        self.where = backend.where
        # Moving data is no arithmetic and leaves no row.
        self.asarray = backend.asarray
        self.to_host = backend.to_host
        self.materialize = backend.materialize
        self.empty_b = backend.empty_b
        self.to_float32 = backend.to_float32

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, with the device's queue empty at both ends."""
        with self.provenance.stage(name):
            yield
            self.materialize()

    @contextmanager
    def _filed(self, operation: str, tensor: Tensor, flops: float) -> Iterator[None]:
        dtype = str(tensor.dtype).removeprefix("torch.")
        start = time.perf_counter()
        yield
        self.provenance.add(operation, self.where, dtype, time.perf_counter() - start, flops)

    def gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        with self._filed("gemm", a, 2.0 * a.shape[0] * a.shape[1] * b.shape[1]):
            return self._backend.gemm(a, b, transpose_a)

    def batched_gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        flops = 2.0 * a.shape[0] * a.shape[1] * a.shape[2] * b.shape[2]
        with self._filed("batched_gemm", a, flops):
            return self._backend.batched_gemm(a, b, transpose_a)

    def syrk(self, a: Tensor, transpose_a: bool = False) -> Tensor:
        k, n = a.shape if transpose_a else a.shape[::-1]
        with self._filed("syrk", a, 1.0 * k * n * (n + 1)):
            return self._backend.syrk(a, transpose_a)

    def trsm(self, a: Tensor, b: Tensor) -> Tensor:
        nocc, naux, nvir = b.shape
        with self._filed("trsm", b, 1.0 * naux * naux * nocc * nvir):
            return self._backend.trsm(a, b)

    def ao2mo(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        nblock, nao, _ = eri.shape
        nocc, nvir = c_occ.shape[1], c_vir.shape[1]
        with self._filed("ao2mo", eri, 2.0 * nblock * nao * nocc * (nao + nvir)):
            self._backend.ao2mo(eri, c_occ, c_vir, out)

    def mp2_energy(self, t: Tensor, e_ij: Array, e_vir: Array) -> tuple[Array, Array]:
        # sum, square, product, difference, square, product, two sums: 8 per element
        with self._filed("mp2_energy", t, 8.0 * t.shape[0] * t.shape[1] * t.shape[2]):
            return self._backend.mp2_energy(t, e_ij, e_vir)

    def pair_energy(
        self,
        b_i: Tensor,
        b_j: Tensor,
        e_i: Array,
        e_j: Array,
        e_vir: Array,
        diagonal: bool = False,
    ) -> tuple[Array, Array]:
        ni, naux, nvir = b_i.shape
        npair = ni * (ni + 1) // 2 if diagonal else ni * b_j.shape[0]
        with self._filed("pair_energy", b_i, npair * nvir * nvir * (2.0 * naux + 8)):
            return self._backend.pair_energy(b_i, b_j, e_i, e_j, e_vir, diagonal)

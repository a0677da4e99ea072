"""The backend that the pipeline sees: it files what was done, and by whom.

The pipeline computes only through this class, so that no arithmetic escapes the provenance. A row
is added after an operation has returned, never before. It also decides two things per call:

- where a stage runs, when its precision keeps it off the device (`placement`);
- what happens when a kernel raises: the error goes on to the caller, or, where that was allowed
  before the work started, torch does the operation on the host, one warning tells each distinct
  error and the provenance counts every such call.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dfmp2.backends.launching import overwrite
from dfmp2.backends.protocol import Array, Backend, Tensor
from dfmp2.errors import DeviceLostError, KernelError, NkiFallbackWarning
from dfmp2.results.provenance import Provenance, Where
from dfmp2.tensors.overlap import Engine, HalfTransform, device_blocks, host_blocks

__all__ = ["RecordedBackend"]


class RecordedBackend:
    """`backend`, with each call filed in `provenance`.

    Parameters
    ----------
    backend : Backend
    provenance : Provenance
    host : Backend, optional
        Does the stages of `placement`, and the operations whose kernel raised if `may_fall_back`.
    placement : mapping of str to str, optional
        Stages that run on `host`, each with the reason.
    may_fall_back : bool
        Whether `host` may take over an operation whose kernel raised.
    """

    def __init__(
        self,
        backend: Backend,
        provenance: Provenance,
        host: Backend | None = None,
        placement: Mapping[str, str] | None = None,
        may_fall_back: bool = False,
    ) -> None:
        self.provenance = provenance
        self._device, self._host = backend, host
        self._placement = dict(placement or {})
        self._may_fall_back = may_fall_back
        self._current: Backend = backend
        self._home: Backend = backend

    @property
    def where(self) -> Where:
        """Where this stage runs."""
        return self._current.where

    @contextmanager
    def stage(self, name: str, like: str = "") -> Iterator[None]:
        """Time a stage on the backend it is placed on, with the device's queue empty at its end.

        A stage that moves the data of another one is placed `like` that one.
        """
        outer = self._current
        if (like or name) in self._placement and self._host is not None:
            self._current = self._host
        else:
            self._current = self._device
        try:
            with self.provenance.stage(name):
                yield
                self._current.materialize()
        finally:
            self._current = outer

    # Moving data is no arithmetic and leaves no row.

    def asarray(self, x: Array) -> Tensor:
        return self._current.asarray(x)

    def to_host(self, x: Tensor) -> Array:
        return self._current.to_host(x)

    def empty_b(self, nocc: int, naux: int, nvir: int) -> Tensor:
        self._home = self._current
        return self._current.empty_b(nocc, naux, nvir)

    def adopt(self, b: Tensor) -> Tensor:
        """B on the backend of this stage, moved there if the last stage ran elsewhere."""
        if self._home is self._current:
            return b
        moved = _moved(b, self._home, self._current)
        self._home = self._current
        return moved

    def to_float32(self, b: Tensor) -> Tensor:
        return self._current.to_float32(b)

    def engine(self) -> Engine | None:
        return self._current.engine()

    def ao2mo_beside(
        self,
        engine: Engine,
        integrals: Any,
        on_device: bool,
        c_occ: Tensor,
        c_vir: Tensor,
        out: Tensor,
        report: Callable[[int], None],
    ) -> None:
        """All blocks of `ao2mo` in the engine's queues, filed when the last has left them.

        `integrals` are blocks that the device makes where `on_device`, else
        `dfmp2.integrals.libcint.HostIntegrals`.
        """
        work = HalfTransform(self._current.ao2mo, c_occ, c_vir, out)
        (nao, nocc), nvir = c_occ.shape, c_vir.shape[1]
        handed_over = device_blocks if on_device else host_blocks
        seconds = handed_over(integrals, engine, work, report)
        for block, taken in zip(integrals.blocks, seconds, strict=True):
            flops = 2.0 * (block.p1 - block.p0) * nao * nocc * (nao + nvir)
            self._file(self._current, "ao2mo", out.dtype, taken, flops)

    def _filed(
        self, operation: str, dtype: Any, flops: float, call: Callable[[Backend], Any]
    ) -> Any:
        start = time.perf_counter()
        result = call(self._current)
        self._file(self._current, operation, dtype, time.perf_counter() - start, flops)
        return result

    def _file(self, by: Backend, operation: str, dtype: Any, seconds: float, flops: float) -> None:
        name = str(dtype).removeprefix("torch.")
        self.provenance.add(operation, by.where, name, seconds, flops)

    def _tried(self, operation: str, dtype: Any, flops: float, arguments: tuple[Any, ...]) -> Any:
        """Do an operation; `arguments` are as its method takes them."""
        try:
            return self._filed(
                operation, dtype, flops, lambda backend: getattr(backend, operation)(*arguments)
            )
        except KernelError as error:
            if not self._may_fall_back or self._host is None or isinstance(error, DeviceLostError):
                raise
            self._tell(operation, error)
        return self._rescued(self._host, operation, flops, arguments)

    def _tell(self, operation: str, error: KernelError) -> None:
        if self.provenance.failed(operation, str(error)):
            warnings.warn(
                f"{operation}: torch does what a NKI kernel could not ({error}); set "
                "DFMP2_REQUIRE_NKI=1 to make this an error",
                NkiFallbackWarning,
                stacklevel=5,
            )

    def _rescued(
        self, host: Backend, operation: str, flops: float, arguments: tuple[Any, ...]
    ) -> Any:
        """The operation by torch on the host in float64, its result back on the device."""
        device = self._current
        written: Tensor = arguments[-1]
        own = [x if _is_plain(x) else _moved(x, device, host) for x in arguments]
        if operation == "ao2mo":
            own[-1] = host.empty_b(*written.shape)
        start = time.perf_counter()
        result = getattr(host, operation)(*own)
        seconds = time.perf_counter() - start
        self.provenance.add(operation, host.where, "float64", seconds, flops, fallback=True)
        if operation == "ao2mo":
            overwrite(written, _moved(own[-1], host, device))
            return None
        return result if isinstance(result, tuple) else _moved(result, host, device)

    def gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        flops = 2.0 * a.shape[0] * a.shape[1] * b.shape[1]
        return self._tried("gemm", a.dtype, flops, (a, b, transpose_a))

    def batched_gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        flops = 2.0 * b.shape[0] * a.shape[1] * a.shape[2] * b.shape[2]
        return self._tried("batched_gemm", b.dtype, flops, (a, b, transpose_a))

    def syrk(self, a: Tensor, transpose_a: bool = False) -> Tensor:
        k, n = a.shape if transpose_a else a.shape[::-1]
        return self._tried("syrk", a.dtype, 1.0 * k * n * (n + 1), (a, transpose_a))

    def trsm(self, a: Array, b: Tensor) -> Tensor:
        nocc, naux, nvir = b.shape
        return self._tried("trsm", b.dtype, 1.0 * naux * naux * nocc * nvir, (a, b))

    def ao2mo(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        nblock, nao, _ = eri.shape
        nocc, nvir = c_occ.shape[1], c_vir.shape[1]
        flops = 2.0 * nblock * nao * nocc * (nao + nvir)
        self._tried("ao2mo", eri.dtype, flops, (eri, c_occ, c_vir, out))

    def mp2_energy(self, t: Tensor, e_ij: Array, e_vir: Array) -> tuple[Array, Array]:
        # sum, square, product, difference, square, product, two sums: 8 per element
        flops = 8.0 * t.shape[0] * t.shape[1] * t.shape[2]
        e_os, e_ss = self._tried("mp2_energy", t.dtype, flops, (t, e_ij, e_vir))
        return e_os, e_ss

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
        flops = npair * nvir * nvir * (2.0 * naux + 8)
        e_os, e_ss = self._tried(
            "pair_energy", b_i.dtype, flops, (b_i, b_j, e_i, e_j, e_vir, diagonal)
        )
        return e_os, e_ss


def _is_plain(x: Any) -> bool:
    """Whether an argument is no tensor of the device: a flag, or a float64 array of the host."""
    return isinstance(x, bool) or str(getattr(x, "dtype", "")) == "float64"


def _moved(x: Tensor, source: Backend, target: Backend) -> Tensor:
    return target.asarray(source.to_host(x))

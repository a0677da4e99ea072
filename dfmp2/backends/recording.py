"""A backend that writes each of its operations to the provenance.

A calculation computes only with this class. An operation is written to the provenance after it has
returned. The class also decides two things:

- where a stage runs: on the device, or on the host if it needs float64 there (`placement`);
- what happens if a kernel fails. If this was allowed before the work started, torch does the
  operation on the host. Each distinct error then gives one warning, and the provenance counts every
  such operation. Otherwise the error is raised again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from dfmp2.backends.amplitudes import AmplitudeBlock, AmplitudeSums, NearOccupied
from dfmp2.backends.launching import overwrite
from dfmp2.backends.protocol import Array, Backend, Engine, PairBlock, TBlock, Tensor
from dfmp2.errors import DeviceLostError, KernelError, NkiFallbackWarning
from dfmp2.results.provenance import Provenance
from dfmp2.results.stages import Stage

__all__ = ["RecordingBackend", "moved"]


class RecordingBackend:
    """A backend that writes each of its operations to `provenance`.

    Parameters
    ----------
    backend : Backend
    provenance : Provenance
    host : Backend, optional
        Computes the stages of `placement`, and the operations whose kernel failed.
    placement : mapping of Stage to str, optional
        Stages that run on `host`, each with the reason.
    may_fall_back : bool
        Whether `host` may do an operation whose kernel failed.

    Attributes
    ----------
    current : Backend
        Backend of the current stage.
    provenance : Provenance
    """

    def __init__(
        self,
        backend: Backend,
        provenance: Provenance,
        host: Backend | None = None,
        placement: Mapping[Stage, str] | None = None,
        may_fall_back: bool = False,
    ) -> None:
        self.provenance = provenance
        self._device, self._host = backend, host
        self._placement = dict(placement or {})
        self._may_fall_back = may_fall_back
        self.current: Backend = backend

    @contextmanager
    def stage(self, name: Stage, like: Stage | None = None) -> Iterator[None]:
        """Time a stage on its backend. All work of the device is finished at its end.

        Parameters
        ----------
        name : Stage
        like : Stage, optional
            Run on the backend of this stage, because its data are there.
        """
        outer = self.current
        if (like or name) in self._placement and self._host is not None:
            self.current = self._host
        else:
            self.current = self._device
        try:
            with self.provenance.stage(name):
                yield
                self.current.materialize()
        finally:
            self.current = outer

    # These move data. Provenance counts arithmetic only.

    def asarray(self, x: Array) -> Tensor:
        return self.current.asarray(x)

    def to_host(self, x: Tensor) -> Array:
        return self.current.to_host(x)

    def empty_b(self, nocc: int, naux: int, nvir: int) -> Tensor:
        return self.current.empty_b(nocc, naux, nvir)

    def to_float32(self, b: Tensor) -> Tensor:
        return self.current.to_float32(b)

    def engine(self) -> Engine | None:
        return self.current.engine()

    def record(self, operation: str, dtype: Any, seconds: float, flops: float) -> None:
        """Write a finished operation of the current backend to the provenance.

        Parameters
        ----------
        operation : str
        dtype : torch or NumPy dtype
        seconds : float
        flops : float
        """
        name = str(dtype).removeprefix("torch.")
        self.provenance.add(operation, self.current.where, name, seconds, flops)

    # The operations

    def _tried(self, operation: str, dtype: Any, flops: float, arguments: tuple[Any, ...]) -> Any:
        """Do an operation with the arguments of its method."""
        start = time.perf_counter()
        try:
            result = getattr(self.current, operation)(*arguments)
        except KernelError as error:
            if not self._may_fall_back or self._host is None or isinstance(error, DeviceLostError):
                raise
            self._warn(operation, error)
        else:
            self.record(operation, dtype, time.perf_counter() - start, flops)
            return result
        return self._rescued(self._host, operation, flops, arguments)

    def _warn(self, operation: str, error: KernelError) -> None:
        if self.provenance.failed(operation, str(error)):
            warnings.warn(
                f"{operation}: torch does this operation, because the NKI kernel failed ({error}); "
                "set DFMP2_REQUIRE_NKI=1 to make this an error",
                NkiFallbackWarning,
                stacklevel=4,
            )

    def _rescued(
        self, host: Backend, operation: str, flops: float, arguments: tuple[Any, ...]
    ) -> Any:
        """Do an operation by torch on the host in float64, and copy the result to the device."""
        device = self.current
        written: Tensor = arguments[-1]
        own = [_moved_argument(x, device, host) for x in arguments]
        if operation == "ao2mo":
            own[-1] = host.empty_b(*written.shape)
        start = time.perf_counter()
        result = getattr(host, operation)(*own)
        seconds = time.perf_counter() - start
        self.provenance.add(operation, host.where, "float64", seconds, flops, fallback=True)
        if operation == "ao2mo":
            overwrite(written, moved(own[-1], host, device))
            return None
        on_host = operation in ("mp2_energy", "pair_energy")
        return result if on_host else moved(result, host, device)

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

    def mp2_energy(self, block: TBlock) -> Array:
        npair, nvir_a, nvir_b = block.t.shape
        # sum, square, product, difference, square, product, two sums: 8 per element
        flops = 8.0 * npair * nvir_a * nvir_b
        energies: Array = self._tried("mp2_energy", block.t.dtype, flops, (block,))
        return energies

    def pair_energy(self, block: PairBlock) -> Array:
        _, naux, nvir = block.b_i.shape
        flops = block.npair * nvir * block.b_j.shape[2] * (2.0 * naux + 8)
        energies: Array = self._tried("pair_energy", block.b_i.dtype, flops, (block,))
        return energies

    @property
    def elementwise(self) -> Any:
        """Torch: what computes W and gamma, on the host where NKI kernels multiply matrices."""
        return self.current if hasattr(self.current, "amplitudes") else self._host

    def amplitudes(self, block: AmplitudeBlock, w: Tensor) -> AmplitudeSums:
        """As `dfmp2.backends.torch.TorchBackend.amplitudes`, for T of the current backend."""
        own = self.elementwise
        local = replace(block, t=moved(block.t, self.current, own).double())
        start = time.perf_counter()
        sums: AmplitudeSums = own.amplitudes(local, w)
        # two products, the quotient, W, W Z, and four sums
        self._add("amplitudes", w, time.perf_counter() - start, 16.0 * local.t.numel())
        return sums

    def overlaps(self, near: NearOccupied, w: Tensor) -> Array:
        """As `dfmp2.backends.torch.TorchBackend.overlaps`."""
        start = time.perf_counter()
        sums: Array = self.elementwise.overlaps(near, w)
        each = 5.0 * len(near.e_partners) * len(near.e_a) * len(near.e_b)
        self._add("overlaps", w, time.perf_counter() - start, each * len(near.pairs))
        return sums

    def _add(self, operation: str, w: Tensor, seconds: float, flops: float) -> None:
        dtype = str(w.dtype).removeprefix("torch.")
        self.provenance.add(operation, self.elementwise.where, dtype, seconds, flops)


def moved(x: Tensor, source: Backend, target: Backend) -> Tensor:
    """Copy a tensor of one backend to another. The tensor itself if they are the same.

    Parameters
    ----------
    x : Tensor
    source, target : Backend

    Returns
    -------
    Tensor
    """
    return x if source is target else target.asarray(source.to_host(x))


def _moved_argument(x: Any, source: Backend, target: Backend) -> Any:
    """Copy an argument of an operation. Flags and float64 arrays are on the host already."""
    if isinstance(x, TBlock):
        return replace(x, t=moved(x.t, source, target))
    if isinstance(x, PairBlock):
        b_i = moved(x.b_i, source, target)
        b_j = b_i if x.diagonal else moved(x.b_j, source, target)
        return replace(x, b_i=b_i, b_j=b_j)
    on_host = isinstance(x, bool) or str(getattr(x, "dtype", "")) == "float64"
    return x if on_host else moved(x, source, target)

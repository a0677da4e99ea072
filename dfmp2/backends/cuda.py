"""Streams, events, pinned memory and free memory of a CUDA device, by torch.

This was written from the documentation of torch and has not run on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from dfmp2.errors import ResourceError
from dfmp2.planning.plan import Plan
from dfmp2.units import BYTES_PER_MB

__all__ = ["CudaEngine", "GpuPeak", "free_memory", "require_memory"]


@dataclass(frozen=True)
class _Piece:
    """Work in a stream, between two events."""

    start: torch.cuda.Event
    end: torch.cuda.Event


class CudaEngine:
    """`dfmp2.backends.protocol.Engine` of a CUDA device.

    Arithmetic goes to the current stream of torch. Copies go to a second stream.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._arithmetic = torch.cuda.current_stream(device)
        self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def host_memory(self, count: int) -> torch.Tensor:
        """Flat pinned memory. Only from pinned memory does a copy run while the host works."""
        return torch.empty(count, dtype=torch.float64, pin_memory=True)

    def device_memory(self, count: int) -> torch.Tensor:
        """Flat memory of the device. Copies to it wait for work that used it before."""
        memory = torch.empty(count, dtype=torch.float64, device=self._device)
        self._copies.wait_stream(self._arithmetic)
        return memory

    def copy(self, source: torch.Tensor, target: torch.Tensor, after: _Piece | None) -> _Piece:
        """Queue a copy from pinned memory."""
        if after is not None:
            self._copies.wait_event(after.end)
        with torch.cuda.stream(self._copies):
            return _timed(lambda: target.copy_(source, non_blocking=True), self._copies)

    def compute(self, work: Callable[[], None], after: _Piece | None) -> _Piece:
        """Queue arithmetic."""
        if after is not None:
            self._arithmetic.wait_event(after.end)
        return _timed(work, self._arithmetic)

    def wait(self, event: _Piece) -> None:
        """Let the host wait until the work is done."""
        event.end.synchronize()

    def seconds(self, event: _Piece) -> float:
        """Seconds between the two events of finished work."""
        return float(event.start.elapsed_time(event.end)) / 1e3


def _timed(work: Callable[[], object], stream: torch.cuda.Stream) -> _Piece:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    piece = _Piece(start, end)
    piece.start.record(stream)
    work()
    piece.end.record(stream)
    return piece


def free_memory(device: torch.device) -> int:
    """Bytes that torch can still use on a device, with those in its cache.

    Parameters
    ----------
    device : torch.device
    """
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free) + int(kept)


def require_memory(plan: Plan, device: torch.device, name: str) -> None:
    """Raise an error if the memory of the GPU is too small for a run.

    Parameters
    ----------
    plan : Plan
        Its `device_peak` is the forecast for the GPU.
    device : torch.device
    name : str
        Name of the device, for the message.

    Raises
    ------
    ResourceError
        With the needed and the free memory.
    """
    free = free_memory(device) / BYTES_PER_MB
    if plan.device_peak <= free:
        return
    items = ", ".join(f"{item} {size:.0f}" for item, size in plan.device_memory.items())
    raise ResourceError(
        f"{name} has {free:.0f} MB free, but this run needs {plan.device_peak:.0f} MB there (MB: "
        f"{items}); end other programs on the GPU, freeze the core, or use device cpu "
        "(--device cpu)"
    )


class GpuPeak:
    """Measures the peak memory of torch on a GPU, from the construction of this object on.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        torch.cuda.reset_peak_memory_stats(device)
        self._before = torch.cuda.memory_allocated(device)

    def peak(self) -> float:
        """Peak in MB, without memory of CuPy and without unused memory in the cache of torch."""
        return (torch.cuda.max_memory_allocated(self._device) - self._before) / BYTES_PER_MB

"""Resident memory of this process, from /proc (Linux)."""

from __future__ import annotations

from pathlib import Path

from dfmp2.units import BYTES_PER_MB

__all__ = ["PeakMeter"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


class PeakMeter:
    """Peak resident memory above the level at construction.

    The kernel's high-water mark (VmHWM) is set back at construction. Where that is not possible
    (not Linux, or /proc not writable) nothing is measured and `peak` is None.
    """

    def __init__(self) -> None:
        self._base: float | None = None
        try:
            _CLEAR.write_text("5")
            self._base = _resident("VmRSS")
        except OSError:
            pass

    def peak(self) -> float | None:
        """MB above the start, or None where it cannot be measured."""
        if self._base is None:
            return None
        return max(0.0, _resident("VmHWM") - self._base)


def _resident(key: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024 / BYTES_PER_MB
    raise OSError(f"{_STATUS} has no {key}")

"""One BLAS thread while a kernel runs.

Kernels multiply tiles of at most 128 x 128 x 512. OpenBLAS splits even these between its threads,
and waiting for the other threads can take longer than the product: 5 ms instead of 0.2 ms on a
busy machine. The OpenBLAS of NumPy's wheels is therefore set to one thread during a run, and set
back afterwards. Another BLAS is left as it is.
"""

from __future__ import annotations

import ctypes
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["single_thread"]

_NAMES = ("scipy_openblas_{}_num_threads64_", "scipy_openblas_{}_num_threads")


@cache
def _controls() -> tuple[Any, Any] | None:
    """Return the functions that get and set the number of threads, None where there are none."""
    site = Path(np.__file__).parent.parent
    for path in sorted(site.glob("numpy.libs/libscipy_openblas*")):
        library = ctypes.CDLL(str(path))
        for name in _NAMES:
            get = getattr(library, name.format("get"), None)
            put = getattr(library, name.format("set"), None)
            if get is not None and put is not None:
                return get, put
    return None


class single_thread:
    """Hold NumPy's OpenBLAS at one thread inside a ``with`` block; blocks may overlap."""

    _lock = threading.Lock()
    _inside = 0
    _before = 0

    def __enter__(self) -> None:
        controls = _controls()
        if controls is None:
            return
        cls = type(self)
        with cls._lock:
            if cls._inside == 0:
                cls._before = controls[0]()
                controls[1](1)
            cls._inside += 1

    def __exit__(self, *exc: object) -> None:
        controls = _controls()
        if controls is None:
            return
        cls = type(self)
        with cls._lock:
            cls._inside -= 1
            if cls._inside == 0:
                controls[1](cls._before)

"""One BLAS thread while a kernel runs.

Kernels multiply tiles of at most 128 x 128 x 512. OpenBLAS spreads even these over its threads,
which then wait for one another: on a busy machine a product that takes 0.2 ms takes 5. The
OpenBLAS that NumPy's wheels bring along is therefore set to one thread during a run, and set
back afterwards. Where NumPy uses another BLAS nothing happens.
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

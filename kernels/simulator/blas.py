"""One BLAS thread while a kernel runs.

Kernels multiply tiles of at most 128 x 128 x 512. OpenBLAS splits even these between its threads,
and waiting for the other threads can take longer than the product: 5 ms instead of 0.2 ms on a
busy machine. The OpenBLAS of NumPy's and SciPy's wheels is therefore set to one thread during a
run, and set back afterwards. Another BLAS is left as it is.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["openblas", "single_thread"]


@cache
def openblas() -> Any:
    """The controller of the OpenBLAS libraries that are loaded."""
    return ThreadpoolController().select(prefix="libscipy_openblas")


class single_thread:
    """Hold OpenBLAS at one thread inside a ``with`` block; blocks may overlap."""

    _lock = threading.Lock()
    _inside = 0
    _limits: Any = None

    def __enter__(self) -> None:
        cls = type(self)
        with cls._lock:
            if cls._inside == 0:
                cls._limits = openblas().limit(limits=1)
            cls._inside += 1

    def __exit__(self, *exc: object) -> None:
        cls = type(self)
        with cls._lock:
            cls._inside -= 1
            if cls._inside == 0:
                cls._limits.restore_original_limits()

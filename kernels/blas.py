"""One BLAS thread while threads of our own compute.

The threads of a BLAS are of no use inside a pool whose threads share the work already, or for the
tiles of a kernel: OpenBLAS splits even a product of 128 x 128 x 512 between its threads, and
waiting for them can take longer than the product, 5 ms instead of 0.2 ms on a busy machine. The
number of threads belongs to the whole process, so it is set back afterwards.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["blas_libraries", "single_thread"]


@cache
def blas_libraries() -> Any:
    """The controller of the BLAS libraries that are loaded and can be limited."""
    return ThreadpoolController().select(user_api="blas")


class single_thread:
    """Hold every BLAS at one thread inside a ``with`` block; blocks may overlap."""

    _lock = threading.Lock()
    _inside = 0
    _limits: Any = None

    def __enter__(self) -> None:
        cls = type(self)
        with cls._lock:
            if cls._inside == 0:
                cls._limits = blas_libraries().limit(limits=1)
            cls._inside += 1

    def __exit__(self, *exc: object) -> None:
        cls = type(self)
        with cls._lock:
            cls._inside -= 1
            if cls._inside == 0:
                cls._limits.restore_original_limits()

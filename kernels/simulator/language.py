"""The stand-in for `nki.language`: names, parameter names and order as in NKI 0.3 to 0.6."""

from __future__ import annotations

from typing import Any

from . import isa_vector
from .allocate import ndarray
from .dtypes import DTYPES
from .errors import refuse
from .loops import fori_loop
from .memory import hbm, psum, sbuf, shared_hbm
from .operators import add, multiply, rsqrt, square, subtract
from .tensor import NkiTensor

__all__ = [
    "add",
    "affine_range",
    "bfloat16",
    "bool_",
    "ds",
    "float16",
    "float32",
    "fori_loop",
    "hbm",
    "int8",
    "int16",
    "int32",
    "multiply",
    "ndarray",
    "psum",
    "rsqrt",
    "sbuf",
    "sequential_range",
    "shared_hbm",
    "square",
    "subtract",
    "sum",
    "tfloat32",
    "tile_size",
    "uint8",
    "uint16",
    "uint32",
]

bool_ = DTYPES["bool_"]
int8, int16, int32 = DTYPES["int8"], DTYPES["int16"], DTYPES["int32"]
uint8, uint16, uint32 = DTYPES["uint8"], DTYPES["uint16"], DTYPES["uint32"]
float16, bfloat16 = DTYPES["float16"], DTYPES["bfloat16"]
tfloat32, float32 = DTYPES["tfloat32"], DTYPES["float32"]


class tile_size:
    """Largest tiles: partitions, and free elements of the factors of a matrix product."""

    pmax = 128
    gemm_stationary_fmax = 128
    gemm_moving_fmax = 512


def affine_range(start: int, stop: int | None = None, step: int = 1) -> range:
    """Unroll a loop: an old name of Python's range."""
    return range(0, start, step) if stop is None else range(start, stop, step)


sequential_range = affine_range


def ds(start: Any, size: int) -> slice:
    """Make a slice from start and size."""
    if not isinstance(start, int):
        refuse("nl.ds", "not-modelled", f"start is a {type(start).__name__}, not an int")
    return slice(start, start + size)


def sum(x: NkiTensor, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """Add over the last axes into a new SBUF tile."""
    if keepdims:
        refuse("nl.sum", "not-modelled", "parameter keepdims")
    axes = {a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis)}
    kept = [n for a, n in enumerate(x.shape) if a not in axes]
    out = ndarray(kept if len(kept) > 1 else [*kept, 1], dtype or x.dtype)
    isa_vector.tensor_reduce(out, add, x, axis)
    return out

"""Explicit access patterns: what `NkiTensor.ap` builds."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from .dtypes import DType, as_dtype
from .errors import refuse
from .indexing import Indirect, require_integer, scalar_indirect
from .memory import MemoryRegion

if TYPE_CHECKING:
    from .tensor import NkiTensor

__all__ = ["access_pattern"]


Parts = tuple[tuple[int, ...], tuple[int, ...], int, DType, "Indirect | None"]


def access_pattern(
    t: NkiTensor,
    pattern: Any,
    offset: int | None,
    scalar_offset: Any,
    vector_offset: Any,
    indirect_dim: int,
    dtype: Any,
) -> Parts:
    """Return shape, strides, offset, dtype and dynamic offset of ``t.ap(...)``."""
    call = "NkiTensor.ap"
    storage = t.storage
    new = t.dtype if dtype is None else as_dtype(dtype, call)
    if new is not storage.dtype and (new.round_bits or storage.dtype.round_bits):
        refuse(call, "not-modelled", f"bits of {storage.dtype} as {new}")
    strides = tuple(int(p[0]) for p in pattern)
    shape = tuple(int(p[1]) for p in pattern)
    if min(strides) < 0:
        refuse(call, "not-modelled", f"negative strides in pattern {pattern}")
    start = t.offset if offset is None else offset
    free = storage.free * storage.dtype.itemsize // new.itemsize
    if t.on_chip:
        if strides[0] != free and shape[0] > 1:
            refuse(call, "partition-stride", f"stride {strides[0]}, partition size {free}")
        strides = (free, *strides[1:])
        if len(shape) < 2:
            refuse(call, "tile-rank", f"pattern {pattern} of an on-chip tensor")
    indirect = None
    if scalar_offset is not None or vector_offset is not None:
        if new.itemsize != t.dtype.itemsize:
            refuse(call, "not-modelled", f"a dynamic offset with {t.dtype} seen as {new}")
        indirect = _dynamic(call, t, shape, scalar_offset, vector_offset, indirect_dim)
    last = start + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    within = (start % free) + sum((n - 1) * s for n, s in zip(shape[1:], strides[1:], strict=True))
    capacity = prod(storage.shape) * storage.dtype.itemsize // new.itemsize
    leaves = last >= capacity or (t.on_chip and within >= free)
    if min(shape) < 1 or start < 0 or (indirect is None and leaves):
        refuse(
            call,
            "index-range",
            f"pattern {pattern} from {start} reaches element {last} of {storage.describe()}",
        )
    return shape, strides, start, new, indirect


def _dynamic(
    call: str,
    t: NkiTensor,
    shape: tuple[int, ...],
    scalar_offset: Any,
    vector_offset: Any,
    indirect_dim: int,
) -> Indirect:
    if t.dynamic is not None or (scalar_offset is not None and vector_offset is not None):
        refuse(call, "indirect", "more than one dynamic offset")
    # The documents scale by the dimension's stride in one place and by the sizes to its right
    # in another: where the two differ nothing is certain.
    stride, limit = prod(t.shape[indirect_dim + 1 :]), t.shape[indirect_dim]
    if t.strides[indirect_dim] != stride and t.shape[indirect_dim] > 1:
        refuse(call, "indirect", f"dimension {indirect_dim} of {t} is not dense")
    if scalar_offset is not None:
        # The documented formula is an address: the index may pass its dimension, not the storage.
        on_partitions = t.on_chip and indirect_dim == 0
        reach = prod(t.storage.shape)
        return scalar_indirect(None, scalar_offset, stride, reach, on_partitions)
    if t.on_chip or indirect_dim != 0:
        refuse(call, "indirect", "vector_offset works on HBM and dimension 0 only")
    if vector_offset.shape != (shape[0], 1) or vector_offset.buffer is not MemoryRegion.sbuf:
        refuse(call, "indirect", f"vector_offset is {vector_offset}, {shape[0]} rows")
    require_integer(call, vector_offset)
    return Indirect(vector_offset, stride, limit, vector=True)

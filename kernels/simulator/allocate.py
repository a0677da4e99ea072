"""Allocation of tensors."""

from __future__ import annotations

from operator import index
from typing import Any

from numpy.typing import NDArray

from .dtypes import as_dtype
from .errors import refuse
from .generations import Generation
from .memory import MemoryRegion, Storage, sbuf
from .state import current_run
from .strides import c_strides
from .tensor import NkiTensor

__all__ = ["from_array", "ndarray", "whole"]


def whole(storage: Storage, data: NDArray[Any] | None = None) -> NkiTensor:
    """Return the tensor that covers all of a storage; `data` are its flat contents."""
    return NkiTensor(storage, storage.shape, c_strides(storage.shape), data=data)


def ndarray(
    shape: Any, dtype: Any, buffer: Any = sbuf, name: str = "", address: Any = None
) -> NkiTensor:
    """Make an uninitialised tensor: NaN, or an integer far out of range, everywhere."""
    call = "nl.ndarray"
    run = current_run(call)
    if address is not None:
        refuse(call, "not-modelled", "address")
    if not isinstance(buffer, MemoryRegion):
        refuse(call, "buffer", f"buffer is {buffer!r}")
    kind = as_dtype(dtype, call)
    try:
        sizes = tuple(index(n) for n in shape)
    except TypeError:
        refuse(call, "argument", f"shape is {shape!r}")
    if not sizes or min(sizes) < 1:
        refuse(call, "shape", f"shape {sizes}")
    storage = Storage(sizes, kind, buffer, name)
    if storage.space != "hbm":
        if len(sizes) < 2:
            refuse(call, "tile-rank", f"shape {sizes} in {buffer.value}")
        if sizes[0] > 128:
            refuse(call, "partitions", f"shape {sizes} in {buffer.value}")
        _refuse_overflow(call, storage, run.target)
        if run.times:
            run.storages.append(storage)
    storage.loop = run.loop
    return whole(storage, storage.poison() if run.execute else None)


def _refuse_overflow(call: str, storage: Storage, target: Generation) -> None:
    """Refuse a tile that is larger than its memory."""
    limit = target.sbuf_usable_bytes
    if storage.space == "psum":
        limit = target.psum_banks * target.psum_bank_bytes
    if storage.bytes_per_partition > limit:
        refuse(
            call,
            f"{storage.space}-capacity",
            f"{storage.describe()} takes {storage.bytes_per_partition} bytes per partition, "
            f"{target.name} has {limit}",
        )


def from_array(values: NDArray[Any], region: MemoryRegion, name: str) -> NkiTensor:
    """Wrap an array as an HBM tensor that counts as written."""
    storage = Storage(values.shape or (1,), as_dtype(values.dtype, name), region, name)
    storage.first_write = 0
    return whole(storage, values.reshape(-1))

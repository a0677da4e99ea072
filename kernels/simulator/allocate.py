"""Allocation of tensors."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from .dtypes import DType, as_dtype
from .errors import refuse
from .memory import MemoryRegion, Storage
from .state import current_run
from .strides import c_strides
from .tensor import NkiTensor

__all__ = ["allocate", "whole"]


def whole(storage: Storage) -> NkiTensor:
    """Return the tensor that covers all of a storage."""
    shape = storage.shape
    return NkiTensor(storage, shape, c_strides(shape), 0, storage.dtype)


def allocate(
    call: str, shape: Any, dtype: Any, buffer: Any, name: str, address: Any = None
) -> NkiTensor:
    """Make an uninitialised tensor: NaN, or an integer far out of range, everywhere."""
    run = current_run(call)
    if not isinstance(buffer, MemoryRegion):
        refuse(call, "buffer", f"buffer is {buffer!r}")
    kind: DType = as_dtype(dtype, call)
    try:
        sizes = tuple(int(n) for n in shape)
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
        _fits(call, storage)
    if address is not None:
        partition = int(address[0])
        if storage.space == "hbm" or partition % 32 or partition + sizes[0] > 128:
            refuse(call, "start-partition", f"address {address!r} for {storage.describe()}")
        storage.base_partition = partition
    if run.execute:
        storage.poison()
    if run.frames:
        storage.loop_pass = run.frames[-1].loop_pass
    if run.recording and storage.space != "hbm":
        run.storages.append(storage)
    return whole(storage)


def _fits(call: str, storage: Storage) -> None:
    target = current_run(call).target
    if storage.space == "psum":
        limit = target.psum_banks * target.psum_bank_bytes
        rule = "psum-capacity"
    else:
        limit = target.sbuf_usable_bytes
        rule = "sbuf-capacity"
    if storage.bytes_per_partition > limit:
        refuse(
            call,
            rule,
            f"{storage.describe()} takes {storage.bytes_per_partition} bytes per partition, "
            f"{target.name} has {limit}",
        )


def from_array(values: np.ndarray[Any, Any], region: MemoryRegion, name: str) -> Storage:
    """Wrap an array as an HBM storage that counts as written."""
    dtype = as_dtype(values.dtype, name)
    storage = Storage(values.shape or (1,), dtype, region, name)
    storage.first_write = 0
    storage.data = values.reshape(-1)
    assert storage.data.size == prod(storage.shape)
    return storage

"""Memories and the storage behind tensors."""

from __future__ import annotations

from enum import Enum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import DType

__all__ = ["MemoryRegion", "Storage", "hbm", "psum", "sbuf", "shared_hbm"]


class MemoryRegion(Enum):
    """The memory that holds a tensor."""

    sbuf = "sbuf"
    psum = "psum"
    private_hbm = "private_hbm"
    shared_hbm = "shared_hbm"


sbuf = MemoryRegion.sbuf
psum = MemoryRegion.psum
hbm = MemoryRegion.private_hbm
shared_hbm = MemoryRegion.shared_hbm


class Storage:
    """One allocation, and how the trace used it so far.

    The contents belong to its tensors (`NkiTensor.data`), so that they are freed with the last of
    them: a run keeps every storage until its end.

    Attributes
    ----------
    free : int
        Elements per partition (on chip); the partition stride.
    first_write, last_use : int
        Trace positions; -1 before the first write.
    loop : Loop or None
        The loop of the device whose body allocates it.
    psum_state : int or ndarray
        The last writer of each element of a PSUM tile: 0 none, 1 TensorE, 2 another engine. One
        number as long as it is the same for the whole tile.
    """

    __slots__ = (
        "dtype",
        "first_write",
        "free",
        "is_argument",
        "last_use",
        "loop",
        "name",
        "psum_state",
        "region",
        "shape",
        "space",
    )

    def __init__(
        self, shape: tuple[int, ...], dtype: DType, region: MemoryRegion, name: str
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.region = region
        self.space = {"sbuf": "sbuf", "psum": "psum"}.get(region.value, "hbm")
        self.name = name
        self.free = prod(shape[1:])
        self.first_write = -1
        self.last_use = -1
        self.is_argument = False
        self.loop: object = None
        self.psum_state: int | NDArray[np.uint8] = 0

    def poison(self) -> NDArray[Any]:
        """Flat contents of NaN, or of an integer far outside any range in use."""
        return np.full(prod(self.shape), self.dtype.poison, dtype=self.dtype.np_dtype)

    @property
    def bytes_per_partition(self) -> int:
        """Bytes that the tile takes in each of its partitions."""
        return self.free * self.dtype.itemsize

    def describe(self) -> str:
        """Name the storage in messages."""
        label = f"{self.name!r} " if self.name else ""
        return f"{self.region.value} tensor {label}{list(self.shape)} {self.dtype}"

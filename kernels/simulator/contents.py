"""The values behind a tensor: NumPy views, dynamic offsets, gather and scatter."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .dtypes import DType, cast
from .errors import refuse
from .indexing import Indirect
from .memory import Storage
from .registers import VirtualRegister

__all__ = ["Contents"]


class Contents:
    """The part of `NkiTensor` that reads and writes elements."""

    __slots__ = ("_array",)

    _array: NDArray[Any] | None

    if TYPE_CHECKING:
        storage: Storage
        shape: tuple[int, ...]
        strides: tuple[int, ...]
        offset: int
        dtype: DType
        dynamic: Indirect | None

        @property
        def on_chip(self) -> bool: ...

    def array(self) -> NDArray[Any]:
        """Return the NumPy view (no copy) of a direct or scalar-indirect tensor."""
        if self.dynamic is None:
            view = self._array
            if view is None:
                view = self._array = self._view_at(self.offset)
            return view
        return self._view_at(self.offset + self._dynamic_offset())

    def _view_at(self, offset: int) -> NDArray[Any]:
        data = self.storage.data
        assert data is not None
        np_dtype = self.dtype.np_dtype
        size = np_dtype.itemsize
        return np.ndarray(
            self.shape,
            np_dtype,
            buffer=data,
            offset=offset * size,
            strides=tuple(s * size for s in self.strides),
        )

    def _dynamic_offset(self) -> int:
        assert self.dynamic is not None
        index = self.dynamic.index
        value = index.value() if isinstance(index, VirtualRegister) else int(index.array().item())
        if not 0 <= value < self.dynamic.limit:
            refuse(
                "dynamic offset",
                "index-range",
                f"index {value} in a dimension of size {self.dynamic.limit} of "
                f"{self.storage.describe()}",
            )
        offset = value * self.dynamic.stride
        first = self.offset + offset
        extents = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        storage = self.storage
        capacity = prod(storage.shape) * storage.dtype.itemsize // self.dtype.itemsize
        free = self.strides[0] if self.on_chip else capacity
        within = first % free + sum(extents[1:] if self.on_chip else extents)
        if first + sum(extents) >= capacity or within >= free:
            refuse(
                "dynamic offset",
                "index-range",
                f"index {value} (stride {self.dynamic.stride}) reaches element "
                f"{first + sum(extents)} of {storage.describe()}",
            )
        return offset

    def _gather_index(self, writing: bool) -> NDArray[np.int64]:
        assert self.dynamic is not None
        rows = self.dynamic.index.array().astype(np.int64).reshape(-1)
        flat = np.zeros(self.shape, dtype=np.int64)
        for axis, (n, s) in enumerate(zip(self.shape, self.strides, strict=True)):
            line = rows * self.dynamic.stride if axis == 0 else np.arange(n) * s
            flat += line.reshape([-1 if a == axis else 1 for a in range(len(self.shape))])
        flat += self.offset
        outside = rows.min() < 0 or rows.max() >= self.dynamic.limit
        if outside or flat.max() >= prod(self.storage.shape):
            refuse(
                "dynamic offset",
                "index-range",
                f"indices {rows.min()}..{rows.max()} leave {self.storage.describe()}",
            )
        if writing and len(np.unique(rows)) < len(rows):
            refuse("dynamic offset", "write-once", f"scatter to rows {rows.tolist()}")
        return flat

    def read(self) -> NDArray[Any]:
        """Return the values: a view, or a copy where the access is a gather."""
        if self.dynamic is not None and self.dynamic.vector:
            data = self.storage.data
            assert data is not None
            return data[self._gather_index(False)]
        return self.array()

    def write(self, values: NDArray[Any]) -> None:
        """Store `values` (same number of elements) with the device's conversion."""
        values = cast(values, self.dtype)
        if values.shape != self.shape:
            values = values.reshape(self.shape)
        if self.dynamic is not None and self.dynamic.vector:
            data = self.storage.data
            assert data is not None
            data[self._gather_index(True)] = values
        else:
            self.array()[...] = values

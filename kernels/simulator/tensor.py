"""`NkiTensor`: a strided view over a storage.

Views are cheap Python arithmetic on shape, strides and offset; the NumPy view is made when an
instruction asks for it. Elements are counted in units of the view's own dtype.
"""

from __future__ import annotations

from math import prod
from typing import Any

from .contents import Contents
from .dtypes import DType
from .errors import refuse
from .indexing import (
    DynamicSlice,
    Indirect,
    index_of,
    is_full,
    scalar_indirect,
    slice_range,
)
from .memory import MemoryRegion, Storage
from .patterns import access_pattern
from .registers import VirtualRegister
from .strides import c_strides
from .views import ViewMethods

__all__ = ["DynamicSlice", "Indirect", "NkiTensor"]


class NkiTensor(Contents, ViewMethods):
    """A tensor in SBUF, PSUM or HBM, or a view of one.

    Attributes
    ----------
    shape, strides : tuple of int
        Sizes and element strides; on chip, dimension 0 is the partition.
    offset : int
        First element within the storage.
    dtype : DType
    buffer : MemoryRegion
    """

    __slots__ = ("checked", "dtype", "dynamic", "offset", "shape", "storage", "strides")

    def __init__(
        self,
        storage: Storage,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        dtype: DType,
        indirect: Indirect | None = None,
    ) -> None:
        self.storage = storage
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.dtype = dtype
        self.dynamic = indirect
        self._array = None
        self.checked = False

    # -- facts ------------------------------------------------------------------------------
    @property
    def buffer(self) -> MemoryRegion:
        """The memory that holds the tensor."""
        return self.storage.region

    @property
    def name(self) -> str:
        """The name given at allocation."""
        return self.storage.name

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def on_chip(self) -> bool:
        """True in SBUF and PSUM."""
        return self.storage.space != "hbm"

    @property
    def start_partition(self) -> int:
        """First partition of an on-chip view."""
        return self.storage.base_partition + self.offset // self.strides[0]

    def get_pattern(self) -> list[list[int]]:
        """Return ``[[stride, count], ...]``, as `ap` takes it."""
        return [[s, n] for s, n in zip(self.strides, self.shape, strict=True)]

    def is_contiguous(self) -> bool:
        """Tell whether the view is dense and row-major (on chip: within a partition)."""
        first = 1 if self.on_chip else 0
        expected = c_strides(self.shape)
        return all(
            n == 1 or s == e
            for n, s, e in zip(
                self.shape[first:], self.strides[first:], expected[first:], strict=True
            )
        )

    def is_indirect(self) -> bool:
        """Tell whether the view has a dynamic offset."""
        return self.dynamic is not None

    def __repr__(self) -> str:
        return f"NkiTensor(shape={self.shape}, dtype={self.dtype}, buffer={self.buffer.value})"

    def __bool__(self) -> bool:
        refuse("NkiTensor", "register-opaque", "a tensor has no value while a kernel is built")

    # -- indexing ---------------------------------------------------------------------------
    def __getitem__(self, key: Any) -> NkiTensor:
        keys = key if type(key) is tuple else (key,)
        shape, strides = self.shape, self.strides
        rank = len(shape)
        for at, item in enumerate(keys):
            if item is Ellipsis:
                fill = rank - (len(keys) - 1)
                keys = keys[:at] + (slice(None),) * fill + keys[at + 1 :]
                break
        if len(keys) > rank:
            refuse("NkiTensor[...]", "index-range", f"{len(keys)} indices for shape {shape}")
        offset = self.offset
        indirect = self.dynamic
        on_chip = self.on_chip
        new_shape: list[int] = []
        new_strides: list[int] = []
        dropped: tuple[int, int] | None = None
        for axis, item in enumerate(keys):
            n, s = shape[axis], strides[axis]
            if axis == 0 and indirect is not None and indirect.vector and not is_full(item):
                refuse("NkiTensor[...]", "indirect", "dimension 0 is already dynamic")
            if type(item) is slice:
                start, count, step = slice_range(item, n)
                if step != 1 and axis == 0 and on_chip and count > 1:
                    refuse("NkiTensor[...]", "partition-stride", f"step {step} over partitions")
                offset += start * s
                new_shape.append(count)
                # A single partition keeps the partition stride: it locates the view.
                new_strides.append(s if axis == 0 and on_chip else s * step)
            elif isinstance(item, DynamicSlice):
                if isinstance(item.start, int):
                    start, count, _ = slice_range(slice(item.start, item.start + item.size), n)
                    offset += start * s
                else:
                    indirect = scalar_indirect(indirect, item.start, s, n, on_chip and axis == 0)
                    count = item.size
                new_shape.append(count)
                new_strides.append(s)
            elif isinstance(item, (VirtualRegister, NkiTensor)):
                indirect = scalar_indirect(indirect, item, s, n, on_chip and axis == 0)
                dropped = (1, s)
            else:
                index = index_of(item, n)
                offset += index * s
                if axis == 0 and on_chip:
                    new_shape.append(1)
                    new_strides.append(s)
                else:
                    dropped = (1, s)
        new_shape.extend(shape[len(keys) :])
        new_strides.extend(strides[len(keys) :])
        if len(new_shape) < (2 if on_chip else 1):
            assert dropped is not None
            new_shape.append(dropped[0])
            new_strides.append(dropped[1])
        return NkiTensor(
            self.storage, tuple(new_shape), tuple(new_strides), offset, self.dtype, indirect
        )

    def __setitem__(self, key: Any, value: NkiTensor) -> None:
        from . import language_tensors

        language_tensors.assign(self[key], value)

    def slice(self, dim: int, start: int, end: int, step: int = 1) -> NkiTensor:
        """Slice one dimension."""
        keys = [slice(None)] * self.ndim
        keys[dim] = slice(start, end, step)
        return self[tuple(keys)]

    def select(self, dim: int, index: Any) -> NkiTensor:
        """Select one element of a dimension, at a fixed or dynamic index, and remove it."""
        keys: list[Any] = [slice(None)] * self.ndim
        keys[dim] = index
        return self[tuple(keys)]

    def vector_select(self, dim: int, vector_offset: NkiTensor) -> NkiTensor:
        """Read dimension 0 of an HBM tensor at one index per partition."""
        if dim != 0:
            refuse("NkiTensor.vector_select", "indirect", f"dimension {dim} is not 0")
        pattern = self.get_pattern()
        pattern[0][1] = vector_offset.shape[0]
        return self.ap(pattern, offset=self.offset, vector_offset=vector_offset)

    def ap(
        self,
        pattern: Any,
        offset: int | None = None,
        scalar_offset: Any = None,
        vector_offset: NkiTensor | None = None,
        indirect_dim: int = 0,
        dtype: Any = None,
    ) -> NkiTensor:
        """Address the storage by explicit ``[stride, count]`` pairs.

        The pattern ignores the view it is called on, except for its offset where `offset` is
        None; `scalar_offset` counts in rows of dimension `indirect_dim`.
        """
        shape, strides, start, new, indirect = access_pattern(
            self, pattern, offset, scalar_offset, vector_offset, indirect_dim, dtype
        )
        return NkiTensor(self.storage, shape, strides, start, new, indirect)

"""`NkiTensor`: a strided view over a storage.

Views are cheap Python arithmetic on shape, strides and offset; the NumPy view is made when an
instruction asks for it. Elements are counted in units of the view's own dtype.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .dtypes import DType, as_dtype, cast
from .errors import refuse
from .memory import MemoryRegion, Storage
from .registers import VirtualRegister
from .strides import c_strides, reshape_strides

__all__ = ["DynamicSlice", "Indirect", "NkiTensor"]


class DynamicSlice(NamedTuple):
    """``nl.ds(start, size)``: a slice by start and size."""

    start: Any
    size: int


class Indirect:
    """A dynamic offset: an index that is known only when the instruction runs."""

    __slots__ = ("index", "stride", "vector")

    def __init__(self, index: Any, stride: int, vector: bool) -> None:
        self.index = index
        self.stride = stride
        self.vector = vector

    @property
    def index_storage(self) -> Storage | None:
        """The storage that holds the index, if it is not a register."""
        return self.index.storage if isinstance(self.index, NkiTensor) else None


class NkiTensor:
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

    __slots__ = ("_array", "checked", "dtype", "indirect", "offset", "shape", "storage", "strides")

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
        self.indirect = indirect
        self._array: NDArray[Any] | None = None
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
        return self.indirect is not None

    def __repr__(self) -> str:
        return f"NkiTensor(shape={self.shape}, dtype={self.dtype}, buffer={self.buffer.value})"

    def __bool__(self) -> bool:
        refuse("NkiTensor", "register-opaque", "a tensor has no value while a kernel is built")

    # -- values -----------------------------------------------------------------------------
    def array(self) -> NDArray[Any]:
        """Return the NumPy view (no copy) of a direct or scalar-indirect tensor."""
        if self.indirect is None:
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
            buffer=data,  # type: ignore[arg-type]
            offset=offset * size,
            strides=tuple(s * size for s in self.strides),
        )

    def _dynamic_offset(self) -> int:
        assert self.indirect is not None
        index = self.indirect.index
        value = index.value() if isinstance(index, VirtualRegister) else int(index.array().item())
        offset = value * self.indirect.stride
        last = self.offset + offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides))
        capacity = prod(self.storage.shape) * self.storage.dtype.itemsize // self.dtype.itemsize
        if value < 0 or last >= capacity:
            refuse(
                "dynamic offset",
                "index-range",
                f"index {value} (stride {self.indirect.stride}) reaches element {last} of "
                f"{self.storage.describe()}",
            )
        return offset

    def _gather_index(self) -> NDArray[np.int64]:
        assert self.indirect is not None
        rows = self.indirect.index.array().astype(np.int64).reshape(-1)
        flat = np.zeros(self.shape, dtype=np.int64)
        for axis, (n, s) in enumerate(zip(self.shape, self.strides)):
            line = rows * self.indirect.stride if axis == 0 else np.arange(n) * s
            flat += line.reshape([-1 if a == axis else 1 for a in range(len(self.shape))])
        flat += self.offset
        capacity = prod(self.storage.shape)
        if rows.min() < 0 or flat.max() >= capacity:
            refuse(
                "dynamic offset",
                "index-range",
                f"indices {rows.min()}..{rows.max()} leave {self.storage.describe()}",
            )
        return flat

    def read(self) -> NDArray[Any]:
        """Return the values: a view, or a copy where the access is a gather."""
        if self.indirect is not None and self.indirect.vector:
            data = self.storage.data
            assert data is not None
            return data[self._gather_index()]
        return self.array()

    def write(self, values: NDArray[Any]) -> None:
        """Store `values` (same number of elements) with the device's conversion."""
        values = cast(values, self.dtype)
        if values.shape != self.shape:
            values = values.reshape(self.shape)
        if self.indirect is not None and self.indirect.vector:
            data = self.storage.data
            assert data is not None
            data[self._gather_index()] = values
        else:
            self.array()[...] = values

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
        indirect = self.indirect
        on_chip = self.on_chip
        new_shape: list[int] = []
        new_strides: list[int] = []
        dropped: tuple[int, int] | None = None
        for axis, item in enumerate(keys):
            n, s = shape[axis], strides[axis]
            if axis == 0 and indirect is not None and indirect.vector:
                if type(item) is not slice or item != slice(None):
                    refuse("NkiTensor[...]", "indirect", "dimension 0 is already dynamic")
            if type(item) is slice:
                start, count, step = _slice_range(item, n)
                if step != 1 and axis == 0 and on_chip and count > 1:
                    refuse("NkiTensor[...]", "partition-stride", f"step {step} over partitions")
                offset += start * s
                new_shape.append(count)
                # A single partition keeps the partition stride: it locates the view.
                new_strides.append(s if axis == 0 and on_chip else s * step)
            elif isinstance(item, DynamicSlice):
                if isinstance(item.start, int):
                    start, count, _ = _slice_range(slice(item.start, item.start + item.size), n)
                    offset += start * s
                else:
                    indirect = _scalar_indirect(indirect, item.start, s, on_chip and axis == 0)
                    count = item.size
                new_shape.append(count)
                new_strides.append(s)
            elif isinstance(item, (VirtualRegister, NkiTensor)):
                indirect = _scalar_indirect(indirect, item, s, on_chip and axis == 0)
                dropped = (1, s)
            else:
                index = _index(item, n)
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
        from . import language

        language.assign(self[key], value)

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

    # -- reshaping --------------------------------------------------------------------------
    def _like(self, shape: tuple[int, ...], strides: tuple[int, ...]) -> NkiTensor:
        return NkiTensor(self.storage, shape, strides, self.offset, self.dtype, self.indirect)

    def permute(self, dims: tuple[int, ...]) -> NkiTensor:
        """Reorder dimensions; on chip the partition dimension stays first."""
        call = "NkiTensor.permute"
        if sorted(dims) != list(range(self.ndim)):
            refuse(call, "view", f"{dims} is no permutation of {self.ndim} dimensions")
        if self._partition_first() and dims[0] != 0:
            refuse(call, "view", f"{dims} moves the partition dimension")
        return self._like(
            tuple(self.shape[d] for d in dims), tuple(self.strides[d] for d in dims)
        )

    def broadcast(self, dim: int, size: int) -> NkiTensor:
        """Repeat a dimension of size 1; never the partition dimension."""
        if self.shape[dim] != 1:
            refuse("NkiTensor.broadcast", "view", f"dimension {dim} of {self.shape} is not 1")
        if self._partition_first() and dim == 0:
            refuse("NkiTensor.broadcast", "broadcast", f"{self} over {size} partitions")
        shape = (*self.shape[:dim], size, *self.shape[dim + 1 :])
        return self._like(shape, (*self.strides[:dim], 0, *self.strides[dim + 1 :]))

    def expand_dim(self, dim: int) -> NkiTensor:
        """Insert a dimension of size 1."""
        self._refuse_partition("NkiTensor.expand_dim", dim)
        stride = self.strides[dim] * self.shape[dim] if dim < self.ndim else 1
        return self._like(
            (*self.shape[:dim], 1, *self.shape[dim:]),
            (*self.strides[:dim], stride, *self.strides[dim:]),
        )

    def squeeze_dim(self, dim: int) -> NkiTensor:
        """Remove a dimension of size 1."""
        self._refuse_partition("NkiTensor.squeeze_dim", dim)
        if self.shape[dim] != 1:
            refuse("NkiTensor.squeeze_dim", "view", f"dimension {dim} of {self.shape} is not 1")
        return self._like(
            self.shape[:dim] + self.shape[dim + 1 :], self.strides[:dim] + self.strides[dim + 1 :]
        )

    def reshape_dim(self, dim: int, shape: tuple[int, ...]) -> NkiTensor:
        """Split a dimension; one size may be -1."""
        self._refuse_partition("NkiTensor.reshape_dim", dim)
        known = -prod(shape) if -1 in shape else prod(shape)
        sizes = tuple(self.shape[dim] // known if n == -1 else n for n in shape)
        if prod(sizes) != self.shape[dim]:
            refuse("NkiTensor.reshape_dim", "view", f"{self.shape[dim]} elements into {shape}")
        strides = tuple(s * self.strides[dim] for s in c_strides(sizes))
        return self._like(
            (*self.shape[:dim], *sizes, *self.shape[dim + 1 :]),
            (*self.strides[:dim], *strides, *self.strides[dim + 1 :]),
        )

    def flatten_dims(self, start_dim: int, end_dim: int) -> NkiTensor:
        """Merge dimensions `start_dim` to `end_dim` inclusive."""
        self._refuse_partition("NkiTensor.flatten_dims", start_dim)
        merged = prod(self.shape[start_dim : end_dim + 1])
        return self.reshape((*self.shape[:start_dim], merged, *self.shape[end_dim + 1 :]))

    def reshape(self, shape: tuple[int, ...]) -> NkiTensor:
        """View the same elements in another shape; on chip partitions stay."""
        call = "NkiTensor.reshape"
        shape = tuple(shape)
        if prod(shape) != self.size:
            refuse(call, "view", f"{self.shape} has {self.size} elements, {shape} does not")
        if self._partition_first():
            if shape[0] != self.shape[0] or len(shape) < 2:
                refuse(call, "view", f"{self.shape} to {shape} changes the partition dimension")
            free = reshape_strides(self.shape[1:], self.strides[1:], shape[1:])
            strides = None if free is None else (self.strides[0], *free)
        else:
            strides = reshape_strides(self.shape, self.strides, shape)
        if strides is None:
            refuse(call, "view", f"{self.shape} with strides {self.strides} cannot be {shape}")
        return self._like(shape, strides)

    def rearrange(
        self,
        src_pattern: tuple[Any, ...],
        dst_pattern: tuple[Any, ...],
        fixed_sizes: dict[str, int] | None = None,
    ) -> NkiTensor:
        """Split, reorder and merge named dimensions, einops style."""
        sizes = dict(fixed_sizes or {})
        view = self
        names: list[str] = []
        for group, n in zip(src_pattern, self.shape, strict=True):
            parts = (group,) if isinstance(group, str) else tuple(group)
            unknown = [p for p in parts if p not in sizes]
            if len(unknown) > 1:
                refuse("NkiTensor.rearrange", "view", f"sizes of {unknown} are not given")
            for p in unknown:
                sizes[p] = n // prod(sizes[q] for q in parts if q != p)
            if len(parts) > 1:
                view = view.reshape_dim(len(names), tuple(sizes[p] for p in parts))
            names.extend(parts)
        flat = [p for g in dst_pattern for p in ((g,) if isinstance(g, str) else g)]
        if sorted(flat) != sorted(names):
            refuse("NkiTensor.rearrange", "view", f"{dst_pattern} does not name {names}")
        view = view.permute(tuple(names.index(p) for p in flat))
        for axis, group in enumerate(dst_pattern):
            if not isinstance(group, str) and len(group) > 1:
                view = view.flatten_dims(axis, axis + len(group) - 1)
        return view

    def view(self, dtype: Any) -> NkiTensor:
        """Reinterpret the bits as another dtype; the last dimension is rescaled."""
        call = "NkiTensor.view"
        new = as_dtype(dtype, call)
        old = self.dtype
        if new == old:
            return self
        if new.round_bits or old.round_bits:
            refuse(call, "not-modelled", f"bits of {old} as {new}")
        if self.strides[-1] != 1 or self.indirect is not None:
            refuse(call, "view", "the last dimension is not contiguous, or the view is dynamic")
        last = self.shape[-1] * old.itemsize
        scaled = [s * old.itemsize for s in (*self.strides[:-1], self.offset)]
        if last % new.itemsize or any(s % new.itemsize for s in scaled):
            refuse(call, "view", f"{self.shape} of {old} does not divide into {new}")
        *strides, offset = (s // new.itemsize for s in scaled)
        return NkiTensor(
            self.storage, (*self.shape[:-1], last // new.itemsize), (*strides, 1), offset, new
        )

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
        call = "NkiTensor.ap"
        new = self.dtype if dtype is None else as_dtype(dtype, call)
        storage = self.storage
        if new is not storage.dtype and (new.round_bits or storage.dtype.round_bits):
            refuse(call, "not-modelled", f"bits of {storage.dtype} as {new}")
        strides = tuple(int(p[0]) for p in pattern)
        shape = tuple(int(p[1]) for p in pattern)
        start = self.offset if offset is None else offset
        if self.on_chip:
            free = storage.free * storage.dtype.itemsize // new.itemsize
            if strides[0] != free and shape[0] > 1:
                refuse(call, "partition-stride", f"stride {strides[0]}, partition size {free}")
            strides = (free, *strides[1:])
            if len(shape) < 2:
                refuse(call, "tile-rank", f"pattern {pattern} of an on-chip tensor")
        indirect = None
        if scalar_offset is not None or vector_offset is not None:
            if self.indirect is not None or (
                scalar_offset is not None and vector_offset is not None
            ):
                refuse(call, "indirect", "more than one dynamic offset")
            stride = prod(self.shape[indirect_dim + 1 :])
            if scalar_offset is not None:
                on_partitions = self.on_chip and indirect_dim == 0
                indirect = _scalar_indirect(None, scalar_offset, stride, on_partitions)
            else:
                assert vector_offset is not None
                if self.on_chip or indirect_dim != 0:
                    refuse(call, "indirect", "vector_offset works on HBM and dimension 0 only")
                if vector_offset.shape != (shape[0], 1) or vector_offset.buffer is not sbuf_region:
                    refuse(
                        call, "indirect", f"vector_offset is {vector_offset}, {shape[0]} rows"
                    )
                _integer(call, vector_offset)
                indirect = Indirect(vector_offset, stride, vector=True)
        capacity = prod(storage.shape) * storage.dtype.itemsize // new.itemsize
        last = start + sum((n - 1) * s for n, s in zip(shape, strides) if n > 0)
        direct = indirect is None
        if min(shape) < 1 or start < 0 or (direct and last >= capacity):
            refuse(
                call,
                "index-range",
                f"pattern {pattern} from {start} reaches element {last} of {storage.describe()}",
            )
        if direct and self.on_chip:
            within = start % strides[0] + sum(
                (n - 1) * s for n, s in zip(shape[1:], strides[1:])
            )
            if within >= strides[0]:
                refuse(call, "index-range", f"pattern {pattern} from {start} leaves its partition")
        return NkiTensor(storage, shape, strides, start, new, indirect)

    # -- helpers ----------------------------------------------------------------------------
    def _partition_first(self) -> bool:
        return self.on_chip or (self.indirect is not None and self.indirect.vector)

    def _refuse_partition(self, call: str, dim: int) -> None:
        if self._partition_first() and dim == 0:
            refuse(call, "view", f"dimension 0 of {self} is the partition")


sbuf_region = MemoryRegion.sbuf


def _index(item: Any, n: int) -> int:
    try:
        index: int = item.__index__()
    except AttributeError:
        refuse("NkiTensor[...]", "view", f"{type(item).__name__} is no index")
    if index < 0:
        index += n
    if not 0 <= index < n:
        refuse("NkiTensor[...]", "index-range", f"index {item} in a dimension of size {n}")
    return index


def _slice_range(item: slice, n: int) -> tuple[int, int, int]:
    """Return start, count and step of a slice that must lie inside a dimension of size `n`."""
    start, stop, step = item.start, item.stop, item.step
    if step is None:
        step = 1
    start = 0 if start is None else start + n if start < 0 else start
    stop = n if stop is None else stop + n if stop < 0 else stop
    if step < 1 or not 0 <= start < stop <= n:
        refuse(
            "NkiTensor[...]",
            "index-range",
            f"slice {item.start}:{item.stop}:{item.step} in a dimension of size {n}",
        )
    return start, (stop - start + step - 1) // step, step


def _integer(call: str, index: NkiTensor) -> None:
    if index.dtype.is_float:
        refuse(call, "indirect", f"the offset has dtype {index.dtype}, not an integer type")


def _scalar_indirect(
    present: Indirect | None, index: Any, stride: int, on_partitions: bool
) -> Indirect:
    call = "dynamic offset"
    if present is not None:
        refuse(call, "indirect", "the view already has a dynamic offset")
    if on_partitions:
        refuse(call, "indirect", "the partition of an on-chip tensor is not dynamic")
    if isinstance(index, NkiTensor):
        _integer(call, index)
        if index.shape != (1, 1) or index.buffer is not sbuf_region:
            refuse(call, "indirect", f"scalar_offset is {index}, not a (1, 1) SBUF tile")
    elif not isinstance(index, VirtualRegister):
        refuse(call, "indirect", f"scalar_offset is a {type(index).__name__}")
    return Indirect(index, stride, vector=False)

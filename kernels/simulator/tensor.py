"""`NkiTensor`: a strided view over a storage.

Views are cheap Python arithmetic on shape, strides and offset; the NumPy view is made when an
instruction needs the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from operator import index
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .dtypes import DType, cast
from .errors import refuse
from .indexing import index_of, slice_range
from .memory import MemoryRegion, Storage
from .strides import reshape_strides

__all__ = ["DynamicOffset", "NkiTensor", "Register"]

OFFSET_BYTES = 2**32
"""Bytes that a 32-bit run-time offset reaches."""


class Register:
    """The counter of a loop of the device: a number that exists there only.

    Attributes
    ----------
    value : int
        Number of the iteration that runs here.
    loop : object
        Identity of the loop, `Run.loop`.
    """

    def __init__(self, value: int, loop: object) -> None:
        self.value = value
        self.loop = loop

    def _refuse(self, *operands: Any) -> NoReturn:
        refuse("nl.fori_loop", "loop-register", "the counter is used as a Python number")

    __bool__ = __index__ = __int__ = __float__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __floordiv__ = __mod__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = _refuse


@dataclass(frozen=True)
class DynamicOffset:
    """An offset that is read when the instruction runs.

    Attributes
    ----------
    index : NkiTensor or Register
        (1, 1) integer tile in SBUF, or the counter of a loop.
    stride : int
        Elements per unit of the index.
    limit : int
        The index must be below this.
    """

    index: NkiTensor | Register
    stride: int
    limit: int

    @property
    def value(self) -> int:
        """The offset in units of `stride`, as the instruction reads it."""
        index = self.index
        return index.value if isinstance(index, Register) else int(index.array().item())


class NkiTensor:
    """A tensor in SBUF, PSUM or HBM, or a view of one.

    Attributes
    ----------
    shape, strides : tuple of int
        Sizes and element strides; on chip, dimension 0 is the partition.
    offset : int
        First element within the storage.
    dtype : DType
    dynamic : DynamicOffset or None
        Added to `offset` when an instruction runs.
    data : ndarray or None
        Flat contents of the storage; None when tracing.
    checked : bool
        Whether `operands.tile` has accepted the view already.
    """

    __slots__ = (
        "_array",
        "checked",
        "data",
        "dtype",
        "dynamic",
        "offset",
        "shape",
        "storage",
        "strides",
    )

    def __init__(
        self,
        storage: Storage,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int = 0,
        dynamic: DynamicOffset | None = None,
        data: NDArray[Any] | None = None,
    ) -> None:
        self.storage = storage
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.dtype: DType = storage.dtype
        self.dynamic = dynamic
        self.data = data
        self._array: NDArray[Any] | None = None
        self.checked = False

    # Facts

    @property
    def buffer(self) -> MemoryRegion:
        """The memory that holds the tensor."""
        return self.storage.region

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
        return self.offset // self.strides[0]

    @property
    def pattern(self) -> list[list[int]]:
        """``[[stride, count], ...]``, as `ap` takes it."""
        return [[s, n] for s, n in zip(self.strides, self.shape, strict=True)]

    def __repr__(self) -> str:
        return f"NkiTensor(shape={self.shape}, dtype={self.dtype}, buffer={self.buffer.value})"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Refuse methods that are not modelled. Python's own protocols stay unsupported."""
            if name.startswith("_"):
                raise AttributeError(name)
            refuse(f"NkiTensor.{name}", "not-modelled", "this method is not modelled; use ap")

    def __bool__(self) -> bool:
        refuse("NkiTensor", "tensor-value", "used as a condition of if or while")

    def _compare(self, other: object) -> bool:
        refuse("NkiTensor", "tensor-value", "compared by an operator of Python")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _compare
    __hash__ = object.__hash__

    def __setitem__(self, key: Any, value: Any) -> None:
        refuse(
            "NkiTensor[...] =",
            "not-modelled",
            "assignment; use nisa.tensor_copy on chip and nisa.dma_copy to or from HBM",
        )

    # Views

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
        on_chip = self.on_chip
        new_shape: list[int] = []
        new_strides: list[int] = []
        dropped = 1
        for axis, item in enumerate(keys):
            n, s = shape[axis], strides[axis]
            on_partitions = on_chip and axis == 0
            if type(item) is slice:
                start, count, step = slice_range(item, n)
                if step != 1 and on_partitions and count > 1:
                    refuse("NkiTensor[...]", "partition-stride", f"step {step} over partitions")
                offset += start * s
                new_shape.append(count)
                # A single partition keeps the partition stride: it locates the view.
                new_strides.append(s if on_partitions else s * step)
            else:
                offset += index_of(item, n) * s
                if on_partitions:
                    new_shape.append(1)
                    new_strides.append(s)
                else:
                    dropped = s
        new_shape.extend(shape[len(keys) :])
        new_strides.extend(strides[len(keys) :])
        if len(new_shape) < (2 if on_chip else 1):
            new_shape.append(1)
            new_strides.append(dropped)
        view = (tuple(new_shape), tuple(new_strides), offset)
        return NkiTensor(self.storage, *view, self.dynamic, self.data)

    def reshape(self, shape: tuple[int, ...]) -> NkiTensor:
        """View the same elements in another shape; on chip partitions stay."""
        call = "NkiTensor.reshape"
        shape = tuple(shape)
        if prod(shape) != self.size:
            refuse(call, "view", f"{self.shape} has {self.size} elements, {shape} does not")
        if self.on_chip:
            if shape[0] != self.shape[0] or len(shape) < 2:
                refuse(call, "view", f"{self.shape} to {shape} changes the partition dimension")
            free = reshape_strides(self.shape[1:], self.strides[1:], shape[1:])
            strides = None if free is None else (self.strides[0], *free)
        else:
            strides = reshape_strides(self.shape, self.strides, shape)
        if strides is None:
            refuse(call, "view", f"{self.shape} with strides {self.strides} cannot be {shape}")
        return NkiTensor(self.storage, shape, strides, self.offset, self.dynamic, self.data)

    def ap(
        self,
        pattern: Any,
        offset: int | None = None,
        scalar_offset: NkiTensor | None = None,
        vector_offset: Any = None,
        indirect_dim: int = 0,
        dtype: Any = None,
    ) -> NkiTensor:
        """Address the storage by explicit ``[stride, count]`` pairs.

        The pattern ignores the view it is called on, except for its offset where `offset` is
        None; `scalar_offset` counts in rows of dimension `indirect_dim`.
        """
        call = "NkiTensor.ap"
        storage = self.storage
        if vector_offset is not None or dtype is not None:
            refuse(call, "not-modelled", "vector_offset and dtype")
        try:
            strides = tuple(index(s) for s, _ in pattern)
            shape = tuple(index(n) for _, n in pattern)
            start = self.offset if offset is None else index(offset)
        except (TypeError, ValueError):
            refuse(call, "argument", f"pattern {pattern} from {offset}, not pairs of integers")
        if not shape:
            refuse(call, "view", "the pattern is empty")
        if min(strides) < 0:
            refuse(call, "not-modelled", f"negative strides in pattern {pattern}")
        if self.on_chip:
            if strides[0] != storage.free and shape[0] > 1:
                detail = f"stride {strides[0]}, partition size {storage.free}"
                refuse(call, "partition-stride", detail)
            strides = (storage.free, *strides[1:])
            if len(shape) < 2:
                refuse(call, "tile-rank", f"pattern {pattern} of an on-chip tensor")
        dynamic = None
        if scalar_offset is not None:
            dynamic = self._dynamic(call, scalar_offset, indirect_dim)
        view = NkiTensor(storage, shape, strides, start, dynamic, self.data)
        last, inside = view._reach(start)
        if min(shape) < 1 or start < 0 or (dynamic is None and not inside):
            refuse(
                call,
                "index-range",
                f"pattern {pattern} from {start} reaches element {last} of {storage.describe()}",
            )
        return view

    def _dynamic(self, call: str, index: Any, dim: int) -> DynamicOffset:
        """Check a run-time offset along dimension `dim`."""
        if self.dynamic is not None:
            refuse(call, "indirect", "the view already has a dynamic offset")
        if dim not in range(self.ndim):
            refuse(call, "indirect", f"indirect_dim is {dim}, the tensor has shape {self.shape}")
        # The documents scale by the dimension's stride in one place and by the sizes to its right
        # in another. Where the two differ the result is not documented.
        stride = prod(self.shape[dim + 1 :])
        if self.strides[dim] != stride and self.shape[dim] > 1:
            refuse(call, "indirect", f"dimension {dim} of {self} is not dense")
        if self.on_chip and dim == 0:
            refuse(call, "indirect", "the partition of an on-chip tensor is not dynamic")
        size = prod(self.storage.shape) * self.dtype.itemsize
        if size >= OFFSET_BYTES:
            detail = f"{self.storage.describe()} has {size} bytes"
            refuse(call, "offset-range", f"{detail}; run-time offsets reach {OFFSET_BYTES}")
        if not isinstance(index, Register):
            _check_index(call, index)
        # The documented formula is an address: the index may pass its dimension, not the storage.
        return DynamicOffset(index, stride, prod(self.storage.shape))

    def _reach(self, first: int) -> tuple[int, bool]:
        """Last element of the view if it starts at `first`, and whether all are inside.

        Inside the storage, and on chip inside the partition.
        """
        storage = self.storage
        extents = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        last = first + sum(extents)
        within = first % storage.free + sum(extents[1:])
        return last, last < prod(storage.shape) and not (self.on_chip and within >= storage.free)

    # Values

    def array(self) -> NDArray[Any]:
        """Return the NumPy view (no copy)."""
        if self.dynamic is not None:
            return self._view_at(self._dynamic_start(self.dynamic))
        view = self._array
        if view is None:
            view = self._array = self._view_at(self.offset)
        return view

    def _view_at(self, offset: int) -> NDArray[Any]:
        data = self.data
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

    def _dynamic_start(self, dynamic: DynamicOffset) -> int:
        value = dynamic.value
        storage = self.storage
        if not 0 <= value < dynamic.limit:
            refuse(
                "dynamic offset",
                "index-range",
                f"index {value} in a dimension of size {dynamic.limit} of {storage.describe()}",
            )
        first = self.offset + value * dynamic.stride
        last, inside = self._reach(first)
        if not inside:
            refuse(
                "dynamic offset",
                "index-range",
                f"index {value} (stride {dynamic.stride}) reaches element {last} of "
                f"{storage.describe()}",
            )
        return first

    def write(self, values: NDArray[Any]) -> None:
        """Store `values` (same number of elements) with the device's conversion."""
        values = cast(values, self.dtype)
        self.array()[...] = values.reshape(self.shape)


def _check_index(call: str, index: Any) -> None:
    """Require a (1, 1) integer tile in SBUF."""
    if not isinstance(index, NkiTensor):
        refuse(call, "indirect", f"scalar_offset is a {type(index).__name__}")
    if index.dtype.is_float:
        refuse(call, "indirect", f"scalar_offset has dtype {index.dtype}, not an integer type")
    if index.shape != (1, 1) or index.buffer is not MemoryRegion.sbuf:
        refuse(call, "indirect", f"scalar_offset is {index}, not a (1, 1) SBUF tile")

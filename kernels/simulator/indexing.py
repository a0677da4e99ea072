"""Indices: slices, integers, and dynamic offsets that the device resolves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import refuse
from .memory import MemoryRegion, Storage
from .registers import VirtualRegister

if TYPE_CHECKING:
    from .tensor import NkiTensor

__all__ = [
    "DynamicSlice",
    "Indirect",
    "index_of",
    "is_full",
    "require_integer",
    "scalar_indirect",
    "slice_range",
]


class DynamicSlice(NamedTuple):
    """``nl.ds(start, size)``: a slice by start and size."""

    start: Any
    size: int


class Indirect:
    """A dynamic offset: an index, below `limit`, that is known only when the instruction runs."""

    __slots__ = ("index", "limit", "stride", "vector")

    def __init__(self, index: Any, stride: int, limit: int, vector: bool) -> None:
        self.index = index
        self.limit = limit
        self.stride = stride
        self.vector = vector

    @property
    def index_storage(self) -> Storage | None:
        """The storage that holds the index, if it is not a register."""
        if isinstance(self.index, VirtualRegister):
            return None
        storage: Storage = self.index.storage
        return storage


def is_full(item: Any) -> bool:
    """Tell whether an index is a bare ``:``."""
    return type(item) is slice and item == slice(None)


def index_of(item: Any, n: int) -> int:
    """Return an integer index inside a dimension of size `n`."""
    try:
        index: int = item.__index__()
    except AttributeError:
        refuse("NkiTensor[...]", "view", f"{type(item).__name__} is no index")
    if index < 0:
        index += n
    if not 0 <= index < n:
        refuse("NkiTensor[...]", "index-range", f"index {item} in a dimension of size {n}")
    return index


def slice_range(item: slice, n: int) -> tuple[int, int, int]:
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


def require_integer(call: str, index: NkiTensor) -> None:
    """Refuse an offset tile of a float type."""
    if index.dtype.is_float:
        refuse(call, "indirect", f"the offset has dtype {index.dtype}, not an integer type")


def scalar_indirect(
    present: Indirect | None, index: Any, stride: int, limit: int, on_partitions: bool
) -> Indirect:
    """Make the dynamic offset of a register or (1, 1) tile."""
    call = "dynamic offset"
    if present is not None:
        refuse(call, "indirect", "the view already has a dynamic offset")
    if on_partitions:
        refuse(call, "indirect", "the partition of an on-chip tensor is not dynamic")
    if not isinstance(index, VirtualRegister):
        if not hasattr(index, "storage"):
            refuse(call, "indirect", f"scalar_offset is a {type(index).__name__}")
        require_integer(call, index)
        if index.shape != (1, 1) or index.buffer is not MemoryRegion.sbuf:
            refuse(call, "indirect", f"scalar_offset is {index}, not a (1, 1) SBUF tile")
    return Indirect(index, stride, limit, vector=False)

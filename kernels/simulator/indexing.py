"""Integer indices and slices, checked against the size of a dimension."""

from __future__ import annotations

from typing import Any

from .errors import refuse

__all__ = ["index_of", "slice_range"]


def index_of(item: Any, n: int) -> int:
    """Return an integer index inside a dimension of size `n`; negative ones count from its end."""
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

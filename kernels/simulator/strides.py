"""Stride arithmetic of views."""

from __future__ import annotations

__all__ = ["c_strides", "contiguous_run", "reshape_strides"]


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return row-major strides in elements."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def reshape_strides(
    shape: tuple[int, ...], strides: tuple[int, ...], new_shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Return strides that view the same elements as `new_shape`; None if there are none."""
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result: list[int] = []
    at = 0
    target = [n for n in new_shape if n != 1]
    produced: list[int] = []
    while target[len(produced) :]:
        # Take new dimensions and old dimensions until both cover the same block.
        first = len(produced)
        last = first + 1
        size_new = target[first]
        end = at + 1
        size_old = old[at][0]
        while size_new != size_old:
            if size_new < size_old:
                size_new *= target[last]
                last += 1
            else:
                size_old *= old[end][0]
                end += 1
        for (_, outer), (n, inner) in zip(old[at : end - 1], old[at + 1 : end], strict=True):
            if outer != n * inner:
                return None
        step = old[end - 1][1]
        block: list[int] = []
        for n in reversed(target[first:last]):
            block.append(step)
            step *= n
        produced.extend(reversed(block))
        at = end
    rest = iter(produced)
    for n in new_shape:
        result.append(1 if n == 1 else next(rest))
    return tuple(result)


def contiguous_run(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Return how many consecutive elements the innermost dense block of a view has."""
    run = 1
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n == 1:
            continue
        if s != run:
            break
        run *= n
    return run

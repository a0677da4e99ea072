"""Views give what NumPy gives, in shape, values and storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator import simulate
from dfmp2.kernels.simulator.strides import contiguous_run, reshape_strides

from .tiles import filled, load, stored

F32 = np.float32
X = np.arange(8 * 4 * 6, dtype=F32).reshape(8, 4, 6)

VIEWS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "slices": (lambda t: t[2:6, 1:3, ::2], lambda a: a[2:6, 1:3, ::2]),
    "negative": (lambda t: t[..., -3:-1], lambda a: a[..., -3:-1]),
    "ellipsis": (lambda t: t[1:, ..., 2], lambda a: a[1:, ..., 2]),
    "integers": (lambda t: t[:, 1, 2], lambda a: a[:, 1, 2:3]),
    "partition": (lambda t: t[3], lambda a: a[3:4]),
    "one-element": (lambda t: t[0, 0, 5], lambda a: a[0:1, 0, 5:6]),
    "ds": (lambda t: t[:, nl.ds(1, 2), :], lambda a: a[:, 1:3, :]),
    "reshape": (lambda t: t.reshape((8, 12, 2)), lambda a: a.reshape(8, 12, 2)),
    "pattern": (
        lambda t: t.ap([[24, 4], [5, 3], [1, 2]], offset=24 + 3),
        lambda a: np.stack(
            [a.reshape(8, 24)[1:5, 3 + 5 * i : 5 + 5 * i] for i in range(3)], axis=1
        ),
    ),
    "pattern of a view": (
        lambda t: t[:, 1:].ap([[24, 8], [1, 3]]),
        lambda a: a.reshape(8, 24)[:, 6:9],
    ),
    "chain": (lambda t: t[2:6, 1:][:, 1:3, ::3], lambda a: a[2:6, 2:4, ::3]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_view_reads_what_numpy_reads(name: str) -> None:
    view, expected = VIEWS[name]

    def kernel(x: Any) -> Any:
        v = view(load(x))
        assert v.shape == expected(X).shape
        return stored(v)

    assert np.array_equal(simulate(kernel)(X), expected(X))


@pytest.mark.parametrize("name", ["slices", "pattern", "chain", "integers"])
def test_view_writes_where_numpy_writes(name: str) -> None:
    view, expected = VIEWS[name]

    def kernel(x: Any) -> Any:
        tile = load(x)
        v = view(tile)
        nisa.dma_copy(v, filled(v.shape, value=-1))
        return stored(tile)

    want = X.copy()
    if name == "pattern":
        flat = want.reshape(8, 24)
        for i in range(3):
            flat[1:5, 3 + 5 * i : 5 + 5 * i] = -1
    else:
        expected(want)[...] = -1
    assert np.array_equal(simulate(kernel)(X), want)


def test_hbm_integer_drops_its_dimension() -> None:
    def kernel(x: Any) -> Any:
        assert x[1].shape == (4, 6)
        assert x[1, 2].shape == (6,)
        assert x[1, 2, 3].shape == (1,)
        return stored(x[1])

    assert np.array_equal(simulate(kernel)(X), X[1])


def test_dynamic_offset_is_read_when_the_instruction_runs() -> None:
    def kernel(x: Any) -> Any:
        index = filled((1, 1), nl.int32)
        row = x.ap([[6, 4], [1, 6]], scalar_offset=index)
        nisa.memset(index, 5)
        return stored(row)

    assert np.array_equal(simulate(kernel)(X), X[5])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.permutations(range(4)),
)
def test_reshape_strides_agree_with_numpy(
    shape: list[int], new: list[int], order: list[int]
) -> None:
    base = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    view = base.transpose([a for a in order if a < len(shape)])
    if view.size % int(np.prod(new)) == 0:
        new = [*new, view.size // int(np.prod(new))]
    if int(np.prod(new)) != view.size:
        return
    strides = tuple(s // 8 for s in view.strides)
    got = reshape_strides(view.shape, strides, tuple(new))
    try:
        want = view.view()
        want.shape = tuple(new)
    except AttributeError:
        assert got is None
        return
    assert got is not None
    assert all(g * 8 == w for g, w, n in zip(got, want.strides, new, strict=True) if n > 1)


@pytest.mark.parametrize(
    ("shape", "strides", "run"),
    [((4, 6), (6, 1), 24), ((4, 3), (6, 1), 3), ((4, 3), (6, 2), 1), ((4, 1), (1, 1), 4)],
)
def test_contiguous_run(shape: tuple[int, int], strides: tuple[int, int], run: int) -> None:
    assert contiguous_run(shape, strides) == run

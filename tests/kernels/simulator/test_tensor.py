"""Views give what NumPy gives, in shape, values and storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfmp2.kernels.simulator import SimulatorError, simulate
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator.strides import contiguous_run, reshape_strides

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
    "slice": (lambda t: t.slice(2, 1, 6, 3), lambda a: a[:, :, 1:6:3]),
    "select": (lambda t: t.select(1, 2), lambda a: a[:, 2]),
    "permute": (lambda t: t.permute((0, 2, 1)), lambda a: a.transpose(0, 2, 1)),
    "reshape": (lambda t: t.reshape((8, 12, 2)), lambda a: a.reshape(8, 12, 2)),
    "flatten": (lambda t: t.flatten_dims(1, 2), lambda a: a.reshape(8, 24)),
    "split": (lambda t: t.reshape_dim(2, (2, -1)), lambda a: a.reshape(8, 4, 2, 3)),
    "expand": (lambda t: t.expand_dim(1), lambda a: a[:, None]),
    "squeeze": (lambda t: t.expand_dim(2).squeeze_dim(2), lambda a: a),
    "broadcast": (
        lambda t: t.expand_dim(1).broadcast(1, 3),
        lambda a: np.broadcast_to(a[:, None], (8, 3, 4, 6)),
    ),
    "rearrange": (
        lambda t: t.rearrange(("p", "a", ("b", "c")), ("p", "c", ("a", "b")), {"b": 3}),
        lambda a: a.reshape(8, 4, 3, 2).transpose(0, 3, 1, 2).reshape(8, 2, 12).copy(),
    ),
    "pattern": (
        lambda t: t.ap([[24, 4], [5, 3], [1, 2]], offset=24 + 3),
        lambda a: np.stack(
            [a.reshape(8, 24)[1:5, 3 + 5 * i : 5 + 5 * i] for i in range(3)], axis=1
        ),
    ),
    "chain": (
        lambda t: t[2:6].permute((0, 2, 1))[:, 1:5, ::3],
        lambda a: a[2:6].transpose(0, 2, 1)[:, 1:5, ::3],
    ),
}


@pytest.mark.parametrize("name", VIEWS)
def test_view_reads_what_numpy_reads(name: str) -> None:
    view, expected = VIEWS[name]

    def kernel(x: Any) -> Any:
        tile = nl.load(x)
        v = view(tile)
        assert v.shape == expected(X).shape
        out = nl.ndarray(v.shape, nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, v)
        return out

    assert np.array_equal(simulate(kernel)(X), expected(X))


def test_rearrange_that_needs_a_copy_is_refused() -> None:
    def kernel(x: Any) -> None:
        nl.load(x).rearrange(("p", "a", ("b", "c")), ("p", "b", ("c", "a")), {"b": 3})

    with pytest.raises(SimulatorError) as caught:
        simulate(kernel)(X)
    assert caught.value.rule == "view"


def test_rearrange_splits_and_reorders() -> None:
    def kernel(x: Any) -> Any:
        v = nl.load(x).rearrange(("p", "a", ("b", "c")), ("p", "c", "a", "b"), {"b": 3})
        out = nl.ndarray(v.shape, nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, v)
        return out

    assert np.array_equal(simulate(kernel)(X), X.reshape(8, 4, 3, 2).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("name", ["slices", "permute", "pattern", "chain", "integers"])
def test_view_writes_where_numpy_writes(name: str) -> None:
    view, expected = VIEWS[name]

    def kernel(x: Any) -> Any:
        tile = nl.load(x)
        v = view(tile)
        values = nl.ndarray(v.shape, nl.float32, nl.hbm)
        filled = nl.full(v.shape, -1.0, nl.float32)
        nisa.dma_copy(values, filled)
        nisa.dma_copy(v, values)
        out = nl.ndarray(tile.shape, nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, tile)
        return out

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
        out = nl.ndarray((4, 6), nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, x[1])
        return out

    assert np.array_equal(simulate(kernel)(X), X[1])


def test_bits_as_another_dtype() -> None:
    def kernel(x: Any) -> Any:
        out = nl.ndarray((8, 24), nl.int32, nl.shared_hbm)
        tile = nl.load(x)
        assert tile.view(nl.uint8).shape == (8, 4, 24)
        nisa.dma_copy(out, tile.reshape((8, 24)).view(nl.int32))
        return out

    assert np.array_equal(simulate(kernel)(X), X.reshape(8, 24).view(np.int32))


def test_metadata_of_views() -> None:
    def kernel() -> None:
        t = nl.ndarray((128, 64), nl.float32, nl.sbuf)
        assert (t.shape, t.strides, t.offset) == ((128, 64), (64, 1), 0)
        assert (t.ndim, t.size, t.dtype, t.buffer) == (2, 8192, nl.float32, nl.sbuf)
        u = t.slice(1, 8, 24)
        assert u.get_pattern() == [[64, 128], [1, 16]]
        assert u.offset == 8
        assert t.is_contiguous()
        assert not t[:, ::2].is_contiguous()
        assert t.ap([[64, 128], [2, 8]]).ap([[64, 128], [1, 4]]).get_pattern() == [
            [64, 128],
            [1, 4],
        ]
        assert not t.is_indirect()
        assert t[:, nl.ds(nisa.register_alloc(3), 4)].is_indirect()

    assert simulate(kernel)() is None


def test_gather_and_scatter_rows() -> None:
    rows = np.array([[3], [0], [2]], np.int32)

    def kernel(x: Any, index: Any) -> Any:
        idx = nl.load(index)
        tile = nl.ndarray((3, 4, 6), nl.float32)
        nisa.dma_copy(tile, x.vector_select(0, idx))
        out = nl.ndarray((5, 24), nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, nl.zeros((5, 24), nl.float32))
        nisa.dma_copy(out.ap([[24, 3], [1, 24]], vector_offset=idx), tile)
        return out

    want = np.zeros((5, 24), F32)
    want[rows[:, 0]] = X[rows[:, 0]].reshape(3, 24)
    assert np.array_equal(simulate(kernel)(X, rows), want)


def test_dynamic_offset_is_read_when_the_instruction_runs() -> None:
    def kernel(x: Any) -> Any:
        index = nl.full((1, 1), 1, nl.int32)
        row = x.select(0, index)
        nisa.memset(index, 5)
        out = nl.ndarray((4, 6), nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, row)
        return out

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

"""The convenience functions of `nki.language` do what their names say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator import simulate

F32 = np.float32
X = (np.random.default_rng(2).standard_normal((64, 48)) ** 2 + 0.1).astype(F32)
INTEGERS = np.arange(-8, 8, dtype=np.int32).reshape(4, 4)


def stored(make: Callable[[Any], Any], x: Any = X) -> Any:
    """Return the tile that `make` builds from the loaded `x`."""

    def kernel(a: Any) -> Any:
        tile = make(nl.load(a))
        if tile.buffer == nl.psum:
            tile = nl.copy(tile)
        out = nl.ndarray(tile.shape, tile.dtype, nl.shared_hbm)
        nl.store(out, tile)
        return out

    return simulate(kernel)(x)


EXACT: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "add a number": (lambda t: nl.add(t, 2.0), X + F32(2)),
    "subtract from a number": (lambda t: nl.subtract(2.0, t), F32(2) - X),
    "multiply by itself": (lambda t: nl.multiply(t, t), X * X),
    "negative": (nl.negative, -X),
    "copy": (nl.copy, X),
    "reciprocal": (nl.reciprocal, F32(1) / X),
    "maximum of numbers": (lambda t: nl.maximum(t, 0.5), np.maximum(X, F32(0.5))),
    "transpose": (nl.transpose, X.T),
    "zeros_like": (nl.zeros_like, np.zeros_like(X)),
    "ones": (lambda t: nl.ones(t.shape, nl.float32), np.ones_like(X)),
    "max over columns": (lambda t: nl.max(t, axis=1, keepdims=True), X.max(1, keepdims=True)),
    "min over columns": (lambda t: nl.min(t, axis=1), X.min(1, keepdims=True)),
    "expand_dims": (lambda t: nl.expand_dims(t, 1), X[:, None]),
    "broadcast to itself": (lambda t: nl.broadcast_to(t, (64, 48)), X),
}


@pytest.mark.parametrize("name", EXACT)
def test_exact_function(name: str) -> None:
    make, expected = EXACT[name]
    assert np.array_equal(stored(make), expected)


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (nl.exp, np.exp),
        (nl.log, np.log),
        (nl.sqrt, np.sqrt),
        (nl.rsqrt, lambda v: v**-0.5),
        (nl.tanh, np.tanh),
        (nl.silu, lambda v: v / (1 + np.exp(-v))),
        (nl.erf, np.vectorize(__import__("math").erf)),
        (nl.gelu, lambda v: v * (1 + np.vectorize(__import__("math").erf)(v / 2**0.5)) / 2),
    ],
    ids=lambda f: getattr(f, "__name__", "f"),
)
def test_rounded_function(function: Any, reference: Any) -> None:
    assert np.allclose(stored(function), reference(X.astype(float)), rtol=5e-7, atol=1e-6)


def test_bits_of_integers() -> None:
    assert np.array_equal(stored(nl.invert, INTEGERS), ~INTEGERS)
    assert np.array_equal(stored(lambda t: nl.bitwise_and(t, 6), INTEGERS), INTEGERS & 6)


def test_matmul_takes_a_transposed_left_side() -> None:
    # Whole numbers, the sums of whose products are below 2^24: exact in any order of summation.
    x = np.round(8 * X)
    expected = x.astype(float).T @ x
    assert expected.max() < 2**24
    assert np.array_equal(stored(lambda t: nl.matmul(t, t, transpose_x=True), x), expected)


def test_load_transpose() -> None:
    def kernel(x: Any) -> Any:
        out = nl.ndarray((48, 64), nl.float32, nl.shared_hbm)
        nl.store(out, nl.load_transpose2d(x))
        return out

    assert np.array_equal(simulate(kernel)(X), X.T)


def test_assignment_copies_on_chip_and_through_dma() -> None:
    def kernel(x: Any) -> Any:
        tile = nl.empty_like(x, buffer=nl.sbuf)
        tile[...] = x
        tile[:, 0:2] = tile[:, 2:4]
        out = nl.ndarray(x.shape, nl.float32, nl.shared_hbm)
        out[:, :] = tile
        return out

    want = X.copy()
    want[:, :2] = X[:, 2:4]
    run = simulate(kernel)
    assert np.array_equal(run(X), want)
    assert run.account is not None
    assert run.account.executed["vector", "nisa.tensor_copy"] == 1


def test_one_program_runs() -> None:
    def kernel(x: Any) -> None:
        assert (nl.program_id(), nl.num_programs(), nl.program_ndim()) == (0, 1, 0)
        assert nl.tile_size.sbuf_fmax * 4 == nl.tile_size.total_available_sbuf_size
        assert nl.tile_size.sbuf_size_bytes == 28 * 2**20
        nl.device_print("x", x)

    assert simulate(kernel)(X) is None


def test_handles_take_ordering_edges() -> None:
    def kernel() -> None:
        a, b = nl.ndarray((4, 4), nl.float32), nl.ndarray((4, 4), nl.float32)
        first = nisa.memset(a, 0.0)
        assert nisa.tensor_copy(b, a).depends_on(first) is not None

    simulate(kernel)()


def test_transpose_by_product_with_the_identity() -> None:
    def transposed(t: Any) -> Any:
        out = nl.ndarray((48, 64), nl.float32, nl.psum)
        identity = nl.shared_identity_matrix(64, nl.float32)
        nisa.nc_matmul(out, t, identity, is_transpose=True, is_moving_onezero=True)
        return out

    assert np.array_equal(stored(transposed), X.T)


def test_two_byte_product() -> None:
    def product(t: Any) -> Any:
        narrow = nl.copy(t, dtype=nl.bfloat16)
        out = nl.ndarray((48, 48), nl.float32, nl.psum)
        nisa.nc_matmul(out, narrow, narrow)
        return out

    rounded = stored(lambda t: nl.copy(nl.copy(t, dtype=nl.bfloat16), dtype=nl.float32))
    # A sum of 64 products in float32, in any order, is off by 64 times 2^-24 of its size; operands
    # that were not rounded to bfloat16 would be off by up to 2^-8.
    exact = rounded.astype(float).T @ rounded
    assert np.all(np.abs(stored(product) - exact) <= 64 * 2.0**-24 * exact)

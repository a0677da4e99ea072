"""Each instruction computes the documented result, in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.simulator import generation, simulate
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .tiles import copied, filled, fresh, load, stored

F32 = np.float32
RNG = np.random.default_rng(3)
X = RNG.standard_normal((64, 96)).astype(F32)
Y = RNG.standard_normal((64, 96)).astype(F32)
COLUMN = RNG.standard_normal((64, 1)).astype(F32)
POSITIVE = np.abs(X) + F32(0.1)
# Whole numbers below 64: a product over 64 rows is below 2^24, so float32 holds every partial sum
# exactly. Any BLAS with any number of threads gives the same bits.
WHOLE_X, WHOLE_Y = np.round(8 * X), np.round(8 * Y)


def run(body: Callable[..., None], *arrays: Any, shape: Any = None, dtype: Any = nl.float32) -> Any:
    """Load arrays into tiles, let `body(out, *tiles)` fill an output tile, return it."""

    def kernel(*args: Any) -> Any:
        out = fresh(shape or args[0].shape, dtype)
        body(out, *[load(a) for a in args])
        return stored(out)

    return simulate(kernel)(*arrays)


BINARY = [(nl.add, np.add), (nl.subtract, np.subtract), (nl.multiply, np.multiply)]


@pytest.mark.parametrize(("op", "numpy_op"), BINARY, ids=lambda f: getattr(f, "name", "numpy"))
def test_tensor_tensor(op: Any, numpy_op: Any) -> None:
    got = run(lambda o, x, y: nisa.tensor_tensor(o, x, y, op), X, Y)
    assert np.array_equal(got, numpy_op(X, Y))


def test_tensor_tensor_reads_psum() -> None:
    def body(o: Any, x: Any, y: Any) -> None:
        acc = nl.ndarray((64, 96), nl.float32, nl.psum)
        nisa.tensor_copy(acc, x)
        nisa.tensor_tensor(o, acc, y, nl.subtract)

    assert np.array_equal(run(body, X, Y), X - Y)


def test_int32_is_exact_on_gpsimd_and_rounds_on_vector() -> None:
    a = np.array([[2**24 + 1, 7]], np.int32)

    def add(engine: Any) -> Any:
        def body(o: Any, x: Any) -> None:
            nisa.tensor_tensor(o, x, x, nl.add, engine=engine)

        return run(body, a, dtype=nl.int32)

    assert np.array_equal(add(nisa.engine.unknown), a + a)
    assert np.array_equal(add(nisa.engine.vector), [[2**25, 14]])


def test_tensor_scalar_with_two_operators() -> None:
    def body(o: Any, x: Any, c: Any) -> None:
        nisa.tensor_scalar(o, x, nl.subtract, c, op1=nl.multiply, operand1=3.0)

    assert np.array_equal(run(body, X, COLUMN), (X - COLUMN) * F32(3))


def test_tensor_scalar_on_three_dimensional_tiles() -> None:
    def body(o: Any, x: Any, c: Any) -> None:
        nisa.tensor_scalar(o, x, nl.add, c)

    x = X.reshape(64, 8, 12)
    assert np.array_equal(run(body, x, COLUMN), x + COLUMN[:, :, None])


def test_rsqrt_on_gpsimd() -> None:
    got = run(lambda o, x: nisa.tensor_scalar(o, x, nl.rsqrt, 0.0), POSITIVE)
    assert np.allclose(got, POSITIVE.astype(float) ** -0.5, rtol=2 * 2.0**-23, atol=0)


def sequential(x: Any, ufunc: Any = np.add) -> Any:
    """Reduce row by row in order, in float32."""
    total = x[:, 0].copy()
    for column in x[:, 1:].T:
        total = ufunc(total, column)
    return total[:, None]


@pytest.mark.parametrize(("op", "ufunc"), [(nl.add, np.add), (nl.multiply, np.multiply)])
def test_tensor_reduce_adds_in_order(op: Any, ufunc: Any) -> None:
    got = run(lambda o, x: nisa.tensor_reduce(o, op, x, axis=1), X, shape=(64, 1))
    assert np.array_equal(got, sequential(X, ufunc))


@pytest.mark.parametrize(("axis", "shape"), [((1, 2), (64, 1)), ([2], (64, 8)), (-1, (64, 8))])
def test_tensor_reduce_over_last_axes(axis: Any, shape: Any) -> None:
    x = np.round(X * 8).reshape(64, 8, 12)
    got = run(lambda o, t: nisa.tensor_reduce(o, nl.add, t, axis), x, shape=shape)
    named = run(lambda o, t: nisa.tensor_copy(o, nl.sum(t, axis)), x, shape=shape)
    sums = x.sum(axis=tuple(np.atleast_1d(axis)))
    assert np.array_equal(got, sums.reshape(shape))
    assert np.array_equal(named, got)


def test_activation() -> None:
    got = run(lambda o, x: nisa.activation(o, nl.square, x), X)
    assert np.array_equal(got, X * X)


@pytest.mark.parametrize("accumulate", [(False, True, True), (None, None, None)])
def test_matmul_accumulates(accumulate: Any) -> None:
    def body(o: Any, x: Any, y: Any) -> None:
        acc = nl.ndarray((96, 96), nl.float32, nl.psum)
        for flag in accumulate:
            nisa.nc_matmul(acc, x, y, accumulate=flag)
        nisa.tensor_copy(o, acc)

    got = run(body, X, Y, shape=(96, 96))
    want = 3 * X.T.astype(float) @ Y
    assert np.all(np.abs(got - want) <= 4 * 64 * 2.0**-24 * (np.abs(X).T @ np.abs(Y)))


def test_matmul_overwrites_what_was_there() -> None:
    def body(o: Any, x: Any, y: Any) -> None:
        acc = filled((96, 96), buffer=nl.psum, value=0)
        nisa.nc_matmul(acc, y, y, accumulate=False)
        nisa.nc_matmul(acc, x, y, accumulate=False)
        nisa.tensor_copy(o, acc)

    assert np.array_equal(run(body, WHOLE_X, WHOLE_Y, shape=(96, 96)), WHOLE_X.T @ WHOLE_Y)


def test_v4_accumulates_on_values_of_other_engines() -> None:
    def kernel(x: Any) -> Any:
        acc = filled((96, 96), buffer=nl.psum)
        tile = load(x)
        nisa.nc_matmul(acc, tile, tile, accumulate=True)
        done = nl.ndarray((96, 96), nl.float32)
        nisa.tensor_copy(done, acc)
        out = nl.ndarray((96, 96), nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, done)
        return out

    got = simulate(kernel, target=generation("trn3"))(WHOLE_X)
    assert np.array_equal(got, F32(1) + WHOLE_X.T @ WHOLE_X)


@pytest.mark.parametrize("dtype", [nl.float32, nl.bfloat16, nl.float16])
def test_tensor_engine_transpose_keeps_bits(dtype: Any) -> None:
    def body(o: Any, x: Any) -> None:
        narrow = nl.ndarray((64, 96), dtype)
        nisa.tensor_copy(narrow, x)
        turned = nl.ndarray((96, 64), dtype, nl.psum)
        nisa.nc_transpose(turned, narrow)
        nisa.tensor_copy(o, turned)

    got = run(body, X, shape=(96, 64))
    same = run(lambda o, x: nisa.tensor_copy(o, copied(x, dtype)), X)
    assert np.array_equal(got, same.T)


def test_v2_transpose_spreads_nan_and_v3_does_not() -> None:
    x = X.copy()
    x[3, 5] = np.nan

    def kernel(a: Any) -> Any:
        turned = fresh((96, 64), buffer=nl.psum)
        nisa.nc_transpose(turned, load(a))
        return stored(copied(turned))

    bad = np.isnan(simulate(kernel, target=generation("trn1"))(x))
    assert bad[5].all()
    assert bad.sum() == 64
    assert np.array_equal(np.isnan(simulate(kernel)(x)), np.isnan(x.T))


def test_vector_engine_transpose() -> None:
    got = run(lambda o, x: nisa.nc_transpose(o, x[0:32, 0:32]), X, shape=(32, 32))
    assert np.array_equal(got, X[:32, :32].T)


def test_dma_reorders_elements_and_casts() -> None:
    def kernel(x: Any) -> Any:
        tile = fresh((96, 64), nl.int32)
        nisa.dma_copy(tile, x)
        out = fresh((64, 96), nl.int32, nl.shared_hbm)
        nisa.dma_copy(out, tile)
        return out

    assert np.array_equal(simulate(kernel)(X * 10), np.rint(X * 10).astype(np.int32))


def test_two_byte_product() -> None:
    def product(o: Any, x: Any) -> None:
        narrow = copied(x, nl.bfloat16)
        acc = fresh((96, 96), buffer=nl.psum)
        nisa.nc_matmul(acc, narrow, narrow)
        nisa.tensor_copy(o, acc)

    rounded = run(lambda o, x: nisa.tensor_copy(o, copied(x, nl.bfloat16)), X)
    # A float32 sum of 64 products, in any order, is off by at most 64 x 2^-24 of the sum of their
    # sizes. Operands that were not rounded to bfloat16 would be off by up to 2^-8 of it.
    wide = rounded.astype(float)
    limit = 64 * 2.0**-24 * (np.abs(wide).T @ np.abs(wide))
    assert np.all(np.abs(run(product, X, shape=(96, 96)) - wide.T @ wide) <= limit)

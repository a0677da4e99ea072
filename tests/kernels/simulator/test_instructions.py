"""Each instruction computes what its documentation says, in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.simulator import generation, simulate
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

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
        tiles = [nl.load(a) for a in args]
        size = shape or args[0].shape
        out = nl.ndarray(size, dtype, nl.sbuf)
        body(out, *tiles)
        result = nl.ndarray(size, dtype, nl.shared_hbm)
        nisa.dma_copy(result, out)
        return result

    return simulate(kernel)(*arrays)


BINARY = [
    (nl.add, np.add),
    (nl.subtract, np.subtract),
    (nl.multiply, np.multiply),
    (nl.maximum, np.maximum),
    (nl.minimum, np.minimum),
    (nl.less, lambda x, y: (x < y).astype(F32)),
    (nl.greater_equal, lambda x, y: (x >= y).astype(F32)),
    (nl.not_equal, lambda x, y: (x != y).astype(F32)),
    (nl.abs_max, lambda x, y: np.maximum(np.abs(x), np.abs(y))),
]


@pytest.mark.parametrize(("op", "numpy_op"), BINARY, ids=lambda f: f.__name__)
def test_tensor_tensor(op: Any, numpy_op: Any) -> None:
    got = run(lambda o, x, y: nisa.tensor_tensor(o, x, y, op), X, Y)
    assert np.array_equal(got, numpy_op(X, Y))


@pytest.mark.parametrize(("op", "numpy_op"), BINARY, ids=lambda f: f.__name__)
def test_language_function_is_one_instruction(op: Any, numpy_op: Any) -> None:
    got = run(lambda o, x, y: nisa.tensor_copy(o, op(x, y)), X, Y)
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


@pytest.mark.parametrize("reverse", [False, True])
def test_tensor_scalar_with_two_operators(reverse: bool) -> None:
    def body(o: Any, x: Any, c: Any) -> None:
        nisa.tensor_scalar(
            o, x, nl.subtract, c, reverse, op1=nl.multiply, operand1=3.0, reverse1=reverse
        )

    want = (COLUMN - X if reverse else X - COLUMN) * F32(3)
    assert np.array_equal(run(body, X, COLUMN), want)


def test_tensor_scalar_on_three_dimensional_tiles() -> None:
    def body(o: Any, x: Any, c: Any) -> None:
        nisa.tensor_scalar(o, x, nl.add, c)

    x = X.reshape(64, 8, 12)
    assert np.array_equal(run(body, x, COLUMN), x + COLUMN[:, :, None])


def test_rsqrt_on_gpsimd() -> None:
    got = run(lambda o, x: nisa.tensor_scalar(o, x, nl.rsqrt, 0.0), POSITIVE)
    assert np.allclose(got, POSITIVE.astype(float) ** -0.5, rtol=2 * 2.0**-23, atol=0)


def test_bit_operations() -> None:
    a = np.arange(12, dtype=np.int32).reshape(3, 4)

    def body(o: Any, x: Any) -> None:
        nisa.tensor_scalar(o, x, nl.left_shift, 2, op1=nl.bitwise_or, operand1=1)

    assert np.array_equal(run(body, a, dtype=nl.int32), (a << 2) | 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_scalar_tensor_tensor(reverse: bool) -> None:
    def body(o: Any, x: Any, y: Any) -> None:
        nisa.scalar_tensor_tensor(o, x, nl.multiply, 2.0, nl.subtract, y, reverse1=reverse)

    want = Y - X * F32(2) if reverse else X * F32(2) - Y
    assert np.array_equal(run(body, X, Y), want)


def sequential(x: Any, ufunc: Any = np.add) -> Any:
    """Reduce row by row in order, in float32."""
    total = x[:, 0].copy()
    for column in x[:, 1:].T:
        total = ufunc(total, column)
    return total[:, None]


@pytest.mark.parametrize(
    ("op", "ufunc"), [(nl.add, np.add), (nl.maximum, np.maximum), (nl.multiply, np.multiply)]
)
def test_tensor_reduce_adds_in_order(op: Any, ufunc: Any) -> None:
    got = run(lambda o, x: nisa.tensor_reduce(o, op, x, axis=1), X, shape=(64, 1))
    assert np.array_equal(got, sequential(X, ufunc))


@pytest.mark.parametrize(("axis", "shape"), [((1, 2), (64, 1)), ([2], (64, 8)), (-1, (64, 8))])
def test_tensor_reduce_over_last_axes(axis: Any, shape: Any) -> None:
    x = np.round(X * 8).reshape(64, 8, 12)
    got = run(lambda o, t: nisa.tensor_reduce(o, nl.add, t, axis, negate=True), x, shape=shape)
    sums = x.sum(axis=tuple(np.atleast_1d(axis)))
    assert np.array_equal(got, -sums.reshape(shape))


@pytest.mark.parametrize(
    ("op", "function"),
    [
        (nl.copy, lambda v: v),
        (nl.square, np.square),
        (nl.exp, np.exp),
        (nl.tanh, np.tanh),
        (nl.sigmoid, lambda v: 1 / (1 + np.exp(-v))),
        (nl.relu, lambda v: np.maximum(v, 0)),
        (nl.abs, np.abs),
        (nl.sign, np.sign),
        (nl.softplus, lambda v: np.log1p(np.exp(v))),
    ],
    ids=lambda f: f.__name__,
)
def test_activation(op: Any, function: Any) -> None:
    got = run(lambda o, x: nisa.activation(o, op, x), X)
    assert np.allclose(got, function(X.astype(float)), rtol=4e-7, atol=2e-7)


@pytest.mark.parametrize("op", [nl.sqrt, nl.rsqrt, nl.log, nl.reciprocal], ids=lambda f: f.__name__)
def test_activation_of_positive_arguments(op: Any) -> None:
    function = {
        "sqrt": np.sqrt,
        "rsqrt": lambda v: v**-0.5,
        "log": np.log,
        "reciprocal": lambda v: 1 / v,
    }[op.__name__]
    got = run(lambda o, x: nisa.activation(o, op, x), POSITIVE)
    assert np.allclose(got, function(POSITIVE.astype(float)), rtol=4e-7, atol=2e-7)


def test_activation_scale_bias_and_reduction() -> None:
    def body(o: Any, x: Any, c: Any) -> None:
        y = nl.ndarray((64, 96), nl.float32)
        cmd = nisa.reduce_cmd
        nisa.activation(
            y, nl.square, x, bias=c, scale=c, reduce_op=nl.add, reduce_cmd=cmd.reset_reduce
        )
        nisa.activation(
            y, nl.copy, x, reduce_op=nl.add, reduce_res=o[:, 0:1], reduce_cmd=cmd.reduce
        )
        nisa.activation_reduce(y, nl.copy, x, nl.add, o[:, 1:2])

    got = run(body, X, COLUMN, shape=(64, 2))
    first = sequential(np.square(X * COLUMN + COLUMN)) + sequential(X)
    assert np.array_equal(got[:, :1], first)
    assert np.array_equal(got[:, 1:], sequential(X))


def test_tensor_scalar_reduce_chains() -> None:
    def body(o: Any, x: Any) -> None:
        y = nl.ndarray((64, 96), nl.float32)
        cmd = nisa.reduce_cmd
        nisa.tensor_scalar_reduce(y, x, nl.multiply, 2.0, nl.add)
        nisa.tensor_scalar_reduce(y, x, nl.add, 1.0, nl.add, o[:, 0:1], reduce_cmd=cmd.reduce)
        nisa.tensor_scalar_reduce(
            y,
            x,
            nl.add,
            0.0,
            nl.maximum,
            o[:, 1:2],
            reduce_cmd=cmd.load_reduce,
            reduce_init=1.5,
            reduce_res_negate=True,
        )

    got = run(body, X, shape=(64, 2))
    assert np.array_equal(got[:, :1], sequential(X * F32(2)) + sequential(X + F32(1)))
    assert np.array_equal(got[:, 1:], -np.maximum(X.max(axis=1, keepdims=True), F32(1.5)))


def test_reciprocal_is_correctly_rounded() -> None:
    got = run(lambda o, x: nisa.reciprocal(o, x), POSITIVE)
    assert np.array_equal(got, F32(1) / POSITIVE)


def test_iota_and_affine_select() -> None:
    def body(o: Any, x: Any) -> None:
        nisa.affine_select(o, [[-1, 96]], 1, x, -5.0, cmp_op=nl.greater_equal, offset=2)

    row, column = np.mgrid[0:64, 0:96]
    assert np.array_equal(run(body, X), np.where(2 + row - column >= 0, X, F32(-5)))
    got = run(
        lambda o, x: nisa.iota(o, [[10, 4], [1, 3]], offset=7, channel_multiplier=100),
        X,
        shape=(5, 12),
        dtype=nl.int32,
    )
    want = 7 + 100 * np.arange(5)[:, None] + (10 * np.arange(4)[:, None] + np.arange(3)).reshape(-1)
    assert np.array_equal(got, want)


def test_tensor_partition_reduce() -> None:
    got = run(lambda o, x: nisa.tensor_partition_reduce(o, nl.maximum, x), X, shape=(1, 96))
    assert np.array_equal(got, X.max(axis=0, keepdims=True))


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
        acc = nl.zeros((96, 96), nl.float32, nl.psum)
        nisa.nc_matmul(acc, y, y, accumulate=False)
        nisa.nc_matmul(acc, x, y, accumulate=False)
        nisa.tensor_copy(o, acc)

    assert np.array_equal(run(body, WHOLE_X, WHOLE_Y, shape=(96, 96)), WHOLE_X.T @ WHOLE_Y)


def test_v4_accumulates_on_values_of_other_engines() -> None:
    def kernel(x: Any) -> Any:
        acc = nl.ones((96, 96), nl.float32, nl.psum)
        tile = nl.load(x)
        nisa.nc_matmul(acc, tile, tile, accumulate=True)
        done = nl.ndarray((96, 96), nl.float32)
        nisa.tensor_copy(done, acc)
        out = nl.ndarray((96, 96), nl.float32, nl.shared_hbm)
        nl.store(out, done)
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
    same = run(lambda o, x: nisa.tensor_copy(o, nl.copy(x, dtype=dtype)), X)
    assert np.array_equal(got, same.T)


def test_v2_transpose_spreads_nan_and_v3_does_not() -> None:
    x = X.copy()
    x[3, 5] = np.nan

    def kernel(a: Any) -> Any:
        turned = nl.transpose(nl.load(a))
        done = nl.ndarray((96, 64), nl.float32)
        nisa.tensor_copy(done, turned)
        out = nl.ndarray((96, 64), nl.float32, nl.shared_hbm)
        nl.store(out, done)
        return out

    bad = np.isnan(simulate(kernel, target=generation("trn1"))(x))
    assert bad[5].all()
    assert bad.sum() == 64
    assert np.array_equal(np.isnan(simulate(kernel)(x)), np.isnan(x.T))


@pytest.mark.parametrize(("target", "spoiled"), [("trn1", 64), ("trn2", 1)])
def test_transpose_mode_of_the_product(target: str, spoiled: int) -> None:
    x = X.copy()
    x[3, 5] = np.inf

    def kernel(a: Any) -> Any:
        turned = nl.ndarray((96, 64), nl.float32, nl.psum)
        identity = nl.shared_identity_matrix(64, nl.float32)
        nisa.nc_matmul(turned, nl.load(a), identity, is_transpose=True)
        out = nl.ndarray((96, 64), nl.float32, nl.shared_hbm)
        nl.store(out, nl.copy(turned))
        return out

    got = simulate(kernel, target=generation(target))(x)
    assert (~np.isfinite(got)).sum() == spoiled
    rows = np.arange(96) != 5
    assert np.array_equal(got[rows], X.T[rows])


def test_vector_engine_transpose() -> None:
    got = run(lambda o, x: nisa.nc_transpose(o, x[0:32, 0:32]), X, shape=(32, 32))
    assert np.array_equal(got, X[:32, :32].T)


def test_dma_transpose() -> None:
    x = X[:, :90].reshape(6, 15, 64).copy()

    def kernel(a: Any) -> Any:
        tile = nl.ndarray((64, 15, 6), nl.float32)
        nisa.dma_transpose(tile, a, axes=(2, 1, 0))
        out = nl.ndarray((64, 15, 6), nl.float32, nl.shared_hbm)
        nl.store(out, tile)
        return out

    assert np.array_equal(simulate(kernel)(x), x.transpose(2, 1, 0))


def test_dma_reorders_elements_and_casts() -> None:
    def kernel(x: Any) -> Any:
        tile = nl.ndarray((96, 64), nl.int32)
        nisa.dma_copy(tile, x)
        out = nl.ndarray((64, 96), nl.int32, nl.shared_hbm)
        nisa.dma_copy(out, tile)
        return out

    assert np.array_equal(simulate(kernel)(X * 10), np.rint(X * 10).astype(np.int32))


def test_memset_and_broadcast_to() -> None:
    def body(o: Any, x: Any, c: Any) -> None:
        wide = nl.broadcast_to(c, (64, 96))
        nisa.tensor_tensor(o, wide, nl.full((64, 96), 0.1, nl.float32), nl.add)

    assert np.array_equal(run(body, X, COLUMN), np.broadcast_to(COLUMN + F32(0.1), (64, 96)))


def test_broadcast_over_partitions_warns_and_is_marked() -> None:
    from dfmp2.kernels.simulator import UnprovenOnHardwareWarning

    def kernel(x: Any) -> Any:
        out = nl.ndarray((64, 96), nl.float32, nl.shared_hbm)
        nl.store(out, nl.broadcast_to(nl.load(x), (64, 96)))
        return out

    run_ = simulate(kernel)
    with pytest.warns(UnprovenOnHardwareWarning, match="over partitions"):
        got = run_(X[:1])
    assert np.array_equal(got, np.broadcast_to(X[:1], (64, 96)))
    assert run_.account is not None
    assert run_.account.unproven == {"nl.broadcast_to over partitions": 1}


def test_identity_is_shared() -> None:
    def kernel() -> Any:
        a = nl.shared_identity_matrix(8, nl.float32)
        b = nl.shared_identity_matrix(8, nl.float32)
        assert a is b
        out = nl.ndarray((8, 8), nl.float32, nl.shared_hbm)
        nl.store(out, a)
        return out

    assert np.array_equal(simulate(kernel)(), np.eye(8))


def test_constants_from_the_host() -> None:
    def kernel() -> Any:
        out = nl.ndarray((4, 8), nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, nl.shared_constant(X[:4, :8]))
        return out

    assert np.array_equal(simulate(kernel)(), X[:4, :8])

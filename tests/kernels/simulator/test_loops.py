"""Dynamic loops: executed for every value, traced once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator import shape_of, simulate, trace

F32 = np.float32
B = np.random.default_rng(1).standard_normal((5, 64, 96)).astype(F32)
TABLE = np.array([[3, 0, 4, 1, 1, 2]], np.int32)


def gather(b: Any, table: Any, count: Any) -> Any:
    """out[n] = 2 b[table[n]], in a device loop over n < count."""
    n = table.shape[1]
    out = nl.ndarray((n, 64, 96), nl.float32, nl.shared_hbm)
    nisa.dma_copy(out, nl.shared_constant(np.zeros((n, 64, 96), F32)))

    def body(i: Any) -> None:
        index = nl.ndarray((1, 1), nl.int32)
        nisa.dma_copy(index, table.ap([[n, 1], [1, 1]], scalar_offset=i, indirect_dim=1))
        tile = nl.ndarray((64, 96), nl.float32)
        nisa.dma_copy(tile, b.select(0, index))
        twice = nl.add(tile, tile)
        nisa.dma_copy(out.select(0, i), twice)

    nl.fori_loop(0, count, body)
    return out


@pytest.mark.parametrize("count", [0, 1, 4, 6])
def test_fori_loop_runs_each_value(count: int) -> None:
    got = simulate(gather)(B, TABLE, count)
    assert np.array_equal(got[:count], 2 * B[TABLE[0, :count]])
    assert not got[count:].any()


def test_body_is_one_copy_of_the_program() -> None:
    def counts(n: int) -> Any:
        run = simulate(gather)
        run(B, TABLE, n)
        assert run.account is not None
        return run.account.instructions, sum(run.account.executed.values())

    assert counts(1) == (5, 5)
    assert counts(6) == (5, 1 + 6 * 4)


def test_trace_and_execution_give_the_same_account() -> None:
    run = simulate(gather)
    run(B, TABLE, 6)
    traced = trace(gather, shape_of(B.shape), shape_of(TABLE.shape, np.int32), 6)
    assert run.account is not None
    assert traced.as_dict() == run.account.as_dict()


def test_bounds_from_registers() -> None:
    def kernel(b: Any, table: Any, count: Any) -> Any:
        stop = nisa.register_alloc()
        nisa.register_load(stop, nl.load(count))
        return gather(b, table, stop)

    count = np.array([[3]], np.int32)
    assert np.array_equal(simulate(kernel)(B, TABLE, count)[:3], 2 * B[TABLE[0, :3]])
    account = trace(kernel, B, TABLE, count, trips=3)
    assert account.executed["vector", "nisa.tensor_tensor"] == 3


def test_dynamic_range_with_start_and_step() -> None:
    def kernel(x: Any) -> Any:
        out = nl.ndarray((8, 4), nl.float32, nl.shared_hbm)
        nisa.dma_copy(out, nl.zeros((8, 4), nl.float32))
        row = nl.load(x)
        for i in nl.dynamic_range(1, nisa.register_alloc(8), 3):
            nisa.dma_copy(out.select(0, i), row)
        return out

    got = simulate(kernel)(np.ones((1, 4), F32))
    assert got[:, 0].tolist() == [0, 1, 0, 0, 1, 0, 0, 1]


def test_while_loop_until_the_register_is_zero() -> None:
    def kernel(x: Any) -> Any:
        total = nl.zeros((1, 1), nl.float32)
        left = nl.load(x)
        one = nl.full((1, 1), 1, nl.int32)
        condition = nisa.register_alloc()
        nisa.register_load(condition, left)

        def body(r: Any) -> Any:
            nisa.tensor_scalar(total, total, nl.add, 2.0)
            nisa.tensor_tensor(left, left, one, nl.subtract)
            nisa.register_load(r, left)
            return r

        nl.while_loop(condition, body)
        out = nl.ndarray((1, 1), nl.float32, nl.shared_hbm)
        nl.store(out, total)
        return out

    for n in (0, 1, 5):
        assert simulate(kernel)(np.array([[n]], np.int32)).item() == 2 * n
    account = trace(kernel, np.array([[5]], np.int32), trips=5)
    assert account.executed["vector", "nisa.tensor_scalar"] == 5


def test_nested_loops() -> None:
    def kernel(x: Any) -> Any:
        total = nl.zeros((1, 1), nl.float32)

        def outer(i: Any) -> None:
            def inner(j: Any) -> None:
                nisa.tensor_scalar(total, total, nl.add, 1.0)

            nl.fori_loop(0, 3, inner)
            nisa.tensor_scalar(total, total, nl.multiply, 2.0)

        nl.fori_loop(0, 4, outer)
        out = nl.ndarray((1, 1), nl.float32, nl.shared_hbm)
        nl.store(out, total)
        return out

    run = simulate(kernel)
    assert run(np.zeros((1, 1), F32)).item() == 90
    traced = trace(kernel, np.zeros((1, 1), F32))
    assert run.account is not None
    assert traced.as_dict() == run.account.as_dict()
    assert traced.program["vector", "nisa.tensor_scalar"] == 2
    assert traced.executed["vector", "nisa.tensor_scalar"] == 16


def test_registers_move_and_store() -> None:
    def kernel() -> Any:
        a, b = nisa.register_alloc(41), nisa.register_alloc()
        nisa.register_move(b, a)
        out = nl.ndarray((2,), nl.int32, nl.shared_hbm)
        nisa.register_store(out[0], b)
        nisa.register_move(b, 7)
        nisa.register_store(out[1], b)
        return out

    assert simulate(kernel)().tolist() == [41, 7]


def test_register_loads_are_frozen_in_the_index_only() -> None:
    def kernel() -> Any:
        copy = nisa.register_alloc()
        out = nl.ndarray((1,), nl.int32, nl.shared_hbm)
        for i in nl.dynamic_range(5):
            nisa.register_move(copy, i)
        nisa.register_store(out, copy)
        return out

    assert simulate(kernel)().tolist() == [4]


def test_tiles_of_a_body_live_for_the_whole_loop() -> None:
    def kernel(n: Any) -> None:
        before = nl.zeros((1, 10), nl.float32)

        def body(i: Any) -> None:
            a = nl.zeros((1, 100), nl.float32)
            nisa.tensor_copy(nl.ndarray((1, 100), nl.float32), a)
            b = nl.zeros((1, 1000), nl.float32)
            nisa.tensor_copy(nl.ndarray((1, 1000), nl.float32), b)

        nl.fori_loop(0, n, body)
        nisa.tensor_copy(before, before)

    # In a straight line a and its copy (200) end before b begins; in a loop all stay.
    assert trace(kernel, 3).sbuf_peak == 4 * (10 + 200 + 2000)

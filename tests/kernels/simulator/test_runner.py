"""Arguments, results, poison, targets, and the decorator."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.kernels.simulator import SimulatorError, generation, jit, simulate
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .tiles import filled, fresh, load, stored

F32 = np.float32
X = np.arange(32, dtype=F32).reshape(4, 8)


@jit
def double(x: Any) -> Any:
    """Twice x."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    nisa.tensor_tensor(dst=tile, data1=tile, data2=tile, op=nl.add)
    nisa.dma_copy(dst=out, src=tile)
    return out


def test_decorated_kernel_keeps_its_name_and_documentation() -> None:
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice x."


def test_direct_call_needs_the_compiler() -> None:
    with pytest.raises(BackendUnavailable, match=r"double was called directly, .* not installed"):
        double(X)


def test_one_core_only() -> None:
    assert np.array_equal(simulate(double[1])(X), 2 * X)
    with pytest.raises(SimulatorError, match="a launch on 2 cores"):
        double[2]


@pytest.mark.parametrize("argument", ["mode", "platform_target"])
def test_decorator_takes_no_options(argument: str) -> None:
    with pytest.raises(SimulatorError, match=f"takes no {argument}"):
        jit(**{argument: "trn2"})


def test_results_are_copies_and_tuples() -> None:
    def kernel(x: Any) -> Any:
        b = fresh((1,), nl.int32, nl.shared_hbm)
        nisa.dma_copy(b, filled((1, 1), nl.int32, value=7))
        return stored(load(x)), b

    a, b = simulate(kernel)(X)
    assert np.array_equal(a, X)
    assert not np.shares_memory(a, X)
    assert b.tolist() == [7]


def test_arguments_are_modified_in_place_also_where_not_contiguous() -> None:
    def kernel(x: Any) -> None:
        tile = load(x)
        nisa.tensor_scalar(tile, tile, nl.add, 1.0)
        nisa.dma_copy(x, tile)

    dense, wide = X.copy(), np.zeros((4, 16), F32)
    wide[:, ::2] = X
    simulate(kernel)(dense)
    simulate(kernel)(wide[:, ::2])
    assert np.array_equal(dense, X + 1)
    assert np.array_equal(wide[:, ::2], X + 1)
    assert not wide[:, 1::2].any()


def test_contents_of_a_tile_are_freed_with_it() -> None:
    """A launch allocates tens of thousands of tiles; together they would not fit in memory."""

    def one_after_another() -> None:
        for _ in range(40):
            nisa.memset(nl.ndarray((128, 2048), nl.float32), 0.0)  # 1 MiB

    tracemalloc.start()
    try:
        simulate(one_after_another)()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20


def test_fresh_memory_is_poison() -> None:
    def kernel(x: Any) -> Any:
        tile, numbers = fresh((4, 10)), fresh((4, 10), nl.int32)
        nisa.dma_copy(tile[:, 0:8], x)
        nisa.memset(numbers[:, 0:1], 1)
        return stored(tile), stored(numbers)

    a, b = simulate(kernel)(X)
    assert np.array_equal(a[:, :8], X)
    assert np.isnan(a[:, 8:]).all()
    assert (b[:, 1:] == np.iinfo(np.int32).max - 1).all()


def test_target_is_read_at_every_call(monkeypatch: Any) -> None:
    def kernel() -> None:
        fresh((1, 51000))

    run = simulate(kernel)
    for name, chip in (("gen2", "trn1"), ("trn1", "trn1")):
        monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", name)
        with pytest.raises(SimulatorError, match=f"{chip} has 196608"):
            run()
    for name, chip in (("gen3", "trn2"), ("trn2", "trn2"), ("gen4", "trn3"), ("trn3", "trn3")):
        monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", name)
        run()
        assert run.account.target == generation(chip)
    monkeypatch.delenv("NEURON_PLATFORM_TARGET_OVERRIDE")
    run()
    assert run.account.target == generation("trn2")


def test_unknown_target_is_an_input_error(monkeypatch: Any) -> None:
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn9")
    with pytest.raises(InputError, match="'trn9' is none of trn1, trn2, trn3"):
        simulate(double)(X)


def test_kernels_run_inside_each_other_without_mixing() -> None:
    def outer(x: Any) -> Any:
        inner = simulate(double)(X)
        assert inner[0, 1] == 2
        return stored(load(x))

    assert np.array_equal(simulate(outer)(X), X)


def test_rules_hold_for_the_target_in_use() -> None:
    def kernel() -> None:
        nl.ndarray((128, 50000), nl.float32, nl.sbuf)

    simulate(kernel, target=generation("trn2"))()
    with pytest.raises(SimulatorError, match="trn1 has 196608"):
        simulate(kernel, target=generation("trn1"))()

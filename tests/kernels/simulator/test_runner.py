"""Arguments, results, poison, targets, and the decorator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.kernels.simulator import SimulatorError, generation, jit, simulate
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

F32 = np.float32
X = np.arange(32, dtype=F32).reshape(4, 8)


@jit
def double(x: Any) -> Any:
    """Twice x."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nl.store(out, nl.add(tile, tile))
    return out


def test_decorated_kernel_keeps_its_name_and_documentation() -> None:
    assert double.__name__ == "double"
    assert double.__doc__ == "Twice x."


def test_direct_call_needs_the_simulator_to_be_asked_for(monkeypatch: Any) -> None:
    monkeypatch.delenv("NKI_SIMULATOR", raising=False)
    with pytest.raises(BackendUnavailable, match="compiler is not here"):
        double(X)
    monkeypatch.setenv("NKI_SIMULATOR", "1")
    assert np.array_equal(double(X), 2 * X)


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
        a = nl.ndarray(x.shape, nl.float32, nl.shared_hbm)
        b = nl.ndarray((1,), nl.int32, nl.shared_hbm)
        tile = nl.load(x)
        nl.store(a, tile)
        nl.store(b, nl.full((1, 1), 7, nl.int32))
        return a, b

    a, b = simulate(kernel)(X)
    assert np.array_equal(a, X)
    assert not np.shares_memory(a, X)
    assert b.tolist() == [7]


def test_arguments_are_modified_in_place_also_where_not_contiguous() -> None:
    def kernel(x: Any) -> None:
        tile = nl.load(x)
        nl.store(x, nl.add(tile, 1.0))

    dense, wide = X.copy(), np.zeros((4, 16), F32)
    wide[:, ::2] = X
    simulate(kernel)(dense)
    simulate(kernel)(wide[:, ::2])
    assert np.array_equal(dense, X + 1)
    assert np.array_equal(wide[:, ::2], X + 1)
    assert not wide[:, 1::2].any()


def test_fresh_memory_is_poison() -> None:
    def kernel(x: Any) -> Any:
        tile = nl.ndarray((4, 10), nl.float32)
        numbers = nl.ndarray((4, 10), nl.int32)
        nisa.dma_copy(tile[:, 0:8], x)
        nisa.memset(numbers[:, 0:1], 1)
        a = nl.ndarray((4, 10), nl.float32, nl.shared_hbm)
        b = nl.ndarray((4, 10), nl.int32, nl.shared_hbm)
        nl.store(a, tile)
        nl.store(b, numbers)
        return a, b

    a, b = simulate(kernel)(X)
    assert np.array_equal(a[:, :8], X)
    assert np.isnan(a[:, 8:]).all()
    assert (b[:, 1:] == np.iinfo(np.int32).max - 1).all()


def test_target_is_read_at_every_call(monkeypatch: Any) -> None:
    def kernel(x: Any) -> Any:
        assert nl.tile_size.pmax == 128
        version = nisa.get_nc_version().value
        out = nl.ndarray((1, 2), nl.int32, nl.shared_hbm)
        tile = nl.full((1, 2), version, nl.int32)
        nisa.memset(tile[:, 1:2], nl.tile_size.sbuf_fmax_bytes)
        nl.store(out, tile)
        return out

    run = simulate(kernel)
    results = {}
    for name in ("trn1", "gen2", "trn2", "gen3", "trn3", "gen4"):
        monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", name)
        results[name] = run(X)[0].tolist()
    monkeypatch.delenv("NEURON_PLATFORM_TARGET_OVERRIDE")
    assert results["trn1"] == results["gen2"] == [2, 196608]
    assert results["trn2"] == results["gen3"] == run(X)[0].tolist() == [3, 212728]
    assert results["trn3"] == results["gen4"] == [4, 245496]


def test_unknown_target_is_an_input_error(monkeypatch: Any) -> None:
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn9")
    with pytest.raises(InputError, match="'trn9' is none of trn1, trn2, trn3"):
        simulate(double)(X)


def test_kernels_run_inside_each_other_without_mixing() -> None:
    def outer(x: Any) -> Any:
        inner = simulate(double)(X)
        assert inner[0, 1] == 2
        out = nl.ndarray(x.shape, nl.float32, nl.shared_hbm)
        nl.store(out, nl.load(x))
        return out

    assert np.array_equal(simulate(outer)(X), X)


def test_rules_hold_for_the_target_in_use() -> None:
    def kernel() -> None:
        nl.ndarray((128, 50000), nl.float32, nl.sbuf)

    simulate(kernel, target=generation("trn2"))()
    with pytest.raises(SimulatorError, match="trn1 has 196608"):
        simulate(kernel, target=generation("trn1"))()

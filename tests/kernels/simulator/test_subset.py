"""The compiler's Python subset: each rule refuses one construct, ordinary kernels pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.simulator import SubsetError, check_subset, jit, simulate, trace
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator.subset import violations
from dfmp2.kernels.simulator.subset_rules import SUBSET_RULES

from .outside_subset import EXPECTED, KERNELS, comprehension


@pytest.mark.parametrize("name", KERNELS)
def test_construct_is_refused(name: str) -> None:
    rule, detail = EXPECTED[name]
    with pytest.raises(SubsetError) as caught:
        check_subset(KERNELS[name])
    assert (caught.value.rule, caught.value.detail) == (rule, detail)
    assert caught.value.call.startswith(f"{name}, line ")
    assert caught.value.source == SUBSET_RULES[rule].source


@pytest.mark.parametrize("name", KERNELS)
def test_construct_is_the_only_violation(name: str) -> None:
    assert [(v.rule, v.detail) for v in violations(KERNELS[name])] == [EXPECTED[name]]


def test_every_rule_has_a_case() -> None:
    # A kernel without source text cannot be written in a file: the test below makes one.
    assert {rule for rule, _ in EXPECTED.values()} | {"source"} == set(SUBSET_RULES)


def test_source_must_be_readable() -> None:
    scope: dict[str, Any] = {}
    exec("def kernel(x):\n    return x\n", scope)
    with pytest.raises(SubsetError) as caught:
        check_subset(scope["kernel"])
    assert caught.value.rule == "source"


@dataclass
class Tiles:
    """A small class, as kernels may use."""

    rows: int
    columns: int = 8


def square_into(dst: Any, src: Any) -> None:
    nisa.activation(dst, nl.square, src)


@jit
def ordinary(x: Any, out: Any, sizes: Any = (4, 8)) -> Any:
    """Uses what the documents show: asserts, f-strings, lists, loops, classes."""
    assert x.shape == sizes, f"expected {sizes}, got {x.shape}"
    shape = Tiles(rows=sizes[0])
    widths = [n * 2 for n in range(3)]
    tiles = []
    for _ in widths:
        tiles.append(nl.ndarray((shape.rows, shape.columns), dtype=nl.float32, buffer=nl.sbuf))
    nisa.dma_copy(dst=tiles[0], src=x)
    for i in range(3):
        square_into(tiles[1], tiles[0])
        nisa.dma_copy(dst=out[i], src=tiles[1])
    return out


def test_ordinary_kernel_passes() -> None:
    x = np.arange(32, dtype=np.float32).reshape(4, 8)
    out = np.zeros((3, 4, 8), np.float32)
    assert violations(ordinary) == []
    assert np.array_equal(simulate(ordinary)(x, out), np.stack([x * x] * 3))


@jit
def calls_a_bad_helper(x: Any) -> Any:
    return comprehension(x)


@pytest.mark.parametrize("run", [simulate, trace])
def test_helpers_are_checked_before_a_kernel_runs(run: Any) -> None:
    with pytest.raises(SubsetError) as caught:
        run(calls_a_bad_helper, np.zeros((4, 8), np.float32)) if run is trace else run(
            calls_a_bad_helper
        )(np.zeros((4, 8), np.float32))
    assert caught.value.rule == "comprehension"
    assert caught.value.call.startswith("comprehension, line ")

"""The compiler's Python subset: each rule refuses one construct, ordinary kernels pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dfmp2.errors import InputError
from dfmp2.kernels.simulator import SubsetError, check_subset, jit, simulate, trace
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator.subset import violations
from dfmp2.kernels.simulator.subset_rules import PROFILES, SUBSET_RULES

from .outside_subset import EXPECTED, KERNELS, comprehension

PROFILE = {name: SUBSET_RULES[rule].profiles[0] for name, (rule, _) in EXPECTED.items()}
"""A profile that refuses each kernel."""


@pytest.mark.parametrize("name", KERNELS)
def test_construct_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule, detail = EXPECTED[name]
    monkeypatch.setenv("DFMP2_NKI_PROFILE", PROFILE[name])
    with pytest.raises(SubsetError) as caught:
        check_subset(KERNELS[name])
    assert (caught.value.rule, caught.value.detail) == (rule, detail)
    assert caught.value.call.startswith(f"{name}, line ")
    assert caught.value.source == SUBSET_RULES[rule].source


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", KERNELS)
def test_construct_is_the_only_violation(name: str, profile: str) -> None:
    """The other front end accepts it where the rule is of one of them, and documents alone accept
    what only reports refuse."""
    rule = SUBSET_RULES[EXPECTED[name][0]]
    expected = [EXPECTED[name]] if profile in rule.profiles else []
    assert [(v.rule, v.detail) for v in violations(KERNELS[name], profile)] == expected
    documented = violations(KERNELS[name], profile, "documented")
    assert [(v.rule, v.detail) for v in documented] == ([] if rule.reported else expected)


def test_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt name must not mean a check of something else."""
    monkeypatch.setenv("DFMP2_NKI_PROFILE", "trace")
    with pytest.raises(InputError, match="DFMP2_NKI_PROFILE is 'trace', not parser or tracer"):
        check_subset(KERNELS["identity"])


@jit
def sum_in_a_loop(x: Any) -> Any:
    """A loop of the device, with its body inside the kernel, as the tracer takes it."""
    total = nl.ndarray((1, 8), dtype=nl.float32, buffer=nl.sbuf)
    nisa.memset(total, value=0.0)

    def add_row(i: Any) -> None:
        row = nl.ndarray((1, 8), dtype=nl.float32, buffer=nl.sbuf)
        nisa.dma_copy(dst=row, src=x.ap([[8, 1], [1, 8]], scalar_offset=i))
        nisa.tensor_tensor(dst=total, data1=total, data2=row, op=nl.add)

    nl.fori_loop(0, x.shape[0], add_row)
    out = nl.ndarray((1, 8), dtype=nl.float32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=total)
    return out


@jit
def twice(x: Any) -> Any:
    """Calls an inner function, which only reports refuse."""

    def add(t: Any) -> None:
        nisa.tensor_tensor(t, t, t, nl.add)

    tile = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    add(tile)
    out = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def test_each_profile_and_set_of_rules_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that was accepted once is still refused with other settings."""
    x = np.arange(32, dtype=np.float32).reshape(4, 8)
    for kernel, variable, accepts, refuses, value in (
        (sum_in_a_loop, "DFMP2_NKI_PROFILE", "tracer", "parser", x.sum(axis=0, keepdims=True)),
        (twice, "DFMP2_SIMULATOR_RULES", "documented", "observed", 2 * x),
    ):
        monkeypatch.setenv(variable, accepts)
        assert np.array_equal(simulate(kernel)(x), value)
        monkeypatch.setenv(variable, refuses)
        with pytest.raises(SubsetError) as caught:
            simulate(kernel)(x)
        assert caught.value.rule in ("inner-function", "device-loop")


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
    assert [violations(ordinary, profile) for profile in PROFILES] == [[], []]
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

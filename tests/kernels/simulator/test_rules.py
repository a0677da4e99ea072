"""Every rule refuses a minimal kernel that breaks it, with call, rule and values."""

from __future__ import annotations

import pytest

from dfmp2.kernels.simulator import SimulatorError, generation, simulate
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator.rules import RULES

from . import breaking_arguments, breaking_engines, breaking_memory
from .breaking import CASES, Case

COLLECTED = (breaking_arguments, breaking_engines, breaking_memory)


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_rule_refuses(case: Case) -> None:
    with pytest.raises(SimulatorError) as caught:
        simulate(case.kernel, target=generation(case.target))(*case.args)
    error = caught.value
    assert (error.rule, error.call, error.detail) == (case.rule, case.call, case.detail)
    assert error.source == RULES[case.rule].source
    assert str(error) == (
        f"{case.call}: {case.detail} (rule {case.rule}: {RULES[case.rule].statement}; "
        f"{RULES[case.rule].source})"
    )


def test_every_rule_has_a_case() -> None:
    # outside-kernel cannot be broken inside a kernel: the test below breaks it.
    assert {c.rule for c in CASES} | {"outside-kernel"} == set(RULES)


def test_calls_outside_a_kernel_are_refused() -> None:
    with pytest.raises(SimulatorError) as caught:
        nl.ndarray((4, 8), nl.float32)
    assert caught.value.rule == "outside-kernel"
    assert caught.value.detail == "called while no kernel is being simulated"

"""Every rule refuses a minimal kernel that breaks it, with call, rule and values."""

from __future__ import annotations

import numpy as np
import pytest

from dfmp2.kernels.simulator import SimulatorError, generation, simulate, trace
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator.rules import RULES

from . import breaking_arguments, breaking_engines, breaking_loops, breaking_memory
from .breaking import CASES, OBEYING, Case, Obeying

COLLECTED = (breaking_arguments, breaking_engines, breaking_loops, breaking_memory)


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


@pytest.mark.parametrize("case", OBEYING, ids=[f"{c.rule}-{c.kernel.__name__}" for c in OBEYING])
def test_rule_accepts(case: Obeying) -> None:
    """A rule that refused too much would take the way out from authors of kernels."""
    chip = generation(case.target)
    account = trace(case.kernel, *case.args, target=chip)
    if isinstance(case.result, tuple):
        assert account.outputs == [case.result]
        return
    run = simulate(case.kernel, target=chip)
    np.testing.assert_array_equal(run(*case.args), case.result)
    assert run.account == account


def test_every_rule_has_a_case() -> None:
    # outside-kernel cannot be broken inside a kernel: the test below breaks it.
    assert {c.rule for c in CASES} | {"outside-kernel"} == set(RULES)


def test_calls_outside_a_kernel_are_refused() -> None:
    with pytest.raises(SimulatorError) as caught:
        nl.ndarray((4, 8), nl.float32)
    assert caught.value.rule == "outside-kernel"
    assert caught.value.detail == "called while no kernel is being simulated"

"""Every rule refuses a minimal kernel that breaks it, with call, rule and values."""

from __future__ import annotations

import numpy as np
import pytest

from dfmp2.errors import InputError
from dfmp2.kernels.simulator import SimulatorError, generation, simulate, trace
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator.rules import RULES, current_rule_set
from dfmp2.kernels.simulator.subset_rules import SUBSET_RULES

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


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_documents_alone(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documented rules refuse the same, but for what only reports from hardware refuse."""
    monkeypatch.setenv("DFMP2_SIMULATOR_RULES", "documented")
    run = simulate(case.kernel, target=generation(case.target))
    if RULES[case.rule].reported and case.rule != "loop-nested":
        run(*case.args)
        return
    with pytest.raises(SimulatorError) as caught:
        run(*case.args)
    # nested loops are not forbidden then, but nothing computes them
    rule = case.rule if case.rule != "loop-nested" else "not-modelled"
    assert (caught.value.rule, caught.value.detail) == (rule, case.detail)


def test_reports_are_marked() -> None:
    """A rule is of the documents unless its source begins with what somebody observed."""
    for name, rule in (RULES | SUBSET_RULES).items():
        assert rule.reported == rule.source.startswith("observed"), name
    assert sum(rule.reported for rule in (RULES | SUBSET_RULES).values()) == 6  # README.md says so


@pytest.mark.parametrize("value", ["Observed", "documented,observed", "all"])
def test_unknown_rules(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt set must not mean a check by another one."""
    monkeypatch.setenv("DFMP2_SIMULATOR_RULES", value)
    with pytest.raises(InputError, match=f"RULES is '{value}', not observed or documented"):
        current_rule_set()


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

"""Forecasts of time from rates and the work of a plan."""

from __future__ import annotations

import pytest

from dfmp2.planning.plan import make_plan
from dfmp2.planning.time import (
    FARTHEST,
    ScfTimes,
    Timing,
    scf_forecast,
    scf_step,
    seconds,
    steps,
    usable,
)
from dfmp2.results.sizes import Sizes

SIZES = Sizes(nao=100, nocc=10, nvir=90, naux=300, aux_shell=9)
PLAN = make_plan(SIZES, 4000.0)
RATES = {
    "integrals": [Timing(1e6, 1.0)],
    "AO->MO": [Timing(1e9, 1.0)],
    "metric": [Timing(3e9, 1.0)],
    "metric solve": [Timing(2e9, 1.0)],
    "pair energies, float64": [Timing(1e10, 1.0)],
    "pair energies, float32": [Timing(2e10, 1.0)],
}


def test_time_is_work_divided_by_the_rate_of_its_stage() -> None:
    found = seconds(steps(PLAN, "float64"), RATES)
    assert found == {
        "integrals": pytest.approx(300 * (100 * 101 / 2) / 1e6),
        "AO->MO": pytest.approx(2 * 300 * 100 * 10 * (100 + 90) / 1e9),
        "metric": pytest.approx(300**3 / 3 / 3e9),
        "metric solve": pytest.approx(300**2 * 10 * 90 / 2e9),
        "pair energies": pytest.approx(55 * 90**2 * (2 * 300 + 8) / 1e10),
    }


def test_float32_pairs_have_their_own_rate_and_a_check_in_float64() -> None:
    found = seconds(steps(PLAN, "float32", checked=11), RATES)
    double = seconds(steps(PLAN, "float64"), RATES)["pair energies"]
    assert found["pair energies"] == pytest.approx(double / 2)
    assert found["spot check"] == pytest.approx(double * 11 / 55)


def test_a_stage_without_a_rate_has_no_forecast() -> None:
    assert set(
        seconds(steps(PLAN, "float64"), {"integrals": RATES["integrals"], "AO->MO": []})
    ) == {"integrals"}


def test_other_plans_have_other_stages() -> None:
    """The names must be those of the timed stages, or a forecast stands beside nothing."""
    plan = make_plan(Sizes(nao=420, nocc=20, nvir=400, naux=1200, aux_shell=9), 120.0)
    on_disk, size = steps(plan, "float64"), 8 * 20 * 400 * 1200
    assert on_disk["writing B"].work == 2 * size  # before and after the metric solve
    assert on_disk["reading B"].work == (1 + plan.reads) * size > 2 * size
    assert set(steps(make_plan(SIZES, 4000.0, on_gpu=True), "float64")) == {
        "integrals and AO->MO", "metric", "metric solve", "pair energies",
    }  # fmt: skip
    assert set(steps(make_plan(SIZES, 4000.0, metric_done=True), "float64")) == {
        "SCF's integrals", "AO->MO", "pair energies",
    }  # fmt: skip


def test_measurements_of_about_the_same_work_decide() -> None:
    """Small molecules have low rates. They must not spoil the forecast of a large one."""
    large = [Timing(work, work / 1e9) for work in (1e9, 2e9, 3e9, 4e9, 9e9)]
    small = [Timing(1e3, 1.0)] * 20
    work = steps(PLAN, "float64")
    found = seconds(work, {"AO->MO": small + large})
    assert found["AO->MO"] == pytest.approx(work["AO->MO"].work / 1e9)
    outlier = [*large[:4], Timing(5e9, 1e9)]
    assert seconds(work, {"AO->MO": outlier}) == pytest.approx(found)


def test_small_molecules_give_no_forecast_of_a_large_one() -> None:
    """Their stages mostly take the time to start. 198 s were forecast for 0.2 s."""
    work = steps(PLAN, "float64")
    tiny, near = ([Timing(work["AO->MO"].work / ratio, 1.0)] for ratio in (31, 29))
    assert "AO->MO" not in seconds(work, {"AO->MO": tiny}, FARTHEST)
    assert seconds(work, {"AO->MO": tiny + near}, FARTHEST) == pytest.approx({"AO->MO": 29})


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_useless_measurements(wrong: float) -> None:
    assert not usable(Timing(1.0, wrong))
    assert not usable(Timing(wrong, 1.0))
    assert usable(Timing(1.0, 1.0))


def test_direct_scf_becomes_cheaper_as_the_density_converges() -> None:
    same = scf_forecast("direct", ScfTimes(exact=2.0, rest=0.5))
    assert same is not None
    assert same.assumed == "14 iterations"
    assert same.total == pytest.approx(14 * 2.5)
    # a tenth of the cost is saved with each decade of the density; 5^-11 is 10^-7.69
    falling = ScfTimes(exact=2.0, exact_of=tuple(1 - k / 10 for k in range(9)))
    found = scf_forecast("direct", falling)
    decades = [min(k * 0.69897, 8) for k in range(14)]
    assert found is not None
    assert found.total == pytest.approx(sum(2.0 * (1 - d / 10) for d in decades), rel=1e-5)
    assert found.parts == {
        "exact Fock matrix, first": 2.0, "exact Fock matrix, last": pytest.approx(0.4),
    }  # fmt: skip


def test_integrals_in_memory_are_made_once() -> None:
    found = scf_forecast("direct", ScfTimes(exact=0.1, held=5.0))
    assert found is not None
    assert found.total == pytest.approx(5.0 + 1.4)


def test_fitted_and_corrected_scf() -> None:
    times = ScfTimes(exact=10.0, exact_of=(1.0, *[0.1] * 8), fitted=0.4, fitting=3.0, rest=0.1)
    fitted, corrected = scf_forecast("fitted", times), scf_forecast("corrected", times)
    assert fitted is not None
    assert corrected is not None
    assert fitted.total == pytest.approx(3.0 + 14 * 0.5)
    assert corrected.total == pytest.approx(3.0 + 15 * 0.5 + 10.0 + 1.0 + 1.0)
    assert corrected.assumed == "15 fitted iterations and 3 exact Fock matrices"
    assert scf_forecast("fitted", ScfTimes(exact=1.0)) is None
    assert scf_forecast("direct", ScfTimes(exact=None, fitted=1.0)) is None


def test_whole_scf_of_earlier_runs() -> None:
    assert scf_step("direct", 100, 10).work == 16 * scf_step("direct", 50, 10).work
    assert scf_step("fitted", 100, 10).work == 16 * scf_step("fitted", 50, 5).work
    assert scf_step("fitted", 100, 10).rate != scf_step("direct", 100, 10).rate

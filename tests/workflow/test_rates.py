"""Rates of earlier runs in the user's cache, and rates measured on samples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dfmp2.planning.time import Timing
from dfmp2.results.provenance import Where
from dfmp2.settings import Settings
from dfmp2.workflow import rates, scf_time, stage_time
from dfmp2.workflow.jobs import Job, PlannedJob, forecast_job, run_job
from dfmp2.workflow.prepare import choose
from dfmp2.workflow.rates import add_rates, earlier_rates, keep_rates, rates_path, work_of
from dfmp2.workflow.time_forecast import NO_RATES, forecast_of_time
from tests.systems import mean_field, molecule

HERE = Where("pytorch", "cpu", "a processor, 2 threads")
ONE = Timing(1e9, 0.5)


def planned(basis: str = "sto-3g", **options: object) -> PlannedJob:
    mol = molecule("O 0 0 0; H 0 0 .96; H .93 0 -.24", basis)
    given: dict[str, Any] = {"device": "cpu", "backend": "pytorch", "keep": False, **options}
    settings = Settings(**given)
    job = Job(name="water", mol=mol, settings=settings)
    choice = choose(settings)
    return PlannedJob.of(job, choice, forecast_job(job, choice))


def test_rates_are_kept_by_processor_threads_and_backend() -> None:
    add_rates(HERE, {"integrals": ONE})
    assert earlier_rates(HERE) == {"integrals": [ONE]}
    for other in (
        Where("pytorch", "cpu", "a processor, 4 threads"),
        Where("pytorch", "cuda", "a processor, 2 threads"),
        Where("pytorch", "cpu", "another processor, 2 threads"),
    ):
        assert earlier_rates(other) == {}
        add_rates(other, {"integrals": Timing(1.0, 1.0)})
    assert earlier_rates(HERE) == {"integrals": [ONE]}


def test_rates_are_kept_by_library(monkeypatch: pytest.MonkeyPatch) -> None:
    add_rates(HERE, {"integrals": ONE})
    monkeypatch.setattr(rates, "versions", lambda: {"torch": "0.0", "pyscf": "0.0"})
    assert earlier_rates(HERE) == {}


def test_the_newest_of_each_size_are_kept() -> None:
    for number in range(1, 9):
        add_rates(HERE, {"integrals": Timing(1e9, number)})
        add_rates(HERE, {"integrals": Timing(1e3, number)})
    found = earlier_rates(HERE)["integrals"]
    for work in (1e9, 1e3):
        assert [t.seconds for t in found if t.work == work] == [4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"x": ', "\x00\xff", '{"%s": 1}', '{"%s": {"integrals": [[1, "x"], 3]}}',
     '{"%s": {"integrals": [[0, 1], [1, -1], [NaN, 1]]}}'],
)  # fmt: skip
def test_a_damaged_file_is_no_error(text: str) -> None:
    rates.rates_path().write_text(text.replace("%s", rates._key(HERE)), encoding="latin-1")
    assert not any(earlier_rates(HERE).values())
    add_rates(HERE, {"integrals": ONE})
    assert earlier_rates(HERE)["integrals"] == [ONE]


def test_a_cache_that_cannot_be_written_is_no_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(rates, "rates_path", lambda: tmp_path / "file" / "rates.json")
    add_rates(HERE, {"integrals": ONE})
    assert earlier_rates(HERE) == {}


def test_the_cache_folder_is_that_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # The fixtures keep tests out of it; this module was imported before they ran.
    monkeypatch.setattr("dfmp2.workflow.rates.rates_path", rates_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    add_rates(HERE, {"integrals": ONE})
    (kept,) = json.loads((tmp_path / "dfmp2" / "rates.json").read_text()).values()
    assert kept == {"integrals": [[1e9, 0.5]]}


def test_a_run_adds_its_rates_and_the_next_one_has_a_forecast(tmp_path: Path) -> None:
    job = planned()
    assert forecast_of_time(job, job.choice, job.known, False).origin == NO_RATES
    done = run_job(job, lambda *_: None)
    keep_rates(done, job)
    found = forecast_of_time(job, job.choice, job.known, measure=False)
    assert found.unknown == ()
    assert found.scf is not None
    assert found.scf.total == pytest.approx(done.scf_seconds)
    took = {stage.name: stage.seconds for stage in done.result.provenance.stages}
    assert found.stages == pytest.approx(took)


def test_orbitals_from_elsewhere_give_no_rate_of_an_scf() -> None:
    from dfmp2.references.mean_field import read_mean_field

    settings = Settings(device="cpu", backend="pytorch", keep=False)
    mf = mean_field("water")
    job = Job(name="water", mol=mf.mol, settings=settings, solution=read_mean_field(mf))
    choice = choose(settings)
    ready = PlannedJob.of(job, choice, forecast_job(job, choice))
    keep_rates(run_job(ready, lambda *_: None), ready)
    found = forecast_of_time(ready, choice, ready.known, measure=False)
    assert found.scf is None
    assert "pair energies" in found.stages
    assert not any(name.startswith("SCF") for name in earlier_rates(choice.selection.backend.where))


@pytest.mark.parametrize("options", [{"precision": "fp32"}, {"density_fit": True}])
def test_measured_rates(monkeypatch: pytest.MonkeyPatch, options: dict[str, object]) -> None:
    """Every stage of the run must have a forecast, without the SCF."""
    monkeypatch.setattr(scf_time, "SECONDS", 0.02)
    monkeypatch.setattr(stage_time, "SECONDS", 0.01)
    job = planned(**options)
    found = forecast_of_time(job, job.choice, job.known, measure=True)
    assert found.unknown == ()
    assert all(0 < spent < 1 for spent in found.stages.values())
    assert ("spot check" in found.stages) == ("precision" in options)
    assert found.scf is not None
    assert found.scf.total >= sum(found.scf.parts.values())
    parts = "fitted iteration" if "density_fit" in options else "integrals in memory, once"
    assert parts in found.scf.parts


def test_stages_of_a_run_with_b_on_disk_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the integrals are made block by block, and not by the threads that transform them."""
    monkeypatch.setattr(stage_time, "SECONDS", 0.01)
    job = planned()
    on_disk = replace(job.known, plan=replace(job.known.plan, in_memory=False))
    backend = job.choice.selection.backend
    for known in (job.known, on_disk):
        found = stage_time.measure_stages(job.mol, known, backend, single=False)
        assert set(found) == {
            "pair energies, float64", "integrals", "AO->MO", "metric", "metric solve"
        }  # fmt: skip
        (made,), (transformed,) = found["integrals"], found["AO->MO"]
        assert made.work <= work_of(known.plan, False)["integrals"].work
        assert 0 < transformed.work <= known.plan.flops["AO->MO"]


def test_a_sample_of_a_direct_scf_is_that_of_all_its_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a known cost of each shell pair, the sample must find the sum over all pairs."""
    from pyscf import lib, scf

    mol = molecule("O 0 0 0; H 0 0 .96; H 7 0 0", "cc-pvdz")
    screening = scf.RHF(mol).init_direct_scf(mol)
    pairs = scf_time._Pairs(mol, screening.q_cond, screening.direct_scf_tol)
    monkeypatch.setattr(scf_time, "SECONDS", 0.05)
    keys = zip(pairs.i.tolist(), pairs.j.tolist(), strict=True)
    cost = dict(zip(keys, pairs.costs().tolist(), strict=True))
    found = pairs.sampled(lambda i, j: cost[i, j])
    assert found * lib.num_threads() == pytest.approx(sum(cost.values()))
    far = pairs.costs(1e-8)  # fewer integrals pass the screening
    assert far.sum() < pairs.costs().sum()
    assert (far <= pairs.costs()).all()


def test_a_continued_run_has_no_time_of_its_stored_scf(tmp_path: Path) -> None:
    """The time of an SCF of an earlier session would be printed as one of now."""
    job = planned(checkpoint=str(tmp_path / "water.h5"), keep=True)
    first, again = (run_job(job, lambda *_: None) for _ in range(2))
    assert first.scf_seconds is not None
    assert again.solution.how == first.solution.how
    assert again.scf_seconds is None

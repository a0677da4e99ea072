"""Run files of open shells: interrupted at every stage, resumed with another backend, damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dfmp2.errors import CheckpointError, DFMP2Error
from dfmp2.results.result import Result
from dfmp2.settings import Settings
from dfmp2.tensors.problem import Progress
from dfmp2.workflow.jobs import PlannedJob, forecast_job, run_job
from dfmp2.workflow.prepare import choose
from dfmp2.workflow.reading import read_jobs
from tests.cli.common import file_with
from tests.runfile.common import FILE, counted, extents, resumed, small_blocks
from tests.runfile.test_corruption import flip
from tests.systems import rng

RADICAL = "2\ncharge=1 spin=1\nB 0 0 0\nH 0 0 1.2\n"
"""BH+ in 6-31G: 3 alpha and 2 beta electrons."""

NPAIR = 6 + 3 + 6
"""Pairs of two alpha, two beta, and both spins, i = j included."""

SAME = 1e-10
"""Hartree. Other blocks change the order of sums."""

SEEDS = [*range(2), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 202))]


class Ended(DFMP2Error):
    """Raised where a run is interrupted."""


@pytest.fixture(autouse=True)
def _small_blocks_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_blocks(monkeypatch)


@pytest.fixture(
    params=[pytest.param("uhf", marks=pytest.mark.slow), "uhf, B on disk", "rohf, B on disk"]
)
def run(request: pytest.FixtureRequest) -> Callable[[Progress], Result]:
    """A function that starts a run of the radical, with a progress function."""
    file_with(Path.cwd(), "radical.xyz", RADICAL)
    settings = Settings(
        basis="6-31g", auxbasis="cc-pvdz-ri", reference=request.param.split(",")[0],
        backend="pytorch", device="cpu", checkpoint=FILE, checkpoint_interval=0.0,
    )  # fmt: skip
    (job,) = read_jobs("radical.xyz", settings)
    known = forecast_job(job)
    if "disk" in request.param:
        settings = replace(settings, max_memory=known.plan.peak - 1e-3)
        job = replace(job, settings=settings)
        known = forecast_job(job)
        assert not known.plan.in_memory
    planned = PlannedJob.of(job, choose(settings), known)
    return lambda progress: run_job(planned, progress).result


def steps_of(run: Callable[[Progress], Result]) -> tuple[Result, list[tuple[str, int]]]:
    """A whole run and its steps; the run file is removed."""
    steps: list[tuple[str, int]] = []
    result = run(lambda stage, done, total: steps.append((stage, done)))
    Path(FILE).unlink()
    return result, steps


def interrupt(run: Callable[[Progress], Result], at: tuple[str, int]) -> None:
    """Leave a run file of a run that ended at a step."""

    def progress(stage: str, done: int, total: int) -> None:
        if (stage, done) == at:
            raise Ended

    with pytest.raises(Ended):
        run(progress)


def assert_same(found: Result, expected: Result, tolerance: float = SAME) -> None:
    assert found.e_tot == pytest.approx(expected.e_tot, abs=tolerance, rel=0)
    assert found.e_corr_os == pytest.approx(expected.e_corr_os, abs=tolerance, rel=0)
    assert found.e_singles == pytest.approx(expected.e_singles, abs=tolerance, rel=0)


def test_interrupted_at_every_stage(run: Callable[[Progress], Result]) -> None:
    """Pairs of one spin could be lost, computed twice, or taken for those of the other."""
    expected, steps = steps_of(run)
    assert {stage for stage, _ in steps} >= {"SCF", "metric solve", "pair energies"}
    for at in [*steps[: -1 : len(steps) // 4], steps[-3]]:
        with counted() as work:
            interrupt(run, at)
            assert_same(resumed(FILE), expected)
        assert work.pairs == NPAIR, at
        Path(FILE).unlink()


def test_resumed_by_another_backend(run: Callable[[Progress], Result]) -> None:
    """The simulator's kernel of two different spins continues the pairs of torch."""
    expected, steps = steps_of(run)
    interrupt(run, [step for step in steps if step[0] == "pair energies"][4])
    found = resumed(FILE, backend="simulator", device="bundled", precision="auto")
    assert_same(found, expected, 1e-6)  # the default accuracy
    assert {row.where.backend for row in found.provenance.operations} == {"pytorch", "nki"}


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged(seed: int, run: Callable[[Progress], Result]) -> None:
    """One to three bytes changed in a dataset: the right energy or an error."""
    expected, steps = steps_of(run)
    random = rng(3000 + seed)
    interrupt(run, steps[int(random.integers(len(steps)))])
    shutil.copy(FILE, "damaged.h5")
    places = extents(Path("damaged.h5"))
    offset, length = places[sorted(places)[seed % len(places)]]
    for _ in range(int(random.integers(1, 4))):
        flip(Path("damaged.h5"), offset + int(random.integers(length)), random)
    with suppress(CheckpointError):
        assert_same(resumed("damaged.h5"), expected)

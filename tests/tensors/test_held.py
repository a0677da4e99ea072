"""B in a run file instead of memory: the same energies, and as many reads as planned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfmp2.runfile.opening
import dfmp2.workflow.prepare
from dfmp2 import DFMP2
from dfmp2.backends.launching import SimulatorRunner
from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.torch import TorchBackend
from dfmp2.kernels import simulator
from dfmp2.planning.plan import Plan, make_plan
from dfmp2.results.provenance import Provenance
from dfmp2.results.sizes import Sizes
from dfmp2.results.stages import Stage
from dfmp2.runfile.rows import Rows
from dfmp2.tensors.held import InMemory
from tests.systems import converge, mean_field, molecule

pytestmark = pytest.mark.usefixtures("small_auxbasis")

SAME = 1e-12
"""Hartree. Only the order of summation differs."""


@pytest.fixture(params=[(1, 1, 1), (2, 1, 2), (3, 2, 1), (9, 9, 9)], ids=str)
def on_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, ...]:
    """Plan every run with B in the run file and these block sizes.

    Small molecules would otherwise be computed in memory.
    """
    i_rows, j_rows, solve_rows = request.param

    def plan(*args: Any, **options: Any) -> Plan:
        made = make_plan(*args, **options)
        return replace(
            made, in_memory=False, i_rows=i_rows, j_rows=j_rows, solve_rows=solve_rows, aux_block=11
        )

    monkeypatch.setattr(dfmp2.workflow.prepare, "make_plan", plan)
    return i_rows, j_rows, solve_rows


def in_memory(mf: Any, **options: Any) -> DFMP2:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dfmp2.workflow.prepare, "make_plan", make_plan)
        return DFMP2(mf).run(**options)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("name", ["water", "ethylene"])
def test_same_energy(name: str, fused: bool, on_disk: tuple[int, ...]) -> None:
    mf = mean_field(name)
    whole, pieces = in_memory(mf), DFMP2(mf).run(fused=fused)
    assert not pieces.plan().in_memory
    np.testing.assert_allclose(pieces.pair_energies, whole.pair_energies, rtol=0, atol=SAME)
    stages = {stage.name for stage in pieces.result.provenance.stages}
    assert "writing B" in stages


def test_float32_pairs_are_checked_against_rows_of_the_file(on_disk: tuple[int, ...]) -> None:
    mf = mean_field("ethylene")
    exact, rough = in_memory(mf), DFMP2(mf).run(precision="auto")
    assert rough.result.settings["precision"] == "fp32"
    assert 0 < abs(rough.e_corr - exact.e_corr) < 1e-6


def test_near_singular_metric(on_disk: tuple[int, ...]) -> None:
    """Rows of B are shorter if eigenvectors of the metric are dropped."""
    mol = molecule("H 0 0 0; H 0 0 0.74")
    mf = converge(mol)
    twice = {"H": [[0, [1.3, 1.0]], [0, [1.3 + 1e-9, 1.0]], [1, [0.9, 1.0]]]}
    pieces = DFMP2(mf, auxbasis=twice).run()
    assert "dropped" in pieces.result.labels["metric"]
    assert pieces.e_corr == pytest.approx(in_memory(mf, auxbasis=twice).e_corr, abs=SAME, rel=0)


def test_through_the_kernels(on_disk: tuple[int, ...]) -> None:
    mf = mean_field("water", "sto-3g")
    options = {"backend": "simulator", "auxbasis": "6-31g"}
    whole, pieces = in_memory(mf, **options), DFMP2(mf).run(**options)
    assert abs(pieces.e_corr - whole.e_corr) < 1e-6
    assert {row.where.mode for row in pieces.result.provenance.operations} == {"simulator"}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Numbers of the rows of B that are read, in order."""
    seen: list[int] = []
    original = Rows.get_fitted

    def counted(self: Rows, first: int, out: Any) -> None:
        seen.extend(range(first, first + len(out)))
        original(self, first, out)

    monkeypatch.setattr(Rows, "get_fitted", counted)
    return seen


def test_b_is_read_as_often_as_planned(on_disk: tuple[int, ...], reads: list[int]) -> None:
    mf = mean_field("water")
    DFMP2(mf).run()
    nocc, i_rows = 5, on_disk[0]
    assert len(reads) == sum(nocc - i0 for i0 in range(0, nocc, i_rows))


def test_planned_reads_are_those_of_the_pair_blocks() -> None:
    sizes = Sizes(580, 50, 530, 1410, 7)
    for budget in (100.0, 150.0, 250.0):
        plan = make_plan(sizes, budget, 2)
        assert not plan.in_memory
        rows = sum(j.stop - j.start for _, partners in plan.pair_ranges() for j in partners)
        assert plan.reads == pytest.approx(rows / sizes.nocc)
        assert plan.peak <= budget
    assert make_plan(sizes, 100.0, 2).reads > make_plan(sizes, 250.0, 2).reads


def test_smallest_budget_for_b_in_memory_is_right() -> None:
    sizes = Sizes(580, 50, 530, 1410, 7)
    least = make_plan(sizes, 150.0, 2).least_in_memory
    assert make_plan(sizes, least, 2).in_memory
    assert not make_plan(sizes, least - 1, 2).in_memory


@pytest.mark.parametrize(("on_host", "blocks"), [({}, 1), ({Stage.PAIRS: "a test"}, 3)])
def test_blocks_are_those_of_the_backend_of_the_pairs(on_host: Any, blocks: int) -> None:
    """Torch would work for minutes on a block of NKI before its pairs are in the run file."""
    plan = replace(make_plan(Sizes(6, 2, 4, 3), 1e3), occ_block=1, nki_block=2)
    nki = NkiBackend(SimulatorRunner(simulator.simulate, "bundled"))
    b = InMemory(nki.asarray(np.zeros((2, 3, 4))), nki)
    backend = RecordingBackend(nki, Provenance(), TorchBackend("cpu"), on_host)
    with backend.stage(Stage.PAIRS):
        missing = np.triu(np.ones((2, 2), dtype=bool))
        assert len(list(b.pair_blocks(missing, plan, backend))) == blocks


def test_without_a_run_file_a_temporary_one_is_used_and_removed(
    on_disk: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyscf.lib.param.TMPDIR", str(tmp_path))
    created: list[str] = []
    original = dfmp2.runfile.opening.RunFile.create

    def spied(path: str, *args: Any, **kwargs: Any) -> Any:
        created.append(path)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(dfmp2.runfile.opening.RunFile, "create", spied)
    DFMP2(mean_field("water")).run()
    assert created
    assert Path(created[0]).is_relative_to(tmp_path)
    assert not list(tmp_path.iterdir())

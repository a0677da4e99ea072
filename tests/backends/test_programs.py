"""Buckets, needed programs and the list of compiled ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfmp2.backends.buckets import bucket, padded, padded_energies
from dfmp2.backends.compiled import compiled_before, list_path, note_compiled
from dfmp2.backends.launching import SimulatorRunner
from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.selection import Selection
from dfmp2.backends.torch import TorchBackend
from dfmp2.kernels import simulator
from dfmp2.planning.plan import make_plan
from dfmp2.precision.estimate import STAGES, Placement
from dfmp2.results.sizes import Sizes
from dfmp2.settings import Settings
from dfmp2.workflow.compute import compute
from dfmp2.workflow.programs import needed_programs
from tests.systems import mean_field, prepared


def test_buckets_hold_their_numbers_and_waste_little() -> None:
    numbers = range(1, 3000)
    assert all(bucket(n) >= n for n in numbers)
    assert all(bucket(bucket(n)) == bucket(n) for n in numbers)
    assert all(bucket(n) <= 1.25 * n for n in numbers if n >= 4)
    assert len({bucket(n) for n in range(1, 1001)}) == 33


def test_padding_is_zeros_and_far_energies() -> None:
    x = padded(np.ones((5, 9), dtype=np.float32), exact=(0,))
    assert x.shape == (5, 10)
    assert x.sum() == 45
    e = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert list(padded_energies(-e)[8:]) == [-0.9, -0.9]
    assert padded_energies(e, virtual=True)[9] > 1e5


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("basis", ["sto-3g", "6-31g"])
def test_forecast_programs_are_those_that_run(
    fused: bool, basis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan names the programs that the run then launches, as often as it launches them."""
    runner = SimulatorRunner(simulator.simulate, "bundled")
    selection = Selection(NkiBackend(runner), "a test", TorchBackend("cpu"))
    mf = mean_field("water", basis)
    problem = prepared(mf, selection, "auto", fused=fused, auxbasis="def2-svp-ri")
    everything = Placement(dict.fromkeys(STAGES, 0.0), {})
    monkeypatch.setattr("dfmp2.workflow.compute.place_stages", lambda *_: everything)
    monkeypatch.setattr("dfmp2.methods.pair_energies.SMALL_T", 4)
    compute(problem)
    assert needed_programs(problem.plan, problem.settings) == dict(runner.programs)


def test_two_molecules_of_one_bucket_share_programs() -> None:
    first = needed_programs(make_plan(Sizes(117, 21, 96, 420), 4000), Settings())
    second = needed_programs(make_plan(Sizes(110, 23, 87, 400), 4000), Settings())
    assert {p for p in first if "pair" in p} == {p for p in second if "pair" in p}


def test_nothing_to_compute_needs_no_program() -> None:
    assert needed_programs(make_plan(Sizes(2, 0, 2, 10), 4000), Settings()) == {}


def test_list_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled_before("trn2") == set()
    note_compiled("trn2", {"a", "b"})
    note_compiled("trn2", {"b", "c"})
    note_compiled("trn1", {"d"})
    assert compiled_before("trn2") == {"a", "b", "c"}
    assert compiled_before("trn1") == {"d"}
    list_path().write_text("damaged", encoding="utf-8")
    assert compiled_before("trn2") == set()
    note_compiled("trn2", {"e"})
    assert compiled_before("trn2") == {"e"}


def test_an_unwritable_list_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
    note_compiled("trn2", {"a"})
    assert compiled_before("trn2") == set()

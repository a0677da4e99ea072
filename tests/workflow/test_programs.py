"""The compiled programs of a run: forecast and launched."""

from __future__ import annotations

from typing import Any

import pytest

from dfmp2.backends.launching import SimulatorRunner
from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.selection import Selection
from dfmp2.backends.torch import TorchBackend
from dfmp2.kernels import simulator
from dfmp2.kernels.estimate import SHAPES, estimate
from dfmp2.planning.plan import make_plan
from dfmp2.precision.estimate import STAGES, Placement
from dfmp2.results.sizes import Sizes
from dfmp2.settings import Settings
from dfmp2.workflow.compute import compute
from dfmp2.workflow.programs import needed_programs
from tests.systems import mean_field, molecule, prepared

RADICALS = {
    "NH2": ("N 0 0 0; H 0 0.80 0.60; H 0 -0.80 0.60", 1),
    "O2": ("O 0 0 0; O 0 0 1.21", 2),
}


def _orbitals(name: str, basis: str) -> Any:
    """A mean field that need not be converged: both backends take the same orbitals."""
    if name == "water":
        return mean_field(name, basis)
    from pyscf import scf

    atoms, spin = RADICALS[name]
    mf = scf.UHF(molecule(atoms, basis, spin=spin))
    return mf.run(chkfile=None, conv_tol=1e-9)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize(
    ("name", "basis"),
    [
        ("water", "sto-3g"),
        ("water", "6-31g"),
        ("NH2", "sto-3g"),
        pytest.param("NH2", "6-31g", marks=pytest.mark.slow),
        pytest.param("O2", "sto-3g", marks=pytest.mark.slow),
        pytest.param("O2", "6-31g", marks=pytest.mark.slow),
    ],
)
def test_forecast_programs_are_those_that_run(
    fused: bool, name: str, basis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan must list the programs that the run launches, with the same counts. And a run with
    all stages in float32 has the energy of torch, to 1e-6 Eh, the default accuracy."""
    runner = SimulatorRunner(simulator.simulate, "bundled")
    selection = Selection(NkiBackend(runner), "a test", TorchBackend("cpu"))
    mf, options = _orbitals(name, basis), {"fused": fused, "auxbasis": "def2-svp-ri"}
    problem = prepared(mf, selection, "auto", **options)
    everything = Placement(dict.fromkeys(STAGES, 0.0), {})
    monkeypatch.setattr("dfmp2.workflow.compute.place_stages", lambda *_: everything)
    monkeypatch.setattr("dfmp2.methods.pair_energies.SMALL_T", 4)
    found, exact = compute(problem), compute(prepared(mf, **options))
    assert needed_programs(problem.plan, problem.settings) == dict(runner.programs)
    assert {row.where.backend for row in found.provenance.operations} == {"nki"}
    assert found.e_corr_os == pytest.approx(exact.e_corr_os, abs=1e-6)
    assert found.e_corr_ss == pytest.approx(exact.e_corr_ss, abs=1e-6)


def test_pairs_take_the_launches_of_their_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks as small as those of the CPU would each have launches of their own."""
    monkeypatch.setenv("DFMP2_NKI_INSTRUCTIONS", "6144")  # smaller programs are traced faster
    nocc, nvir, naux = SHAPES["medium"]
    plan = make_plan(Sizes(nocc + nvir, nocc, nvir, naux), 1e5)
    assert plan.occ_block < nocc
    launches = sum(n for p, n in needed_programs(plan, Settings()).items() if "pair" in p)
    assert launches == estimate("pair_energy", nocc, nvir, naux).launches


def test_two_molecules_of_one_bucket_share_programs() -> None:
    first = needed_programs(make_plan(Sizes(117, 21, 96, 420), 4000), Settings())
    second = needed_programs(make_plan(Sizes(110, 23, 87, 400), 4000), Settings())
    assert {p for p in first if "pair" in p} == {p for p in second if "pair" in p}


def test_nothing_to_correlate_needs_no_program() -> None:
    assert needed_programs(make_plan(Sizes(2, 0, 2, 10), 4000), Settings()) == {}

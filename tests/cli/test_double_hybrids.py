"""``--xc``: double hybrids on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pyscf import lib, scf

from dfmp2.errors import CheckpointError
from dfmp2.references.double_hybrids import DOUBLE_HYBRIDS
from dfmp2.results.variants import VARIANTS
from dfmp2.workflow import jobs
from tests.cli.common import H2, PRINTED, dfmp2, energy, fact, file_with
from tests.systems import molecule

RADICAL = "2\nBH+; charge=1 spin=1\nB 0 0 0\nH 0 0 1.2\n"

HYDROGEN = ("run", "h2.xyz", "--basis", "6-31g", "--auxbasis", "cc-pvdz-ri", "--grid", "0")


def stop(*_: object, **__: object) -> None:
    """Takes the place of a step of a run, which is stopped there."""
    raise CheckpointError("stopped here")


def test_run_is_resumed_shown_and_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    """XYG3 of a radical: its orbitals and its energy come from two functionals.

    A resumed run would have the energy of B3LYP, or the label of a Hartree-Fock reference.
    """
    file_with(Path(), "bh.xyz", RADICAL)
    run = ("run", "bh.xyz", "--basis", "6-31g", "--auxbasis", "cc-pvdz-ri", "--xc", "xyg3",
           "--grid", "0", "--frozen", "1")  # fmt: skip
    whole = dfmp2(*run, "--no-checkpoint").stdout
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "compute", stop)
        assert dfmp2(*run, "--checkpoint", "bh.dfmp2.h5").exit_code == 6
    unfinished = dfmp2("show", "bh.dfmp2.h5").stdout
    assert fact(unfinished, "SCF").startswith("UKS (XYG3, grid level 0), exact integrals")
    done = dfmp2("resume", "bh.dfmp2.h5", "--json", "bh.json", "--validate-exact")
    assert done.exit_code == 0, done.stderr
    names = ("E(KS part)", "E(PT2) weighted", "  opposite spin", "E(XYG3) total")
    for name in names:
        assert abs(energy(done.stdout, name) - energy(whole, name)) < PRINTED
    assert abs(sum(energy(whole, n) for n in names[:2]) - energy(whole, names[3])) < 2 * PRINTED
    assert "VWN_RPA; grid level 0)" in fact(done.stdout, "SCF")
    assert "B3LYP orbitals" in fact(done.stdout, "functional")
    assert "E(HF)" not in done.stdout
    assert "E(MP2)" not in done.stdout
    content = json.loads(Path("bh.json").read_text())
    assert abs(content["return_result"] - energy(whole, "E(XYG3) total")) < PRINTED
    assert abs(content["properties"]["scf_total_energy"] - energy(whole, "E(KS part)")) < PRINTED
    assert dfmp2("show", "bh.json").exit_code == 0
    again = dfmp2("validate", "bh.json")  # the SCF is converged again, with the same grid
    assert again.exit_code == 0, again.stderr
    assert "E(PT2) weighted, PySCF" in again.stdout


def test_functional_and_grid_identify_a_run() -> None:
    """A run file of another functional or grid would give its energy."""
    file_with(Path(), "h2.xyz", H2)
    run = (*HYDROGEN[:-2], "--checkpoint", "h2.h5")
    assert dfmp2(*run, "--xc", "b2plyp", "--grid", "0").exit_code == 0
    for xc, grid, says in (
        ("b2gp-plyp", "0", "its xc is B2PLYP, not B2GP-PLYP"),
        ("b2plyp", "1", "its grid is 0, not 1"),
    ):
        done = dfmp2(*run, "--xc", xc, "--grid", grid)
        assert (done.exit_code, says in done.stderr) == (6, True), done.stderr


def test_dispersion_needs_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found before the SCF. Without dispersion the method has another name."""
    file_with(Path(), "h2.xyz", H2)
    monkeypatch.setitem(sys.modules, "dftd3", None)
    with monkeypatch.context() as patch:
        patch.setattr(jobs, "run_scf", stop)
        done = dfmp2(*HYDROGEN, "--xc", "dsd-pbep86-d3bj", "--no-checkpoint")
    assert (done.exit_code, "pip install 'dfmp2[dispersion]'" in done.stderr) == (7, True)
    done = dfmp2(*HYDROGEN, "--xc", "dsd-pbep86-d3bj", "--no-dispersion", "--no-checkpoint")
    assert done.exit_code == 0
    assert energy(done.stdout, "E(DSD-PBEP86-D3BJ without dispersion) total") < -1
    assert fact(done.stdout, "dispersion") == "left out (--no-dispersion)"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--xc", "b3lyp"), "'b3lyp' is no double hybrid of dfmp2"),
        (("--grid", "1"), "--grid and --no-dispersion are for the double hybrid of --xc"),
        (("--xc", "b2plyp", "--reference", "rohf"), "open-shell Kohn-Sham orbitals are not"),
    ],
)
def test_mistakes(options: tuple[str, ...], says: str) -> None:
    file_with(Path(), "h2.xyz", H2)
    done = dfmp2("run", "h2.xyz", "--basis", "6-31g", *options)
    assert (done.exit_code, says in done.stderr) == (2, True), done.stderr


def test_chkfile_has_no_functional() -> None:
    """A chkfile does not say what its orbitals are."""
    mf = scf.RHF(molecule("H 0 0 0; H 0 0 0.74", "6-31g"))
    mf.verbose, mf.chkfile = 0, "h2.chk"
    mf.kernel()
    assert lib.chkfile.load("h2.chk", "scf") is not None
    done = dfmp2("run", "h2.chk", "--xc", "b2plyp")
    assert (done.exit_code, "leave --xc out" in done.stderr) == (2, True), done.stderr


def test_all_methods_are_listed_with_their_sources() -> None:
    done = dfmp2("show", "--methods")
    assert done.exit_code == 0
    for row in (*VARIANTS, *DOUBLE_HYBRIDS.values()):
        line = next(x for x in done.stdout.splitlines() if x.startswith(f"  {row.name}  "))
        assert row.source in line
        assert "doi:10." in row.source
        weights = [float(x) for x in line.split()[1:3]]
        assert weights == pytest.approx([row.opposite, row.same], abs=5e-5)

"""Basis sets on the command line: files that change or vanish, and names with commas."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.common import H2, WATER, dfmp2, energy, fact, file_with

SET = "H S\n  3.4 0.15\n  0.6 0.53\nH S\n  0.17 1.0\n"

pytestmark = pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set is known")


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_resume_without_the_files_and_recipes_of_the_first_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that was edited meanwhile gave the energy of neither the old nor the new basis."""
    geometry, basis = file_with(Path(), "h2.xyz", H2), file_with(Path(), "own.nw", SET)
    job = ("run", geometry, "--basis", basis)
    right = energy(dfmp2(*job, "--no-checkpoint").stdout, "E(MP2) total")
    with monkeypatch.context() as patch:
        patch.setattr("dfmp2.workflow.jobs.run_scf", _killed)
        assert dfmp2(*job, "--checkpoint", "x.h5").exit_code == 130
    basis.write_text(SET.replace("0.17", "0.3"))
    monkeypatch.setattr("dfmp2.fitting.generated.RATIO", 3.0)
    done = dfmp2("resume", "x.h5", "--json", "x.json")
    assert done.exit_code == 0, done.stderr
    assert energy(done.stdout, "E(MP2) total") == pytest.approx(right, abs=1e-9)
    assert fact(done.stdout, "basis") == "own.nw"
    basis.unlink()
    assert dfmp2("validate", "x.json").exit_code == 0


def test_names_with_commas() -> None:
    geometry = file_with(Path(), "hbr.xyz", "2\n\nH 0 0 0\nBr 0 0 1.414\n")
    done = dfmp2("run", geometry, "--basis", "H=6-31G(d,p),Br=LANL2DZ", "--no-checkpoint")
    assert fact(done.stdout, "basis") == "Br: LANL2DZ, H: 6-31G(d,p)"
    assert fact(done.stdout, "ECP") == "Br: LANL2DZ"
    assert fact(done.stdout, "sizes").startswith("13 AOs")


def test_file_that_lacks_an_element() -> None:
    """The functions of H stood on He, without a word."""
    geometry = file_with(Path(), "he.xyz", "1\n\nHe 0 0 0\n")
    done = dfmp2("run", geometry, "--basis", file_with(Path(), "own.nw", SET))
    assert done.exit_code == 2
    assert "Error: he.xyz: own.nw: has no functions for He, only for H; add them" in done.stderr


def test_orbital_basis_as_auxiliary_basis_of_the_scf() -> None:
    """E(HF) of hydrogen was wrong by 24 mEh, without a word."""
    geometry = file_with(Path(), "h2.xyz", H2)
    job = ("run", geometry, "--basis", "cc-pvdz", "--no-checkpoint", "--density-fit")
    done = dfmp2(*job, "--scf-auxbasis", "cc-pvdz")
    assert "Warning: h2: auxiliary basis cc-pvdz of the SCF is an orbital basis" in done.stderr
    assert "note: auxiliary basis cc-pvdz of the SCF is an orbital basis" in done.stdout
    assert "Warning" not in dfmp2(*job, "--scf-auxbasis", "cc-pvdz-jkfit").stderr


def test_an_element_without_a_set_for_the_scf_is_named() -> None:
    """It is not fitted with the set that PySCF would take."""
    geometry = file_with(Path(), "he.xyz", "1\n\nHe 0 0 0\n")
    done = dfmp2("run", geometry, "--basis", "cc-pvdz", "--no-checkpoint", "--density-fit")
    assert "note: no JK set that fits is known for He: the SCF is fitted with" in done.stdout


def test_unsuitable_set_of_the_scf() -> None:
    """E(HF) of water erred by 16 mEh, without a word."""
    done = dfmp2("plan", WATER, "--basis", "cc-pvdz", "--density-fit", "--scf-auxbasis", "demon")
    assert "demon of the SCF is not made for E(HF), which can err by 14." in done.stderr

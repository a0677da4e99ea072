"""Charges and labels that are possible, but probably not what the user means."""

from __future__ import annotations

import warnings

import pytest
from pyscf import gto

from dfmp2.errors import DFMP2Warning
from dfmp2.molecules.electrons import warn_charge
from dfmp2.molecules.plain import formula
from dfmp2.molecules.plaintext import parse_lines
from dfmp2.molecules.sdf import parse_sdf
from dfmp2.molecules.xyz import parse_xyz

WATER = "O 0 0 0; H 0 0 1; H 0 1 0"


def _mole(atoms: str, charge: int) -> gto.Mole:
    return gto.M(atom=atoms, charge=charge, spin=None, basis="minao", verbose=0)


@pytest.mark.parametrize(
    ("atoms", "charge", "says"),
    [
        (WATER, 7, r"charge \+7 takes away 7 of 8 valence electrons; check the charge"),
        (WATER, -6, r"charge -6 adds more electrons .* \(4 free places\)"),
        (WATER, 10, "takes away 10"),
        ("H 0 0 0; H 0 0 1", 2, "takes away 2 of 2"),
        ("Na 0 0 0", 2, "takes away 2 of 1"),
        ("Ghost-O 0 0 3; H 0 0 0", -2, "1 free places"),
    ],
)
def test_absurd_charges(atoms: str, charge: int, says: str) -> None:
    """A sign or a number at the wrong place would give an energy without a word."""
    with pytest.warns(DFMP2Warning, match=says):
        assert len(warn_charge(_mole(atoms, charge))) == 1


@pytest.mark.parametrize(
    ("atoms", "charge"),
    [
        (WATER, 0), (WATER, 2), (WATER, -1), ("Ca 0 0 0", 2), ("Al 0 0 0", 3), ("Ti 0 0 0", 4),
        ("Cl 0 0 0", -1), ("S 0 0 0", -2), ("N 0 0 0", -3), ("H 0 0 0", -1), ("H 0 0 0", 1),
        ("H 0 0 0; H 0 0 1", 1), ("O 0 0 0; O 0 0 1.5", -2), ("He 0 0 0; He 0 0 1", 2),
        ("P 0 0 0; O 1 1 1; O -1 -1 1; O 1 -1 -1; O -1 1 -1", -3), ("C 0 0 0; C 0 0 1.2", -2),
        ("Ghost-H 0 0 3; Li 0 0 0", 1), ("Cr 0 0 0; O 1 1 1; O -1 -1 1; O 1 -1 -1; O -1 1 -1", -2),
    ],
)  # fmt: skip
def test_ions_that_exist(atoms: str, charge: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_charge(_mole(atoms, charge)) == ()


def test_labels_in_capitals() -> None:
    """CA of a protein is a carbon atom, and CA of another program calcium."""
    rows = "CA 0 0 0\nHE1 0 0 2\nCL 0 0 6\nCl 0 4 0\nCa 0 8 0\n@NE 0 9 9\n"
    says = (
        "labels in capitals, which could also name atoms of a force field, were read CA as Ca, HE"
    )
    (said,) = parse_xyz(f"6\n\n{rows}", "x.xyz").stated.remarks
    assert said.startswith(f"{says} as He;")
    assert parse_lines(rows, "x.txt").stated.remarks == (said,)
    row = "{0:10.4f}{0:10.4f}{1:10.4f} {2:3} 0  0\n"
    table = row.format(0, 0, "CA") + row.format(0, 2, "HE")
    text = f"x\n\n\n  2  0  0  0  0  0  0  0  0  0999 V2000\n{table}M  END\n"
    assert parse_sdf(text, "x.sdf").stated.remarks == (said,)
    assert parse_xyz("2\n\nCL 0 0 0\nNa 0 0 2\n", "x.xyz").stated.remarks == ()


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["O1", "H", "H2"], "H2O"),
        (["H", "Br", "C", "CL", "C", "H"], "C2H2BrCl"),
        (["N", "H", "Ghost-O", "GHOST-H1", "ghost-H", "Ca"], "CaHN + ghost H2O"),
        (["Ghost-He"], "ghost He"),
    ],
)
def test_formula(labels: list[str], found: str) -> None:
    """The table shows which elements were read."""
    assert formula(labels) == found

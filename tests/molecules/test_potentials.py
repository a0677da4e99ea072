"""Effective core potentials: taken where they belong to the basis, missed where they are not."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.potentials import choose_ecp, warn_missing_ecp
from tests.systems import molecule


@pytest.mark.parametrize(
    ("basis", "element", "potential"),
    [
        ("ccecp-cc-pvdz", "O", "ccecp"),
        ("ccECP-aug-cc-pVTZ", "H", "ccecp"),
        ("ccecphe-cc-pvdz", "Al", "ccecphe"),
        ("unc-ccecp-cc-pvdz", "O", "ccecp"),
        ("bfd-vtz", "O", "bfd"),
        ("aug-cc-pvdz-pp", "Ag", "cc-pvdz-pp"),
        ("cc-pwcvtz-pp", "Au", "cc-pvtz-pp"),
        ("lanl2dz", "Br", "lanl2dz"),
        ("def2-tzvp", "I", "def2-tzvp"),
        ("ma-def2-svp", "I", "ma-def2-svp"),
        ("def2-tzvp", "Br", None),
        ("cc-pcvdz", "O", None),
        ("minao", "O", None),
        ("dyall-cv2z", "O", None),
    ],
)
def test_potential_that_belongs_to_a_basis(basis: str, element: str, potential: str | None) -> None:
    """Water in ccecp-cc-pvdz without the potential has E(HF) = -34.7 Eh instead of -16.9."""
    found = choose_ecp(basis, [element, f"Ghost-{element}"], "auto")
    assert found == ({} if potential is None else {element: potential})


def test_potentials_by_element() -> None:
    symbols = ["H", "Br", "I", "Ghost-I"]
    assert choose_ecp("cc-pvdz", symbols, {"Br": "lanl2dz", "I": "def2-svp"}) == {
        "Br": "lanl2dz", "I": "def2-svp",
    }  # fmt: skip
    assert choose_ecp("def2-svp", symbols, {"Br": "lanl2dz"}) == {"Br": "lanl2dz", "I": "def2-svp"}
    assert choose_ecp("def2-svp", symbols, {"I": "none"}) == {}
    assert choose_ecp("def2-svp", symbols, {"default": "lanl2dz"}) == {
        "Br": "lanl2dz", "I": "lanl2dz",
    }  # fmt: skip
    with pytest.raises(InputError, match="ECP 'lanl2dz' is unknown to PySCF or has none for H"):
        choose_ecp("def2-svp", symbols, {"H": "lanl2dz"})


@pytest.mark.parametrize(
    ("atoms", "basis", "ecp", "says"),
    [
        ("Mg 0 0 0", "lanl2dz", {}, "lanl2dz on Mg was made for an effective core potential, but"),
        ("O 0 0 0", "ccecp-cc-pvdz", {}, r"set ecp='ccecp'"),
        ("Cu 0 0 0", "cc-pvdz-pp-nr", {}, r"cc-pvdz-pp-nr on Cu gives only 1\d % of the energy"),
        ("I 0 0 0", "def2-svp", {"I": "lanl2dz"}, "potential of 28 electrons, but one of 46"),
        ("Ne 0 0 0", {"Ne": [[0, [2.0, 1.0]], [1, [2.0, 1.0]]]}, {}, "given as shells on Ne gives"),
    ],
)
def test_missing_potential(atoms: str, basis: Any, ecp: Any, says: str) -> None:
    with pytest.warns(DFMP2Warning, match=says):
        assert len(warn_missing_ecp(molecule(atoms, basis, ecp=ecp, spin=None))) == 1


@pytest.mark.parametrize(
    ("atoms", "basis", "ecp"),
    [
        ("O 0 0 0; Li 0 0 3; H 0 0 6; Ghost-I 0 0 9", "3-21g", {}),
        ("Ar 0 0 0", "sto-3g", {}),
        ("Br1 0 0 0", "lanl2dz", {"Br": "lanl2dz"}),
        ("O 0 0 0", "ccecp-cc-pvdz", "ccecp"),
    ],
)
def test_nothing_is_missing(atoms: str, basis: Any, ecp: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_missing_ecp(molecule(atoms, basis, ecp=ecp, spin=None)) == ()

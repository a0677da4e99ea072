"""Effective core potentials: taken where they belong to the basis, missed where they are not."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from pyscf import gto

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


def test_potential_for_an_element_that_is_not_there() -> None:
    """It was ignored. A fragment of a counterpoise calculation has the others as ghosts."""
    with pytest.raises(InputError, match="ECP is given for I, but the molecule has only Br, H;"):
        choose_ecp("def2-svp", ["H", "Br", "Ghost-H"], {"I": "lanl2dz"})
    assert choose_ecp("def2-svp", ["H", "Ghost-I"], {"I": "lanl2dz", 1: "none"}) == {}


@pytest.mark.parametrize(
    ("atoms", "basis", "ecp", "says"),
    [
        ("Mg 0 0 0", "lanl2dz", {}, "lanl2dz on Mg was made for an effective core potential, but"),
        ("O 0 0 0", "ccecp-cc-pvdz", {}, r"set ecp='ccecp'"),
        ("Cu 0 0 0", "cc-pvdz-pp-nr", {}, r"cc-pvdz-pp-nr on Cu gives only 1\d % of the energy"),
        ("I 0 0 0", "def2-svp", {"I": "lanl2dz"}, "potential of 28 electrons, but one of 46"),
        ("Br 0 0 0", "lanl2dz", {"Br": "stuttgart"}, "for another effective core potential of 28"),
        ("Ne 0 0 0", {"Ne": [[0, [2.0, 1.0]], [1, [2.0, 1.0]]]}, {}, "given as shells on Ne gives"),
        ("Br 0 0 0; H 0 0 1.4", "cc-pvdz", {"Br": "lanl2dz"}, "potential of 28 electrons is used"),
        ("O 0 0 0; H 0 0 1; H 0 1 0", "cc-pvdz", {"O": "ccecp"}, "O is an all-electron basis, but"),
        ("H 0 0 0; H 0 0 0.74", "cc-pvdz-ri", {}, "cc-pvdz-ri on H is an auxiliary set"),
        ("O 0 0 0", "def2-universal-jkfit", {}, "jkfit on O is an auxiliary set"),
        ("Br 0 0 0", "cc-pvdz-dk", {}, "made for a relativistic Hamiltonian"),
        ("I 0 0 0", "ano-rcc", {}, "made for a relativistic Hamiltonian"),
        ("Cl 0 0 0", "ANO", {}, "made for a relativistic Hamiltonian"),
        ("I 0 0 0", "ano", {"I": "lanl2dz"}, "I is an all-electron basis, but"),
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
        ("I 0 0 0", "def2-svp", {"I": "def2-tzvp"}),  # the same one
        ("O 0 0 0; H 0 0 1; H 0 1 0", "ano", {}),
        ("Br 0 0 0", "unc-ano-rcc", {}),
        ("I 0 0 0; Rn 0 0 9", {"I": "dzp", "Rn": "dzp"}, {}),
        ("Li 0 0 0; Br 0 0 3", {"Li": "pc-0", "Br": "dyall-v2z"}, {}),
    ],
)
def test_nothing_is_missing(atoms: str, basis: Any, ecp: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert warn_missing_ecp(molecule(atoms, basis, ecp=ecp, spin=None)) == ()


def test_relativistic_contraction_without_a_name() -> None:
    """A set from a file has no name that tells its kind. Each 1s electron is 8 Eh too high."""
    shells = {"Br": gto.basis.load("cc-pvdz-dk", "Br")}
    with pytest.warns(DFMP2Warning, match="given as shells on Br was made for a relativistic"):
        warn_missing_ecp(molecule("Br 0 0 0", shells, spin=None))

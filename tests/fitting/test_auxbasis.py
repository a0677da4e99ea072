"""The choice of the auxiliary basis."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dfmp2 import DFMP2
from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.fitting.auxbasis import choose_auxbasis, scf_auxbasis
from tests.systems import converge, fitted, mean_field, molecule, pyscf_mp2

WATER = "O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47"
HI = "I 0 0 0; H 0 0 1.609"


# The default set


@pytest.mark.parametrize(
    ("basis", "expected"),
    [
        ("cc-pvdz", "cc-pvdz-ri"),
        ("aug-cc-pvtz", "aug-cc-pvtz-ri"),
        ("def2-tzvpp", "def2-tzvpp-ri"),
    ],
)
def test_default_is_the_ri_set_of_the_orbital_basis(basis: str, expected: str) -> None:
    aux = choose_auxbasis(molecule(WATER, basis))
    assert str(aux) == expected
    assert aux.reason == "the RI-MP2 set of the orbital basis"


@pytest.mark.parametrize(
    ("basis", "expected"),
    [("6-31g**", "cc-pvdz-ri"), ("6-31G(d,p)", "cc-pvdz-ri"), ("sto-3g", "def2-svp-ri")],
)
def test_default_from_another_family(basis: str, expected: str) -> None:
    """It was called the RI-MP2 set of the orbital basis, for which none was optimised."""
    aux = choose_auxbasis(molecule(WATER, basis))
    assert str(aux) == expected
    assert aux.reason == "an RI-MP2 set that PySCF assigns to this basis"


@pytest.mark.parametrize(
    ("atoms", "basis", "element", "error"),
    [
        # The errors of HBr and of water, against MP2 without fitting: 24 mEh and -1.3 mEh.
        ("H 0 0 0; Br 0 0 1.414", "6-311g", "Br", "2.4e-02"),
        (WATER + "; Ghost-O 0 0 3", "6-31g(2df,p)", "O", "-1.2e-03"),
    ],
)
def test_assigned_set_that_does_not_fit(atoms: str, basis: str, element: str, error: str) -> None:
    """The set of PySCF was taken without a word. A ghost must get the functions of its element."""
    aux = choose_auxbasis(molecule(atoms, basis))
    assert f"assigns to {basis} errs by {error} Eh in the atom on {element}" in aux.remarks[-1]
    assert {s for s, name in aux.names.items() if name == "even-tempered"} == {
        s for s in aux.names if s.endswith(element)
    }


def test_reason_by_element() -> None:
    aux = choose_auxbasis(molecule(WATER, {"O": "cc-pvdz", "H": "sto-3g"}))
    assert aux.reason == (
        "the RI-MP2 set of the orbital basis; an RI-MP2 set that PySCF assigns to this basis for H"
    )


def test_pople_basis_agrees_with_pyscf() -> None:
    mf = converge(molecule(WATER, "6-31g**"))
    assert abs(DFMP2(mf).run().e_corr - pyscf_mp2(mf, "cc-pvdz-ri").e_corr) < 1e-12


def test_mp2_does_not_use_the_auxiliary_basis_of_the_scf() -> None:
    """PySCF issue 2427: the JK set of the SCF was used for MP2 as well."""
    mf = mean_field("water", density_fit=True)
    mp = DFMP2(mf).run()
    assert mp.result.labels["auxbasis"] == "cc-pvdz-ri"
    assert mp.result.sizes["naux"] != mf.with_df.get_naoaux()
    right = pyscf_mp2(mf, "cc-pvdz-ri").e_corr
    wrong = pyscf_mp2(mf, "cc-pvdz-jkfit").e_corr
    assert abs(right - wrong) > 1e-5
    assert abs(mp.e_corr - right) < 1e-12


def test_basis_by_element() -> None:
    mol = molecule(WATER, {"O": "cc-pvtz", "default": "cc-pvdz"})
    aux = choose_auxbasis(mol)
    assert aux.names == {"O": "cc-pvtz-ri", "H": "cc-pvdz-ri"}
    mf = converge(mol)
    expected = pyscf_mp2(mf, {"O": "cc-pvtz-ri", "H": "cc-pvdz-ri"})
    assert abs(DFMP2(mf).run().e_corr - expected.e_corr) < 1e-12


def test_element_keys_are_read_in_any_case() -> None:
    """PySCF accepts any case. A lower-case key must not lead to an even-tempered set."""
    aux = choose_auxbasis(molecule(WATER, {"o": "cc-pvtz", "h": "cc-pvdz"}))
    assert aux.names == {"O": "cc-pvtz-ri", "H": "cc-pvdz-ri"}


def test_basis_by_labelled_atom() -> None:
    atoms = WATER.replace("; H 0 0", "; H1 0 0")
    aux = choose_auxbasis(molecule(atoms, {"O": "cc-pvdz", "H": "cc-pvdz", "H1": "cc-pvtz"}))
    assert aux.names == {"O": "cc-pvdz-ri", "H": "cc-pvdz-ri", "H1": "cc-pvtz-ri"}


def test_ghost_atoms_have_functions_and_no_electrons() -> None:
    mol = molecule(WATER + "; Ghost-O 0 0 3.0; X-H 0 0.757 2.4", "cc-pvdz")
    aux = choose_auxbasis(mol)
    assert aux.names == {"O": "cc-pvdz-ri", "H": "cc-pvdz-ri", "GHOST-O": "cc-pvdz-ri",
                         "X-H": "cc-pvdz-ri"}  # fmt: skip
    mf = converge(mol)
    mp = DFMP2(mf, frozen="auto").run()
    assert mp.result.frozen == (0,)
    assert abs(mp.e_corr - pyscf_mp2(mf, "cc-pvdz-ri", frozen=1).e_corr) < 1e-12
    alone = DFMP2(converge(molecule(WATER)), frozen="auto").run()
    assert mp.e_corr < alone.e_corr - 1e-4, "the ghost's functions had no effect"


# No RI set


def test_even_tempered_set_gives_a_warning() -> None:
    mol = molecule(HI, "def2-svp", ecp={"I": "def2-svp"})
    aux = choose_auxbasis(mol)
    assert "for I in def2-svp; an even-tempered set is made" in aux.remarks[0]
    assert aux.names == {"H": "def2-svp-ri", "I": "even-tempered"}
    assert aux.reason.endswith("; made from the orbital basis for I")


def test_even_tempered_warning_is_in_the_result() -> None:
    mp = DFMP2(mean_field("hydrogen_iodide"))
    with pytest.warns(DFMP2Warning, match="for I in def2-svp"):
        mp.run()
    assert any("for I in def2-svp" in note for note in mp.result.notes)


def test_basis_given_as_shells_has_no_known_set() -> None:
    mol = molecule("He 0 0 0", {"He": [[0, [1.2, 1.0]], [0, [0.3, 1.0]], [1, [0.9, 1.0]]]})
    aux = choose_auxbasis(mol)
    assert aux.names == {"He": "even-tempered"}
    assert "for He in a basis given as shells" in aux.remarks[0]


def test_jk_set_of_the_scf() -> None:
    """PySCF raises an error for beryllium, and gives its ghost too few functions."""
    assert scf_auxbasis(molecule(WATER, "6-31g**")) is None
    assert "Br" in (scf_auxbasis(molecule("H 0 0 0; Br 0 0 1.4")) or {}), "it errs by 0.7 Eh"
    sets = scf_auxbasis(molecule("Be 0 0 0; Ghost-Be 0 0 3; H 0 0 6; H 0 0 7", "aug-cc-pvdz"))
    assert sets is not None
    assert sets["H"] == "aug-cc-pvdz-jkfit"
    assert sets["Be"] == sets["GHOST-Be"] != "aug-cc-pvdz-jkfit"


# A set named by the user


def test_auxbasis_by_element_with_default() -> None:
    aux = choose_auxbasis(molecule(WATER), {"O": "cc-pvtz-ri", "default": "cc-pvdz-ri"})
    assert aux.spec == {"O": "cc-pvtz-ri", "H": "cc-pvdz-ri"}
    assert aux.reason == "asked for"


def test_auxbasis_changes_the_energy_as_in_pyscf() -> None:
    mf = mean_field("water")
    mp = DFMP2(mf, auxbasis="cc-pvtz-ri").run()
    assert abs(mp.e_corr - pyscf_mp2(mf, "cc-pvtz-ri").e_corr) < 1e-12
    assert abs(mp.e_corr - DFMP2(mf).run().e_corr) > 1e-6


@pytest.mark.parametrize(
    ("basis", "auxbasis", "says"),
    [
        ("cc-pvdz", "sto-3g", r"sto-3g is an orbital basis, and no auxiliary set \(on H, O\)"),
        ("cc-pvdz", {"O": "cc-pvdz", "H": "cc-pvdz-ri"}, r"cc-pvdz is an orbital basis.*\(on O\)"),
        ("cc-pvqz", "cc-pvdz-ri", r"cc-pvdz-ri has too few functions .* \(on H, O\)"),
        ("cc-pvtz", "cc-pvdz-ri", r"cc-pvdz-ri has too few functions .* \(on H\)"),
        ("cc-pvdz", "demon", r"demon errs by -6\.\de-03 Eh in the free atom \(on O\)"),
        ("cc-pvdz", {"O": [[0, [1.0, 1.0]]], "H": "etb"}, r"given as shells has too few .*O\)"),
    ],
)
def test_unsuitable_auxbasis(basis: str, auxbasis: Any, says: str) -> None:
    """Water in cc-pVDZ with sto-3g as auxiliary basis erred by 44 mEh, without a word."""
    remarks = choose_auxbasis(molecule(WATER, basis), auxbasis).remarks
    assert any(re.search(says, remark) for remark in remarks)


def test_basis_that_was_renamed_after_the_molecule_was_built() -> None:
    """The set of the new name was taken, and printed as the basis of the result."""
    mf = converge(molecule("He 0 0 0", "cc-pvdz"))
    mf.mol.basis = "cc-pvtz"
    aux = choose_auxbasis(mf.mol)
    assert aux.names == {"He": "even-tempered"}
    assert "for He in the functions that the molecule was built with (mol.basis" in aux.remarks[0]
    mp = DFMP2(mf, auxbasis="cc-pvdz-ri").run()
    assert mp.result.labels["basis"] == "given as shells"


def test_unsuitable_auxbasis_is_a_warning() -> None:
    mp = DFMP2(mean_field("water"), auxbasis="sto-3g")
    with pytest.warns(DFMP2Warning, match="sto-3g is an orbital basis"):
        mp.run()
    assert "sto-3g is an orbital basis" in mp.result.notes[0]


def test_unsuitable_set_of_a_mean_field() -> None:
    """E(HF) erred by 16 mEh, and by 0.7 Eh for HBr with the set that PySCF chooses."""
    mp = DFMP2(fitted("water", "demon"))
    with pytest.warns(DFMP2Warning, match=r"of the SCF errs by 14\.\d mEh in the atom O"):
        mp.run()


@pytest.mark.parametrize(
    ("basis", "auxbasis"),
    [
        ("aug-cc-pvtz", "cc-pvtz-ri"),
        ("cc-pvtz", "def2-universal-jkfit"),
        ("cc-pvdz", "def2-svp-ri"),
        ("cc-pvqz", "autoaux"),
        ("cc-pvtz", "even-tempered"),
    ],
)
def test_usual_auxbasis_gives_no_warning(basis: str, auxbasis: str) -> None:
    assert choose_auxbasis(molecule(WATER + "; Ghost-He 0 0 4", basis), auxbasis).remarks == ()


@pytest.mark.parametrize(
    ("auxbasis", "says"),
    [
        ("cc-pvdz-typo", "'cc-pvdz-typo' is unknown to PySCF"),
        ({"O": "cc-pvdz-ri"}, "no entry for H and no 'default'"),
        ({"O": "cc-pvdz-ri", "H": "cc-pvdz-typo"}, "'cc-pvdz-typo' is unknown"),
        (5, "PySCF cannot read it"),
    ],
)
def test_wrong_auxbasis(auxbasis: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        DFMP2(mean_field("water"), auxbasis=auxbasis).run()


def test_auxbasis_that_lacks_an_element() -> None:
    with pytest.raises(InputError, match="'def2-svp-ri' has no functions for I"):
        DFMP2(mean_field("hydrogen_iodide"), auxbasis="def2-svp-ri").run()

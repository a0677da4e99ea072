"""Basis sets by element, and in the notation of the command line."""

from __future__ import annotations

import pytest

from dfmp2.errors import InputError
from dfmp2.molecules.basis import basis_entry, load_basis, parse_basis


def test_basis_entry() -> None:
    basis = {"o": "a", "H1": "b", 1: "c", "default": "d"}
    found = [basis_entry(basis, s) for s in ("O", "Ghost-O", "O2", "H1", "H", "GHOST-H1", "C")]
    assert found == ["a", "a", "a", "b", "c", "b", "d"]
    assert basis_entry({"O": "a"}, "C") is None
    assert basis_entry("cc-pvdz", "C") == "cc-pvdz"


@pytest.mark.parametrize(
    ("text", "basis"),
    [
        (None, None),
        ("cc-pvdz", "cc-pvdz"),
        ("6-31g(d,p)", "6-31g(d,p)"),
        ("O=cc-pvtz, default=cc-pvdz", {"O": "cc-pvtz", "default": "cc-pvdz"}),
        ("H=6-31G(d,p),Br=LANL2DZ", {"H": "6-31G(d,p)", "Br": "LANL2DZ"}),
        ("H1=a,Ghost-O=b,br=c", {"H1": "a", "Ghost-O": "b", "br": "c"}),
    ],
)
def test_basis_of_the_command_line(text: str | None, basis: object) -> None:
    assert parse_basis(text) == basis


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Zz=sto-3g,default=sto-3g", "'Zz' is no element, and not 'default'"),
        ("O=sto-3g,O=cc-pvdz", "names O twice"),
        ("O=", "is not understood"),
    ],
)
def test_basis_that_is_not_understood(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_basis(text)


@pytest.mark.parametrize(
    ("basis", "says"),
    [
        ("cc-pvdz@", "has no such contraction; write it as in cc-pvtz@3s2p1d"),
        ("cc-pvdz@9s", "has no such contraction"),
        ("sdd", "is unknown to PySCF .* pip install basis-set-exchange"),
        ("gth-dzvp", "needs a pseudopotential"),
        ("6-31g", "has no functions for Xe"),
        (".", "is unknown"),
    ],
)
def test_basis_that_pyscf_cannot_use(basis: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_basis(basis, "Xe" if basis == "6-31g" else "O")


def test_advice_names_a_set_that_has_the_element() -> None:
    """The advice for uranium in def2-svp was to name another basis, such as def2-svp."""
    for basis in ("def2-svp", "def2-tzvp", "cc-pvdz"):
        with pytest.raises(InputError, match=r"no functions for U .*, such as crenbl"):
            load_basis(basis, "U")
    with pytest.raises(InputError, match="name another basis, such as def2-svp"):
        load_basis("6-31g", "Xe")
    with pytest.raises(InputError) as caught:
        load_basis("def2-svp-ri", "I", auxiliary=True)
    assert "another basis" not in str(caught.value)


def test_uncontracted_basis() -> None:
    assert len(load_basis("unc-cc-pvdz", "H")[1]) == 4 + 1

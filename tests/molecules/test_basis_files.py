"""Basis set files: each element gets its own functions, or there is an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfmp2.errors import CheckpointError, InputError
from dfmp2.molecules.basis import basis_label, choose_basis, load_basis
from dfmp2.molecules.basis_files import file_basis, file_potential
from dfmp2.molecules.build import rebuild_mole
from dfmp2.molecules.plain import PlainMolecule

HYDROGEN = "H  S\n  3.4  0.15\n  0.6  0.53 # a comment\nH  SP\n  1.1D-1  1.0  0.5\n"
HELIUM = "he s\n  1.5  1.0\n"
POTENTIAL = "ECP\nBr nelec 28\nBr ul\n1 213.6 -28.0\nBr s\n0 54.2 3.0\nK nelec 10\nK ul\n1 9. -2.\n"


@pytest.mark.parametrize("text", [
    f"BASIS \"ao basis\" PRINT\n{HYDROGEN}{HELIUM}END\n",  # no comments between the elements
    f"#BASIS SET: (2s)\n{HYDROGEN}#BASIS SET: (1s)\n{HELIUM}",
    f"{HELIUM}\n{HYDROGEN}END\n{POTENTIAL}END\n",
])  # fmt: skip
def test_each_element_gets_its_functions(text: str, tmp_path: Path) -> None:
    """PySCF's reader gives both elements all functions of the first form."""
    path = tmp_path / "own.nw"
    path.write_text(text)
    _, hydrogen = load_basis(str(path), "H1")
    _, helium = load_basis(str(path), "Ghost-He")
    assert helium == [[0, [1.5, 1.0]]]
    assert [shell[0] for shell in hydrogen] == [0, 0, 1]
    np.testing.assert_array_equal(hydrogen[0][1:], [[3.4, 0.15], [0.6, 0.53]])
    np.testing.assert_array_equal(hydrogen[2][1:], [[0.11, 0.5]])


def test_cartesian_functions_that_are_spherical_too(tmp_path: Path) -> None:
    """S and P functions are the same in both forms, also where another element has D functions."""
    path = tmp_path / "own.nw"
    path.write_text(f"BASIS CARTESIAN\n{HYDROGEN}O D\n 1.0 1.0\nEND\n")
    assert len(load_basis(str(path), "H")[1]) == 3


def test_content_is_kept_and_the_name_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "own@GTH.nw"  # words with a meaning for PySCF
    path.write_text(HELIUM)
    basis = choose_basis(str(path), ["He"], "helium")
    path.unlink()
    assert load_basis(basis["He"], "He")[1] == [[0, [1.5, 1.0]]]
    assert basis_label(basis) == str(tmp_path / "own_gth.nw")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HELIUM, "has no functions for H, only for He; add them, or give another basis for it"),
        (HYDROGEN + "H S\n 3.4 0.15\n 0.6 0.53\n", ":6: this function of H is the same as that of"),
        ("H S\n 1.0 open('x')\n", ":2: expected a basis set in NWChem's format"),
        ("H S\n 1.0 1e999\n", ":2: expected a basis set in NWChem's format"),
        ("H S\n 1.0 1.0\n 0.5 1.0 2.0\n", ":3: expected a positive exponent and 1 coeff"),
        ("H SP\n 1.0 1.0\n", ":2: expected a positive exponent and 2 coefficients"),
        ("H S\n -1.0 1.0\n", ":2: expected a positive exponent"),
        ("H S\nH P\n 1.0 1.0\n", ":1: H S has no exponents"),
        ("H 0\nS 3 1.00\n 1.0 1.0\n", ":1: expected a basis set in NWChem's format"),
        ("", "has no basis functions"),
        (f"BASIS\n{HYDROGEN}", "its last section, BASIS, has no END"),
        (f"BASIS\n{HYDROGEN}END\nECP\nBr nelec 28\n", "its last section, ECP, has no END"),
        (f"BASIS\n{HYDROGEN}END\nH S\n 0.1 1.0\n", ":8: is after the END of a section: 'H S'"),
        ("H L\n 0.5 1.0 1.0\n", ":1: shell L means S and P in some programs"),
        ("BASIS CARTESIAN\nH D\n 1.0 1.0\nEND\n", ":2: the file asks for CARTESIAN functions"),
    ],
)
def test_wrong_file(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.nw"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        file_basis(str(path), "H")
    assert str(caught.value).startswith(f"{path}")
    assert says in str(caught.value)


def test_a_text_is_never_run_as_code(tmp_path: Path) -> None:
    """PySCF evaluates words that are no numbers, also those of a run file or a JSON result."""
    code = f"# file own.nw\nHe S\n 1.5 open({str(tmp_path / 'mark')!r},'w').fileno()\n"
    with pytest.raises(InputError, match="expected a basis set in NWChem's format"):
        load_basis(code, "He")
    plain = PlainMolecule("x", ("He",), ((0.0, 0.0, 0.0),), 0, 0, {"He": code}, {}, {})
    with pytest.raises(CheckpointError, match="expected a basis set in NWChem's format"):
        rebuild_mole(plain, "x.json")
    assert not (tmp_path / "mark").exists()


def test_potential_of_an_element(tmp_path: Path) -> None:
    """PySCF loses the last potential of a file without END."""
    from pyscf import gto

    path = tmp_path / "own.nw"
    path.write_text(HYDROGEN + POTENTIAL)
    assert file_potential(str(path), "H") is None
    for element, electrons, shells in (("Br", 28, 2), ("K", 10, 1)):
        potential = gto.format_ecp({element: file_potential(str(path), element)})[element]
        assert (potential[0], len(potential[1])) == (electrons, shells)


def test_file_with_the_name_of_a_set(own_folder: None) -> None:
    """PySCF would take the file without a word."""
    Path("cc-pvdz").write_text(HYDROGEN)
    with pytest.raises(InputError, match=r"is a set of PySCF and a file .* write \./cc-pvdz"):
        load_basis("cc-pvdz", "H")
    assert len(load_basis("./cc-pvdz", "H")[1]) == 3

"""Valid geometries in unusual notation."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dfmp2.errors import InputError
from dfmp2.molecules.build import build_mole
from dfmp2.molecules.files import read_geometry
from dfmp2.molecules.plaintext import parse_lines
from dfmp2.molecules.xyz import parse_xyz


def atom(line: str) -> tuple[str, tuple[float, float, float]]:
    return parse_xyz(f"1\n\n{line}\n", "test.xyz").atoms[0]


@pytest.mark.parametrize(
    ("line", "symbol"),
    [
        ("He 0 0 1", "He"),
        ("HE 0 0 1", "He"),
        ("he 0 0 1", "He"),
        ("2 0 0 1", "He"),
        ("He1 0 0 1", "He1"),
        ("Ghost-He 0 0 1", "Ghost-He"),
        ("ghost:he 0 0 1", "Ghost-He"),
        ("X-He 0 0 1", "Ghost-He"),
        ("Xe 0 0 1", "Xe"),
        ("  He\t0.0  0 1.0  0.5 extra", "He"),
        ("He 0 0 1.0 extra", "He"),
        ("@He 0 0 1", "Ghost-He"),
        ("Gh(He) 0 0 1", "Ghost-He"),
        ("gh(he2) 0 0 1", "Ghost-He2"),
        ("He: 0 0 1", "Ghost-He"),
        ("He : 0 0 1", "Ghost-He"),
        ("Bq-He 0 0 1", "Ghost-He"),
        ("He-Bq 0 0 1", "Ghost-He"),
        ("He -0.0*^-6 0 1.0*^+0", "He"),
        ("He \N{MINUS SIGN}0.0 0 1", "He"),
        ("He 0 0 1.0D+00", "He"),
        ("He -0.0 +0 1e0", "He"),
    ],
)
def test_atom_lines(line: str, symbol: str) -> None:
    assert atom(line) == (symbol, (0.0, 0.0, 1.0))


def test_windows_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "w.xyz"
    path.write_bytes(b"\xef\xbb\xbf1\r\ncharge=1 spin=0\r\nLi 0 0 0\r\n\r\n")
    geometry = read_geometry(str(path))
    assert geometry.atoms == (("Li", (0.0, 0.0, 0.0)),)
    assert (geometry.charge, geometry.spin) == (1, 0)


@pytest.mark.parametrize(
    ("comment", "charge", "spin"),
    [
        ("", None, None),
        ("any text", None, None),
        ("charge=-1", -1, None),
        ("CHARGE = +2, Spin=1; more", 2, 1),
        ("discharge=3", None, None),
    ],
)
def test_comment_line(comment: str, charge: int | None, spin: int | None) -> None:
    geometry = parse_xyz(f"1\n{comment}\nHe 0 0 0\n", "test.xyz")
    assert (geometry.charge, geometry.spin) == (charge, spin)
    assert geometry.comment == comment


def test_options_override_the_comment_line() -> None:
    geometry = parse_xyz("1\ncharge=1 spin=0\nLi 0 0 0\n", "test.xyz")
    assert build_mole(geometry, "cc-pvdz").charge == 1
    assert build_mole(geometry, "cc-pvdz", charge=-1).charge == -1
    mol = build_mole(geometry, "cc-pvdz", charge=0, spin=1)
    assert (mol.charge, mol.spin, mol.nelectron) == (0, 1, 3)


def test_coordinates_are_angstrom() -> None:
    mol = build_mole(parse_xyz("1\n\nHe 0 0 1\n", "test.xyz"), "cc-pvdz")
    assert abs(mol.atom_coord(0)[2] - 1.8897261) < 1e-6


def test_z_matrix() -> None:
    text = "# methanol's start\nC\nO 1 1.4\nH 2, 0.96, 1, 109.5; H 1 1.1 2 109.5 3 60\n"
    atoms = parse_lines(text, "m.zmat").atoms
    assert [label for label, _ in atoms] == ["C", "O", "H", "H"]
    assert [round(math.dist(atoms[k][1], atoms[m][1]), 9) for k, m in ((1, 0), (2, 1), (3, 0))] == [
        1.4,
        0.96,
        1.1,
    ]
    with pytest.raises(InputError, match=r"m\.zmat:4: a number is out of range"):
        parse_lines("C\nO 1 1.4\n\nH 3 0.96 1 109.5\n", "m.zmat")

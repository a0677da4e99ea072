"""What geometry files say about charge, spin, unit and ghost atoms in forms that are not read.

Without these, the energy would be that of the neutral closed shell, of coordinates in Å, or of
real atoms, without a word.
"""

from __future__ import annotations

import json

import pytest

from dfmp2.errors import InputError
from dfmp2.molecules.geometry import Stated
from dfmp2.molecules.qcschema import parse_qcschema
from dfmp2.molecules.sdf import parse_sdf
from dfmp2.molecules.xyz import parse_xyz


def stated(comment: str, rows: str = "He 0 0 0\n") -> Stated:
    return parse_xyz(f"1\n{comment}\n{rows}", "x.xyz", None).stated


@pytest.mark.parametrize(
    "comment",
    ["2/1", "2;1", "//2 1", "%chk 2 1", "* xyz 2 1", "--chrg 2 --uhf 0", "-c 2 -m 1"],
)
def test_charge_and_multiplicity_of_other_programs_must_be_decided(comment: str) -> None:
    assert stated(comment).doubts[0].options == ("charge", "spin")


@pytest.mark.parametrize(
    ("comment", "option"),
    [
        ("charge two", "charge"), ("oxidised", "charge"), ("ionised water", "charge"),
        ("water cation", "charge"), ("H₂O⁺", "charge"), ("charge=0 uhf", "spin"),
        ("nalpha=6 nbeta=4", "spin"), ("magmom=2", "spin"), ("total_magnetization 2", "spin"),
        ("3B1", "spin"), ("^3B1", "spin"), ("3Sigma", "spin"), ("T1 state", "spin"),
        ("charge=0 3B1", "spin"),
    ],
)  # fmt: skip
def test_words_that_hint_at_a_state_are_warned_about(comment: str, option: str) -> None:
    (said,) = stated(comment).remarks
    assert f"(give --{option}" in said


def test_a_second_value_of_the_molecule_is_warned_about() -> None:
    """Both quantities were known, so the rest of the line was not looked at."""
    for line in ("charge=1 mult=2 charge_state=+2", "charge=0 mult=1 real_charge=2"):
        (said,) = stated(line).remarks
        assert said.endswith("in the comment line is not read")
    assert stated("charge=0 mult=1 charge_a=1 charge_b=-1 real_charge=0").remarks == ()


@pytest.mark.parametrize(
    "comment",
    ["nalpha=5 nbeta=5", "magmom=0.0", "(2E)-but-2-enal, 2A", "S²=0.0", "spin-restricted"],
)
def test_words_of_closed_shells_are_not_warned_about(comment: str) -> None:
    assert (stated(comment).remarks, stated(comment).doubts) == ((), ())


@pytest.mark.parametrize(
    "comment",
    ["X(a0) Y(a0) Z(a0)", "Lbohr", "Borh", "use_bohr=1", "angstrom=false", "scale=0.529177",
     "water (a. u.)"],
)  # fmt: skip
def test_words_that_could_name_bohr_must_be_decided(comment: str) -> None:
    with pytest.raises(InputError, match="could be the unit of the coordinates; give --unit"):
        stated(comment)


def test_other_spellings_of_units() -> None:
    assert {stated(text).unit for text in ("a.u", "(a. u.)", " in 𝑎₀")} == {"bohr"}
    with pytest.raises(InputError, match="unit 'nm' is not read"):
        stated("coordinates/nm")


@pytest.mark.parametrize("comment", ["unit_cell", "TV"])
def test_cells(comment: str) -> None:
    (said,) = stated(comment).remarks
    assert f"{comment!r} in the comment line is not read" in said


def test_columns_that_contradict_the_symbols() -> None:
    head = "Properties=species:S:1:Z:I:1:pos:R:3:ghost:L:1"
    assert stated(head, "O2 8 0 0 0 F\n").remarks == ()
    assert stated(head, "Ghost-O 0 0 0 0 T\n").remarks == ()
    with pytest.raises(InputError, match=r"x\.xyz:3: the atom 'O' has the atomic number '7'"):
        stated(head, "O 7 0 0 0 F\n")
    with pytest.raises(InputError, match=r"x\.xyz:3: the column ghost makes 'O' a ghost atom"):
        stated(head, "O 8 0 0 0 T\n")
    with pytest.raises(InputError, match="the column real makes 'O' a ghost atom"):
        stated(head.replace("ghost", "real"), "O 8 0 0 0 False\n")


def _sdf(block: str = "", second: str = "  prog      3D", items: str = "") -> Stated:
    row = f"{0:10.4f}{0:10.4f}{0:10.4f} He  0  0\n"
    head = f"x\n{second}\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n"
    return parse_sdf(f"{head}{row}{block}M  END\n{items}", "x.sdf").stated


def test_lines_of_sdf_that_are_not_read() -> None:
    assert _sdf("M  ISO  1   1   3\nM  STY  1   1 DAT\n").remarks == ()
    for line in ("M  ZCH  1   1   2", "M  HYD  1   1   2"):
        (said,) = _sdf(f"{line}\n").remarks
        assert said.startswith(f"line 6, {line!r}, is not read")


def test_units_of_sdf() -> None:
    with pytest.raises(InputError, match=r"x\.sdf:8: 'bohr' states bohr, but coordinates of this"):
        _sdf(items="> <units>\nbohr\n")
    (said,) = _sdf(second="  prog      3D bohr").remarks
    assert said.endswith("is not read: the coordinates are taken as Å")
    assert _sdf(items="> <units>\nangstrom\n").remarks == ()


def test_names_in_qcschema() -> None:
    water = {"symbols": ["He"], "geometry": [0, 0, 0]}

    def said(**more: object) -> tuple[str, ...]:
        return parse_qcschema(json.dumps({**water, **more}), "x.json").stated.remarks

    assert "'cation'" in said(name="helium cation")[0]
    assert "'He+2'" in said(identifiers={"molecular_formula": "He+2"})[0]
    assert said(name="helium cation", molecular_charge=2) == ()
    assert said(identifiers={"molecular_formula": "He+2"}, molecular_charge=2) == ()

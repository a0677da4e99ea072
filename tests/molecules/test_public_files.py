"""Geometry files in the forms that were found in public data sets, and were once misread.

Each is read as its writer meant, or refused with a message that names line and remedy.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.settings import Settings
from dfmp2.workflow.jobs import Job
from dfmp2.workflow.reading import read_jobs

OX, H1, H2 = "0.000000 0.000000 0.117300", "0.0 0.757200 -0.469200", "0.0 -0.757200 -0.469200"
ROWS = f"O {OX}\nH {H1}\nH {H2}\n"
WATER = f"3\nwater\n{ROWS}"
BOHR = 0.529177210903
HYDROXIDE = "O 0 0 0\nH 0 0 0.97\n"
OXYGEN = "O 0 0 0\nO 0 0 1.208\n"


def job_of(
    folder: Path, content: str | bytes, name: str = "mol.xyz", **options: Any
) -> tuple[Job, list[str]]:
    """The job of a file, and its warnings."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (job,) = read_jobs(str(path), Settings(basis="sto-3g", **options))
    assert all(issubclass(w.category, DFMP2Warning) for w in caught)
    return job, [str(w.message) for w in caught]


def error_of(folder: Path, content: str | bytes, name: str = "mol.xyz", **options: Any) -> str:
    with pytest.raises(InputError) as raised:
        job_of(folder, content, name, **options)
    return str(raised.value)


def z_water(mol: Any) -> None:
    """The molecule is the water molecule above."""
    assert [mol.atom_pure_symbol(i) for i in range(3)] == ["O", "H", "H"]
    expected = np.array([row.split() for row in (OX, H1, H2)], dtype=float)
    np.testing.assert_allclose(mol.atom_coords() * BOHR, expected, rtol=0, atol=3e-5)


def test_x_that_differs_from_the_masses_is_read_with_further_columns(tmp_path: Path) -> None:
    """Forces or charges after z are usual, and one x may be equal to a mass by chance."""
    text = "2\n\nHe 4.0026 0 0 0.1\nHe 7.0 0 0 0.1\n"
    mol = job_of(tmp_path, text)[0].mol
    np.testing.assert_allclose(mol.atom_coords()[:, 0] * BOHR, [4.0026, 7.0], atol=1e-9)


# Forms of water


_QM9 = (
    "3\ngdb 3\t799.58\t437.90\t282.94\n"
    f"O\t-3.0*^-6\t0.0\t0.1173\t-0.5\nH\t{H1}\t0.2\nH\t{H2}\t0.2\n"
    "1671.4\t3803.1\t3907.6\nO\tO\nInChI=1S/H2O/h1H2\tInChI=1S/H2O/h1H2\n"
)
_PSI4 = "3 au\n0 1 water\nO 0 0 0.22167\nH 0 1.43090 -0.88666\nH 0 -1.43090 -0.88666\n"
_QCSCHEMA: dict[str, Any] = {
    "schema_name": "qcschema_input",
    "schema_version": 1,
    "molecule": {
        "symbols": ["O", "H", "H"],
        "geometry": [0, 0, 0.22167, 0, 1.4309, -0.88666, 0, -1.4309, -0.88666],
    },
    "driver": "energy",
    "model": {"method": "MP2", "basis": "STO-3G"},
}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        pytest.param(b"\xef\xbb\xbf" + WATER.replace("\n", "\r\n").encode(), "a.xyz", id="BOM"),
        pytest.param(WATER.replace("water", "page\fpage\v").encode(), "a.xyz", id="form feed"),
        pytest.param(WATER.replace("water", "H2O\u2028next\x85").encode(), "a.xyz", id="U+2028"),
        pytest.param(WATER.replace("water", "Länge").encode("latin-1"), "a.xyz", id="Latin-1"),
        pytest.param(WATER.replace("water", "Länge").encode("utf-16"), "a.xyz", id="UTF-16"),
        pytest.param(WATER.replace("-", "\N{MINUS SIGN}"), "a.xyz", id="U+2212"),
        pytest.param(_QM9, "a.xyz", id="QM9"),
        pytest.param(_PSI4, "a.xyz", id="Psi4"),
        pytest.param(_PSI4, "no suffix", id="Psi4 without suffix"),
        pytest.param(_PSI4.replace("3 au\n0 1 water", "3\nxyz in a0"), "a.xyz", id="a0"),
        pytest.param(_PSI4.replace("3 au\n0 1 water", "3\nlengths [a_0]"), "a.xyz", id="[a_0]"),
        pytest.param(WATER.replace("water", "(0,1)"), "a.xyz", id="(0,1)"),
        pytest.param(ROWS.replace(" ", ", "), "a.txt", id="lines"),
        pytest.param("# 0 1\n" + ROWS, "a.txt", id="lines with comment"),
        pytest.param(json.dumps(_QCSCHEMA), "a.json", id="AtomicInput"),
        pytest.param(json.dumps(_QCSCHEMA["molecule"]), "a.json", id="Molecule"),
        pytest.param(
            f'3\nProperties=species:S:1:Z:I:1:pos:R:3 pbc="F F F"\nO 8 {OX}\nH 1 {H1}\nH 1 {H2}\n',
            "a.xyz", id="Z before the positions",
        ),
        pytest.param(
            f"3\nProperties=pos:R:3:Z:I:1\n{OX} 8\n{H1} 1\n{H2} 1\n", "a.extxyz", id="Z as symbol"
        ),
        pytest.param(
            f"3\ncharge=0 charge_a=0 selection_a=1-3 scaling=2.0\n{ROWS}", "a.xyz", id="NCIAtlas"
        ),
    ],
)  # fmt: skip
def test_forms_of_water(content: str | bytes, name: str, tmp_path: Path) -> None:
    job, said = job_of(tmp_path, content, name)
    z_water(job.mol)
    assert (job.mol.charge, job.mol.nelectron, said) == (0, 10, [])


# Charge and multiplicity


@pytest.mark.parametrize(
    ("comment", "origin"),
    [
        ("Properties=species:S:1:pos:R:3 charge=-1.0 energy=-75.1", "comment line: charge=-1.0"),
        ('charge="-1"', 'comment line: charge="-1"'),
        ("-1 1", "comment line: -1 1"),
        ("total_charge=-1", "comment line: total_charge=-1"),
    ],
)
def test_charge_of_hydroxide(comment: str, origin: str, tmp_path: Path) -> None:
    job, said = job_of(tmp_path, f"2\n{comment}\n{HYDROXIDE}")
    assert (job.mol.charge, job.mol.spin, job.mol.nelectron, said) == (-1, 0, 10, [])
    assert origin in job.stated


@pytest.mark.parametrize(
    ("comment", "says"),
    [
        ("total_charge=-2 total_spin=1", ":2: 'total_spin=1' could be S, 2S or the multiplicity"),
        ("charge=0 spin=1", "if 1 is the multiplicity, as in some data sets, give --spin 0"),
        ("0 3 oxygen", ":2: '0 3 oxygen' could state charge 0 and multiplicity 3"),
        ("charge=0 total_charge=2", ":2: 'charge=0' and 'total_charge=2' contradict each other"),
        ("spin=0 multiplicity=3", ":2: 'spin=0' and 'multiplicity=3' contradict each other"),
        ("multiplicity=0", ":2: multiplicity 0 in 'multiplicity=0' is impossible"),
        ("charge=1_0", ":2: charge must be an integer, found '1_0'"),
        ("charge=99999999999999999999", ":2: charge must be an integer"),
        ("charge=-17", "charge -17 adds more electrons than all nuclear charges (16)"),
    ],
)
def test_states_of_oxygen_are_never_taken_for_its_closed_shell(
    comment: str, says: str, tmp_path: Path
) -> None:
    assert says in error_of(tmp_path, f"2\n{comment}\n{OXYGEN}")


def test_an_unclear_line_is_decided_by_options(tmp_path: Path) -> None:
    text = f"2\n-2 1 peroxide\n{OXYGEN}"
    assert "give --charge and --spin" in error_of(tmp_path, text)
    assert "give --charge and --spin" in error_of(tmp_path, text, charge=-2)
    job, said = job_of(tmp_path, text, charge=-2, spin=0)
    assert (job.mol.charge, job.mol.nelectron, said) == (-2, 18, [])
    assert job.stated == "charge -2 (--charge), spin 0 (--spin)"


@pytest.mark.parametrize(
    ("comment", "options", "says"),
    [
        ("charge=0", {"charge": 2}, "--charge 2 replaces charge 0 of the file"),
        ("unit=bohr", {"unit": "angstrom"}, "--unit angstrom replaces the unit that the file"),
        ("triplet oxygen", {}, "says 'triplet', but states no spin as a number"),
        ("the dication", {}, "says 'dication', but states no charge as a number"),
        ("-1", {}, "is the number -1, which is not read as a charge"),
        ("dft_charge=-1", {}, "'dft_charge=-1' in the comment line is not read"),
        ("water (1+)", {}, "says '(1+)', which is not read as a charge (give --charge if it is"),
        ("H2O^+", {}, "says '^+', which is not read"),
        ("[OH2]2+ in gas", {}, "says '[OH2]2+', which is not read"),
        ("OH2 2+", {}, "says '2+', which is not read"),
        ("H3O+, optimised", {}, "says 'H3O+', which is not read"),
        ("nelec=8", {}, "'nelec=8' in the comment line is not read"),
    ],
)
def test_what_is_not_used_is_warned_about(
    comment: str, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    job, (said,) = job_of(tmp_path, f"2\n{comment}\n{OXYGEN}", **options)
    assert says in said
    assert job.notes == (said,)


def test_columns_that_sum_to_a_charge(tmp_path: Path) -> None:
    head = "2\nProperties=species:S:1:pos:R:3:initial_charges:R:1{}\nO 0 0 0 -1.2\nH 0 0 1 0.2\n"
    assert "10 electrons" not in error_of(tmp_path, head.format(""))  # 9 electrons, spin 0
    _, said = job_of(tmp_path, head.format(""), charge=1)
    assert said == [
        "the column initial_charges sums to -1.00, but the file states no charge (give --charge)"
    ]
    assert job_of(tmp_path, head.format(" charge=-1"))[1] == []


def test_column_that_fixes_atoms(tmp_path: Path) -> None:
    text = "1\nProperties=species:S:1:pos:R:3:move_mask:L:1\nHe 0 0 0 F\n"
    assert job_of(tmp_path, text)[1] == [
        "the column move_mask fixes atoms, which has no effect on an energy"
    ]


@pytest.mark.parametrize(
    "stated",
    [
        'electric_field="0 0 0.01"', "efield=0.01", "field: 0 0 1e-2", "E_field_z = 0.01",
        'point_charges="0.5 0 0 9"', "external_charges=mm.pc", "solvent=water", "pcm=true",
    ],
)  # fmt: skip
def test_surroundings_in_the_comment_line_are_not_ignored_silently(
    stated: str, tmp_path: Path
) -> None:
    """The energy in a field or a solvent is another one."""
    _, said = job_of(tmp_path, WATER.replace("water", f"charge=0 {stated}"))
    what = "in the comment line is not read: the energy is that of the molecule alone"
    assert said == [f"{stated!r} {what}"]


def test_comment_lines_without_surroundings(tmp_path: Path) -> None:
    line = 'efield="0 0 0.0" forcefield=MMFF94 force_field=uff solvent=none pcm=False fields=3'
    assert job_of(tmp_path, WATER.replace("water", line))[1] == []
    job, _ = job_of(tmp_path, WATER.replace("water", "efield=0.01 au"))  # not the unit of length
    assert abs(job.mol.atom_coord(0)[2] * BOHR - 0.1173) < 1e-9


# Columns, periodicity and units


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('1\nLattice="4 0 0 0 4 0 0 0 4" pbc="T T T"\nHe 0 0 0\n', ":2: 'pbc=\"T T T\"' states a"),
        ('1\nLattice="4 0 0 0 4 0 0 0 4"\nHe 0 0 0\n', ":2: 'Lattice="),
        ("1\npbc=[False, False, True]\nHe 0 0 0\n", "states a periodic system"),
        (f"3\n\nO 0 {OX}\nH -1 {H1}\nH -1 {H2}\n", ":3: the column after the symbol, 0 here,"),
        (f"3\n\nO 8.0 {OX}\nH 1.0 {H1}\nH 1.0 {H2}\n", "could be x or the nuclear charge"),
        (f"3\n\n8 8.0 {OX}\n1 1.0 {H1}\n1 1.0 {H2}\n", ":3: the column after the symbol, 8.0 "),
        (f"3\n\nO 15.9949 {OX}\nH 2.014 {H1}\nH1 1.00794 {H2}\n", "the mass"),
        (f"3\n\n8 15.999 {OX}\n1 1.008 {H1}\n@H 0.0 {H2}\n", "the mass"),
        ("1\n\nHe 4.0026 0 0 1\n", "the mass"),
        (f"3\n\n1 8.0 {OX}\n2 1.0 {H1}\n3 1.0 {H2}\n", "which could count the atoms"),
        ("2\n\nCl 34.96885 0 0 0\nCl 34.96885 0 0 2\n", "the mass"),
        ("1\nProperties=species:S:1:forces:R:3\nHe 0 0 0\n", "no column of symbols (species) or"),
        ("1\nProperties=species:S:1:pos:R:3:q:R:1\nHe 0 0 0\n", ":3: Properties= in line 2 names"),
        ("1\nProperties=species:S\nHe 0 0 0\n", "is not understood; write for example"),
        (f"3\nwater in bohr\n{ROWS}", ":2: 'bohr' could be the unit of the coordinates"),
        (f"3\nunits=nm\n{ROWS}", ":2: the unit 'nm' is not read; convert the coordinates"),
        (f"3\nunits=inch\n{ROWS}", ":2: the unit in 'units=inch' is not read"),
        (f"3\ncoordinates in nm\n{ROWS}", ":2: the unit 'nm' is not read"),
        (f"3\npm\n{ROWS}", ":2: the unit 'pm' is not read"),
        (f"3\nunit B\n{ROWS}", ":2: 'unit B' could be the unit of the coordinates"),
        (f"3\nSz=1\n{ROWS}", ":2: 'Sz=1' could be S, 2S or the multiplicity"),
        (f"3 au\nunit=angstrom\n{ROWS}", ":2: states both Å and bohr"),
        (WATER + WATER, ":6: a second geometry starts here"),
        ("1\n\nO@1 0 0 0\n", ":3: unknown element 'O@1'; use a symbol such as O or O1"),
        ("1\n\nHe 0 0 1e308\n", ":3: He has a coordinate that is not finite or beyond 100000 Å"),
        ("1\n\nHe 0 0 1_0.5\n", ":3: a coordinate is not a number"),
        ("1\n\nHe 0 0 \u0661\n", ":3: a coordinate is not a number"),
        ("\u0661\n\nHe 0 0 1\n", ":1: expected the number of atoms"),
        (f"1\n{'charge ' * 20_000}\nHe 0 0 1\n", ":2: the comment line has 139999 characters"),
        ("1_0\n\nHe 0 0 1\n", ":1: expected the number of atoms"),
        (f"{'9' * 5000}\n\nHe 0 0 1\n", ":1: expected the number of atoms"),
    ],
)  # fmt: skip
def test_refused_xyz(content: str, says: str, tmp_path: Path) -> None:
    assert says in error_of(tmp_path, content)


def test_unit_option(tmp_path: Path) -> None:
    for name in ("mol.xyz", "mol.txt"):
        text = _PSI4.replace(" au", "").replace("0 1 water", "water in a.u.")
        content = text if name == "mol.xyz" else text.partition("a.u.\n")[2]
        job, said = job_of(tmp_path, content, name, unit="bohr")
        z_water(job.mol)
        assert said == []
    z_water(job_of(tmp_path, WATER, unit="angstrom")[0].mol)
    (note,) = job_of(tmp_path, _PSI4)[0].notes
    assert note == "the coordinates were read in bohr, as the file states"


# Other formats


def _sdf(
    charges: tuple[int, ...] = (0, 0, 0), *extra: str, head: str = "3D", tail: str = ""
) -> str:
    rows = "".join(
        f"{float(x):10.4f}{float(y):10.4f}{float(z):10.4f} {symbol}   0{code:3}  0  0\n"
        for (symbol, row), code in zip((("O", OX), ("H", H1), ("H", H2)), charges, strict=True)
        for x, y, z in [row.split()]
    )
    block = "".join(f"{line}\n" for line in extra)
    return (
        f"water\n  prog    0101260000{head}\n\n  3  2  0  0  0  0  0  0  0  0999 V2000\n{rows}"
        f"  1  2  1  0\n  1  3  1  0\n{block}M  END\n{tail}$$$$\n"
    )


@pytest.mark.parametrize(
    ("content", "charge"),
    [
        (_sdf(), 0),
        (_sdf((5, 5, 0)), -2),
        (_sdf((3, 3, 0)), 2),
        (_sdf((3, 0, 0), "M  CHG  2   1  -1   2  -1"), -2),
        (_sdf((0, 0, 0), "M  CHG  1   1   2", tail="> <PUBCHEM_TOTAL_CHARGE>\n2\n\n"), 2),
        (_sdf(tail="> <Total charge> (1)\n-2\n\n> <name>\ncharge 3 of a cell\n"), -2),
        (_sdf().replace("water", "water charge=-2"), -2),
    ],
)
@pytest.mark.parametrize("suffix", ["sdf", "mol"])
def test_charge_of_an_sdf_file(content: str, charge: int, suffix: str, tmp_path: Path) -> None:
    job, said = job_of(tmp_path, content, f"mol.{suffix}")
    z_water(job.mol)
    assert (job.mol.charge, job.mol.nelectron, said) == (charge, 10 - charge, [])
    assert ("M  CHG" in job.stated) == ("M  CHG" in content)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_sdf((3, 0, 0), "M  RAD  1   1   2"), "10 electrons cannot have spin 1"),
        (_sdf((4, 0, 0)), "10 electrons cannot have spin 1"),
        (_sdf((9, 0, 0)), ":5: the charge of the atom is no code from 0 to 7"),
        (_sdf((0, 0, 0), "M  CHG  1   4  -1"), ":10: 'M  CHG  1   4  -1' names an atom that does"),
        (_sdf((0, 0, 0), "M CHG 1 1 2"), ":10: 'M CHG 1 1 2' has another form than 'M  CHG'"),
        (_sdf((0, 0, 0), "m  chg  1   1   2"), ":10: 'm  chg  1   1   2' has another form than"),
        (_sdf((0, 0, 0), "M  CHG  2   1   1   1   1"), ":10: 'M  CHG  2   1   1   1   1' names an"),
        (_sdf(tail="M  CHG  1   1   2\n"), ":11: 'M  CHG  1   1   2' stands after M  END"),
        (_sdf((0, 0, 0), "M  CHG  2   1  -1"), ":10: 'M  CHG  2   1  -1' has another form"),
        (_sdf((5, 0, 0), tail="> <charge>\n0\n"), ":12: 'charge' gives charge 0, but atom lines"),
        (_sdf() + _sdf(), ":12: a second molecule starts here"),
        (_sdf().replace("V2000", "V3000"), ":4: is of version V3000, which is not read"),
    ],
)
def test_refused_sdf(content: str, says: str, tmp_path: Path) -> None:
    assert says in error_of(tmp_path, content, "mol.sdf")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("2\n0 3\nO 0 0 0\nO 0 0 1.2\n", "mol.xyz"),
        ("2\nmultiplicity=3 charge=0\nO 0 0 0\nO 0 0 1.2\n", "mol.xyz"),
        ("2\nCharge: 0  Multiplicity: 3\nO 0 0 0\nO 0 0 1.2\n", "mol.xyz"),
        (_sdf((0, 0, 0), "M  RAD  1   1   3"), "mol.sdf"),
        (_sdf(tail="> <multiplicity>\n3\n"), "mol.sdf"),
    ],
)
def test_stated_triplets(content: str, name: str, tmp_path: Path) -> None:
    """Without it, a triplet could be computed as the closed shell of the same atoms."""
    job, _ = job_of(tmp_path, content, name)
    assert job.mol.spin == 2


def test_drawings_are_warned_about(tmp_path: Path) -> None:
    job, said = job_of(tmp_path, _sdf(head="2D"), "mol.sdf")
    assert said == ["the file is a 2D drawing; its coordinates are no molecular geometry"]
    ethene = (
        "ethene\n  prog    01012600003D\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n"
        "    0.0000    0.0000    0.6600 C   0  0\n    0.0000    0.0000   -0.6600 C   0  0\n"
        "  1  2  2  0\nM  END\n"
    )
    job, said = job_of(tmp_path, ethene, "mol.sdf")
    assert said == [
        "no hydrogen atoms, although 2 carbon atoms have free valences; add the hydrogen atoms"
    ]
    assert job.notes == tuple(said)


def _changed(**changes: Any) -> str:
    return json.dumps({**_QCSCHEMA, **changes})


def _molecule(**changes: Any) -> str:
    return json.dumps({**_QCSCHEMA["molecule"], **changes})


def test_qcschema_states_charge_ghosts_and_basis(tmp_path: Path) -> None:
    text = _molecule(molecular_charge=-2.0, molecular_multiplicity=1)
    job, said = job_of(tmp_path, text, "a.json")
    assert (job.mol.nelectron, said) == (12, [])
    assert job.stated == "charge -2 (molecular_charge), spin 0 (molecular_multiplicity 1)"
    job, _ = job_of(tmp_path, _molecule(real=[True, False, False]), "a.json")
    assert [job.mol.atom_symbol(k) for k in range(3)] == ["O", "GHOST-H", "GHOST-H"]
    job, said = job_of(tmp_path, _changed(model={"method": "mp2", "basis": "6-31g"}), "a.json")
    assert said == ["--basis sto-3g replaces the basis of the file, 6-31g"]
    (job,) = read_jobs(str(tmp_path / "a.json"), Settings())
    assert job.settings.basis == job.mol.basis == "6-31g"
    job, said = job_of(tmp_path, _changed(keywords={"frozen_core": True}), "a.json")
    assert said == ["the keywords of the QCSchema input are not read: frozen_core"]
    job, _ = job_of(tmp_path, _molecule(fragment_charges=[-2, 0.0]), "a.json")
    assert job.stated.startswith("charge -2 (fragment_charges)")


def test_qcschema_input_is_recognised_without_its_schema_name(tmp_path: Path) -> None:
    """Otherwise it is taken for a result, which has no model to read."""
    text = json.dumps({key: value for key, value in _QCSCHEMA.items() if key != "schema_name"})
    job, said = job_of(tmp_path, text, "a.json")
    assert (job.mol.nelectron, said) == (10, [])


def test_qcschema_keys_that_agree_or_do_not_change_the_energy(tmp_path: Path) -> None:
    agreeing = {
        "atomic_numbers": [8, 1, 0], "real": [True, True, False], "charge": -1, "Units": "Bohr",
        "molecular_charge": -1, "fragment_charges": [0, -1], "fix_com": True, "masses": [16, 1, 1],
        "multiplicity": 1,
    }  # fmt: skip
    text = _molecule(**agreeing, multipole=[0, 0, 1], mulliken_charges=[-0.4, 0.2, 0.2])
    _, said = job_of(tmp_path, text, "a.json")
    assert said == ["keys that QCSchema does not define are not read: mulliken_charges, multipole"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_molecule(molecular_charge=0.5), "molecular_charge must be an integer, found 0.5"),
        (_molecule(molecular_multiplicity=0), "molecular_multiplicity 0 is impossible"),
        (_molecule(geometry=[0, 0, 1]), "geometry must be a list of 9 numbers in bohr"),
        (_molecule(geometry=[True] * 9), "geometry must be a list of 9 numbers in bohr"),
        (_molecule(geometry=[10**400, *range(8)]), "coordinate that is not finite"),
        (_molecule(geometry=[float("nan"), *range(8)]), "coordinate that is not finite"),
        (_molecule(symbols=["O", "H", 1]), "symbols must be a list"),
        (_molecule(real=[1, 1, 1]), "real must be a list of true and false"),
        (_changed(model={"method": "ccsd(t)"}), "asks for the method 'ccsd(t)'"),
        (_changed(driver="gradient"), "asks for the driver 'gradient'"),
        (_changed(model={"method": "mp2", "basis": {"name": "x"}}), "is not a name"),
        (_changed(specification={}), "is a QCSchema input of version 2, which is not read"),
        (_molecule(units="angstrom"), "'units' = angstrom is no key of QCSchema and is not read"),
        (_molecule(charge=2), "'charge' = 2 is no key of QCSchema"),
        (_molecule(Molecular_Charge=2), "write molecular_charge"),
        (
            _changed(molecular_charge=2),
            "does not belong here and is not read; move it into molecule",
        ),
        (_molecule(multiplicity=3), "write molecular_multiplicity"),
        (_molecule(spin=2), "one more than the unpaired electrons"),
        (_molecule(external_charges=[[1.0, 0, 0, 9]]), "molecules without surroundings, remove it"),
        (_molecule(electric_field=[0, 0, 0.01]), "molecules without surroundings, remove it"),
        (_molecule(elements=["S", "H", "H"]), "write symbols and remove it"),
        (_molecule(Real=[True, False, False]), "write real"),
        (_molecule(atomic_numbers=[16, 1, 1]), "atomic_numbers [16, 1, 1] contradict symbols"),
        (_molecule(fragment_charges=[0.5, 0]), "the sum of fragment_charges must be an integer"),
        (
            _molecule(molecular_charge=0, fragment_charges=[2, 0]),
            "molecular_charge is 0, but the sum of fragment_charges is 2",
        ),
        (_molecule(fragment_multiplicities=[2, 2]), "correct molecular_multiplicity"),
        (_changed(molecule=3), "model and molecule must be objects"),
        (
            '{"symbols": ["He"], "symbols": ["Ne"], "geometry": [0, 0, 0]}',
            "'symbols' is there twice",
        ),
    ],
)
def test_refused_qcschema(content: str, says: str, tmp_path: Path) -> None:
    assert says in error_of(tmp_path, content, "a.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (_molecule(extras={"charge": 2}), "'charge' = 2 in extras is not read"),
        (_changed(extras={"molecular_charge": 2}), "'molecular_charge' = 2 in extras is not read"),
        (_molecule(comment="charge=2"), "comment 'charge=2' is not read; write molecular_charge"),
    ],
)
def test_another_charge_in_free_parts_of_qcschema(content: str, says: str, tmp_path: Path) -> None:
    assert job_of(tmp_path, content, "a.json")[1] == [says]
    agrees = _molecule(extras={"charge": 0, "charge_model": "x"}, comment="charge=0")
    assert job_of(tmp_path, agrees, "a.json")[1] == []


@pytest.mark.parametrize("name", ["a.sdf", "a.json"])
def test_unit_of_a_format_cannot_be_changed(name: str, tmp_path: Path) -> None:
    text = _sdf() if name == "a.sdf" else json.dumps(_QCSCHEMA)
    assert "leave --unit out" in error_of(tmp_path, text, name, unit="bohr")

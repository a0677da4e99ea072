"""Headers of XYZ and SDF files in the habits of public data sets and programs.

A seeded grammar writes each header together with the meaning that its writer had. It is read with
this meaning, or refused. Without this, another charge, spin, unit or column would be used without
a word.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable
from typing import NamedTuple

import pytest

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.atoms import in_angstrom
from dfmp2.molecules.build import build_mole
from dfmp2.molecules.electrons import choose_electrons
from dfmp2.molecules.geometry import Atoms, Geometry
from dfmp2.molecules.sdf import parse_sdf
from dfmp2.molecules.xyz import parse_xyz

WATER: Atoms = (
    ("O", (0.0, 0.0, 0.1173)),
    ("H", (0.0, 0.7572, -0.4692)),
    ("H", (0.0, -0.7572, -0.4692)),
)
STATES = ((0, 1), (0, 3), (1, 2), (-1, 2), (2, 1), (-2, 1), (-2, 3), (1, 4))
"""Charges and multiplicities that 10 electrons of neutral water allow."""

TITLES = ("", "water", "H2O E = -76.0267", "frame 7", "id=W-17 energy=-76.02", "(H2O)1; opt")
COMMON = 120
"""Of 200 headers, so many at least must be read and not refused."""


class Header(NamedTuple):
    """A file, and what its writer meant."""

    text: str
    charge: int
    multiplicity: int
    read: Callable[[str], Geometry]


def _rows(unit: str = "angstrom", extra: Callable[[int], str] = lambda k: "") -> str:
    (_, (size, _, _)), *_ = in_angstrom((("H", (1.0, 0.0, 0.0)),), unit)
    return "".join(
        f"{label} {x / size:.6f} {y / size:.6f} {z / size:.6f}{extra(k)}\n"
        for k, (label, (x, y, z)) in enumerate(WATER)
    )


def _number(rng: random.Random, value: int) -> str:
    text = rng.choice([f"{value}", f"{value:+d}" if value > 0 else f"{value}", f"{value}.0"])
    quote = rng.choice(["", "", '"', "'"])
    return f"{quote}{text}{quote}"


def _keys(rng: random.Random, charge: int, mult: int) -> str:
    """Two statements in any order, spelling and case."""
    equals = rng.choice(["=", " = ", ": ", ":", "= "])
    charge_key = rng.choice(
        ["charge", "total_charge", "Charge", "CHARGE", "chrg", "net charge", "molecular_charge",
         "q", "total charge"]
    )  # fmt: skip
    mult_key = rng.choice(
        ["multiplicity", "mult", "Multiplicity", "MULT", "spin_multiplicity", "2S+1",
         "molecular_multiplicity", "spin multiplicity", "spinmult"]
    )  # fmt: skip
    spin_key = rng.choice(["spin", "Spin", "nunpaired", "unpaired_electrons", "uhf", "2S"])
    other = f"{spin_key}{equals}{_number(rng, mult - 1)}"
    if rng.random() < 0.7:
        other = f"{mult_key}{equals}{_number(rng, mult)}"
    parts = [f"{charge_key}{equals}{_number(rng, charge)}", other]
    rng.shuffle(parts)
    return rng.choice([" ", ", ", "; ", "  "]).join(parts)


def _in_words(rng: random.Random, charge: int, mult: int) -> str:
    return rng.choice(
        [
            f"Charge: {charge}  Multiplicity: {mult}",
            f"charge {charge} multiplicity {mult}",
            f"charge/multiplicity: {charge} {mult}",
            f"charge and multiplicity {charge}, {mult}",
            f"multiplicity/charge: {mult} {charge}",
            f"charge, spin = {charge}, {mult - 1}",
            f"charge/spin {charge} {mult - 1}",
            f"charge (e) {charge} mult ({mult})",
            f"charge={charge},mult={mult}",
            f"charge={charge}|mult={mult}",
            f"total spin = {mult - 1}, charge = {charge}",
            f"S={(mult - 1) / 2} charge={charge}",
            f'{{"charge": {charge}, "multiplicity": {mult}}}',
        ]
    )


def xyz_with_keys(rng: random.Random, charge: int, mult: int) -> str:
    title = rng.choice(TITLES)
    comment = rng.choice(["{t} {k}", "{k} {t}", "{t}; {k}"]).format(
        t=title, k=rng.choice([_keys, _in_words])(rng, charge, mult)
    )
    return f"3\n{comment}\n{_rows()}"


def xyz_with_two_integers(rng: random.Random, charge: int, mult: int) -> str:
    comment = rng.choice(["{} {}", "  {}   {} ", "{},{}", "{}, {}", "{}\t{}", "{} {} water"])
    unit = rng.choice(["", "", " au", " bohr", " angstrom"])
    of_rows = "bohr" if unit in (" au", " bohr") else "angstrom"
    return f"3{unit}\n{comment.format(charge, mult)}\n{_rows(of_rows)}"


def extended_xyz(rng: random.Random, charge: int, mult: int) -> str:
    """Columns in any order, a box that is not periodic, and a state under several names."""
    columns = ["species:S:1", "pos:R:3"]
    fields = {"species:S:1": "{label}", "pos:R:3": "{xyz}"}
    for name, field in (
        ("Z:I:1", "{z}"), ("forces:R:3", "0.1 -0.2 0.3"), ("charge:R:1", "0.0"),
        ("move_mask:L:1", "T"), ("freeze:I:1", "-1"),
    ):  # fmt: skip
        if rng.random() < 0.4:
            columns.append(name)
            fields[name] = field
    rng.shuffle(columns)
    rows = [
        " ".join(fields[name] for name in columns).format(
            label=label, z={"O": 8, "H": 1}[label], xyz=" ".join(f"{v:.6f}" for v in xyz)
        )
        for label, xyz in WATER
    ]
    quote = rng.choice(["", '"'])
    parts = [
        f"Properties={quote}{':'.join(columns)}{quote}",
        rng.choice(['pbc="F F F"', "pbc=[F, F, F]", 'Lattice="9 0 0 0 9 0 0 0 9" pbc="F F F"', ""]),
        f"charge={_number(rng, charge)}",
        # "spin" holds the multiplicity in some data sets, and 2S in others
        rng.choice([f"spin={mult}", f"spin={mult - 1}", f"multiplicity={_number(rng, mult)}"]),
        rng.choice(['source="charge and spin of DFT"', "energy=-76.1", "config_type=spin_7", ""]),
        rng.choice(["charge_a=1 charge_b=-1", "dipole_charge=0.3", ""]),
    ]
    rng.shuffle(parts)
    return "3\n" + " ".join(part for part in parts if part) + "\n" + "\n".join(rows) + "\n"


def xyz_with_unit(rng: random.Random, charge: int, mult: int) -> str:
    unit = rng.choice(["bohr", "angstrom"])
    words = {
        "bohr": ["unit=bohr", "units: Bohr", 'units="au"', "coordinates in bohr", "Bohr", "au",
                 "geometry in atomic units", "in a.u.", "(bohr)", "water, au", "length_unit=au"],
        "angstrom": ["unit=angstrom", "Units: Angstrom", "coordinates in Å", "Angstrom",
                     "energy_unit=au", "E(RHF) = -76.026 au", "energy units: hartree",
                     "dipole 0.73 a.u."],
    }  # fmt: skip
    comment = rng.choice(words[unit])
    state = f"charge={charge} multiplicity={mult}"
    return f"3\n{comment}{rng.choice([' ', '; ', ', '])}{state}\n{_rows(unit)}"


def sdf(rng: random.Random, charge: int, mult: int) -> str:
    """The charge on one atom, in its line or in M  CHG, and unpaired electrons in M  RAD."""
    code = {0: 0, 1: 3, 2: 2, 3: 1, -1: 5, -2: 6}[charge]
    new_style = mult > 1 or rng.random() < 0.5
    lines = ["water", "  prog    01012600003D", "", "  3  2  0  0  0  0  0  0  0  0999 V2000"]
    for k, (label, (x, y, z)) in enumerate(WATER):
        charged = code if k == 0 and not (new_style and rng.random() < 0.5) else 0
        lines.append(f"{x:10.4f}{y:10.4f}{z:10.4f} {label:3} 0{charged:3}  0  0  0  0")
    lines += ["  1  2  1  0", "  1  3  1  0"]
    if new_style:
        # A radical line alone supersedes the charges of the atom lines, so zero is written, too.
        lines.append(f"M  CHG  1   1{charge:4d}")
        if mult > 1:
            radicals = {2: [(1, 2)], 3: [(1, 3)], 4: [(1, 3), (2, 2)]}[mult]
            pairs = "".join(f"{atom:4d}{kind:4d}" for atom, kind in radicals)
            lines.append(f"M  RAD{len(radicals):3d}{pairs}")
    lines.append("M  END")
    if rng.random() < 0.4:
        lines += [f"> <{rng.choice(['charge', 'PUBCHEM_TOTAL_CHARGE', 'Total charge'])}>"]
        lines += [str(charge), ""]
    return "\n".join([*lines, "$$$$", ""])


def _read_xyz(text: str) -> Geometry:
    return parse_xyz(text, "header.xyz")


def _read_sdf(text: str) -> Geometry:
    return parse_sdf(text, "header.sdf")


def headers(seed: int, count: int) -> list[Header]:
    rng = random.Random(seed)
    habits = [
        (xyz_with_keys, _read_xyz), (xyz_with_two_integers, _read_xyz), (extended_xyz, _read_xyz),
        (xyz_with_unit, _read_xyz), (sdf, _read_sdf),
    ]  # fmt: skip
    found = []
    for k in range(count):
        write, read = habits[k % len(habits)]
        charge, mult = rng.choice(STATES)
        found.append(Header(write(rng, charge, mult), charge, mult, read))
    return found


def _refused_or_as_meant(header: Header) -> bool:
    """True if it was read as meant, False if it was refused; anything else is an error."""
    try:
        geometry = header.read(header.text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DFMP2Warning)
            electrons = choose_electrons(geometry.stated, None, None, "header")
        build_mole(geometry, "sto-3g", electrons.charge, electrons.spin, source="header")
    except InputError:
        return False
    found = (electrons.charge, electrons.spin + 1)
    assert found == (header.charge, header.multiplicity), header.text
    for (label, here), (expected, there) in zip(geometry.atoms, WATER, strict=True):
        assert label == expected, header.text
        assert math.dist(here, there) < 1e-5, header.text  # the grammar writes 4 to 6 decimals
    return True


def test_headers_are_read_as_meant_or_refused() -> None:
    outcomes = [_refused_or_as_meant(header) for header in headers(20261128, 200)]
    assert sum(outcomes) >= COMMON


@pytest.mark.slow
def test_many_headers_are_read_as_meant_or_refused() -> None:
    for header in headers(7, 20_000):
        _refused_or_as_meant(header)

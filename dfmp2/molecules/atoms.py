"""Atom lines: labels, numbers, and checks of the positions. Every error names the line."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from dfmp2.errors import InputError
from dfmp2.molecules.geometry import Atoms

__all__ = [
    "atom_label",
    "atomic_number",
    "capitals",
    "check_positions",
    "in_angstrom",
    "number",
    "read_rows",
]

TOO_CLOSE = 0.2
"""Å. A smaller distance between two atoms is a mistake. The shortest bond, in H2, has 0.74 Å."""

FARTHEST = 1e5
"""Å. A larger coordinate is a mistake. It would also cost digits of the distances."""

MASS_TOLERANCE = 0.02
"""u. Tables of the mass of one element differ by less."""

HEAVY_HYDROGEN = (2.014, 3.016)
"""u. Deuterium and tritium."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eEdD][+-]?[0-9]{1,4})?")
_LABEL = re.compile(
    r"(?P<ghost>ghost[-_:]?|gh-|x-|bq-?|@)?(?P<symbol>[a-z]{1,3})(?P<label>[0-9]*)"
    r"(?P<after>:|-bq)?",
    re.IGNORECASE,
)

_CAPITALS = re.compile(
    "(C[ADEOS]|N[ABDEHO]|H[EGOS]|OS|S[BEG]|P[ABDO])[0-9]*",
)
"""Symbols of elements that begin with C, N, H, O, S or P. The second letter is one of the Greek
letters that count atoms from the backbone of a protein (A, B, G, D, E), or also a symbol."""


def number(text: str) -> float | None:
    """A decimal number in ASCII digits, or None.

    Python's float would accept ``1_0.5`` as 10.5, and digits of other scripts. Exponents may be
    written with D (Fortran) or ``*^`` (Mathematica), and minus as U+2212.
    """
    text = text.replace("\N{MINUS SIGN}", "-").replace("*^", "e")
    if not _NUMBER.fullmatch(text):
        return None
    return float(text.replace("D", "e").replace("d", "e"))


def atom_label(text: str, where: str) -> str:
    """The label of an atom as PySCF takes it.

    Parameters
    ----------
    text : str
        A symbol, a symbol with a number (``O1``), a nuclear charge, or a ghost atom in the form of
        this or another program: ``Ghost-O``, ``X-O``, ``@O``, ``Gh(O)``, ``O:``, ``Bq-O``.
    where : str
        File and line, for error messages.

    Raises
    ------
    InputError
        If it is none of these.
    """
    from pyscf.data.elements import ELEMENTS

    if re.fullmatch(r"[0-9]{1,3}", text) and 0 < int(text) < len(ELEMENTS):
        return str(ELEMENTS[int(text)])
    plain = re.sub(r"gh\((.*)\)", r"gh-\1", text, flags=re.IGNORECASE)
    match = _LABEL.fullmatch(plain)
    symbol = match["symbol"].capitalize() if match else ""
    if match is None or symbol not in ELEMENTS[1:]:
        raise InputError(
            f"{where}: unknown element {text[:40]!r}; use a symbol such as O or O1, and Ghost-O "
            "(or @O, Gh(O), O:) for a ghost atom"
        )
    return ("Ghost-" if match["ghost"] or match["after"] else "") + symbol + match["label"]


def atomic_number(label: str) -> int:
    """Atomic number of what `atom_label` returned, also of a ghost atom."""
    from pyscf.data.elements import ELEMENTS

    return int(ELEMENTS.index(label.removeprefix("Ghost-").rstrip("0123456789")))


def capitals(labels: Iterable[str]) -> tuple[str, ...]:
    """A remark on labels in capitals that could mean two things; nothing without one.

    Force fields and protein files name a carbon atom CA and a nitrogen atom NE. Other programs
    write the symbols of calcium and neon so.

    Parameters
    ----------
    labels : iterable of str
        As in the file.
    """
    found = sorted({match[1] for label in labels if (match := _CAPITALS.fullmatch(label))})
    if not found:
        return ()
    read = ", ".join(f"{one} as {one.capitalize()}" for one in found)
    remark = (
        f"labels in capitals, which could also name atoms of a force field, were read {read}; for "
        "another element write its symbol alone"
    )
    return (remark,)


def read_rows(rows: Sequence[tuple[int, list[str]]], source: str) -> Atoms:
    """Atoms from lines ``symbol x y z``. Further columns are ignored.

    Parameters
    ----------
    rows : sequence of (int, list of str)
        Number and fields of each line.
    source : str
        Name of the file, for error messages.

    Returns
    -------
    Atoms
        In the unit of the file.

    Raises
    ------
    InputError
        If a field is wrong, or if the column after the symbols could be something else than x.
    """
    _refuse_leading_column(rows, source)
    return tuple(_atom(fields, f"{source}:{line}") for line, fields in rows)


def _atom(fields: list[str], where: str) -> tuple[str, tuple[float, float, float]]:
    found = " ".join(fields)[:80]
    if len(fields) > 4 and fields[1] == ":":  # "O : x y z" is a ghost atom of ORCA
        fields = [fields[0] + ":", *fields[2:]]
    if len(fields) < 4:
        raise InputError(f"{where}: expected 'symbol x y z', found {found!r}")
    values = [number(field) for field in fields[1:4]]
    if any(field.strip("+-").lower() in ("nan", "inf", "infinity") for field in fields[1:4]):
        raise InputError(f"{where}: a coordinate is not finite in {found!r}")
    x, y, z = (math.nan if value is None else value for value in values)
    if None in values:
        raise InputError(f"{where}: a coordinate is not a number in {found!r}")
    if not all(map(math.isfinite, (x, y, z))):
        raise InputError(f"{where}: a coordinate is not finite in {found!r}")
    return atom_label(fields[0], where), (x, y, z)


def _refuse_leading_column(rows: Sequence[tuple[int, list[str]]], source: str) -> None:
    """Refuse a column after the symbols that could be a freeze code, a nuclear charge or a mass."""
    if not rows or any(len(fields) < 5 or number(fields[4]) is None for _, fields in rows):
        return
    if all(re.fullmatch(r"[+-]?[0-9]+", fields[1]) for _, fields in rows):
        what = "a freeze code or a number of the atom"
    elif all(_is_charge_or_mass(fields, f"{source}:{line}") for line, fields in rows):
        what = "the nuclear charge or the mass"
    elif len(rows) > 1 and [f[0] for _, f in rows] == [str(k) for k in range(1, len(rows) + 1)]:
        what = "a property of the atom (the lines begin with 1, 2, which could count the atoms)"
    else:
        return
    line, fields = rows[0]
    raise InputError(
        f"{source}:{line}: the column after the symbol, {fields[1]} here, could be x or {what}, "
        "since four numbers follow the symbol; remove the extra column, or name the columns in an "
        "XYZ comment line with Properties=species:S:1:pos:R:3:other:R:1"
    )


def _is_charge_or_mass(fields: list[str], where: str) -> bool:
    """Whether the field after an atom label is a property of its element, and 0 for a ghost."""
    from pyscf.data.elements import COMMON_ISOTOPE_MASSES, ISOTOPE_MAIN, MASSES

    value = number(fields[1])
    if value is None:
        return False
    label = atom_label(fields[0], where)
    z = atomic_number(label)
    if value == z or (value == 0 and label.startswith("Ghost-")):
        return True
    masses = (MASSES[z], COMMON_ISOTOPE_MASSES[z], ISOTOPE_MAIN[z], *(HEAVY_HYDROGEN * (z == 1)))
    return any(abs(value - mass) < MASS_TOLERANCE for mass in masses)


def in_angstrom(atoms: Atoms, unit: str) -> Atoms:
    """Atoms with coordinates in Å.

    Parameters
    ----------
    atoms : Atoms
        In `unit`.
    unit : {"angstrom", "bohr"}
    """
    from pyscf.lib import param

    if unit == "angstrom":
        return atoms
    size = float(param.BOHR)  # PySCF's value, so that PySCF gets back the numbers of the file
    return tuple((label, (size * x, size * y, size * z)) for label, (x, y, z) in atoms)


def check_positions(atoms: Atoms, source: str, lines: Sequence[int]) -> None:
    """Raise an error if an atom is far away, or if two atoms are at the same place.

    Parameters
    ----------
    atoms : tuple of (str, (float, float, float))
        Labels and coordinates in Å.
    source : str
        Name of the file, for error messages.
    lines : sequence of int
        Line of each atom in the file.

    Raises
    ------
    InputError
        The message names the lines.
    """
    from scipy.spatial import cKDTree

    for line, (symbol, here) in zip(lines, atoms, strict=True):
        if not all(abs(x) < FARTHEST for x in here):
            raise InputError(
                f"{source}:{line}: {symbol} has a coordinate that is not finite or beyond "
                f"{FARTHEST:g} Å; check the numbers and --unit"
            )
    if len(atoms) < 2:
        return
    places = [here for _, here in atoms]
    nearest, neighbour = cKDTree(places).query(places, k=2)
    close = [
        sorted((int(k), next(int(other) for other in neighbour[k] if other != k)))
        for k in np.flatnonzero(nearest[:, 1] < TOO_CLOSE)
    ]
    if close:
        first, second = min(close, key=lambda pair: pair[1])
        raise InputError(
            f"{source}:{lines[second]}: {atoms[second][0]} lies "
            f"{math.dist(places[first], places[second]):.3f} Å from {atoms[first][0]} of line "
            f"{lines[first]}; check the coordinates and their unit (--unit, Å by default)"
        )

"""Read XYZ geometries strictly. Every error names the file and the line."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dfmp2.errors import InputError

__all__ = ["Atoms", "Geometry", "check_fields", "parse_xyz", "refuse_overlap"]

Atoms = tuple[tuple[str, tuple[float, float, float]], ...]
"""Atom labels of PySCF, and Cartesian coordinates in Å."""

TOO_CLOSE = 0.2
"""Å. A smaller distance between two atoms is a mistake. The shortest bond, in H2, has 0.74 Å."""

_ATOM = re.compile(
    r"(?P<ghost>ghost[-_:]?|x-)?(?P<symbol>[a-z]{1,3})(?P<label>\d*)$", re.IGNORECASE
)
_SETTING = re.compile(r"\b(charge|spin)\s*=\s*(\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Geometry:
    """Atoms of one molecule.

    Attributes
    ----------
    atoms : tuple of (str, (float, float, float))
        Atom labels of PySCF, and Cartesian coordinates in Å.
    comment : str
        Second line of the file.
    charge : int or None
        ``charge=`` in the comment line.
    spin : int or None
        ``spin=`` in the comment line: number of unpaired electrons (2S).
    """

    atoms: Atoms
    comment: str = ""
    charge: int | None = None
    spin: int | None = None


def parse_xyz(text: str, source: str) -> Geometry:
    """Read one geometry in XYZ format.

    Parameters
    ----------
    text : str
        Content of the file: number of atoms, comment, then ``symbol x y z`` in Å for each atom.
        Further columns are ignored. ``Ghost-H`` (or ``X-H``) is a ghost atom.
    source : str
        Name of the file, for error messages.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        If the file is empty or has a wrong form, an element is unknown, or two atoms are at the
        same place.
    """
    lines = text.splitlines()
    if not text.strip():
        raise InputError(
            f"{source}: the file is empty; an XYZ file starts with its number of atoms"
        )
    try:
        natm = int(lines[0])
    except ValueError:
        raise InputError(
            f"{source}:1: expected the number of atoms, found {lines[0].strip()[:40]!r}"
        ) from None
    if natm < 1:
        raise InputError(f"{source}:1: the number of atoms must be at least 1, found {natm}")
    comment = lines[1].strip() if len(lines) > 1 else ""
    rows = lines[2 : 2 + natm]
    if len(rows) < natm or not all(row.strip() for row in rows):
        found = sum(1 for row in rows if row.strip())
        raise InputError(
            f"{source}:1: {natm} atoms announced, but {found} atom lines follow; correct the number"
        )
    for number, line in enumerate(lines[2 + natm :], 3 + natm):
        if line.strip():
            raise InputError(
                f"{source}:{number}: unexpected text after the last of {natm} atoms (one geometry "
                f"per file): {line.strip()[:40]!r}"
            )
    atoms = tuple(_atom(row, f"{source}:{number}") for number, row in enumerate(rows, 3))
    refuse_overlap(atoms, source, range(3, 3 + natm))
    settings = {}
    for key, value in _SETTING.findall(comment):
        try:
            settings[key.lower()] = int(value.rstrip(",;"))
        except ValueError:
            raise InputError(f"{source}:2: {key} must be an integer, found {value!r}") from None
    return Geometry(atoms, comment, settings.get("charge"), settings.get("spin"))


def _atom(row: str, where: str) -> tuple[str, tuple[float, float, float]]:
    fields = row.split()
    if len(fields) < 4:
        raise InputError(f"{where}: expected 'symbol x y z', found {row.strip()!r}")
    try:
        x, y, z = (float(field.replace("D", "E").replace("d", "e")) for field in fields[1:4])
    except ValueError:
        raise InputError(f"{where}: a coordinate is not a number in {row.strip()!r}") from None
    if not all(math.isfinite(value) for value in (x, y, z)):
        raise InputError(f"{where}: a coordinate is not finite in {row.strip()!r}")
    return _symbol(fields[0], where), (x, y, z)


def _symbol(text: str, where: str) -> str:
    from pyscf.data.elements import ELEMENTS

    if text.isdigit() and 0 < int(text) < len(ELEMENTS):
        return str(ELEMENTS[int(text)])
    match = _ATOM.fullmatch(text)
    symbol = match["symbol"].capitalize() if match else ""
    if match is None or symbol not in ELEMENTS[1:]:
        raise InputError(
            f"{where}: unknown element {text!r}; use a symbol such as O, O1 or Ghost-O"
        )
    return ("Ghost-" if match["ghost"] else "") + symbol + match["label"]


def refuse_overlap(atoms: Atoms, source: str, lines: Sequence[int]) -> None:
    """Raise an error if two atoms are at the same place.

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
        The message names both lines.
    """
    for second, (symbol, there) in enumerate(atoms):
        for first, (other, here) in enumerate(atoms[:second]):
            if math.dist(here, there) < TOO_CLOSE:
                raise InputError(
                    f"{source}:{lines[second]}: {symbol} lies {math.dist(here, there):.3f} Å from "
                    f"{other} of line {lines[first]}; coordinates are in Å"
                )


def check_fields(text: str, source: str, first_line: int = 1) -> list[int]:
    """Check that lines of Cartesian coordinates or of a Z-matrix have symbols and numbers only.

    PySCF would evaluate any other field as Python code.

    Parameters
    ----------
    text : str
        One atom per line or between semicolons. Lines that start with # are comments.
    source : str
        Name of the file, for error messages.
    first_line : int
        Number of the first line of the text in the file.

    Returns
    -------
    list of int
        Line of each atom.

    Raises
    ------
    InputError
        If a line has another form. The message names the line.
    """
    rows: list[tuple[int, list[str]]] = []
    for number, line in enumerate(text.replace(",", " ").splitlines(), first_line):
        parts = [part.split() for part in line.split(";")]
        rows += [(number, part) for part in parts if part and not part[0].startswith("#")]
    zmatrix = bool(rows) and len(rows[0][1]) < 4
    form = "Z-matrix" if zmatrix else "Cartesian"
    for k, (number, fields) in enumerate(rows):
        where, found = f"{source}:{number}", repr(" ".join(fields))
        length = 1 + 2 * min(k, 3) if zmatrix else 4
        if len(fields) < length or (zmatrix and len(fields) > length):
            raise InputError(f"{where}: a {form} line of {length} fields expected, found {found}")
        try:
            values = [float(field) for field in fields[1:length]]
        except ValueError:
            raise InputError(f"{where}: not all are numbers after the symbol in {found}") from None
        earlier = values[::2] if zmatrix else []
        if not all(map(math.isfinite, values)) or not set(earlier) <= set(range(1, k + 1)):
            raise InputError(f"{where}: a number is out of range in {found}")
    return [number for number, _ in rows]

"""XYZ geometries, read strictly: every complaint names file and line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from dfmp2.errors import InputError

__all__ = ["Geometry", "parse_xyz"]

TOO_CLOSE = 0.2
"""Å. Two atoms nearer than this are a mistake: the shortest bond, in H2, is 0.74 Å."""

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
        Symbols as PySCF labels them, Cartesian coordinates in Å.
    comment : str
        Second line of the file.
    charge : int or None
        ``charge=`` of the comment line.
    spin : int or None
        ``spin=`` of the comment line: number of unpaired electrons, 2S.
    """

    atoms: tuple[tuple[str, tuple[float, float, float]], ...]
    comment: str = ""
    charge: int | None = None
    spin: int | None = None


def parse_xyz(text: str, source: str) -> Geometry:
    """Read one geometry in XYZ format.

    Parameters
    ----------
    text : str
        Whole content of the file: number of atoms, comment, then ``symbol x y z`` in Å per
        atom. Further columns are ignored. ``Ghost-H`` (or ``X-H``) is a ghost atom.
    source : str
        Name of the file, for error messages.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        For an empty or malformed file, an unknown element or two atoms in one place.
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
            f"{source}:1: expected the number of atoms, found {lines[0].strip()!r}"
        ) from None
    if natm < 1:
        raise InputError(f"{source}:1: the number of atoms must be at least 1, found {natm}")
    comment = lines[1].strip() if len(lines) > 1 else ""
    rows = lines[2 : 2 + natm]
    if len(rows) < natm or not all(row.strip() for row in rows):
        found = sum(1 for row in rows if row.strip())
        raise InputError(f"{source}:1: {natm} atoms announced, but {found} atom lines follow")
    for number, line in enumerate(lines[2 + natm :], 3 + natm):
        if line.strip():
            raise InputError(
                f"{source}:{number}: unexpected text after the last of {natm} atoms (one geometry "
                f"per file): {line.strip()[:40]!r}"
            )
    atoms = tuple(_atom(row, f"{source}:{number}") for number, row in enumerate(rows, 3))
    _refuse_overlap(atoms, source)
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
        raise InputError(f"{where}: unknown element {text!r}")
    return ("Ghost-" if match["ghost"] else "") + symbol + match["label"]


def _refuse_overlap(atoms: tuple[tuple[str, tuple[float, float, float]], ...], source: str) -> None:
    for second, (symbol, there) in enumerate(atoms):
        for first, (other, here) in enumerate(atoms[:second]):
            if math.dist(here, there) < TOO_CLOSE:
                raise InputError(
                    f"{source}:{second + 3}: {symbol} lies {math.dist(here, there):.3f} Å from "
                    f"{other} of line {first + 3}; coordinates are in Å"
                )

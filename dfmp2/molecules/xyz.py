"""Read XYZ geometries strictly. Every error names the file and the line."""

from __future__ import annotations

import re

from dfmp2.errors import InputError
from dfmp2.molecules.atoms import capitals, check_positions, in_angstrom, read_rows
from dfmp2.molecules.comment import read_comment
from dfmp2.molecules.extxyz import read_columns
from dfmp2.molecules.geometry import Geometry, Stated

__all__ = ["choose_unit", "lines_of", "looks_like_xyz", "parse_xyz"]

_COUNT = re.compile(
    r"\s*(?P<natm>[+-]?[0-9]{1,18})(?:\s+(?P<unit>au|a\.u\.|bohr|angstroms?|ang|atomic_units?))?\s*",
    re.IGNORECASE,
)


def lines_of(text: str) -> list[str]:
    """Lines of a text. Only line ends separate them, not form feeds or U+2028 as in splitlines."""
    return re.split(r"\r\n|\n|\r", text)


def looks_like_xyz(text: str) -> bool:
    """Whether a text starts with a number of atoms, and has as many lines."""
    lines = lines_of(text.rstrip())
    match = _COUNT.fullmatch(lines[0])
    return match is not None and 1 <= int(match["natm"]) <= len(lines) - 2


def parse_xyz(text: str, source: str, unit: str | None = None) -> Geometry:
    """Read one geometry in XYZ or extended XYZ format.

    Parameters
    ----------
    text : str
        Content of the file: number of atoms, comment, then ``symbol x y z`` for each atom.
        Further columns are ignored. ``Ghost-H`` (or ``@H``) is a ghost atom. What the comment
        states is read as `dfmp2.molecules.comment` describes.
    source : str
        Name of the file, for error messages.
    unit : {"angstrom", "bohr"}, optional
        Unit of the coordinates. If not given, the unit that the file states, or Å.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        If the file is empty or has a wrong form, an element is unknown, two atoms are at the same
        place, or the comment line states something impossible or unclear.
    """
    lines = lines_of(text)
    if not text.strip():
        raise InputError(
            f"{source}: the file is empty; an XYZ file starts with its number of atoms"
        )
    head = _COUNT.fullmatch(lines[0])
    if head is None:
        raise InputError(
            f"{source}:1: expected the number of atoms, found {lines[0].strip()[:40]!r}"
        )
    natm = int(head["natm"])
    if natm < 1:
        raise InputError(f"{source}:1: the number of atoms must be at least 1, found {natm}")
    comment = lines[1].strip() if len(lines) > 1 else ""
    rows = lines[2 : 2 + natm]
    if len(rows) < natm or not all(row.strip() for row in rows):
        found = sum(1 for row in rows if row.strip())
        raise InputError(
            f"{source}:1: {natm} atoms announced, but {found} atom lines follow; correct the number"
        )
    _check_tail(lines, natm, source)
    stated = read_comment(comment, f"{source}:2", head=head["unit"] or "")
    fields = [(number, row.split()) for number, row in enumerate(rows, 3)]
    columns = read_columns(comment, f"{source}:2")
    if columns is not None:
        named = [(number, columns.row(row, f"{source}:{number}")) for number, row in fields]
        remarks = columns.remarks([row for _, row in fields], vars(stated))
        fields, stated = named, stated.with_remarks(remarks)
    stated = stated.with_remarks(capitals(row[0] for _, row in fields))
    stated, unit = choose_unit(stated, unit)
    atoms = in_angstrom(read_rows(fields, source), unit)
    check_positions(atoms, source, range(3, 3 + natm))
    return Geometry(atoms, comment, stated)


def choose_unit(stated: Stated, asked: str | None) -> tuple[Stated, str]:
    """The unit of the coordinates: the one asked for, else the one that the file states, else Å.

    Returns
    -------
    Stated
        With a remark if the two differ.
    str

    Raises
    ------
    InputError
        If the file could state a unit, and none is asked for.
    """
    for doubt in stated.doubts:
        if doubt.options == ("unit",) and asked is None:
            raise InputError(doubt.message)
    if asked is not None and stated.unit not in (None, asked):
        remark = f"--unit {asked} replaces the unit that the file states, {stated.unit}"
        stated = stated.with_remarks((remark,))
    return stated, asked or stated.unit or "angstrom"


def _check_tail(lines: list[str], natm: int, source: str) -> None:
    """Refuse text after the last atom, except the three lines of the QM9 data set."""
    tail = [(number, line) for number, line in enumerate(lines, 1) if number > natm + 2]
    tail = [(number, line.strip()) for number, line in tail if line.strip()]
    if not tail:
        return
    if lines[1].split()[:1] == ["gdb"] and len(tail) == 3 and tail[-1][1].startswith("InChI="):
        return  # frequencies, SMILES and InChI
    number, text = tail[0]
    if _COUNT.fullmatch(text) or looks_like_xyz("\n".join(lines[number - 1 :])):
        raise InputError(
            f"{source}:{number}: a second geometry starts here; split the file, one geometry per "
            "file"
        )
    raise InputError(
        f"{source}:{number}: unexpected text after the last of {natm} atoms (one geometry "
        f"per file): {text[:40]!r}"
    )

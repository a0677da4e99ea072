"""Read lines of Cartesian coordinates or a Z-matrix, without the head of an XYZ file."""

from __future__ import annotations

import math

from dfmp2.errors import InputError
from dfmp2.molecules.atoms import (
    atom_label,
    capitals,
    check_positions,
    in_angstrom,
    number,
    read_rows,
)
from dfmp2.molecules.comment import read_comment
from dfmp2.molecules.geometry import Geometry
from dfmp2.molecules.xyz import choose_unit, lines_of

__all__ = ["check_z_matrix", "parse_lines"]

Rows = list[tuple[int, list[str]]]


def parse_lines(text: str, source: str, unit: str | None = None) -> Geometry:
    """Read atoms, one per line or between semicolons.

    Parameters
    ----------
    text : str
        ``symbol x y z``, or a Z-matrix with angles in degrees. Lines that start with # are
        comments, which may state charge, spin and unit as in an XYZ file.
    source : str
        Name of the file, for error messages.
    unit : {"angstrom", "bohr"}, optional
        As for `dfmp2.molecules.xyz.parse_xyz`.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        The message names the line.
    """
    rows: Rows = []
    comments: list[tuple[int, str]] = []
    for line, content in enumerate(lines_of(text), 1):
        if content.lstrip().startswith("#"):
            comments.append((line, content.strip().lstrip("#").strip()))
            continue
        parts = [part.split() for part in content.replace(",", " ").split(";")]
        rows += [(line, part) for part in parts if part]
    if not rows:
        raise InputError(f"{source}: holds no atoms; write lines of symbol, x, y and z")
    comment = "; ".join(content for _, content in comments)
    where = f"{source}:{comments[0][0]}" if comments else source
    stated, unit = choose_unit(read_comment(comment, where, place="comment"), unit)
    # A Z-matrix starts with a symbol alone, or with a symbol and two fields too few.
    atoms = read_rows(rows, source) if len(rows[0][1]) >= 4 else _z_matrix(rows, source)
    atoms = in_angstrom(atoms, unit)
    check_positions(atoms, source, [line for line, _ in rows])
    return Geometry(atoms, comment, stated.with_remarks(capitals(row[0] for _, row in rows)))


def _z_matrix(rows: Rows, source: str) -> tuple[tuple[str, tuple[float, float, float]], ...]:
    from pyscf.gto import mole

    values = check_z_matrix(rows, source)
    labels = [atom_label(fields[0], f"{source}:{line}") for line, fields in rows]
    # PySCF evaluates fields that are not numbers as Python code, so it gets plain numbers.
    text = "\n".join(
        " ".join([label, *(f"{v:.0f}" if k % 2 == 0 else repr(v) for k, v in enumerate(row))])
        for label, row in zip(labels, values, strict=True)
    )
    try:
        found = mole.from_zmatrix(text)
    except (ValueError, LookupError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise InputError(
            f"{source}: PySCF cannot read this Z-matrix ({type(error).__name__}: {error}); check "
            "it, or use an .xyz file"
        ) from error
    atoms = []
    for label, (_, xyz) in zip(labels, found, strict=True):
        x, y, z = map(float, xyz)
        if not all(map(math.isfinite, (x, y, z))):
            raise InputError(f"{source}: the Z-matrix has no finite coordinates; check its angles")
        atoms.append((label, (x, y, z)))
    return tuple(atoms)


def check_z_matrix(rows: Rows, source: str) -> list[list[float]]:
    """Numbers of a Z-matrix: for each atom pairs of an earlier atom and a length or an angle.

    Raises
    ------
    InputError
        If a line has another form. The message names the line.
    """
    found = []
    for k, (line, fields) in enumerate(rows):
        where, text = f"{source}:{line}", repr(" ".join(fields)[:80])
        length = 1 + 2 * min(k, 3)
        if len(fields) != length:
            raise InputError(f"{where}: a Z-matrix line of {length} fields expected, found {text}")
        values = [number(field) for field in fields[1:]]
        plain = [value for value in values if value is not None]
        if len(plain) < len(values):
            raise InputError(f"{where}: not all are numbers after the symbol in {text}")
        if not all(map(math.isfinite, plain)) or not set(plain[::2]) <= set(range(1, k + 1)):
            raise InputError(f"{where}: a number is out of range in {text}")
        found.append(plain)
    return found

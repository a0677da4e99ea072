"""Basis sets and effective core potentials from files in NWChem's format, element by element.

PySCF's own reader puts all functions of a file on an element that the file lacks, reads a file
without its comment lines as one element, and evaluates text that is not a number. So the lines of
an element are picked out and checked here, and PySCF gets only these.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

from dfmp2.errors import InputError

__all__ = [
    "checked_basis",
    "checked_potential",
    "file_basis",
    "file_potential",
    "is_basis_file",
    "name_of_text",
]

_SHELL = re.compile(r"([a-z]+)\s+(sp|[spdfghiklmno])\s*$", re.IGNORECASE)
_POTENTIAL = re.compile(r"([a-z]+)\s+(nelec\s+\d+|ul|[spdfghik])\s*$", re.IGNORECASE)

_ORIGIN = "# file "

Line = tuple[int, str]
"""Number of the line in the file, and its text without comment."""


def is_basis_file(basis: str) -> bool:
    """Whether this is the path of a file. Not an error for a text, which is too long for a path."""
    return os.path.isfile(basis)  # noqa: PTH113


def file_basis(path: str, element: str) -> str:
    """The functions of one element in a basis set file.

    Parameters
    ----------
    path : str
        File in NWChem's format.
    element : str

    Returns
    -------
    str
        Basis set of the element in NWChem's format, as PySCF accepts it. The name of the file is in
        the first line.

    Raises
    ------
    InputError
        If the file cannot be read, has another format, lacks the element, or has a function twice.
    """
    return checked_basis(_read(path), path, element)


def checked_basis(text: str, path: str, element: str) -> str:
    """The functions of one element in a text, as `file_basis`. `path` is for error messages."""
    shells = _shells(path, _parts(text, path)[0])
    found = [lines for symbol, lines in shells if symbol == element]
    if not found:
        there = sorted({symbol for symbol, _ in shells})
        raise InputError(
            f"{path}: has no functions for {element}, only for {', '.join(there)}; add them, or "
            f"give another basis for it: {element}=NAME,default={path}"
        )
    for number, lines in enumerate(found):
        _check_numbers(path, lines)
        same = [other for other in found[:number] if _values(other) == _values(lines)]
        if same:
            raise InputError(
                f"{path}:{lines[0][0]}: this function of {element} is the same as that of line "
                f"{same[0][0][0]}; delete one of them"
            )
    higher = [lines[0] for lines in found if lines[0][1].split()[1] not in ("S", "P", "SP")]
    if higher and _is_cartesian(text):
        raise InputError(
            f"{path}:{higher[0][0]}: the file asks for CARTESIAN functions, but dfmp2 run uses "
            "spherical ones; write SPHERICAL if these are meant, or use the class DFMP2 with a "
            "molecule that has cart=True"
        )
    return _text(path, [line for lines in found for line in lines])


def file_potential(path: str, element: str) -> str | None:
    """The effective core potential of one element in a basis set file, as `file_basis`.

    Returns
    -------
    str or None
        None if the file has none for this element.
    """
    return checked_potential(_read(path), path, element)


def checked_potential(text: str, path: str, element: str) -> str | None:
    """The effective core potential of one element in a text, as `file_potential`."""
    found, current = [(0, "ECP")], ""
    for number, line in _parts(text, path)[1]:
        header = _POTENTIAL.match(line)
        if header is not None:
            current = header[1].capitalize()
            line = f"{current} {line.split(None, 1)[1]}"
        elif not _numbers(line):
            raise InputError(f"{path}:{number}: not understood in an ECP: {line[:40]!r}")
        if current == element:
            found.append((number, line))
    return _text(path, found) if len(found) > 1 else None


def name_of_text(text: str) -> str | None:
    """Name of the file that a text came from, if it is from `file_basis` or `file_potential`."""
    first = text.split("\n", 1)[0]
    return first.removeprefix(_ORIGIN) if first.startswith(_ORIGIN) else None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check its permissions"
        ) from error


def _parts(text: str, path: str) -> tuple[list[Line], list[Line]]:
    """Lines of the functions, and of the effective core potentials. A file without END and a file
    without headers are complete, but not one that lacks some of them."""
    parts: tuple[list[Line], list[Line]] = ([], [])
    current, header, ended = 0, "", False
    for number, line in enumerate(text.splitlines(), 1):
        words = (content := line.split("#")[0].strip()).upper().split()
        if not words:
            continue
        if words == ["END"]:
            header, ended = "", True
        elif words[0] in ("BASIS", "ECP"):
            current, header = int(words[0] == "ECP"), words[0]
        elif ended and not header:
            raise InputError(
                f"{path}:{number}: is after the END of a section: {content[:40]!r}; move it before "
                "END, or delete it"
            )
        else:
            parts[current].append((number, content))
    if header == "BASIS" or (header and ended):
        raise InputError(
            f"{path}: its last section, {header}, has no END: a part of the file may be missing; "
            "get the file again, or add END if it is complete"
        )
    return parts


def _is_cartesian(text: str) -> bool:
    """Whether a header asks for Cartesian functions."""
    lines = (line.split("#")[0].upper().split() for line in text.splitlines())
    return any(words[:1] == ["BASIS"] and "CARTESIAN" in words for words in lines)


def _shells(path: str, lines: list[Line]) -> list[tuple[str, list[Line]]]:
    shells: list[tuple[str, list[Line]]] = []
    for number, line in lines:
        header = _SHELL.match(line)
        if header is not None:
            element = header[1].capitalize()
            if header[2].upper() == "L":
                raise InputError(
                    f"{path}:{number}: shell L means S and P in some programs, and angular "
                    "momentum 8 in others; write SP for the former (the latter is not supported)"
                )
            shells.append((element, [(number, f"{element} {header[2].upper()}")]))
        elif not shells or not _numbers(line):
            raise InputError(
                f"{path}:{number}: expected a basis set in NWChem's format (element and shell, "
                f"then lines of exponent and coefficients), found {line[:40]!r}"
            )
        else:
            shells[-1][1].append((number, line))
    if not shells:
        raise InputError(f"{path}: has no basis functions; a basis set in NWChem's format expected")
    return shells


def _numbers(line: str) -> list[float]:
    """The numbers of a line. Empty if not all its words are finite numbers."""
    try:
        values = [float(word) for word in line.upper().replace("D", "E").split()]
    except ValueError:
        return []
    return values if all(map(math.isfinite, values)) else []


def _values(lines: list[Line]) -> tuple[str, list[list[float]]]:
    return lines[0][1], [_numbers(line) for _, line in lines[1:]]


def _check_numbers(path: str, lines: list[Line]) -> None:
    (start, header), rows = lines[0], [(number, _numbers(line)) for number, line in lines[1:]]
    if not rows:
        raise InputError(f"{path}:{start}: {header} has no exponents")
    width = 3 if header.endswith("SP") else len(rows[0][1])
    for number, row in rows:
        if len(row) != width or width < 2 or row[0] <= 0:
            raise InputError(
                f"{path}:{number}: expected a positive exponent and {max(width, 2) - 1} "
                f"coefficients, found {row}"
            )


def _text(path: str, lines: list[Line]) -> str:
    # PySCF looks for these two words anywhere in a text, to find its format.
    name = path.replace("@", "_").replace("GTH", "gth")
    return "\n".join([f"{_ORIGIN}{name}", *(line for _, line in lines), ""])

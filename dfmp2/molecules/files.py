"""Read a geometry from a file or from standard input."""

from __future__ import annotations

import codecs
import errno
import json
import re
import stat
import sys
from pathlib import Path

from dfmp2.errors import InputError
from dfmp2.molecules.geometry import Geometry
from dfmp2.molecules.other_formats import other_format, read_other
from dfmp2.molecules.plaintext import parse_lines
from dfmp2.molecules.qcschema import is_molecule, parse_qcschema
from dfmp2.molecules.sdf import parse_sdf
from dfmp2.molecules.xyz import looks_like_xyz, parse_xyz

__all__ = ["LARGEST", "is_qcschema_input", "molecule_name", "read_geometry", "require_file"]

LARGEST = 10**7
"""Bytes. No geometry that can be computed needs more, and an input may have no end."""

STDIN = "<stdin>"


def read_geometry(source: str, unit: str | None = None) -> Geometry:
    """Read a geometry from a file or from standard input.

    Parameters
    ----------
    source : str
        Path of a geometry file, or "-" for XYZ on standard input.
    unit : {"angstrom", "bohr"}, optional
        Unit of the coordinates. If not given, that of the file or of its format, else Å.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        If the file is missing or its content is wrong. The message names file and line.
    """
    if source == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed; name a file, or send XYZ to it")
        stream = getattr(sys.stdin, "buffer", None)
        try:
            content = sys.stdin.read(LARGEST + 1) if stream is None else stream.read(LARGEST + 1)
        except (OSError, ValueError) as error:
            raise InputError(f"standard input cannot be read ({error}); name a file") from error
        return parse_xyz(_text(content, STDIN), STDIN, unit)
    require_file(source)
    if (found := other_format(source)) is not None:
        return read_other(source, found, unit)
    suffix, text = Path(source).suffix.lower(), _text(_content(source), source)
    if suffix in (".sdf", ".sd", ".mol", ".json") and unit is not None:
        own = "bohr" if suffix == ".json" else "Å"
        raise InputError(f"{source}: coordinates in {suffix} files are in {own}; leave --unit out")
    if suffix in (".sdf", ".sd", ".mol"):
        return parse_sdf(text, source)
    if suffix == ".json":
        return parse_qcschema(text, source)
    if suffix in (".xyz", ".extxyz") or (suffix != ".zmat" and looks_like_xyz(text)):
        return parse_xyz(text, source, unit)
    return parse_lines(text, source, unit)


def require_file(source: str) -> None:
    """Raise an error unless a path names a file, a pipe or a device that can be read.

    Raises
    ------
    InputError
    """
    try:
        mode = Path(source).stat().st_mode
        if stat.S_ISREG(mode):
            with Path(source).open("rb") as file:
                file.read(1)
    except (OSError, ValueError) as error:
        raise _unreadable(source, error) from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{source}: is a folder; name a geometry file in it")


def is_qcschema_input(source: str) -> bool:
    """Whether a JSON file holds a QCSchema molecule or input, and not a result."""
    if not source.lower().endswith(".json"):
        return False
    content = _content(source)
    try:
        return len(content) <= LARGEST and is_molecule(json.loads(content))
    except (ValueError, RecursionError):
        return False


def molecule_name(source: str) -> str:
    """Name of the molecule of a file: its name without folder and suffix, in printable letters."""
    name = "stdin" if source == "-" else Path(source).stem
    return "".join(c if c.isprintable() else "_" for c in name)  # lone surrogates are not


def _content(source: str) -> bytes:
    try:
        with Path(source).open("rb") as file:
            return file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(source, error) from error


def _unreadable(source: str, error: OSError | ValueError) -> InputError:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        if not Path(source).is_absolute() and not _has_folder():
            return InputError(f"{source}: the current folder was deleted; change to another one")
        return InputError(f"{source}: no such file; check the path")
    if number == errno.ELOOP:
        return InputError(f"{source}: is a loop of symbolic links; check them")
    if number == errno.ENAMETOOLONG:
        return InputError(f"{source[:40]}…: the name is too long for the file system; shorten it")
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"{source}: cannot be read ({reason}); check the path and its permissions")


def _has_folder() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True


def _text(content: bytes | str, source: str) -> str:
    """Decode a file: UTF-8, UTF-16 with a byte order mark, else Latin-1."""
    if len(content) > LARGEST:
        raise InputError(
            f"{source}: is larger than {LARGEST // 10**6} MB, which is no geometry; check the input"
        )
    if isinstance(content, str):
        return content
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            text = content.decode("utf-16")
        else:
            text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if re.search("[\x00-\x08\x0e-\x1a\x7f\ufffe\uffff]", text):
        raise InputError(
            f"{source}: is not a text file (it has control characters); save it as UTF-8 text"
        )
    return text

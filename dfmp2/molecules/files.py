"""Read a geometry from a file in a format that PySCF reads, or from standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from dfmp2.errors import InputError
from dfmp2.molecules.xyz import Geometry, check_fields, parse_xyz, refuse_overlap

__all__ = ["read_geometry"]


def read_geometry(source: str) -> Geometry:
    """Read a geometry from a file or from standard input.

    Parameters
    ----------
    source : str
        Path of an XYZ file or another geometry file that PySCF reads, or "-" for XYZ on standard
        input.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        If the file is missing or its content is wrong. The message names file and line.
    """
    if source == "-":
        return parse_xyz(sys.stdin.read(), "<stdin>")
    path = Path(source)
    if not path.exists():
        raise InputError(f"{source}: no such file; check the path")
    if path.is_dir():
        raise InputError(f"{source}: is a folder; name a geometry file in it")
    if path.suffix.lower() == ".xyz":
        try:
            return parse_xyz(path.read_text(encoding="utf-8-sig"), source)
        except UnicodeDecodeError as error:
            raise InputError(
                f"{source}: is not a text file ({error.reason}); save it as UTF-8 text"
            ) from error
        except OSError as error:
            raise InputError(
                f"{source}: cannot be read ({error.strerror}); check its permissions"
            ) from error
    return _read_with_pyscf(source)


def _read_with_pyscf(source: str) -> Geometry:
    from pyscf.gto import mole

    sdf = Path(source).suffix.lower() == ".sdf"
    try:
        text = mole.fromfile(source)
        lines = check_fields(text, source, 5 if sdf else 1)
        atoms = mole.format_atom(text, unit=1)
    except InputError:
        raise
    except (ValueError, LookupError, RuntimeError, AssertionError, OSError) as error:
        raise InputError(
            f"{source}: PySCF cannot read this geometry ({type(error).__name__}: {error}); "
            "check it, or use an .xyz file, whose errors name the line"
        ) from error
    found = tuple((symbol, (x, y, z)) for symbol, (x, y, z) in atoms)
    refuse_overlap(found, source, lines)
    return Geometry(found)

"""Formats of other programs: named in errors, and read through ASE where it is installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dfmp2.errors import InputError
from dfmp2.molecules.atoms import atom_label, check_positions
from dfmp2.molecules.geometry import Doubt, Geometry, Stated

__all__ = ["READ", "other_format", "read_other"]

READ = (
    ".xyz and extended XYZ, .sdf and .mol (V2000), QCSchema .json, a Z-matrix (.zmat), lines of "
    "symbol x y z (.txt)"
)
"""The formats that dfmp2 reads itself."""

_FORMATS: dict[str, tuple[str, str | None]] = {
    "coord": ("Turbomole coord", "turbomole"),
    ".coord": ("Turbomole coord", "turbomole"),
    ".tmol": ("Turbomole coord", "turbomole"),
    ".gjf": ("Gaussian input", "gaussian-in"),
    ".com": ("Gaussian input", "gaussian-in"),
    ".pdb": ("PDB", "proteindatabank"),
    ".ent": ("PDB", "proteindatabank"),
    ".cif": ("CIF (crystal)", None),
    ".gen": ("DFTB+ gen", "gen"),
    ".xsf": ("XCrySDen", "xsf"),
    ".traj": ("ASE trajectory", "traj"),
    "poscar": ("VASP (crystal)", None),
    "contcar": ("VASP (crystal)", None),
    ".vasp": ("VASP (crystal)", None),
    ".nw": ("NWChem input", None),
    ".mol2": ("Tripos mol2", None),
    ".inp": ("program input", None),
    ".in": ("program input", None),
    ".dat": ("program input", None),
    ".out": ("program output", None),
    ".log": ("program output", None),
    ".fchk": ("Gaussian checkpoint", None),
    ".molden": ("Molden", None),
    ".cube": ("cube", None),
    ".cml": ("CML", None),
    ".smi": ("SMILES", None),
    ".gz": ("compressed", None),
    ".bz2": ("compressed", None),
    ".xz": ("compressed", None),
    ".zip": ("compressed", None),
}


_DROPPED = {
    "turbomole": r"^\s*\$coord[ \t]+(?!natoms)\S+|\$(?:periodic|lattice|cell)\b",
    "gaussian-in": r"\bbq|-bq\b|\bunits\b",
}
"""What ASE's readers ignore: units, cells, ghost atoms."""

_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What readers of ASE raise for wrong files."""


def other_format(source: str) -> tuple[str, str | None] | None:
    """Name of the format of a file, and ASE's name for it, if dfmp2 does not read it itself."""
    path = Path(source)
    return _FORMATS.get(path.name.lower()) or _FORMATS.get(path.suffix.lower())


def read_other(source: str, found: tuple[str, str | None], unit: str | None) -> Geometry:
    """Read a geometry with ASE. Its charge and spin must be given by options.

    Parameters
    ----------
    source : str
    found : tuple (str, str or None)
        What `other_format` returned for it.
    unit : str or None
        Must be None: these formats define their unit.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        If ASE does not read the format or is not installed, or the system is periodic.
    """
    name, format_of_ase = found
    if format_of_ase is None:
        raise InputError(f"{source}: the {name} format is not read; convert it. Read are {READ}")
    try:
        from ase.io import read
    except ImportError:
        raise InputError(
            f"{source}: the {name} format is read through ASE, which is not installed: pip install "
            f"'dfmp2[ase]'. Without it are read {READ}"
        ) from None
    if unit is not None:
        raise InputError(f"{source}: the {name} format has its own unit; leave --unit out")
    return _with_ase(read, source, name, format_of_ase)


def _with_ase(read: Any, source: str, name: str, format_of_ase: str) -> Geometry:
    text = Path(source).read_text(encoding="utf-8", errors="replace")
    pattern = _DROPPED.get(format_of_ase)
    if pattern and (dropped := re.search(pattern, text, re.IGNORECASE | re.MULTILINE)):
        raise InputError(
            f"{source}: {dropped[0].strip()!r} is not understood by ASE's reader of the {name} "
            "format; convert the file to .xyz"
        )
    try:
        images = read(source, index=":", format=format_of_ase, do_not_split_by_at_sign=True)
    except _ERRORS as error:
        raise InputError(
            f"{source}: ASE cannot read it as {name} ({type(error).__name__}: {error}); check the "
            "file, or convert it to .xyz"
        ) from error
    if len(images) != 1:
        raise InputError(f"{source}: holds {len(images)} geometries; name a file with one")
    (image,) = images
    if any(image.pbc):
        raise InputError(f"{source}: is periodic, but dfmp2 computes molecules; remove the cell")
    symbols = [atom_label(str(symbol), source) for symbol in image.get_chemical_symbols()]
    atoms = tuple(
        (symbol, (float(x), float(y), float(z)))
        for symbol, (x, y, z) in zip(symbols, image.get_positions(), strict=True)
    )
    check_positions(atoms, source, range(1, len(atoms) + 1))
    doubt = Doubt(
        ("charge", "spin"),
        f"{source}: read through ASE, which keeps no charge and no multiplicity of a {name} file; "
        "give --charge and --spin",
    )
    labels = {label for label, _ in atoms}
    remarks = ("the file has no hydrogen atoms",) if "C" in labels and "H" not in labels else ()
    return Geometry(atoms, "", Stated(doubts=(doubt,), remarks=remarks))

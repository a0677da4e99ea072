"""Read the molecule of a QCSchema JSON file (https://molssi-qc-schema.readthedocs.io)."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from dfmp2.errors import InputError
from dfmp2.molecules.atoms import atom_label, check_positions, in_angstrom
from dfmp2.molecules.comment import whole_number
from dfmp2.molecules.geometry import Geometry, Stated

__all__ = ["is_molecule", "parse_qcschema"]

_METHODS = ("mp2", "df-mp2", "dfmp2", "ri-mp2", "rimp2")
_SCHEMAS = ("qcschema_input", "qcschema_molecule", "qc_schema_input")


def is_molecule(data: Any) -> bool:
    """Whether parsed JSON is a QCSchema molecule or input, and not a result of dfmp2."""
    return isinstance(data, dict) and (
        data.get("schema_name") in _SCHEMAS or ("symbols" in data and "geometry" in data)
    )


def parse_qcschema(text: str, source: str) -> Geometry:
    """Read a QCSchema Molecule or AtomicInput of version 1.

    Parameters
    ----------
    text : str
        JSON. Coordinates are in bohr. The basis of an AtomicInput is returned with the geometry.
    source : str
        Name of the file, for error messages.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        If an entry is missing or wrong, or asks for something else than an MP2 energy.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"{source}: is not JSON ({error}); write QCSchema, or an .xyz file"
        ) from None
    if not isinstance(data, dict):
        raise InputError(f"{source}: is no QCSchema molecule; check the file")
    basis, remarks = _model(data, source) if "molecule" in data else (None, ())
    molecule = data.get("molecule", data)
    symbols, geometry = molecule.get("symbols"), molecule.get("geometry")
    if not _is_list(symbols, str) or not symbols:
        raise InputError(f"{source}: symbols must be a list of element symbols")
    if isinstance(geometry, list) and geometry and all(isinstance(row, list) for row in geometry):
        geometry = [value for row in geometry for value in row]
    if not _is_list(geometry, (int, float)) or len(geometry) != 3 * len(symbols):
        raise InputError(
            f"{source}: geometry must be a list of {3 * len(symbols)} numbers in bohr, three for "
            "each symbol"
        )
    real = molecule.get("real") or [True] * len(symbols)
    if not _is_list(real, bool, booleans=True) or len(real) != len(symbols):
        raise InputError(f"{source}: real must be a list of true and false, one for each symbol")
    labels = [atom_label(symbol, source) for symbol in symbols]
    labels = [
        label if is_real or label.startswith("Ghost-") else f"Ghost-{label}"
        for label, is_real in zip(labels, real, strict=True)
    ]
    x, y, z = ([_float(value) for value in geometry[k::3]] for k in range(3))
    bohr = tuple(zip(labels, zip(x, y, z, strict=True), strict=True))
    atoms = in_angstrom(bohr, "bohr")
    check_positions(atoms, source, range(1, len(atoms) + 1))
    charge = _integer(molecule, "molecular_charge", source)
    multiplicity = _integer(molecule, "molecular_multiplicity", source)
    if multiplicity is not None and multiplicity < 1:
        raise InputError(f"{source}: molecular_multiplicity {multiplicity} is impossible")
    stated = Stated(
        charge=charge,
        spin=None if multiplicity is None else multiplicity - 1,
        charge_from="" if charge is None else "molecular_charge",
        spin_from="" if multiplicity is None else f"molecular_multiplicity {multiplicity}",
        unit="bohr",
        remarks=remarks,
    )
    return Geometry(atoms, str(molecule.get("comment") or ""), stated, basis)


def _float(value: int | float) -> float:
    return float(value) if abs(value) < 1e300 else math.inf


def _is_list(value: Any, kind: Any, booleans: bool = False) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, kind) and isinstance(item, bool) == booleans for item in value
    )


def _integer(molecule: dict[str, Any], key: str, source: str) -> int | None:
    value = molecule.get(key)
    if value is None:
        return None
    found = None if isinstance(value, bool) else whole_number(str(value))
    if found is None:
        raise InputError(f"{source}: {key} must be an integer, found {str(value)[:40]}")
    return found


def _model(data: dict[str, Any], source: str) -> tuple[str | None, tuple[str, ...]]:
    """Basis of an AtomicInput, and remarks. Another method or driver is refused."""
    if "specification" in data:
        raise InputError(
            f"{source}: is a QCSchema input of version 2, which is not read; write version 1, or "
            "its molecule alone"
        )
    model, driver = data.get("model") or {}, data.get("driver", "energy")
    if not isinstance(model, dict) or not isinstance(data.get("molecule"), dict):
        raise InputError(f"{source}: model and molecule must be objects; check the QCSchema input")
    method = str(model.get("method", "mp2"))
    if method.lower() not in _METHODS:
        raise InputError(
            f"{source}: asks for the method {method!r}, but dfmp2 computes mp2; correct the model"
        )
    if driver != "energy":
        raise InputError(f"{source}: asks for the driver {driver!r}, but dfmp2 computes energy")
    basis = model.get("basis")
    if basis is not None and not (isinstance(basis, str) and re.search(r"\S", basis)):
        raise InputError(f"{source}: the basis in its model is not a name; give a name there")
    keywords = data.get("keywords") or {}
    if not keywords:
        return basis, ()
    names = ", ".join(sorted(keywords))[:80] if isinstance(keywords, dict) else str(keywords)[:80]
    return basis, (f"the keywords of the QCSchema input are not read: {names}",)

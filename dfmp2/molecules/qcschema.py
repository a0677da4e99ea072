"""Read the molecule of a QCSchema JSON file (https://molssi-qc-schema.readthedocs.io)."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from dfmp2.errors import InputError
from dfmp2.molecules.atoms import atom_label, check_positions, in_angstrom
from dfmp2.molecules.comment import read_comment, whole_number
from dfmp2.molecules.extxyz import refuse_periodic
from dfmp2.molecules.geometry import Geometry, Stated
from dfmp2.molecules.plain import element_of

__all__ = ["is_molecule", "parse_qcschema", "unique_keys"]

_METHODS = ("mp2", "df-mp2", "dfmp2", "ri-mp2", "rimp2")
_SCHEMAS = ("qcschema_input", "qcschema_molecule", "qc_schema_input")
_OF_A_RESULT = {"return_result", "properties", "success"}

_ANYWHERE = {"schema_name", "schema_version", "name", "comment", "id", "provenance", "extras"}
_IN_INPUT = _ANYWHERE | {"molecule", "driver", "model", "keywords", "protocols"}
_IN_MODEL = {"method", "basis"}
_IN_MOLECULE = _ANYWHERE | {
    "symbols", "geometry", "real", "atomic_numbers", "molecular_charge", "molecular_multiplicity",
    "fragments", "fragment_charges", "fragment_multiplicities", "masses", "mass_numbers",
    "atom_labels", "connectivity", "fix_com", "fix_orientation", "fix_symmetry", "identifiers",
    "validated",
}  # fmt: skip
"""Keys that QCSchema defines. Those that are not read do not change the energy."""

_ANALYSIS = re.compile("(partial|atomic|formal|mulliken|lowdin|loewdin|natural|esp).*(charge|spin)")
_OTHER_NAMES = (
    ("field|solv|(external|point|background|embed).*charge", None,
     "dfmp2 computes molecules without surroundings, remove it"),
    ("charge", "molecular_charge", "write molecular_charge"),
    ("mult(?!ipole)", "molecular_multiplicity", "write molecular_multiplicity"),
    ("spin|unpaired", None, "write molecular_multiplicity, one more than the unpaired electrons"),
    ("^unit|unit$|units", "units", "QCSchema has bohr only, convert the geometry and remove it"),
    ("element|species|symbol|atomicnumber", "symbols", "write symbols and remove it"),
    ("^real$|ghost", "real", "write real"),
)  # fmt: skip
"""Patterns of keys that look like one of QCSchema, that one, and advice."""


def is_molecule(data: Any) -> bool:
    """Whether parsed JSON is a QCSchema molecule or input, and not a result of dfmp2."""
    if not isinstance(data, dict):
        return False
    if data.get("schema_name") in _SCHEMAS or ("symbols" in data and "geometry" in data):
        return True
    is_result = data.get("schema_name") == "qcschema_output" or _OF_A_RESULT & data.keys()
    return "molecule" in data and not is_result


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
        If an entry is missing or wrong, contradicts another one, or asks for something else than an
        MP2 energy; if a key looks like one that changes the energy, but has another name.
    """
    try:
        data = json.loads(text, object_pairs_hook=unique_keys)
    except ValueError as error:
        raise InputError(
            f"{source}: is not JSON ({error}); write QCSchema, or an .xyz file"
        ) from None
    if not isinstance(data, dict):
        raise InputError(f"{source}: is no QCSchema molecule; check the file")
    basis, remarks = _model(data, source) if "molecule" in data else (None, ())
    molecule = data.get("molecule", data)
    remarks += _unread_keys(molecule, _IN_MOLECULE, molecule, source)
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
    _check_numbers(molecule.get("atomic_numbers"), labels, source)
    x, y, z = ([_float(value) for value in geometry[k::3]] for k in range(3))
    bohr = tuple(zip(labels, zip(x, y, z, strict=True), strict=True))
    atoms = in_angstrom(bohr, "bohr")
    check_positions(atoms, source, range(1, len(atoms) + 1))
    charge, charge_from = _charge(molecule, source)
    multiplicity = _integer(molecule, "molecular_multiplicity", source)
    if multiplicity is not None and multiplicity < 1:
        raise InputError(f"{source}: molecular_multiplicity {multiplicity} is impossible")
    fragments = molecule.get("fragment_multiplicities") or []
    if not _is_list(fragments, (int, float)):
        raise InputError(f"{source}: fragment_multiplicities must be a list of numbers")
    decided = len(fragments) == 1 or multiplicity is None  # else they couple to several states
    if decided and any(value != (multiplicity or 1) for value in fragments):
        raise InputError(
            f"{source}: fragment_multiplicities {str(fragments)[:40]} do not give the "
            f"multiplicity {multiplicity or 1} of the molecule; correct molecular_multiplicity"
        )
    remarks += _stated_elsewhere(data, molecule, charge or 0, multiplicity or 1)
    stated = Stated(
        charge=charge,
        spin=None if multiplicity is None else multiplicity - 1,
        charge_from=charge_from,
        spin_from="" if multiplicity is None else f"molecular_multiplicity {multiplicity}",
        unit="bohr",
        remarks=remarks,
    )
    return Geometry(atoms, str(molecule.get("comment") or ""), stated, basis)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Python takes the last one of two values of a key.

    Raises
    ------
    ValueError
        If a key is there twice.
    """
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} is there twice")
        found[name] = value
    return found


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


def _charge(molecule: dict[str, Any], source: str) -> tuple[int | None, str]:
    """The charge, and the key that states it."""
    charge = _integer(molecule, "molecular_charge", source)
    fragments = molecule.get("fragment_charges")
    if not fragments:
        return charge, "" if charge is None else "molecular_charge"
    if not _is_list(fragments, (int, float)):
        raise InputError(f"{source}: fragment_charges must be a list of numbers")
    key = "the sum of fragment_charges"
    total = _integer({key: round(sum(map(_float, fragments)), 9)}, key, source)
    if charge not in (None, total):
        raise InputError(
            f"{source}: molecular_charge is {charge}, but the sum of fragment_charges is {total}; "
            "correct one of them"
        )
    return total, "fragment_charges" if charge is None else "molecular_charge"


def _check_numbers(numbers: Any, labels: list[str], source: str) -> None:
    """Raise an error if atomic numbers contradict the symbols. A ghost atom may have 0."""
    from pyscf.data.elements import ELEMENTS

    if numbers is None:
        return
    elements = [element_of(label) for label in labels]
    allowed = [(ELEMENTS.index(name), *([] if real else [0])) for name, real in elements]
    if (
        not _is_list(numbers, int)
        or len(numbers) != len(labels)
        or any(z not in choice for z, choice in zip(numbers, allowed, strict=True))
    ):
        raise InputError(
            f"{source}: atomic_numbers {str(numbers)[:40]} contradict symbols; correct one of them"
        )


def _unread_keys(
    data: dict[str, Any], known: set[str], molecule: dict[str, Any], source: str
) -> tuple[str, ...]:
    """A remark on the keys that QCSchema does not define.

    Raises
    ------
    InputError
        If such a key looks like charge, multiplicity, unit, elements or surroundings, and its
        value is not the one that is used.
    """
    used: dict[Any, Any] = {"molecular_charge": 0, "molecular_multiplicity": 1}
    used.update({key: value for key, value in molecule.items() if value is not None})
    used.update({None: 0, "units": "bohr"})
    unread = []
    for key in sorted(key for key in data.keys() - known if data[key] not in (None, "", [], {})):
        name, value = re.sub("[^a-z]", "", key.lower()), data[key]
        if isinstance(value, str):
            value = re.sub(r"^(au|a\.u\.|atomic)$", "bohr", value.lower())
        like = [row for row in _OTHER_NAMES if re.search(row[0], name)]
        if not like or _ANALYSIS.search(name):
            unread.append(key)
        elif value != used.get(like[0][1]):
            what, advice = "is no key of QCSchema", like[0][2]
            if key in _IN_MOLECULE:
                what, advice = "does not belong here", "move it into molecule"
            raise InputError(
                f"{source}: {key!r} = {str(data[key])[:40]} {what} and is not read; {advice}"
            )
    if not unread:
        return ()
    return (f"keys that QCSchema does not define are not read: {', '.join(unread)[:80]}",)


def _stated_elsewhere(
    data: dict[str, Any], molecule: dict[str, Any], charge: int, multiplicity: int
) -> tuple[str, ...]:
    """Remarks on another charge or multiplicity in the parts that QCSchema leaves free."""
    found = []
    for part in (molecule,) if data is molecule else (data, molecule):
        extras = part.get("extras")
        for key, value in extras.items() if isinstance(extras, dict) else ():
            kind = re.fullmatch("(?:molecular|total)?_?(charge|multiplicity)", key.lower())
            if kind and value not in (None, charge if kind[1] == "charge" else multiplicity):
                found.append(f"{key!r} = {str(value)[:40]} in extras is not read")
        identifiers = part.get("identifiers")
        formula = identifiers.get("molecular_formula") if isinstance(identifiers, dict) else None
        if not charge and isinstance(formula, str) and re.search(r"[+-][0-9]*$", formula.strip()):
            found.append(f"the charge of the molecular_formula {formula[:40]!r} is not read")
        for key in ("comment", "name"):
            text = str(part.get(key) or "")
            refuse_periodic(text, key)
            try:
                stated = read_comment(text, key, key)
            except InputError:
                continue  # free text
            found += [remark for remark in stated.remarks if not _is_answered(remark, molecule)]
            if stated.charge not in (None, charge) or stated.spin not in (None, multiplicity - 1):
                found.append(f"{key} {text[:40]!r} is not read; write molecular_charge")
    return tuple(found)


def _is_answered(remark: str, molecule: dict[str, Any]) -> bool:
    """Whether the remark is on a charge or a spin, and the molecule states its own."""
    names = {"charge": "molecular_charge", "spin": "molecular_multiplicity"}
    return any(f"--{name}" in remark and molecule.get(key) for name, key in names.items())


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
    remarks = _unread_keys(data, _IN_INPUT, data["molecule"], source)
    remarks += _unread_keys(model, _IN_MODEL, data["molecule"], source)
    basis = model.get("basis")
    if basis is not None and not (isinstance(basis, str) and re.search(r"\S", basis)):
        raise InputError(f"{source}: the basis in its model is not a name; give a name there")
    keywords = data.get("keywords") or {}
    if not keywords:
        return basis, remarks
    names = ", ".join(sorted(keywords))[:80] if isinstance(keywords, dict) else str(keywords)[:80]
    return basis, (*remarks, f"the keywords of the QCSchema input are not read: {names}")

"""The form of a stored result: JSON that is read with care, types that are checked, a digest.

A file may have been damaged or changed by hand. Then reading it is an error. It is never a number
that nobody computed.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from types import NoneType
from typing import Any

from dfmp2.errors import CheckpointError
from dfmp2.molecules.qcschema import unique_keys

__all__ = ["LARGEST_FILE", "check_form", "digest", "read_json"]

LARGEST_FILE = 2**29
"""Bytes. The JSON of 3000 correlated orbitals is smaller. A device such as /dev/zero has no end."""

_MOLECULE = {
    "name": str,
    "symbols": [str],
    "coordinates": [[float]],
    "charge": int,
    "spin": int,
    "basis": dict,
    "auxbasis": dict,
    "ecp": dict,
    "cart": bool,
}
_WHERE = {"backend": str, "mode": str, "device": str}
_OPERATION = {
    "stage": str,
    "operation": str,
    "where": _WHERE,
    "dtype": str,
    "calls": int,
    "fallbacks": int,
    "seconds": float,
    "flops": float,
}
_FORM = {
    "molecule": _MOLECULE,
    "reference": str,
    "e_hf": float,
    "e_os_pairs": [[float]],
    "e_ss_pairs": [[float]],
    "occupied": list,
    "frozen": list,
    "sizes": dict.fromkeys(("nao", "naux"), int),
    "labels": dict.fromkeys(
        ("basis", "auxbasis", "auxbasis_reason", "metric", "precision", "ecp", "frozen", "scf"), str
    ),
    "settings": {
        "fused": bool,
        "precision": str,
        "accuracy": float,
        "density_fit": bool,
        "conv_tol": float,
    },
    "memory_mb": {"forecast": float, "max_memory": float},
    "provenance": {
        "operations": [_OPERATION],
        "stages": [{"name": str, "seconds": float, "flops": float}],
        "reason": str,
        "failures": [{"operation": str, "error": str, "count": int}],
    },
    "notes": [str],
    "versions": dict,
}
"""What ``extras.dfmp2`` must hold. Other keys may stand beside these, and have any value."""

_GEMM = {"dtype": str, "library": str, "gflops": dict, "reason": str}
_OPTIONAL = {
    "hamiltonian": [str],
    "scf": {
        "algorithm": str,
        "exact_builds": int,
        "fitted_iterations": int,
        "seconds": float,
        "reason": str,
        "failed": bool,
    },
    "digest": str,
    "e_tot_scs": float,
    "e_tot_sos": float,
    "e_singles": float,
    "spin_square": float,
    "e_dispersion": float,
    "regularised": [{"kappa": float, "e_os": float, "e_ss": float}],
    "gradient": {"method": str, "de": [[float]]},
    "properties": {
        "method": str,
        "dipole": [float],
        "quadrupole": [[float]],
        "occupations": [float],
        "point_group": str,
    },
}


def check_form(own: Any) -> None:
    """Check types, lengths and indices of ``extras.dfmp2``.

    Parameters
    ----------
    own : object
        Parsed JSON.

    Raises
    ------
    TypeError
        If a value has another type. The message names it.
    KeyError
        If a value is missing.
    ValueError
        If lengths or indices contradict each other, or a number is not finite.
    """
    form = dict(_FORM)
    if "e_ks" in own:  # the reference is not Hartree-Fock
        form["e_ks"] = form.pop("e_hf")
    _check(own, form, "extras.dfmp2")
    _check(own, {key: kind for key, kind in _OPTIONAL.items() if key in own}, "extras.dfmp2")
    _check(own["provenance"].get("gemm", []), [_GEMM], "provenance.gemm")
    for made in own["provenance"].get("gemm", []):
        _check(made["gflops"], dict.fromkeys(made["gflops"], float), "provenance.gemm.gflops")
    for part in ("labels", "versions"):
        _check(own[part], dict.fromkeys(own[part], str), part)
    _check(own["memory_mb"], dict.fromkeys(own["memory_mb"], float), "memory_mb")
    if "xc" in own["settings"]:
        _check(own["settings"], {"xc": str, "pt2_scale": [float]}, "settings")
    if own["settings"]["precision"] not in ("fp64", "fp32", "auto"):
        raise ValueError(f"settings.precision is {own['settings']['precision']!r}")
    nocc = _check_orbitals(own)
    for name in ("e_os_pairs", "e_ss_pairs"):
        if {len(row) for row in own[name]} - {nocc} or len(own[name]) != nocc:
            raise ValueError(f"{name} is not a square of all correlated orbitals")
    _check_derivatives(own)
    if {len(xyz) for xyz in own["molecule"]["coordinates"]} - {3}:
        raise ValueError("molecule.coordinates are not triples")
    if len(own["molecule"]["coordinates"]) != len(own["molecule"]["symbols"]):
        raise ValueError("molecule.coordinates and molecule.symbols differ in number")


def _check_derivatives(own: Any) -> None:
    """Check the lengths of a gradient and of properties."""
    if "gradient" in own:
        found, names = own["gradient"], own["energies"]
        if found["de_mm"] is not None:
            _check(found["de_mm"], [[float]], "gradient.de_mm")
        if {len(row) for row in [*found["de"], *(found["de_mm"] or ())]} - {3}:
            raise ValueError("the gradient does not hold triples")
        if len(found["de"]) != len(own["molecule"]["symbols"]) or found["method"] not in names:
            raise ValueError("the gradient is not one of this molecule and these methods")
    if "properties" in own:
        found = own["properties"]
        if found["irreps"] is not None:
            _check(found["irreps"], [str], "properties.irreps")
        lengths = [len(found["dipole"]), *(len(row) for row in found["quadrupole"])]
        irreps = found["occupations"] if found["irreps"] is None else found["irreps"]
        if lengths != [3] * 4 or len(irreps) != len(found["occupations"]):
            raise ValueError("the properties have other lengths than they must have")


def _check_orbitals(own: Any) -> int:
    """Check the lists of orbitals of each spin; returns the number of correlated occupied ones."""
    sizes, total = own["sizes"], 0
    spins = ("_a", "_b") if "nocc_a" in sizes else ("",)
    names = [f"{kind}{spin}" for kind in ("nocc", "nvir") for spin in spins]
    _check(sizes, dict.fromkeys(names, int), "sizes")
    lists = {name: own[name] if len(spins) > 1 else [own[name]] for name in ("occupied", "frozen")}
    for name, found in lists.items():
        _check(found, [[int]], name)
        if len(found) != len(spins):
            raise ValueError(f"{name} does not hold one list for each spin")
    for number, spin in enumerate(spins):
        occupied, frozen = lists["occupied"][number], lists["frozen"][number]
        nocc, nvir = sizes[f"nocc{spin}"], sizes[f"nvir{spin}"]
        nmo = nocc + nvir + len(frozen)
        if min(sizes.values()) < 0 or nmo > sizes["nao"] or len(occupied) != nocc:
            raise ValueError("the sizes contradict the lists of orbitals")
        if len({*occupied, *frozen} & set(range(nmo))) != len(occupied) + len(frozen):
            raise ValueError("the lists of orbitals have an index twice, or one out of range")
        total += nocc
    return total


def _check(value: Any, kind: Any, where: str) -> None:
    if isinstance(kind, dict):
        _check(value, dict, where)
        for key, inner in kind.items():
            if key not in value:
                raise KeyError(f"{where}.{key}")
            _check(value[key], inner, f"{where}.{key}")
    elif isinstance(kind, list):
        _check(value, list, where)
        for item in value:
            _check(item, kind[0], where)
    elif kind is float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{where} is {_short(value)}, not a number")
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, not a finite number")
    elif not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{where} is {_short(value)}, not of type {kind.__name__}")


def _short(value: Any) -> str:
    plain = isinstance(value, (str, int, float, NoneType))
    return repr(value)[:40] if plain else f"of type {type(value).__name__}"


def digest(content: dict[str, Any]) -> str:
    """A checksum of plain data that does not depend on the order of keys or on white space.

    Parameters
    ----------
    content : dict

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def read_json(path: str) -> list[Any]:
    """The items of a JSON file: one object, or a list of them.

    Parameters
    ----------
    path : str

    Returns
    -------
    list
        At least one item.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is too large, or is not JSON (an HDF5 file is named as such).
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"{path}: cannot be read ({cause}); name a run file or a JSON result"
        ) from error
    if text.startswith(b"\x89HDF\r\n\x1a\n"):
        raise CheckpointError(
            f"{path}: is an HDF5 file, but no run file of dfmp2 that can be read: it was cut or "
            "changed, or another program wrote it; restore it from a copy, or run again"
        )
    if len(text) > LARGEST_FILE:
        raise CheckpointError(
            f"{path}: is longer than {LARGEST_FILE} bytes, so it is no result of dfmp2; name a run "
            "file or a JSON result"
        )
    try:
        data = json.loads(
            text.decode("utf-8-sig"), parse_constant=_no_number, object_pairs_hook=unique_keys
        )
    except (ValueError, RecursionError) as error:  # malformed, not UTF-8, or nested without end
        raise CheckpointError(
            f"{path}: is not JSON ({error}); correct it, or write a result with dfmp2 run --json "
            "FILE"
        ) from error
    if data == []:
        raise CheckpointError(
            f"{path}: is an empty list of results; write one with dfmp2 run --json FILE"
        )
    return data if isinstance(data, list) else [data]


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")

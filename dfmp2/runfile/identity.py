"""The input of a run as fields, and their fingerprint. Equal fields give the same energies."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.molecules.basis import basis_names
from dfmp2.molecules.plain import Mole
from dfmp2.settings import BasisSpec

__all__ = ["difference", "fields_of", "fingerprint", "orbital_fields"]


def fields_of(mol: Mole, auxmol: Mole, frozen: tuple[int, ...]) -> dict[str, Any]:
    """The fields of a molecule with its basis sets.

    Basis sets are compared by their exponents and coefficients, because a set may change under its
    name between two versions of a program.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The atoms with the orbital and with the auxiliary functions.
    frozen : tuple of int
        Indices of the frozen orbitals.

    Returns
    -------
    dict
        Plain data. Coordinates in bohr.
    """
    return {
        "atoms": [mol.atom_symbol(i) for i in range(mol.natm)],
        "coordinates": mol.atom_coords(unit="Bohr").tolist(),
        "charge": int(mol.charge),
        "spin": int(mol.spin),
        "basis": {"name": _names(mol.basis), "data": _digest(mol._basis)},
        "ecp": {"name": _names(mol.ecp), "data": _digest(mol._ecp)},
        "cart": bool(mol.cart),
        "auxbasis": {"name": _names(auxmol.basis), "data": _digest(auxmol._basis)},
        "frozen": list(frozen),
    }


def orbital_fields(mo_coeff: NDArray[np.float64], mo_energy: NDArray[np.float64]) -> dict[str, Any]:
    """The field of orbitals that dfmp2 did not converge itself.

    Parameters
    ----------
    mo_coeff : ndarray, shape (nao, nmo), float64
    mo_energy : ndarray, shape (nmo,), float64, hartree

    Returns
    -------
    dict
        A digest of the two arrays under "orbitals".
    """
    digest = hashlib.sha256()
    for array in (mo_coeff, mo_energy):
        digest.update(np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return {"orbitals": digest.hexdigest()[:16]}


def fingerprint(fields: dict[str, Any]) -> str:
    """Eight hexadecimal digits of a digest of the fields. They name the run file."""
    data = {k: v["data"] if isinstance(v, dict) and "data" in v else v for k, v in fields.items()}
    return hashlib.sha256(_canonical(data)).hexdigest()[:8]


def difference(stored: dict[str, Any], asked: dict[str, Any]) -> str | None:
    """The first field in which two inputs differ, with both values.

    Parameters
    ----------
    stored, asked : dict
        Fields of the run file and of the present run.

    Returns
    -------
    str or None
        None if they are the same.
    """
    for name in dict.fromkeys((*asked, *stored)):
        old, new = stored.get(name, "none"), asked.get(name, "none")
        if isinstance(old, dict) and isinstance(new, dict):
            if old["data"] == new["data"]:
                continue
            if old["name"] != new["name"]:
                old, new = old["name"], new["name"]
        if old == new:
            continue
        return f"its {name} is {_short(old)}, not {_short(new)}"
    return None


def _names(basis: BasisSpec) -> Any:
    return basis_names(basis) if basis or isinstance(basis, dict) else "none"


def _digest(data: Any) -> str:
    return hashlib.sha256(_canonical(data)).hexdigest()[:16]


def _canonical(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, default=np.ndarray.tolist).encode()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."

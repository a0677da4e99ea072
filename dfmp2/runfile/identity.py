"""The input of a run as fields, and their fingerprint. Equal fields give the same energies."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.molecules.basis import basis_names
from dfmp2.molecules.plain import Mole
from dfmp2.references.frozen import plain_frozen
from dfmp2.settings import BasisSpec

__all__ = [
    "E_REF",
    "SAME_ENERGY",
    "basis_field",
    "difference",
    "energy_fields",
    "fields_of",
    "fingerprint",
    "orbital_fields",
]

E_REF = "energy of the orbitals"
"""Field of the total energy of orbitals that dfmp2 did not converge itself, hartree."""

SAME_ENERGY = 1e-9
"""Hartree. An energy that is computed again, or an SCF that is run again, differs by 1e-12."""


def fields_of(mol: Mole, auxmol: Mole, frozen: tuple[tuple[int, ...], ...]) -> dict[str, Any]:
    """The fields of a molecule with its basis sets.

    Basis sets are compared by their exponents and coefficients, because a set may change under its
    name between two versions of a program.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The atoms with the orbital and with the auxiliary functions.
    frozen : tuple of tuple of int
        Indices of the frozen orbitals of each spin block.

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
        "frozen": plain_frozen(frozen),
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


def basis_field(basis: BasisSpec) -> Any:
    """The field of a basis that is not on a molecule yet: a name, or names with a digest.

    Parameters
    ----------
    basis : str, dict or None
    """
    if not isinstance(basis, dict):
        return basis
    return {"name": basis_names(basis), "data": _digest(basis)}


def energy_fields(e_tot: float, hamiltonian: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a reference beside its orbitals: its total energy and its Hamiltonian.

    Parameters
    ----------
    e_tot : float
        Hartree.
    hamiltonian : tuple of str
        As of `dfmp2.references.hamiltonian`. The field is left out for a plain one, so that the
        identity of older run files is the same.
    """
    named = {"hamiltonian": list(hamiltonian)} if hamiltonian else {}
    return {E_REF: float(e_tot), **named}


def fingerprint(fields: dict[str, Any]) -> str:
    """Eight hexadecimal digits of a digest of the fields. They name the run file."""
    data = {
        k: v["data"] if isinstance(v, dict) and "data" in v else v
        for k, v in fields.items()
        if k != E_REF
    }
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
        if name == E_REF and (name not in stored or name not in asked):
            continue  # version 0.1.0 did not write it
        if name == E_REF and abs(float(old) - float(new)) <= SAME_ENERGY:
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

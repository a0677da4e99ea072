"""The form of a chkfile of PySCF: types, shapes, and a molecule that agrees with itself.

Whether the orbitals belong to the molecule is the question of `dfmp2.references.chkfile`.
"""

from __future__ import annotations

import ast
import json
from typing import Any

import numpy as np

from dfmp2.errors import InputError, UnsupportedReferenceError
from dfmp2.molecules.plain import Mole, recorded_basis, recorded_ecp

__all__ = ["SCF_KEYS", "read_form"]

SCF_KEYS = ("e_tot", "mo_energy", "mo_occ", "mo_coeff")

_BAD = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,  # a damaged length
    OSError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What h5py, JSON and PySCF raise for a file that is damaged."""

_LITERAL = (
    ast.Expression,
    ast.Constant,
    ast.List,
    ast.Tuple,
    ast.Dict,
    ast.UnaryOp,
    ast.USub,
    ast.UAdd,
    ast.Load,
    ast.Call,
    ast.Name,
)


def read_form(path: str) -> tuple[Mole, dict[str, Any]]:
    """Read the molecule and the SCF of a chkfile.

    Parameters
    ----------
    path : str
        The file may be open in another process. It is read without a lock.

    Returns
    -------
    mol : pyscf.gto.Mole
        Silent. Its basis sets are named only if the name gives the functions of the file.
    scf : dict
        `SCF_KEYS`. e_tot, float, hartree; mo_energy, shape (nmo,), hartree; mo_occ, shape (nmo,);
        mo_coeff, shape (nao, nmo), all float64. Of a UHF with a first index for the spin.

    Raises
    ------
    InputError
        If the file holds no SCF, or is damaged.
    UnsupportedReferenceError
        If the molecule is periodic, or the orbitals are generalised.
    """
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            text = file["mol"][()]
            stored = json.loads(text)
            if isinstance(stored, dict) and "a" in stored:
                raise UnsupportedReferenceError(
                    f"{path}: is the chkfile of a periodic Cell; dfmp2 treats molecules only"
                )
            scf = {key: file["scf"][key][()] for key in SCF_KEYS}
        mol = _molecule(text, stored)
        generalised = np.ndim(scf["mo_coeff"]) == 2 and len(scf["mo_coeff"]) == 2 * mol.nao_nr()
        if not generalised:
            scf = _arrays(scf, mol)
    except InputError:
        raise
    except _BAD as error:
        raise InputError(
            f"{path}: is no PySCF chkfile with a finished SCF ({type(error).__name__}: {error}); "
            "write one with mf.chkfile, or give the geometry"
        ) from error
    if generalised:
        raise UnsupportedReferenceError(f"{path}: holds a generalised SCF (GHF), not treated here")
    return mol, scf


def _molecule(text: bytes, stored: dict[str, Any]) -> Mole:
    """The molecule, if its atoms and basis sets give the arrays that are stored beside them."""
    from pyscf import gto

    for name in ("atom", "basis", "ecp", "pseudo"):
        if name in stored:
            _require_literal(name, stored[name])
    mol = gto.loads(text)
    start = mol._env[: gto.PTR_ENV_START]
    atm, bas, env = mol.make_env(mol._atom, mol._basis, start, mol.nucmod, mol.nucprop)
    pairs = [(mol._bas, bas)]
    if mol._ecp:
        atm, ecpbas, env = mol.make_ecp_env(atm, mol._ecp, env)
        pairs.append((mol._ecpbas, ecpbas))
    pairs += [(mol._atm, atm), (mol._env, env)]
    # Another version of PySCF or of NumPy may round the normalisation of a function otherwise.
    if any(
        found.shape != made.shape or not np.allclose(found, made, rtol=1e-9, atol=0)
        for found, made in pairs
    ):
        raise ValueError("its atoms and basis sets contradict its arrays")
    mol.verbose, mol._enuc, mol._nao = 0, None, None  # the last two are results of PySCF
    mol.basis = recorded_basis(mol.basis, mol._basis)
    mol.ecp = recorded_ecp(mol.ecp, mol._ecp)
    return mol


def _require_literal(name: str, text: Any) -> None:
    """PySCF evaluates these texts. Only literals and arrays of numbers are let through."""
    for node in ast.walk(ast.parse(text, mode="eval")):
        known = not isinstance(node, ast.Name) or node.id == "array"
        if not isinstance(node, _LITERAL) or not known:
            raise ValueError(f"mol.{name} is no literal")


def _arrays(scf: dict[str, Any], mol: Mole) -> dict[str, Any]:
    nmo = np.shape(scf["mo_coeff"])[-1]
    spin = (2,) if np.ndim(scf["mo_coeff"]) == 3 else ()
    shapes = {
        "e_tot": (),
        "mo_energy": (*spin, nmo),
        "mo_occ": (*spin, nmo),
        "mo_coeff": (*spin, mol.nao_nr(), nmo),
    }
    found = {}
    for name, shape in shapes.items():
        value = np.asarray(scf[name])
        if np.iscomplexobj(value) or not np.issubdtype(value.dtype, np.number):
            raise TypeError(f"scf/{name} holds {value.dtype}, not real numbers")
        if value.shape != shape:
            raise ValueError(f"scf/{name} has shape {value.shape}, not {shape}")
        if not np.isfinite(value).all():
            raise ValueError(f"scf/{name} has numbers that are not finite")
        found[name] = np.asarray(value, dtype=np.float64)
    if found["mo_occ"].sum() != mol.nelectron:
        raise ValueError(f"scf/mo_occ is not the occupation of {mol.nelectron} electrons")
    return {**found, "e_tot": float(found["e_tot"])}

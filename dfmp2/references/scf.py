"""Hartree-Fock for users who start from a molecule, and converged ones from chkfiles."""

from __future__ import annotations

import json
from typing import Any

from dfmp2.errors import InputError, NotConvergedError, UnsupportedReferenceError

__all__ = ["CONV_TOL", "load_chkfile", "new_scf", "run_scf"]

CONV_TOL = 1e-10
"""Hartree. A looser SCF moves the correlation energy by more than the printed digits."""

GRADIENT_TOL = 1e-7

SCF_KEYS = ("e_tot", "mo_energy", "mo_occ", "mo_coeff")

CHKFILE_GRADIENT = 1e-3
"""A chkfile says neither whether its SCF converged nor of which method it is. A density-fitted
SCF's orbitals leave an exact gradient near 1e-4; unfinished or Kohn-Sham ones exceed this."""


def run_scf(
    mol: Any,
    density_fit: bool = False,
    conv_tol: float = CONV_TOL,
    max_cycle: int = 100,
    max_memory: float | None = None,
    gradient_tol: float = GRADIENT_TOL,
    auxbasis: Any = None,
) -> Any:
    """Converge a restricted Hartree-Fock calculation.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    density_fit : bool
        Fit the SCF's own integrals too. The default is an exact SCF.
    conv_tol : float
        Energy threshold, hartree.
    max_cycle : int
        Iterations allowed.
    max_memory : float, optional
        MB that the SCF may use.
    gradient_tol : float
        Threshold of the orbital gradient, hartree.
    auxbasis : str or dict, optional
        Auxiliary set of a density-fitted SCF; PySCF's Coulomb/exchange (JK) set by default.

    Returns
    -------
    pyscf.scf.hf.RHF
        Converged.

    Raises
    ------
    NotConvergedError
        If `max_cycle` iterations do not suffice.
    UnsupportedReferenceError
        If the molecule has unpaired electrons.
    """
    if mol.spin != 0:
        raise UnsupportedReferenceError(
            f"spin {mol.spin}: this version treats closed shells (RHF) only; open-shell MP2 is in "
            "pyscf.mp.dfump2_native"
        )
    mf = new_scf(mol, density_fit, auxbasis)
    mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = conv_tol, gradient_tol, max_cycle
    if max_memory is not None:
        mf.max_memory = max_memory
    mf.kernel()
    if not mf.converged:
        raise NotConvergedError(
            f"the SCF did not converge to {conv_tol:g} Eh in {max_cycle} iterations; raise "
            "--max-cycle, or converge it in PySCF and pass its chkfile"
        )
    return mf


def new_scf(mol: Any, density_fit: bool = False, auxbasis: Any = None) -> Any:
    """A silent restricted Hartree-Fock object, not yet run; parameters as of `run_scf`."""
    from pyscf import scf

    mf = scf.RHF(mol)
    if density_fit:
        mf = mf.density_fit(auxbasis=auxbasis)
    mf.verbose = 0
    mf.chkfile = None  # PySCF writes one to a temporary folder otherwise
    return mf


def load_chkfile(path: str) -> Any:
    """Mean field from a PySCF chkfile, without running the SCF again.

    Parameters
    ----------
    path : str
        Written by a PySCF SCF (``mf.chkfile``).

    Returns
    -------
    pyscf.scf.hf.RHF

    Raises
    ------
    InputError
        If the file holds no SCF.
    NotConvergedError
        If its orbitals do not solve the Hartree-Fock equations.
    UnsupportedReferenceError
        If the orbitals are not restricted, or the molecule has unpaired electrons.
    """
    import h5py
    import numpy as np
    from pyscf import gto

    try:
        with h5py.File(path, "r") as file:
            text = file["mol"][()]
            stored = {key: file["scf"][key][()] for key in SCF_KEYS}
        json.loads(text)  # a damaged entry is found before PySCF evaluates it
        mol = gto.loads(text)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path}: is no PySCF chkfile with a finished SCF ({error}); write one with "
            "mf.chkfile, or give the geometry"
        ) from error
    mol.verbose = 0
    if np.ndim(stored["mo_coeff"]) != 2 or mol.spin != 0:
        raise UnsupportedReferenceError(
            f"{path}: holds an open-shell or generalised SCF; this version treats closed shells "
            "(RHF) only"
        )
    mf = new_scf(mol)
    mf.mo_coeff, mf.mo_occ = stored["mo_coeff"], stored["mo_occ"]
    mf.mo_energy, mf.e_tot = stored["mo_energy"], float(stored["e_tot"])
    fock = mf.mo_coeff.T @ mf.get_fock() @ mf.mo_coeff
    occupied = mf.mo_occ > 0
    gradient = float(np.abs(fock[np.ix_(~occupied, occupied)]).max(initial=0.0))
    if gradient > CHKFILE_GRADIENT:
        raise NotConvergedError(
            f"{path}: its orbitals are not converged Hartree-Fock orbitals (largest orbital "
            f"gradient {gradient:.1e}); converge a scf.RHF and pass its chkfile"
        )
    mf.converged, mf.read_from = True, path
    return mf

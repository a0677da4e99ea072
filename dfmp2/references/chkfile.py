"""Converged SCFs from chkfiles of PySCF."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from dfmp2.errors import InputError, NotConvergedError, UnsupportedReferenceError
from dfmp2.references.mean_field import read_mean_field
from dfmp2.references.solution import ScfSolution

__all__ = ["is_chkfile", "load_chkfile"]

SCF_KEYS = ("e_tot", "mo_energy", "mo_occ", "mo_coeff")

CHKFILE_GRADIENT = 1e-3
"""A chkfile does not record whether its SCF converged, nor its method. A density-fitted
SCF's orbitals leave an exact gradient near 1e-4; unfinished or Kohn-Sham ones exceed this."""


def is_chkfile(source: str) -> bool:
    """Whether the file is an HDF5 file, which is how PySCF writes chkfiles."""
    import h5py

    return Path(source).is_file() and bool(h5py.is_hdf5(source))


def load_chkfile(path: str) -> ScfSolution:
    """Orbitals from a PySCF chkfile, without running the SCF again.

    Parameters
    ----------
    path : str
        Written by a PySCF SCF (``mf.chkfile``).

    Returns
    -------
    ScfSolution

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
    from pyscf import gto, scf

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
    mf = scf.RHF(mol)
    mf.verbose, mf.chkfile = 0, None
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
    mf.converged = True
    return replace(read_mean_field(mf), read_from=path)

"""Converged SCFs from chkfiles of PySCF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dfmp2.errors import NotConvergedError
from dfmp2.references.chkfile_form import read_form
from dfmp2.references.mean_field import read_mean_field
from dfmp2.references.solution import ScfSolution

__all__ = ["is_chkfile", "load_chkfile"]

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
    import numpy as np
    from pyscf import scf

    mol, stored = read_form(path)
    mf = scf.RHF(mol)
    mf.verbose, mf.chkfile = 0, None
    mf.mo_coeff, mf.mo_occ = stored["mo_coeff"], stored["mo_occ"]
    mf.mo_energy, mf.e_tot = stored["mo_energy"], stored["e_tot"]
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

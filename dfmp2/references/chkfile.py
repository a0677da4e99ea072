"""Converged SCFs from chkfiles of PySCF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dfmp2.errors import InputError, NotConvergedError
from dfmp2.references.check import (
    FULL,
    fock_faults,
    remarks_on,
    require_orthonormal,
    require_rohf,
)
from dfmp2.references.chkfile_form import read_form
from dfmp2.references.mean_field import read_mean_field
from dfmp2.references.solution import ReferenceCheck, ScfSolution
from dfmp2.settings import Settings

__all__ = ["is_chkfile", "load_chkfile"]

CHKFILE_GRADIENT = 1e-3
"""A chkfile does not record whether its SCF converged, nor its method. A density-fitted
SCF's orbitals leave an exact gradient near 1e-4; unfinished or Kohn-Sham ones exceed this."""

MF_ONLY = (
    "An SCF that is not finished, X2C, point charges, a solvent, an electric field and Kohn-Sham "
    "methods are not recorded in a chkfile: converge a scf.RHF and pass its chkfile, or use the "
    "class DFMP2 with the mean field"
)


def is_chkfile(source: str) -> bool:
    """Whether the file is an HDF5 file, which is how PySCF writes chkfiles."""
    import h5py

    return Path(source).is_file() and bool(h5py.is_hdf5(source))


def load_chkfile(path: str, settings: Settings) -> ScfSolution:
    """Orbitals from a PySCF chkfile, without running the SCF again.

    Parameters
    ----------
    path : str
        Written by a PySCF SCF (``mf.chkfile``).
    settings : Settings
        Read: `check_reference`.

    Returns
    -------
    ScfSolution

    Raises
    ------
    InputError
        If the file holds no SCF, or its orbitals, orbital energies and total energy do not belong
        together.
    NotConvergedError
        If its orbitals do not solve the Hartree-Fock equations.
    UnsupportedReferenceError
        If the orbitals are generalised, or the molecule is periodic.
    """
    from pyscf import scf

    mol, stored = read_form(path)
    if stored["mo_coeff"].ndim == 3:
        mf = scf.uhf.UHF(mol)
    else:
        mf = (scf.rohf.ROHF if mol.spin else scf.hf.RHF)(mol)
    mf.verbose, mf.chkfile = 0, None
    mf.mo_coeff, mf.mo_occ = stored["mo_coeff"], stored["mo_occ"]
    mf.mo_energy, mf.e_tot = stored["mo_energy"], stored["e_tot"]
    mf.converged = True
    solution = replace(read_mean_field(mf, check="off"), read_from=path)
    if settings.check_reference != "off":
        require_orthonormal(solution)
        if solution.kind == "ROHF":
            return replace(solution, check=ReferenceCheck(FULL, remarks=require_rohf(solution, mf)))
        faults = fock_faults(solution, mf)
        if not faults.gradient <= CHKFILE_GRADIENT:
            raise NotConvergedError(
                f"{path}: its orbitals do not solve the Hartree-Fock equations of the plain "
                f"Hamiltonian in the file (largest orbital gradient {faults.gradient:.1e} Eh). "
                + MF_ONLY
            )
        if faults.text:
            raise InputError(
                f"{path}: its orbitals, orbital energies and total energy do not belong to one "
                f"Hartree-Fock solution of the plain Hamiltonian in the file: {faults.text}. "
                + MF_ONLY
            )
        remarks = remarks_on(faults.deviation, solution)
        solution = replace(solution, check=ReferenceCheck(FULL, remarks=remarks))
    return solution

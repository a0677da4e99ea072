"""Energies along a series of geometries: `DFMP2.as_scanner`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from pyscf import gto, lib

from dfmp2.errors import InputError
from dfmp2.foreign_errors import OfTheCaller, translated
from dfmp2.references.hamiltonian import METHODS

__all__ = ["DFMP2Scanner", "require_follows_molecule", "scanner_of"]


class DFMP2Scanner(lib.SinglePointScanner):  # type: ignore[misc]
    """A `DFMP2` that is called with a geometry and returns the total energy.

    The SCF starts from the orbitals of the geometry before, so it needs fewer iterations. After an
    SCF that failed, and for other atoms or another charge, it starts from PySCF's initial guess.
    """

    def __init__(self, mp: Any) -> None:
        self.__dict__.update(mp.__dict__)
        self._scf = _separate(mp._scf).as_scanner()

    def __call__(self, mol_or_geom: Any, **kwargs: Any) -> float:
        """The MP2 energy at a geometry.

        Parameters
        ----------
        mol_or_geom : pyscf.gto.Mole, str, list, or ndarray of shape (natm, 3)
            A molecule, atoms in PySCF's notation, or coordinates in the unit of `mol`.
        **kwargs
            As of `kernel`.

        Returns
        -------
        e_tot : float
            Hartree.

        Raises
        ------
        InputError
            If coordinates do not fit the molecule, PySCF cannot do the SCF there, or `checkpoint`
            is set.
        UnsupportedReferenceError
            If the molecule has unpaired electrons.
        NotConvergedError
            If the SCF does not converge.
        """
        mp: Any = self  # the other base class is a DFMP2
        self.move(mol_or_geom)
        mp.kernel(**kwargs)
        return float(mp.e_tot)

    def move(self, mol_or_geom: Any) -> None:
        """Converge the SCF at a geometry. Parameters and errors are those of a call."""
        mp: Any = self
        if mp.checkpoint is not None:
            raise InputError(
                "a run file belongs to one geometry, so a scanner cannot keep one; set checkpoint "
                "to None, or use a DFMP2 with its own checkpoint for each geometry"
            )
        mol = mol_or_geom
        if not isinstance(mol, gto.MoleBase):
            mol = _moved(mp.mol, mol)
        if not (self._scf.converged and _alike(mp.mol, mol)):
            self._scf.mo_coeff = None  # PySCF's scanner would start from these orbitals
        advice = "check the geometry: two atoms may be at one place"
        with translated("the SCF of the scanner", advice):
            mp.reset(mol)
            self._scf(mol)


@translated("making a scanner")
def scanner_of(mp: Any) -> Any:
    """A scanner with the options of a `DFMP2`, and with a mean field of its own.

    Parameters
    ----------
    mp : DFMP2
        Stays as it is, with its mean field.

    Returns
    -------
    DFMP2Scanner
        Also an object of the class of `mp`.

    Raises
    ------
    InputError
        As `require_follows_molecule`.
    """
    require_follows_molecule(mp._scf)
    bases = (DFMP2Scanner, type(mp))
    return lib.set_class(DFMP2Scanner(mp), bases, type(mp).__name__ + DFMP2Scanner.__name_mixin__)


def require_follows_molecule(mf: Any) -> None:
    """Refuse a mean field that would keep the Hamiltonian of its molecule for another one.

    A function put into the object, as in ``mf.get_hcore = lambda *args: h``, mostly returns the
    arrays of one geometry. Methods of a class, as of X2C and QM/MM, take the new molecule.

    Raises
    ------
    InputError
    """
    if replaced := [name for name in METHODS if name in vars(mf)]:
        raise InputError(
            f"{', '.join(replaced)} of the mean field was replaced in the object, so it may belong "
            "to one geometry only; define it as a method of a subclass, which computes it from "
            "self.mol, or make a new mean field for each geometry"
        )


def _separate(mf: Any) -> Any:
    """A copy of a mean field that shares nothing which an SCF at another geometry changes.

    PySCF's own scanners change the grids, the objects for density fitting and solvents, and the
    temporary files of the mean field that they are made from.
    """
    own = copy.deepcopy(mf)  # without integrals, files and callback, as PySCF pickles it
    own.stdout = mf.stdout
    own.callback = OfTheCaller(mf.callback) if callable(mf.callback) else mf.callback
    if getattr(mf, "_chkfile", None) is None or mf.chkfile != mf._chkfile.name:
        own.chkfile = mf.chkfile  # the user's file
    return own


def _alike(before: Any, now: Any) -> bool:
    return bool(before.elements == now.elements and before.nelectron == now.nelectron)


def _moved(mol: Any, atoms: Any) -> Any:
    """The molecule with other atoms, or with the coordinates in an array or a list.

    Coordinates are checked here: PySCF leaves out atoms without coordinates, and reads rows of a
    list of numbers as atoms.
    """
    try:
        xyz = np.asarray(atoms, dtype=float)
    except (TypeError, ValueError):
        try:
            return mol.set_geom_(atoms, inplace=False)
        except (AssertionError, KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"PySCF cannot read the geometry ({type(error).__name__}: {error}); give a "
                "molecule, coordinates, or atoms as in 'H 0 0 0; H 0 0 0.74'"
            ) from error
    if xyz.shape != (mol.natm, 3) or not np.isfinite(xyz).all():
        raise InputError(
            f"coordinates of shape {xyz.shape} are no geometry of a molecule of {mol.natm} atoms; "
            f"give finite numbers of shape ({mol.natm}, 3)"
        )
    return mol.set_geom_(xyz, inplace=False)

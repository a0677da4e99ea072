"""One-electron properties of densities: multipole moments and natural occupations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.methods.natural_orbitals import natural_orbitals, total_density
from dfmp2.results.densities import Densities
from dfmp2.results.properties import Properties

__all__ = ["dipole_moment", "properties_of", "quadrupole_moment"]

Array = NDArray[np.float64]


def dipole_moment(mol: Any, density: Array, origin: Any = None) -> Array:
    """The dipole moment of a density with the nuclei.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    density : ndarray, shape (nao, nao), float64
        Of both spins, in atomic orbitals.
    origin : sequence of 3 floats, optional
        Bohr; the origin of the coordinates if not given. It matters for ions.

    Returns
    -------
    ndarray, shape (3,), float64, e bohr
    """
    from pyscf.scf import hf

    return np.asarray(hf.dip_moment(mol, density, "AU", origin=origin, verbose=0))


def quadrupole_moment(mol: Any, density: Array, origin: Any = None) -> Array:
    """The traceless quadrupole moment of a density with the nuclei, Q = sum q (3 r r - r^2) / 2.

    Parameters
    ----------
    mol, density, origin
        As of `dipole_moment`. The origin matters for ions and for molecules with a dipole moment.

    Returns
    -------
    ndarray, shape (3, 3), float64, e bohr^2
    """
    # hf.quad_moment of PySCF is not in all versions that dfmp2 works with.
    center = np.zeros(3) if origin is None else np.asarray(origin, dtype=np.float64)
    with mol.with_common_orig(center):
        electrons = -np.einsum("xmn,mn->x", mol.intor("int1e_rr"), density).reshape(3, 3)
    nuclei = mol.atom_coords() - center
    second = electrons + np.einsum("a,ax,ay->xy", mol.atom_charges(), nuclei, nuclei)
    traceless: Array = (3 * second - np.trace(second) * np.eye(3)) / 2
    return traceless


def properties_of(mol: Any, densities: Densities, method: str) -> Properties:
    """Moments of the relaxed density, and natural occupations of the unrelaxed one.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    densities : Densities
        With the relaxed one.
    method : str
        Name of the method that they belong to.

    Returns
    -------
    Properties
    """
    relaxed, orbitals = total_density(densities, relaxed=True)
    density = orbitals @ relaxed @ orbitals.T
    natural = natural_orbitals(mol, *total_density(densities, relaxed=False))
    return Properties(
        method=method,
        dipole=tuple(dipole_moment(mol, density).tolist()),
        quadrupole=tuple(tuple(row) for row in quadrupole_moment(mol, density).tolist()),
        occupations=tuple(natural.occupations.tolist()),
        irreps=natural.irreps,
        point_group=natural.point_group,
    )

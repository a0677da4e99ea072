"""Semicanonical orbitals of an ROHF: each spin's Fock matrix is diagonal in the occupied and in the
virtual space.

MP2 needs orbital energies, and the orbitals of an ROHF are no eigenvectors of the Fock matrix of
either spin. The occupied and the virtual space of each spin are rotated in themselves, which
leaves the determinant as it is. Elements between occupied and virtual orbitals remain. They give
the single excitations: E = sum_ia |F_ia|^2 / (e_i - e_a), summed over both spins.

W. J. Lauderdale, J. F. Stanton, J. Gauss, J. D. Watts,
R. J. Bartlett, Chem. Phys. Lett. 187, 21 (1991), doi:10.1016/0009-2614(91)90478-R.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["semicanonical"]

Array = NDArray[np.float64]


def semicanonical(mf: Any, mo_coeff: Array, mo_occ: Array) -> tuple[Array, Array, Array, Array]:
    """Rotate the orbitals of an ROHF.

    Parameters
    ----------
    mf : pyscf.scf.rohf.ROHF
        Makes the Fock matrix, with its own integrals.
    mo_coeff : ndarray, shape (nao, nmo), float64
    mo_occ : ndarray, shape (nmo,), float64
        0, 1 or 2.

    Returns
    -------
    mo_coeff : ndarray, shape (2, nao, nmo), float64
        Of alpha and of beta: occupied orbitals first, each space in the order of its energies.
    mo_energy : ndarray, shape (2, nmo), float64, hartree
    mo_occ : ndarray, shape (2, nmo), float64
        0 or 1.
    fock : ndarray, shape (2, nmo, nmo), float64, hartree
        Fock matrices in these orbitals.
    """
    fock = mf.get_fock(dm=mf.make_rdm1(mo_coeff, mo_occ))
    coeffs, energies, occupations, matrices = [], [], [], []
    for own, occupied in ((fock.focka, mo_occ > 0), (fock.fockb, mo_occ > 1)):
        parts = []
        for space in (mo_coeff[:, occupied], mo_coeff[:, ~occupied]):
            _, rotation = np.linalg.eigh(space.T @ own @ space)
            parts.append(space @ rotation)
        coeff = np.hstack(parts)
        matrix = coeff.T @ own @ coeff
        coeffs.append(coeff)
        matrices.append(matrix)
        energies.append(np.diag(matrix))
        occupations.append((np.arange(len(mo_occ)) < parts[0].shape[1]).astype(float))
    return np.array(coeffs), np.array(energies), np.array(occupations), np.array(matrices)

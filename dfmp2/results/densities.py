"""One-particle densities of a calculation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Densities"]


@dataclass(frozen=True, eq=False)
class Densities:
    """Densities of Hartree-Fock and correlation together, in molecular orbitals.

    Of a closed shell there is one matrix, of both spins; otherwise one for alpha and one for beta.

    Attributes
    ----------
    unrelaxed : tuple of ndarray, shape (nmo, nmo), float64
        Derivative of the energy with respect to the Fock matrix, for fixed orbitals. Symmetric.
    relaxed : tuple of ndarray, shape (nmo, nmo), float64, or None
        Derivative of the energy with respect to the one-electron Hamiltonian. Symmetric.
    mo_coeff : tuple of ndarray, shape (nao, nmo), float64
        Orbitals of each matrix.
    """

    unrelaxed: tuple[NDArray[np.float64], ...]
    relaxed: tuple[NDArray[np.float64], ...] | None
    mo_coeff: tuple[NDArray[np.float64], ...]

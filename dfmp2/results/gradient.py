"""The gradient of an energy with respect to the positions of the nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfmp2.results.densities import Densities
from dfmp2.results.result import Result

__all__ = ["Gradient"]


@dataclass(frozen=True, eq=False)
class Gradient:
    """Gradient of the total energy of a method.

    Attributes
    ----------
    de : ndarray, shape (natm, 3), float64, hartree/bohr
        The order of atoms and the axes are those of ``mol.atom_coords()``.
    de_mm : ndarray, shape (ncharges, 3), float64, hartree/bohr, or None
        With respect to the positions of point charges.
    result : Result
        The energies, from the same pass over the pairs.
    method : str
        Key of ``result.energies``.
    densities : Densities
        Unrelaxed and relaxed.
    timings : dict of str to float
        Seconds by stage.
    notes : tuple of str
        Warnings about the gradient.
    """

    de: NDArray[np.float64]
    de_mm: NDArray[np.float64] | None
    result: Result
    method: str
    densities: Densities
    timings: dict[str, float]
    notes: tuple[str, ...] = ()

    @property
    def e_tot(self) -> float:
        """The total energy that `de` is the gradient of, hartree."""
        return self.result.energies[self.method]["total"]

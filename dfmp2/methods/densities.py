"""One-particle densities in molecular orbitals.

The unrelaxed density has the correlated blocks only. The relaxed one contains the response of the
orbitals, which the solution of the Z-vector equations gives (`dfmp2.methods.z_vector`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfmp2.backends.protocol import Array
from dfmp2.methods.z_vector import correlated_orbitals
from dfmp2.references.reference import Reference
from dfmp2.references.solution import ScfSolution
from dfmp2.results.densities import Densities

__all__ = ["densities_of"]


def densities_of(
    solution: ScfSolution,
    reference: Reference,
    blocks: Sequence[tuple[Array, Array]],
    relaxation: Sequence[Array] | None,
) -> Densities:
    """Add the density of Hartree-Fock to those of the correlation energy.

    Parameters
    ----------
    solution : ScfSolution
    reference : Reference
    blocks : sequence of tuple of ndarray, shapes (nocc, nocc) and (nvir, nvir), float64
        Derivatives of the correlation energy with respect to Fock matrices, of each spin.
    relaxation : sequence of ndarray, shape (nmo, nmo), float64, or None
        The same with the response of the orbitals.
    """
    share = 2.0 if len(solution.spins) == 1 else 1.0
    hartree_fock = [np.diag(share * spin.occupied) for spin in solution.spins]
    unrelaxed = []
    for number, (own, (p_occ, p_vir)) in enumerate(zip(hartree_fock, blocks, strict=True)):
        whole = own.copy()
        occ, vir = correlated_orbitals(solution, reference, number)
        whole[np.ix_(occ, occ)] += p_occ
        whole[np.ix_(vir, vir)] += p_vir
        unrelaxed.append(whole)
    relaxed = None
    if relaxation is not None:
        relaxed = tuple(a + b for a, b in zip(hartree_fock, relaxation, strict=True))
    orbitals = tuple(spin.mo_coeff for spin in solution.spins)
    return Densities(tuple(unrelaxed), relaxed, orbitals)

"""The analytic gradient of Hartree-Fock and DF-MP2 energy.

    dE/dR = dE_nuc/dR + Tr(D_rel h^R) - Tr(W S^R) + sum_s Tr(M^s G^s,R[D]) / 2
            + sum Y[Q,m,n] (mn|Q)^R + sum y[P,Q] (P|Q)^R

D is the density of the SCF, D_rel = D + P the relaxed one, M = D + 2 P, and W the energy-weighted
density of both. P, W, Y and y are in `dfmp2.methods.z_vector` and `dfmp2.methods.lagrangian`.

F. Weigend, M. Häser, Theor. Chem. Acc. 97, 331 (1997), doi:10.1007/s002140050269; R. A. DiStasio,
R. P. Steele, Y. M. Rhee, Y. Shao, M. Head-Gordon, J. Comput. Chem. 28, 839 (2007),
doi:10.1002/jcc.20604.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.protocol import Array
from dfmp2.integrals.fitted_scf import fitted_gradient
from dfmp2.methods.z_vector import Relaxation
from dfmp2.references.response import Response
from dfmp2.references.solution import ScfSolution

__all__ = ["relaxed_gradient"]


def relaxed_gradient(
    solution: ScfSolution, relaxation: Relaxation, response: Response
) -> tuple[Array, Array | None]:
    """All terms but those of the integrals of MP2's fit.

    Parameters
    ----------
    solution : ScfSolution
    relaxation : Relaxation
    response : Response

    Returns
    -------
    atoms : ndarray, shape (natm, 3), float64, hartree/bohr
    charges : ndarray, shape (ncharges, 3), float64, hartree/bohr, or None
        Of point charges around the molecule.
    """
    share = 2.0 if len(solution.spins) == 1 else 1.0
    nao = len(solution.spins[0].mo_coeff)
    occupied, scf, change, weighted = [], [], [], np.zeros((nao, nao))
    for spin, p, w in zip(solution.spins, relaxation.density, relaxation.weighted, strict=True):
        c, c_occ = spin.mo_coeff, spin.mo_coeff[:, spin.occupied]
        occupied.append(c_occ)
        scf.append(share * c_occ @ c_occ.T)
        change.append(c @ p @ c.T)
        weighted += c @ w @ c.T
        weighted += share * (c_occ * spin.mo_energy[spin.occupied]) @ c_occ.T
    density, other = np.array(scf), np.array(scf) + 2 * np.array(change)
    relaxed: Array = np.sum(scf, axis=0) + np.sum(change, axis=0)
    found = response.one_electron_gradient(relaxed, weighted)
    if response.fitting is None:
        found += response.exact_gradient(density, other)
    else:
        found += fitted_gradient(response.mol, response.fitting, occupied, other)
    charges = None if response.charges is None else response.charges_gradient(relaxed)
    return found, charges

"""Derivatives of the fitted two-electron energy of an SCF.

With u[P,m,i] = sum_Q (P|Q)^-1 (Q|mi) of the occupied orbitals i, D = n C C^T and any symmetric M,
sum_s Tr(M^s G^s[D]) / 2 depends on (mn|P) through

    Y[P,m,n] = (M_mn c_P[D] + D_mn c_P[M]) / 2 - sum_i (M u[P])_mi C_ni        (symmetrised)
    y[P,Q]   = - c_P[M] c_Q[D] / 2 + 1/2 sum_mi (M u[P])_mi u[Q,m,i]

where c_P[D] = sum_Q (P|Q)^-1 sum_mn (Q|mn) D_mn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from dfmp2.backends.protocol import Array
from dfmp2.errors import NotProvidedError
from dfmp2.fitting.metric import factor_metric, metric_integrals
from dfmp2.integrals.blocks import shell_blocks
from dfmp2.integrals.derivatives import ThreeCentreDerivatives, two_centre_gradient
from dfmp2.molecules.plain import Mole
from dfmp2.references.response import ROW_BYTES, fitted_rows

__all__ = ["fitted_gradient"]


def fitted_gradient(mol: Mole, with_df: Any, occupied: Sequence[Array], other: Array) -> Array:
    """Derivative of sum_s Tr(M^s G^s[D]) / 2 by fitted integrals, for fixed M and D.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    with_df : pyscf.df.DF
        Of the SCF, built.
    occupied : sequence of ndarray, shape (nao, nocc), float64
        Occupied orbitals, of each spin or of a closed shell.
    other : ndarray, shape (nspin, nao, nao), float64
        M, symmetric.

    Returns
    -------
    ndarray, shape (natm, 3), float64, hartree/bohr

    Raises
    ------
    NotProvidedError
        If the auxiliary functions are linearly dependent.
    """
    from pyscf import lib

    auxmol, nao = with_df.auxmol, int(mol.nao_nr())
    naux = int(auxmol.nao_nr())
    metric = factor_metric(metric_integrals(auxmol))
    if metric.kind != "cholesky" or with_df.get_naoaux() != naux:
        raise NotProvidedError(
            "gradients are not provided for this density-fitted SCF: its auxiliary set is linearly "
            "dependent; choose another one (mf.density_fit(auxbasis=...), --scf-auxbasis)"
        )
    upper = torch.from_numpy(metric.factor).T
    share = 2.0 if len(occupied) == 1 else 1.0
    columns = [torch.from_numpy(np.ascontiguousarray(c)) for c in occupied]
    m = [torch.from_numpy(np.ascontiguousarray(one)) for one in other]
    scf = torch.stack([share * c @ c.T for c in columns])
    totals = torch.stack([scf.sum(dim=0), torch.stack(m).sum(dim=0)])  # of D and of M
    u = [torch.empty((naux, nao, c.shape[1]), dtype=torch.float64) for c in columns]
    charges = torch.empty((naux, 2), dtype=torch.float64)
    start = 0
    for packed in fitted_rows(with_df, max(1, int(ROW_BYTES / 8 / nao**2))):
        rows = torch.from_numpy(lib.unpack_tril(packed))
        here = slice(start, start + len(rows))
        charges[here] = rows.reshape(len(rows), -1) @ totals.reshape(2, -1).T
        for own, c in zip(u, columns, strict=True):
            own[here] = rows @ c
        start += len(rows)
    charges = torch.linalg.solve_triangular(upper, charges, upper=True)
    y = -0.5 * torch.outer(charges[:, 1], charges[:, 0])
    for number, own in enumerate(u):
        u[number] = torch.linalg.solve_triangular(upper, own.reshape(naux, -1), upper=True).reshape(
            own.shape
        )
        turned = torch.matmul(m[number], u[number])
        y += 0.5 * turned.reshape(naux, -1) @ u[number].reshape(naux, -1).T
    gradient = two_centre_gradient(auxmol, ((y + y.T) / 2).numpy())
    derivatives = ThreeCentreDerivatives(mol, auxmol)
    for block in shell_blocks(auxmol.ao_loc_nr(), 64):
        here = slice(block.p0, block.p1)
        density = 0.5 * torch.tensordot(charges[here].flip(1), totals, 1)
        for number, c in enumerate(columns):
            half = torch.matmul(m[number], u[number][here]) @ c.T
            density -= (half + half.mT) / 2
        derivatives.add(block, density.numpy())
    total: Array = gradient + derivatives.gradient
    return total

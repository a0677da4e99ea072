"""Response and derivatives of the fitted two-electron energy of an SCF.

From the fitted integrals (P|mn) that PySCF holds, for any symmetric D and some orbitals c

    G[D] c = sum_P (P|..) c q_P - k (P|..) D (P|..) c          q_P = sum_mn (P|mn) D_mn

with k = 1/2 for a closed shell, else 1, which takes 6 naux nao^2 operations for each orbital.

With u[P,m,i] = sum_Q (P|Q)^-1 (Q|mi) of the occupied orbitals i, D = n C C^T and any symmetric M,
sum_s Tr(M^s G^s[D]) / 2 depends on (mn|P) through

    Y[P,m,n] = (M_mn c_P[D] + D_mn c_P[M]) / 2 - sum_i (M u[P])_mi C_ni        (symmetrised)
    y[P,Q]   = - c_P[M] c_Q[D] / 2 + 1/2 sum_mi (M u[P])_mi u[Q,m,i]

where c_P[D] = sum_Q (P|Q)^-1 sum_mn (Q|mn) D_mn, with (P|Q) and (Q|mn) that are not fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from dfmp2.backends.protocol import Array
from dfmp2.backends.torch import AUX_AT_ONCE, single_threaded
from dfmp2.errors import NotProvidedError
from dfmp2.fitting.metric import factor_metric, metric_integrals
from dfmp2.integrals.blocks import AuxBlock
from dfmp2.integrals.derivatives import (
    ThreeCentreDerivatives,
    derivative_blocks,
    two_centre_gradient,
)
from dfmp2.molecules.plain import Mole

__all__ = ["fitted_coupling", "fitted_gradient"]


def fitted_coupling(
    with_df: Any, sets: Sequence[Array], orbitals: Sequence[Array]
) -> list[list[Array]]:
    """G[D] times orbitals, as of `dfmp2.references.response.Response.coupling`."""
    nao, share = len(orbitals[0]), 0.5 if len(orbitals) == 1 else 1.0
    densities = [torch.from_numpy(np.ascontiguousarray(one)) for one in sets]
    totals = torch.stack([one.sum(dim=0).reshape(-1) for one in densities]).T.contiguous()
    columns = [torch.from_numpy(np.ascontiguousarray(one)) for one in orbitals]

    def part(rows: torch.Tensor) -> list[list[torch.Tensor]]:
        flat = rows.reshape(-1, nao)
        charges = rows.reshape(len(rows), -1) @ totals
        found: list[list[torch.Tensor]] = [[] for _ in densities]
        for spin, column in enumerate(columns):
            half = (flat @ column).reshape(len(rows), nao, -1)
            turned = half.mT.reshape(-1, nao)  # [(P,i),m]
            for number, density in enumerate(densities):
                sums = torch.tensordot(charges[:, number], half, 1)
                product = (turned @ density[spin]).reshape(len(rows), -1, nao)
                sums -= share * (flat.T @ product.mT.reshape(len(flat), -1))
                found[number].append(sums)
        return found

    total = [[torch.zeros_like(one) for one in columns] for _ in densities]
    for found in _in_threads(part, with_df, nao):
        for sums, own in zip(total, found, strict=True):
            for sum_, one in zip(sums, own, strict=True):
                sum_ += one
    return [[one.numpy() for one in sums] for sums in total]


def _in_threads(part: Any, with_df: Any, nao: int) -> Iterator[Any]:
    """The results of part(rows) for blocks of unpacked rows (P|mn), in their order.

    A block stays in the cache of its core. PySCF's own threads are not used: they wait busily.
    """
    from pyscf import lib

    threads = torch.get_num_threads()
    stored = with_df._cderi

    def unpacked(packed: Array) -> Any:
        lib.num_threads(1)  # of this thread
        return part(torch.from_numpy(lib.unpack_tril(packed)))

    with single_threaded(threads) as pool:
        if isinstance(stored, np.ndarray):
            starts = range(0, len(stored), AUX_AT_ONCE)
            yield from pool.map(unpacked, (stored[p : p + AUX_AT_ONCE] for p in starts))
            return
        for packed in with_df.loop():  # from its file
            starts = range(0, len(packed), AUX_AT_ONCE)
            yield from pool.map(unpacked, [packed[p : p + AUX_AT_ONCE] for p in starts])


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
    auxmol, nao = with_df.auxmol, int(mol.nao_nr())
    naux = int(auxmol.nao_nr())
    metric = factor_metric(metric_integrals(auxmol))
    if metric.kind != "cholesky" or with_df.get_naoaux() != naux:
        raise NotProvidedError(
            "gradients are not provided for this density-fitted SCF: its auxiliary set is linearly "
            "dependent; choose another one (mf.density_fit(auxbasis=...), --scf-auxbasis)"
        )
    lower = torch.from_numpy(metric.factor)
    share = 2.0 if len(occupied) == 1 else 1.0
    columns = [torch.from_numpy(np.ascontiguousarray(c)) for c in occupied]
    m = [torch.from_numpy(np.ascontiguousarray(one)) for one in other]
    scf = torch.stack([share * c @ c.T for c in columns])
    totals = torch.stack([scf.sum(dim=0), torch.stack(m).sum(dim=0)])  # of D and of M
    u = [torch.empty((naux, c.shape[1], nao), dtype=torch.float64) for c in columns]
    charges = torch.empty((naux, 2), dtype=torch.float64)

    def part(rows: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        flat = rows.reshape(-1, nao)
        return rows.reshape(len(rows), -1) @ totals.reshape(2, -1).T, [flat @ c for c in columns]

    start = 0
    for charge, halves in _in_threads(part, with_df, nao):
        here = slice(start, start + len(charge))
        charges[here] = charge
        for own, half in zip(u, halves, strict=True):
            own[here] = half.view(len(charge), nao, -1).mT
        start += len(charge)
    charges = torch.linalg.solve_triangular(lower.T, charges, upper=True)
    y = -0.5 * torch.outer(charges[:, 1], charges[:, 0])
    for own, spin in zip(u, m, strict=True):
        turned = own.view(naux, -1).T  # rows of u as columns, which are solved in their memory
        torch.linalg.solve_triangular(lower, turned, upper=False, left=False, out=turned)
        y += 0.5 * (own.view(-1, nao) @ spin).view(naux, -1) @ turned
    gradient = two_centre_gradient(auxmol, ((y + y.T) / 2).numpy())
    derivatives = ThreeCentreDerivatives(mol, auxmol)

    def work_on(block: AuxBlock) -> Array:
        here = slice(block.p0, block.p1)
        density = 0.5 * torch.tensordot(charges[here].flip(1), totals, 1)
        for own, c, spin in zip(u, columns, m, strict=True):
            turned = own[here].view(-1, nao) @ spin  # [(P,i),m]
            half = turned.view(-1, c.shape[1], nao).mT.reshape(-1, c.shape[1]) @ c.T
            half = half.view(-1, nao, nao)
            density -= (half + half.mT) / 2
        return derivatives.of(block, density.numpy())

    with single_threaded(torch.get_num_threads()) as pool:
        for made in pool.map(work_on, derivative_blocks(mol, auxmol)):
            gradient += made
    return gradient

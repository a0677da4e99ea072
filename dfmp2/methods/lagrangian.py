"""From dE2/dB to its derivatives with respect to integrals and to rotations of orbitals.

    Y[i,Q,a] = dE2/d(Q|ia) = sum_P (L^-1)_PQ gamma[i,P,a]
    y[P,Q]   = dE2/d(P|Q)  = - 1/2 (L^-T M L^-1)_PQ        M_PQ = sum_ia gamma[i,P,a] B[i,Q,a]

and with an orbital coefficient C_mq, where only the integrals change:

    x_occ[m,i] = sum_Qn (mn|Q) sum_a C_na Y[i,Q,a]         x_vir[m,a] = sum_Qin (mn|Q) C_ni Y[i,Q,a]

One pass over blocks of Q makes both and the derivative of E2 by those of the integrals.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array
from dfmp2.errors import NotProvidedError
from dfmp2.fitting.metric import factor_metric, metric_integrals
from dfmp2.integrals.derivatives import ThreeCentreDerivatives, two_centre_gradient
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.references.reference import Reference, SpinBlock
from dfmp2.tensors.held import HeldB
from dfmp2.tensors.problem import Problem, Work

__all__ = ["Gamma", "IntegralTerms", "integral_terms", "no_terms"]

AT_ONCE = 8
"""Orbitals whose B and gamma are read at once."""


class Gamma(Protocol):
    """gamma[i,P,a] of all spins, held as B is."""

    def some(self, index: NDArray[np.intp]) -> Array:
        """gamma of some orbitals of one spin, shape (n, naux, nvir), float64."""


@dataclass(frozen=True, eq=False)
class IntegralTerms:
    """Derivatives of E2 through the integrals of the fit.

    Attributes
    ----------
    x_occ, x_vir : sequence of ndarray, shapes (nao, nocc) and (nao, nvir), float64, hartree
        For each spin: with respect to coefficients of its correlated orbitals.
    gradient : ndarray, shape (natm, 3), float64, hartree/bohr
        With respect to the integrals. Zero if it was not asked for.
    """

    x_occ: Sequence[Array]
    x_vir: Sequence[Array]
    gradient: Array


def no_terms(reference: Reference) -> IntegralTerms:
    """Those of a molecule with nothing to correlate."""
    x_occ = [np.zeros_like(spin.c_occ) for spin in reference.spins]
    x_vir = [np.zeros_like(spin.c_vir) for spin in reference.spins]
    return IntegralTerms(x_occ, x_vir, np.zeros((reference.mol.natm, 3)))


def integral_terms(
    problem: Problem, b: HeldB, gamma: Gamma, work: Work, derivatives: bool = True
) -> IntegralTerms:
    """Contract gamma with the integrals and their derivatives, on the host in float64.

    Parameters
    ----------
    problem : Problem
    b : HeldB
    gamma : Gamma
        dE2/dB.
    work : Work
        Its backend holds B.
    derivatives : bool
        Make the gradient.

    Returns
    -------
    IntegralTerms

    Raises
    ------
    NotProvidedError
        If the auxiliary functions are linearly dependent.
    """
    reference, aux, plan = problem.reference, problem.aux, problem.plan
    metric = factor_metric(metric_integrals(aux.mol))
    if metric.kind != "cholesky":
        raise NotProvidedError(
            f"gradients and relaxed densities are not provided for the auxiliary set {aux}, which "
            "is linearly dependent here (its metric has no Cholesky factor); choose another one "
            "(auxbasis, --auxbasis)"
        )
    lower = torch.from_numpy(metric.factor)
    mixed = torch.zeros_like(lower)
    in_memory = plan.gradient is None or plan.gradient.in_memory
    terms, first = [], 0
    for spin in reference.spins:
        fitted = _memory((spin.nocc, aux.naux, spin.nvir), in_memory)
        for start in range(0, spin.nocc if spin.nvir else 0, AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, spin.nocc))
            raw, own = (
                torch.from_numpy(one).mT.reshape(-1, aux.naux)  # [(i,a),P]
                for one in (
                    gamma.some(first + rows),
                    work.backend.to_host(b.some(first + rows, work.backend)),
                )
            )
            mixed += raw.T @ own
            solved = torch.linalg.solve_triangular(lower, raw, upper=False, left=False)
            fitted[rows] = solved.view(len(rows), spin.nvir, aux.naux).mT
        terms.append(_SpinTerms(spin, fitted))
        first += spin.nocc
    made = ThreeCentreDerivatives(reference.mol, aux.mol)
    size = max(1, plan.aux_block // 4)
    for block, eri in ThreeCentreIntegrals(reference.mol, aux.mol, size):
        integrals = torch.from_numpy(eri)
        halves = [one.add(block.p0, block.p1, integrals) for one in terms]
        if derivatives:
            density = torch.zeros_like(integrals)
            for one, half in zip(terms, halves, strict=True):
                density += one.density(half)
            made.add(block, density.numpy())
    gradient = made.gradient
    if derivatives:
        gradient += two_centre_gradient(aux.mol, _metric_density(lower, mixed))
    x_occ, x_vir = [one.x_occ.numpy() for one in terms], [one.x_vir.numpy() for one in terms]
    return IntegralTerms(x_occ, x_vir, gradient)


def _metric_density(lower: torch.Tensor, mixed: torch.Tensor) -> Array:
    """y from the L and the M of the head of this module."""
    y = torch.linalg.solve_triangular(lower, mixed + mixed.T, upper=False, left=False)
    y = torch.linalg.solve_triangular(lower.T, y, upper=True)
    found: Array = (-0.25 * y).numpy()
    return found


def _memory(shape: tuple[int, int, int], in_memory: bool) -> torch.Tensor:
    """Memory for Y[i,Q,a], or a temporary file that is used like memory."""
    if in_memory or not np.prod(shape):
        return torch.empty(shape, dtype=torch.float64)
    from pyscf import lib

    with tempfile.TemporaryFile(prefix="dfmp2-", dir=lib.param.TMPDIR) as file:
        size = 8 * int(np.prod(shape))
        if hasattr(os, "posix_fallocate"):  # a full disk is an error here, and not a crash later
            os.posix_fallocate(file.fileno(), 0, size)
        return torch.from_numpy(np.memmap(file, dtype=np.float64, mode="r+", shape=shape))


class _SpinTerms:
    """The sums over blocks of Q of one spin."""

    def __init__(self, spin: SpinBlock, fitted: torch.Tensor) -> None:
        self._c_occ, self._c_vir = torch.from_numpy(spin.c_occ), torch.from_numpy(spin.c_vir)
        self._fitted = fitted
        self.x_occ, self.x_vir = torch.zeros_like(self._c_occ), torch.zeros_like(self._c_vir)

    def add(self, p0: int, p1: int, eri: torch.Tensor) -> torch.Tensor:
        """Add a block; returns sum_a C_na Y[i,Q,a] as [Q,i,n]."""
        nao, nocc = self._c_occ.shape
        own = self._fitted[:, p0:p1].transpose(0, 1).contiguous()  # [Q,i,a]
        half = torch.matmul(own, self._c_vir.T)  # [Q,i,n]
        flat = eri.reshape(-1, nao).T
        self.x_occ += flat @ half.mT.reshape(-1, nocc)
        integrals = torch.matmul(self._c_occ.T, eri)  # [Q,i,m]
        self.x_vir += integrals.reshape(-1, nao).T @ own.reshape(-1, own.shape[2])
        return half

    def density(self, half: torch.Tensor) -> torch.Tensor:
        """dE2/d(Q|mn) of a block, shape (nq, nao, nao), symmetric, from what `add` returned."""
        made = torch.matmul(self._c_occ, half)
        return (made + made.mT) / 2

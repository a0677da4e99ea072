"""From dE2/dB to its derivatives with respect to integrals and to rotations of orbitals.

    Y[i,Q,a] = dE2/d(Q|ia) = sum_P (L^-1)_PQ gamma[i,P,a]
    y[P,Q]   = dE2/d(P|Q)  = - 1/2 (L^-T M L^-1)_PQ        M_PQ = sum_ia gamma[i,P,a] B[i,Q,a]

and with an orbital coefficient C_mq, where only the integrals change:

    x_occ[m,i] = sum_Qn (mn|Q) sum_a C_na Y[i,Q,a]         x_vir[m,a] = sum_Qin (mn|Q) C_ni Y[i,Q,a]

One pass over blocks of Q makes both and the derivative of E2 by those of the integrals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dfmp2.backends.protocol import Array
from dfmp2.backends.torch import single_threaded
from dfmp2.errors import NotProvidedError
from dfmp2.fitting.metric import factor_metric, metric_integrals
from dfmp2.integrals.blocks import AuxBlock
from dfmp2.integrals.derivatives import (
    ThreeCentreDerivatives,
    derivative_blocks,
    two_centre_gradient,
)
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.planning.plan import ranges
from dfmp2.references.reference import Reference, SpinBlock
from dfmp2.tensors.gamma import HeldGamma
from dfmp2.tensors.held import HeldB
from dfmp2.tensors.problem import Problem, Work

__all__ = ["IntegralTerms", "integral_terms", "no_terms"]


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
    problem: Problem, b: HeldB, gamma: HeldGamma, work: Work, derivatives: bool = True
) -> IntegralTerms:
    """Contract gamma with the integrals and their derivatives, on the host in float64.

    Parameters
    ----------
    problem : Problem
    b : HeldB
    gamma : HeldGamma
        dE2/dB. It is overwritten with Y.
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
    reference, aux, plan = problem.reference, problem.aux, problem.plan.of_gradient
    metric = factor_metric(metric_integrals(aux.mol))
    if metric.kind != "cholesky":
        raise NotProvidedError(
            f"gradients and relaxed densities are not provided for the auxiliary set {aux}, which "
            "is linearly dependent here (its metric has no Cholesky factor); choose another one "
            "(auxbasis, --auxbasis)"
        )
    lower = torch.from_numpy(metric.factor)
    mixed = torch.zeros_like(lower)
    terms, first = [], 0
    for number, spin in enumerate(reference.spins):
        for some in ranges(0, spin.nocc if spin.nvir else 0, plan.block):
            rows = first + np.arange(some.start, some.stop)
            raw, own = (
                torch.from_numpy(one).mT.reshape(-1, aux.naux)  # [(i,a),P]
                for one in (gamma.some(rows), work.backend.to_host(b.some(rows, work.backend)))
            )
            mixed += raw.T @ own
            solved = torch.linalg.solve_triangular(lower, raw, upper=False, left=False)
            gamma.put(rows, solved.view(len(rows), spin.nvir, aux.naux).mT.numpy())
        terms.append(_SpinTerms(spin, number, gamma))
        first += spin.nocc
    gradient = _over_functions(problem, terms, derivatives)
    if derivatives:
        gradient += two_centre_gradient(aux.mol, _metric_density(lower, mixed))
    x_occ, x_vir = [one.x_occ.numpy() for one in terms], [one.x_vir.numpy() for one in terms]
    return IntegralTerms(x_occ, x_vir, gradient)


def _over_functions(problem: Problem, terms: Sequence[_SpinTerms], derivatives: bool) -> Array:
    """Add all Q to the terms; returns the derivatives. Each thread works on a few Q of a block."""
    mol, auxmol = problem.reference.mol, problem.aux.mol
    made = ThreeCentreDerivatives(mol, auxmol) if derivatives else None
    gradient = np.zeros((mol.natm, 3))
    whole = ThreeCentreIntegrals(mol, auxmol, problem.plan.of_gradient.functions)
    with single_threaded(torch.get_num_threads()) as pool:
        for block in whole.blocks:
            y = [one.functions(block.p0, block.p1) for one in terms]

            def work_on(
                part: AuxBlock,
                first: int = block.p0,
                y: Sequence[torch.Tensor] = y,
            ) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], Array | None]:
                eri, sums = torch.from_numpy(whole.of(part)), []
                density = torch.zeros_like(eri)
                for one, every in zip(terms, y, strict=True):
                    own = every[part.p0 - first : part.p1 - first]
                    half = one.half(own)
                    sums.append(one.sums(own, half, eri))
                    if made is not None:
                        density += one.density(half)
                return sums, None if made is None else made.of(part, density.numpy())

            parts = derivative_blocks(mol, auxmol, range(block.shell0, block.shell1))
            for sums, derivative in pool.map(work_on, parts):
                for one, (x_occ, x_vir) in zip(terms, sums, strict=True):
                    one.x_occ += x_occ
                    one.x_vir += x_vir
                if derivative is not None:
                    gradient += derivative
    return gradient


def _metric_density(lower: torch.Tensor, mixed: torch.Tensor) -> Array:
    """y from the L and the M of the head of this module."""
    y = torch.linalg.solve_triangular(lower, mixed + mixed.T, upper=False, left=False)
    y = torch.linalg.solve_triangular(lower.T, y, upper=True)
    found: Array = (-0.25 * y).numpy()
    return found


class _SpinTerms:
    """The sums over Q of one spin."""

    def __init__(self, spin: SpinBlock, number: int, fitted: HeldGamma) -> None:
        self._c_occ, self._c_vir = torch.from_numpy(spin.c_occ), torch.from_numpy(spin.c_vir)
        self._number, self._fitted = number, fitted
        self.x_occ, self.x_vir = torch.zeros_like(self._c_occ), torch.zeros_like(self._c_vir)

    def functions(self, p0: int, p1: int) -> torch.Tensor:
        """Y[Q,i,a] of some Q."""
        return torch.from_numpy(self._fitted.functions(self._number, p0, p1))

    def half(self, own: torch.Tensor) -> torch.Tensor:
        """sum_a C_na Y[Q,i,a] as [Q,i,n]."""
        return own @ self._c_vir.T

    def sums(
        self, own: torch.Tensor, half: torch.Tensor, eri: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What some Q add to x_occ and x_vir."""
        nao, nocc = self._c_occ.shape
        flat = eri.reshape(-1, nao)
        integrals = (flat @ self._c_occ).view(len(eri), nao, nocc).mT.reshape(-1, nao)  # [(Q,i),m]
        x_vir = integrals.T @ own.reshape(len(integrals), own.shape[2])
        return flat.T @ half.mT.reshape(len(flat), nocc), x_vir

    def density(self, half: torch.Tensor) -> torch.Tensor:
        """dE2/d(Q|mn), shape (nq, nao, nao), symmetric."""
        nao, nocc = self._c_occ.shape
        made = (half.mT.reshape(len(half) * nao, nocc) @ self._c_occ.T).view(-1, nao, nao)
        return (made + made.mT) / 2

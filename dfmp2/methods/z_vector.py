"""The Z-vector equations, and the Lagrangian of the energy in rotations of orbitals.

Theta_pq is the derivative of E2 for C_q -> C_q + u_pq C_p, with all Fock matrices that E2 depends
on. For an effective density P of E2 (dE2/dF, symmetric) and canonical orbitals

    Theta_pq = x_pq + 2 e_p P_pq + f G[P]_pq (q occupied)         f = 2, of a closed shell 4

where x comes from the integrals (`dfmp2.methods.lagrangian`). The SCF makes rotations between
occupied and virtual orbitals stationary, and canonical orbitals those of frozen with correlated
ones. The multipliers of these conditions are the remaining blocks of P: they make Theta symmetric.

    P_ci = x_ci / 2 (e_i - e_c)                                      c frozen, i correlated
    2 (e_a - e_i) P_ai + f G[P]_ai = x_ia - x_ai - f G[P'] _ai        P' without the blocks ai

N. C. Handy, H. F. Schaefer III, J. Chem. Phys. 81, 5031 (1984), doi:10.1063/1.447489. Frozen
orbitals: C. M. Aikens et al., Theor. Chem. Acc. 110, 233 (2003), doi:10.1007/s00214-003-0453-3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, cg

from dfmp2.backends.protocol import Array
from dfmp2.errors import InputError, NotConvergedError
from dfmp2.integrals.fitted_scf import fitted_coupling
from dfmp2.references.reference import Reference
from dfmp2.references.response import Response
from dfmp2.references.solution import ScfSolution

__all__ = ["Derivatives", "Relaxation", "correlated_orbitals", "relax"]

RESIDUAL = 1e-10
"""Hartree. Largest element of the residual of the Z-vector equations."""

REDUCTION = 1e-4
"""What a solution with fitted integrals leaves of the residual, about. The fit changes the response
by as much."""

ROUNDS = 10
"""Solutions by conjugate gradients, at most."""

ITERATIONS = 60
"""Iterations of one of them, at most."""

DEGENERATE = 1e-6
"""Hartree. A frozen and a correlated orbital that are closer have no order."""


Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Derivatives:
    """What E2 depends on, for one spin or for a closed shell.

    Attributes
    ----------
    p_occ, p_vir : ndarray, shapes (nocc, nocc) and (nvir, nvir), float64
        dE2/dF of the correlated orbitals, symmetric.
    x_occ, x_vir : ndarray, shapes (nao, nocc) and (nao, nvir), float64, hartree
        dE2/dC through the integrals of the fit.
    """

    p_occ: Array
    p_vir: Array
    x_occ: Array
    x_vir: Array


@dataclass(frozen=True, eq=False)
class Relaxation:
    """Effective densities of E2, in the molecular orbitals of each spin (one closed shell).

    Attributes
    ----------
    density : tuple of ndarray, shape (nmo, nmo), float64
        P, symmetric: E2 changes by its trace with the change of the Fock matrix.
    weighted : tuple of ndarray, shape (nmo, nmo), float64, hartree
        W, symmetric: E2 changes by minus its trace with the change of the overlap.
    scf_residual : float
        Largest element of C^T F C - e that couples an occupied orbital with another, hartree.
    """

    density: tuple[Array, ...]
    weighted: tuple[Array, ...]
    scf_residual: float


def correlated_orbitals(
    solution: ScfSolution, reference: Reference, number: int
) -> tuple[Indices, Indices]:
    """Indices of the correlated occupied and virtual orbitals of a spin block."""
    occupied, frozen = solution.spins[number].occupied, list(reference.frozen[number])
    virtual = np.setdiff1d(np.flatnonzero(~occupied), frozen)
    return np.array(reference.occupied[number], dtype=np.intp), virtual


def relax(
    reference: Reference,
    solution: ScfSolution,
    derivatives: Sequence[Derivatives],
    response: Response,
) -> Relaxation:
    """Solve the Z-vector equations in float64.

    Parameters
    ----------
    reference : Reference
        Names the correlated orbitals.
    solution : ScfSolution
        All orbitals.
    derivatives : sequence of Derivatives
        Of each spin.
    response : Response
        Of the SCF.

    Returns
    -------
    Relaxation

    Raises
    ------
    NotConvergedError
        If the equations cannot be solved, which points to an SCF that is not a minimum.
    InputError
        If a frozen and a correlated orbital have the same energy.
    """
    spins = [_Spin(reference, solution, number, own) for number, own in enumerate(derivatives)]
    rotations = _Rotations(spins, response)
    hartree_fock = [spin.aufbau for spin in spins]
    scf, g = rotations.coupling(hartree_fock, [spin.p for spin in spins])
    fock = response.fock_columns(scf, [spin.c[:, spin.occ] for spin in spins])
    missed = max(spin.scf_residual(own) for spin, own in zip(spins, fock, strict=True))
    rotations.solve(rotations.in_orbitals(g))
    weighted = []
    for spin, own in zip(spins, rotations.g, strict=True):
        theta = spin.x + 2 * spin.e[:, None] * spin.p
        theta[:, spin.occ] += rotations.factor * own
        weighted.append((theta + theta.T) / 4)
    return Relaxation(tuple(spin.p for spin in spins), tuple(weighted), missed)


class _Spin:
    """The orbitals of one spin, and P without rotations of occupied with virtual orbitals."""

    def __init__(
        self, reference: Reference, solution: ScfSolution, number: int, own: Derivatives
    ) -> None:
        spin = solution.spins[number]
        self.c, self.e = spin.mo_coeff, spin.mo_energy
        self.occ, self.vir = np.flatnonzero(spin.occupied), np.flatnonzero(~spin.occupied)
        nmo = len(self.e)
        self.x, self.p = np.zeros((nmo, nmo)), np.zeros((nmo, nmo))
        self.share = 2.0 if len(solution.spins) == 1 else 1.0
        occ, vir = correlated_orbitals(solution, reference, number)
        for orbitals, kept, x, p in (
            (self.occ, occ, own.x_occ, own.p_occ),
            (self.vir, vir, own.x_vir, own.p_vir),
        ):
            left_out = np.setdiff1d(orbitals, kept)
            self.x[:, kept] = self.c.T @ x
            self.p[np.ix_(kept, kept)] = p
            gap = self.e[kept] - self.e[left_out][:, None]
            _require_order(gap, left_out, kept)
            between = self.x[np.ix_(left_out, kept)] / (2 * gap)
            self.p[np.ix_(left_out, kept)] = between
            self.p[np.ix_(kept, left_out)] = between.T

    @property
    def aufbau(self) -> Array:
        """The density of the SCF in molecular orbitals."""
        found = np.zeros_like(self.p)
        found[self.occ, self.occ] = self.share
        return found

    def scf_residual(self, fock: Array) -> float:
        """Largest element of (C^T F C - e) of the occupied columns, without the diagonal."""
        columns = self.c.T @ fock
        columns[self.occ, np.arange(len(self.occ))] = 0
        return float(np.abs(columns).max(initial=0.0))


class _Rotations:
    """The blocks of P between occupied and virtual orbitals of all spins, as one vector."""

    def __init__(self, spins: Sequence[_Spin], response: Response) -> None:
        self._spins, self._response = spins, response
        self._cheap = response.approximate()
        self.factor = 2.0 * spins[0].share
        self._gaps = [2 * (s.e[s.vir][:, None] - s.e[s.occ]) for s in spins]
        self._diagonal = np.concatenate([gap.ravel() for gap in self._gaps])
        self.g: list[Array] = []

    def coupling(self, *sets: Sequence[Array], cheap: bool = False) -> list[list[Array]]:
        """G[D] times the occupied orbitals, for D in molecular orbitals of each spin."""
        response = self._cheap if cheap else self._response
        densities = [
            np.array([s.c @ one @ s.c.T for s, one in zip(self._spins, own, strict=True)])
            for own in sets
        ]
        occupied = [s.c[:, s.occ] for s in self._spins]
        if response.fitting is None:
            return response.coupling(densities, occupied)
        return fitted_coupling(response.fitting, densities, occupied)

    def in_orbitals(self, columns: Sequence[Array]) -> list[Array]:
        """The same with molecular orbitals as rows, shape (nmo, nocc) of each spin."""
        return [s.c.T @ own for s, own in zip(self._spins, columns, strict=True)]

    def solve(self, g: list[Array]) -> None:
        """Fill in the blocks of P; `self.g` is G[P] then.

        Parameters
        ----------
        g : list of ndarray, shape (nmo, nocc), float64, hartree
            G of P without these blocks.
        """
        self.g = g
        for _ in range(ROUNDS):
            residual = self._residual()
            worst = float(np.abs(residual).max(initial=0.0))
            if worst <= RESIDUAL:
                return
            step = self._step(residual)
            blocks = self._blocks(step)
            (change,) = self.coupling(blocks)
            for spin, block in zip(self._spins, blocks, strict=True):
                spin.p += block
            self.g = [a + b for a, b in zip(self.g, self.in_orbitals(change), strict=True)]
        raise NotConvergedError(
            f"the Z-vector equations of the gradient did not converge (residual {worst:.1e} Eh): "
            "the SCF may be no minimum; check its stability (check_stability, --check-stability)"
        )

    def _residual(self) -> Array:
        """Theta_ia - Theta_ai of all spins."""
        parts = []
        for s, g, gap in zip(self._spins, self.g, self._gaps, strict=True):
            theta = s.x[np.ix_(s.occ, s.vir)].T - s.x[np.ix_(s.vir, s.occ)]
            theta -= gap * s.p[np.ix_(s.vir, s.occ)] + self.factor * g[s.vir]
            parts.append(theta.ravel())
        return np.concatenate(parts)

    def _step(self, residual: Array) -> Array:
        """A solution for this residual, by the response that costs less.

        With the response of the SCF itself the first one is enough, but for rounding errors. With
        another one each makes the residual some thousand times smaller, for one response of the
        SCF, which may cost far more.
        """
        size = len(residual)
        scale = 1 / np.sqrt(self._diagonal)
        exact = self._cheap is self._response

        def product(vector: Array) -> Array:
            blocks = self._blocks(scale * vector)
            (columns,) = self.coupling(blocks, cheap=True)
            g = [
                (self.factor * own[s.vir]).ravel()
                for s, own in zip(self._spins, self.in_orbitals(columns), strict=True)
            ]
            turned: Array = vector + scale * np.concatenate(g)
            return turned

        step, _ = cg(
            LinearOperator((size, size), matvec=product, dtype=np.float64),
            scale * residual,
            rtol=0.0 if exact else REDUCTION,
            atol=0.3 * RESIDUAL * float(scale.min()),
            maxiter=ITERATIONS,
        )
        found: Array = scale * step
        return found

    def _blocks(self, vector: Array) -> list[Array]:
        """A vector as symmetric matrices (nmo, nmo) of each spin."""
        found, start = [], 0
        for s, gap in zip(self._spins, self._gaps, strict=True):
            own = vector[start : start + gap.size].reshape(gap.shape)
            block = np.zeros_like(s.p)
            block[np.ix_(s.vir, s.occ)] = own
            block[np.ix_(s.occ, s.vir)] = own.T
            found.append(block)
            start += gap.size
        return found


def _require_order(gap: Array, left_out: Indices, kept: Indices) -> None:
    if not np.abs(gap).min(initial=np.inf) > DEGENERATE:
        c, i = np.unravel_index(int(np.abs(gap).argmin()), gap.shape)
        raise InputError(
            f"orbital {left_out[c]} is frozen and orbital {kept[i]} is not, but their energies are "
            f"equal to {abs(gap[c, i]):.0e} Eh: this energy has no gradient; freeze both or none"
        )

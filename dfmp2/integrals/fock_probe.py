"""A check of the Fock matrix by random vectors, from the integrals that MP2 computes anyway.

For random combinations x, y of occupied or of virtual orbitals, x^T (C^T F C - diag(e)) y must be
zero. Each block of (mn|P) is multiplied with the vectors when it is made:

    J[P,x,y] = sum_mn x_m (mn|P) y_n
    K[P,x,i] = sum_mn x_m (mn|P) C_ni
    D[P] = 2 sum_i (ii|P)

With the metric, Coulomb and exchange follow from these small arrays. The cost is two passes over a
block per vector, about a hundredth of the integrals. Errors of the density fitting stay far below
the faults that are looked for. Where the residual is too large, the caller decides with the exact
Fock matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, Tensor
from dfmp2.fitting.metric import Metric
from dfmp2.references.solution import ScfSolution

__all__ = ["FockProbe"]

VECTORS = 2
"""Random vectors per space. Two orbitals that are exchanged are not seen if their random numbers
agree up to a sign. With two vectors this has a probability of about one in a hundred."""

SEED = 20_240_229
"""Of the random numbers, so that a run can be repeated."""

SHARP = 2e-3
"""Hartree per orbital. The density fitting of RI sets reaches 7e-4."""


class FockProbe:
    """The Fock matrix of a closed shell in a few random vectors.

    Parameters
    ----------
    solution : ScfSolution
        Its `check` has the one-electron part of the Fock matrix.
    naux : int
        Number of auxiliary functions.
    """

    def __init__(self, solution: ScfSolution, naux: int) -> None:
        self._energies, self._occupied = solution.mo_energy, solution.mo_occ > 0
        one_electron = solution.check.one_electron
        assert one_electron is not None
        self._weights = _random_vectors(self._energies, self._occupied)
        self._vectors = solution.mo_coeff @ self._weights
        self._one = self._vectors.T @ one_electron @ self._vectors
        self._orbitals = np.ascontiguousarray(solution.mo_coeff[:, self._occupied])
        self._density = 2 * self._orbitals @ self._orbitals.T
        nao, count = self._vectors.shape
        pairs = 2 * self._density - np.diag(self._density.diagonal())  # m > n is packed once
        self._triangle = pairs[np.tril_indices(nao)]
        self._d = np.zeros((naux, 1))
        self._j = np.zeros((naux, count, count))
        self._k = np.zeros((naux, count, self._orbitals.shape[1]))
        self._seen = np.zeros(naux, dtype=bool)

    def packed(self, p0: int, triangles: Array) -> None:
        """Multiply lower triangles [P,mn] of the auxiliary functions from `p0` on."""
        from scipy.linalg.blas import dspmv

        nao, count = self._vectors.shape
        half = np.empty((len(triangles), count, nao))
        columns = np.ascontiguousarray(self._vectors.T)
        for row, triangle in enumerate(triangles):
            self._d[p0 + row] = triangle @ self._triangle
            for x, vector in enumerate(columns):
                half[row, x] = dspmv(nao, 1.0, triangle, vector)
        self._put(p0, half)

    def full(self, p0: int, eri: Tensor) -> None:
        """Multiply [P,m,n] on the device that holds it."""
        vectors = eri.new_tensor(self._vectors)
        half = (eri @ vectors).transpose(1, 2).cpu().numpy()
        self._put(p0, half)
        density = eri.new_tensor(self._density)
        self._d[p0 : p0 + len(half), 0] = (eri.flatten(1) @ density.flatten()).cpu().numpy()

    def _put(self, p0: int, half: Array) -> None:
        rows = slice(p0, p0 + len(half))
        self._j[rows], self._k[rows] = half @ self._vectors, half @ self._orbitals
        self._seen[rows] = True

    @property
    def complete(self) -> bool:
        """Whether all auxiliary functions were seen. A resumed run does not make them all."""
        return bool(self._seen.all())

    def fit(self, metric: Metric) -> None:
        """Multiply with the factor of the metric, which fitted integrals hold already."""
        import torch

        naux = len(self._d)
        parts = [self._d, self._j.reshape(naux, -1), self._k.reshape(naux, -1)]
        stacked = torch.from_numpy(np.concatenate(parts, axis=1))
        factor = torch.from_numpy(metric.factor)
        if metric.kind == "cholesky":
            fitted = torch.linalg.solve_triangular(factor, stacked, upper=False)
        else:
            fitted = factor @ stacked
        d, j, k = np.split(fitted.numpy(), np.cumsum([p.shape[1] for p in parts[:2]]), axis=1)
        self._d, self._j, self._k = d, j.reshape(self._j.shape), k.reshape(self._k.shape)

    def fault(self) -> str:
        """What is wrong with the orbitals or their energies; empty if nothing is.

        The mean residual per orbital and the rest have limits of their own. Errors of the density
        fitting have the same sign for all orbitals, so the first grows with their number, and the
        second with its square root.
        """
        coulomb = np.tensordot(self._d[:, 0], self._j, axes=1)
        exchange = np.einsum("Pxi,Pyi->xy", self._k, self._k, optimize=True)
        claimed = (self._weights.T * self._energies) @ self._weights
        residual = self._one + coulomb - exchange - claimed
        size = self._weights.T @ self._weights
        for name, part in (("occupied", slice(VECTORS)), ("virtual", slice(VECTORS, None))):
            own, norm = residual[part, part], size[part, part]
            count = max(float(np.trace(norm)) / VECTORS, 1.0)
            mean = float(np.trace(own)) / (VECTORS * count)
            rest = float(np.linalg.norm(own - mean * norm)) / np.sqrt(count)
            if not (abs(mean) <= SHARP and rest <= VECTORS * SHARP):
                return f"{name} orbitals (residual {max(abs(mean), rest):.1e} Eh)"
        mixed = float(np.linalg.norm(residual[:VECTORS, VECTORS:]))
        if not mixed <= VECTORS * SHARP * np.sqrt(np.trace(size) / (2 * VECTORS)):
            return f"occupied and virtual orbitals are coupled (residual {mixed:.1e} Eh)"
        return ""


def _random_vectors(energies: Array, occupied: NDArray[np.bool_]) -> Array:
    """Vectors of occupied orbitals, then as many of virtual ones, shape (nmo, 2 VECTORS).

    Orbitals far from the gap have small weights: they matter less to MP2, and density fitting is
    less exact for them.
    """
    found = np.zeros((len(energies), 2 * VECTORS))
    random = np.random.default_rng(SEED).standard_normal((len(energies), VECTORS))
    for first, space, edge in ((0, occupied, np.max), (VECTORS, ~occupied, np.min)):
        if space.any():
            own = energies[space]
            weights = 1 / (1 + np.abs(own - edge(own)))
            found[space, first : first + VECTORS] = random[space] * weights[:, None]
    return found

"""A check of the Fock matrix by random vectors, from the integrals that MP2 computes anyway.

For random combinations x, y of the orbitals, x^T (C^T F C - diag(e)) y must be zero. Each block of
(mn|P) is multiplied with the vectors when it is made:

    J[P,x,y] = sum_mn x_m (mn|P) y_n
    K[P,x,i] = sum_mn x_m (mn|P) C_ni
    D[P] = 2 sum_i (ii|P)

With the metric, Coulomb and exchange follow from these small arrays. The cost is one pass over the
integrals while they are in the cache. Errors of the density fitting stay far below
the faults that are looked for. Where the residual is too large, the caller decides with the exact
Fock matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.numba_cache import compiled
from dfmp2.backends.protocol import Array, Tensor
from dfmp2.fitting.metric import Metric
from dfmp2.references.solution import ScfSolution

__all__ = ["SHARP", "FockProbe"]

SEED = 20_240_229
"""Of the random numbers, so that a run can be repeated."""

SHARP = 2e-3
"""Hartree per orbital. The density fitting of RI sets reaches 7e-4."""


def _multiply(triangles, density, vectors, d, half):  # type: ignore[no-untyped-def]
    """Multiply lower triangles with the density and with both vectors, in one pass over them.

    The threads of a BLAS are not used: they would compete with those that make the integrals.

    Parameters
    ----------
    triangles : ndarray, shape (npart, nao (nao + 1) / 2), float64
    density : ndarray, shape (nao (nao + 1) / 2,), float64
        With the factor 2 of both halves.
    vectors : ndarray, shape (2, nao), float64
    d : ndarray, shape (npart,), float64
        Written: sum_mn D_mn (mn|P).
    half : ndarray, shape (npart, 2, nao), float64
        Zero; written: sum_n (mn|P) x_n.
    """
    for p in range(triangles.shape[0]):
        first, total = 0, 0.0
        for m in range(vectors.shape[1]):
            line, weights = triangles[p, first : first + m], density[first : first + m]
            x, y, to_x, to_y = vectors[0, :m], vectors[1, :m], half[p, 0, :m], half[p, 1, :m]
            own_x, own_y = vectors[0, m], vectors[1, m]
            sum_x, sum_y = 0.0, 0.0
            for n in range(m):
                value = line[n]
                total += value * weights[n]
                sum_x += value * x[n]
                sum_y += value * y[n]
                to_x[n] += value * own_x
                to_y[n] += value * own_y
            value = triangles[p, first + m]
            total += value * density[first + m]
            half[p, 0, m] = sum_x + value * own_x
            half[p, 1, m] = sum_y + value * own_y
            first += m + 1
        d[p] = total


multiply = compiled(_multiply)


class FockProbe:
    """The Fock matrix of a closed shell in a few random vectors.

    Parameters
    ----------
    solution : ScfSolution
    one_electron : ndarray, shape (nao, nao), float64, hartree
        One-electron part of the Fock matrix.
    naux : int
        Number of auxiliary functions.
    """

    def __init__(self, solution: ScfSolution, one_electron: NDArray[np.float64], naux: int) -> None:
        self._energies, self._occupied = solution.mo_energy, solution.mo_occ > 0
        self._weights = _random_vectors(self._energies, self._occupied)
        self._vectors = solution.mo_coeff @ self._weights
        self._one = self._vectors.T @ one_electron @ self._vectors
        self._orbitals = np.ascontiguousarray(solution.mo_coeff[:, self._occupied])
        self._density = 2 * self._orbitals @ self._orbitals.T
        self._columns = np.ascontiguousarray(self._vectors.T)
        nao, count = self._vectors.shape
        pairs = 2 * self._density - np.diag(self._density.diagonal())  # m > n is packed once
        self._triangle = pairs[np.tril_indices(nao)]
        self._d = np.zeros((naux, 1))
        self._j = np.zeros((naux, count, count))
        self._k = np.zeros((naux, count, self._orbitals.shape[1]))
        self._seen = np.zeros(naux, dtype=bool)

    def packed(self, p0: int, triangles: Array) -> None:
        """Multiply lower triangles [P,mn] of the auxiliary functions from `p0` on."""
        half = np.zeros((len(triangles), *self._columns.shape))
        d = self._d[p0 : p0 + len(triangles), 0]
        multiply(triangles, self._triangle, self._columns, d, half)
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

    def worst(self) -> float:
        """Largest residual per orbital, hartree. Above `SHARP` it is more than a fitting error.

        The mean over the orbitals and the rest are compared apart. Errors of the density
        fitting have the same sign for all orbitals, so the first grows with their number, and the
        second with its square root.
        """
        coulomb = np.tensordot(self._d[:, 0], self._j, axes=1)
        exchange = np.einsum("Pxi,Pyi->xy", self._k, self._k, optimize=True)
        claimed = (self._weights.T * self._energies) @ self._weights
        residual = self._one + coulomb - exchange - claimed
        size = self._weights.T @ self._weights
        mean = float(np.trace(residual) / np.trace(size))
        count = max(float(np.trace(size)) / 2, 1.0)
        rest = float(np.linalg.norm(residual - mean * size)) / np.sqrt(count)
        return max(abs(mean), float(rest) / 2)


def _random_vectors(energies: Array, occupied: NDArray[np.bool_]) -> Array:
    """Two vectors of all orbitals, shape (nmo, 2).

    No number is small, so that a wrong energy of any orbital is seen, and their sizes differ, so
    that two orbitals that are exchanged are seen. Orbitals far from the gap have smaller weights:
    they matter less to MP2, and density fitting is less exact for them.
    """
    random = np.random.default_rng(SEED)
    found = random.choice([-1.0, 1.0], (len(energies), 2))
    found *= random.uniform(0.6, 1.4, found.shape)
    for space, edge in ((occupied, np.max), (~occupied, np.min)):
        own = energies[space]
        if len(own):
            found[space] /= np.sqrt(1 + np.abs(own - edge(own)))[:, None]
    return found

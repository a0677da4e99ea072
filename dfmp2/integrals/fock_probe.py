"""A check of the Fock matrix by random vectors, from the integrals that MP2 computes anyway.

R = C^T F C - diag(e) must be zero for all orbitals. Random vectors x, y of all orbitals give
M = x^T R y. Each block of (mn|P) is multiplied with the vectors when it is made or transformed:

    J[P,x,y] = sum_mn x_m (mn|P) y_n
    K[P,x,i] = sum_mn x_m (mn|P) C_ni
    D[P] = 2 sum_i (ii|P)

With the metric, Coulomb and exchange follow from these small arrays. The signs of the vectors are
different for each orbital. Summed with the signs of the orbitals p and q, M therefore gives R_pq,
plus noise from all other elements. Without a fault these are errors of the density fitting, and the
noise is small. A few vectors are enough to see a fault of one orbital. Where threads of a CPU
transform the integrals, the vectors are further columns of the first half transform. Elsewhere the
cost is one pass over the integrals while they are in the cache. Where an element is too large, the
caller decides with the exact Fock matrix.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.numba_cache import compiled
from dfmp2.backends.protocol import Array, Tensor
from dfmp2.fitting.metric import Metric
from dfmp2.kernels.blas import single_thread
from dfmp2.references.solution import ScfSolution, SpinOrbitals

__all__ = ["SHARP", "FockProbe", "vectors"]

SEED = 20_240_229
"""Of the random numbers, so that a run can be repeated."""

VECTORS = 12
"""Vectors, at least; an even number. The cost is proportional to it, and the noise to its inverse
and to the root of the number of orbitals."""

SHARP = 5e-3
"""Hartree, for orbitals at the gap. Errors of the density fitting and the noise reach 3.6e-3."""

SHARPER = 4
"""How much sharper the mean of the virtual orbitals is. Above 120 functions, errors of the density
fitting reach 4.1e-4 Eh in it, in small molecules 9.3e-4, and 1.2e-3 in a minimal basis."""

ROWS = 256
"""Orbitals whose elements are in memory together."""


def _multiply(triangles, vectors, half):  # type: ignore[no-untyped-def]
    """Multiply lower triangles with all vectors, in one pass over them.

    Four rows and two vectors at a time need few loads and stores for each multiplication.

    Parameters
    ----------
    triangles : ndarray, shape (npart, nao (nao + 1) / 2), float64
    vectors : ndarray, shape (an even number, nao), float64
    half : ndarray, shape (number of vectors, npart, nao), float64
        Written: sum_n (mn|P) x_n.
    """
    count, nao = vectors.shape
    for p in range(triangles.shape[0]):
        line = triangles[p]
        m, size = 0, nao % 4  # the first rows are too short for four at a time
        while m < nao:
            r0 = m * (m + 1) // 2
            r1 = r0 + m + 1
            r2 = r1 + m + 2
            r3 = r2 + m + 3
            half[:, p, m : m + size] = 0.0
            if m > 0:
                row0, row1 = line[r0 : r0 + m], line[r1 : r1 + m]
                row2, row3 = line[r2 : r2 + m], line[r3 : r3 + m]
                for v in range(0, count, 2):
                    x, y, to_x, to_y = vectors[v], vectors[v + 1], half[v, p], half[v + 1, p]
                    x0, x1, x2, x3 = x[m], x[m + 1], x[m + 2], x[m + 3]
                    y0, y1, y2, y3 = y[m], y[m + 1], y[m + 2], y[m + 3]
                    s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = 0.0
                    for n in range(m):
                        a0, a1, a2, a3 = row0[n], row1[n], row2[n], row3[n]
                        xn, yn = x[n], y[n]
                        s0 += a0 * xn
                        s1 += a1 * xn
                        s2 += a2 * xn
                        s3 += a3 * xn
                        t0 += a0 * yn
                        t1 += a1 * yn
                        t2 += a2 * yn
                        t3 += a3 * yn
                        to_x[n] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                        to_y[n] += a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3
                    to_x[m], to_x[m + 1], to_x[m + 2], to_x[m + 3] = s0, s1, s2, s3
                    to_y[m], to_y[m + 1], to_y[m + 2], to_y[m + 3] = t0, t1, t2, t3
            for r in range(m, m + size):  # the triangle where these rows meet their own columns
                first = r * (r + 1) // 2
                for v in range(count):
                    for n in range(m, r):
                        half[v, p, r] += line[first + n] * vectors[v, n]
                        half[v, p, n] += line[first + n] * vectors[v, r]
                    half[v, p, r] += line[first + r] * vectors[v, r]
            m, size = m + size, 4


multiply = compiled(_multiply)


class _Spin:
    """The vectors of the orbitals of one spin, and what they gave."""

    def __init__(self, spin: SpinOrbitals, one_electron: NDArray[np.float64], naux: int) -> None:
        self._energies, self._virtual = spin.mo_energy, ~spin.occupied
        self._random = _random_numbers(len(spin.occupied))
        self._weights = self._random * _sizes(spin.mo_energy, spin.occupied)[:, None]
        self.vectors = spin.mo_coeff @ self._weights
        self._one = self.vectors.T @ one_electron @ self.vectors
        self.orbitals = spin.mo_coeff[:, spin.occupied]
        self._both = np.hstack([self.vectors, self.orbitals])
        count = self.vectors.shape[1]
        self._j = np.zeros((naux, count, count))
        self.k = np.zeros((count, naux, self.orbitals.shape[1]))

    def put(self, rows: slice, half: Array) -> None:
        """Take sum_n (mn|P) x_n of the auxiliary functions `rows`, shape (vectors, P, m)."""
        both = half @ self._both
        self._j[rows] = both[..., : len(half)].swapaxes(0, 1)
        self.k[:, rows] = both[..., len(half) :]

    def worst(self, d_fitted: Array) -> float:
        """Largest element of C^T F C - diag(e) of this spin, as of `FockProbe.worst`."""
        count = len(self.k)
        rows = self.k.reshape(count, -1)
        found = self._one + np.tensordot(d_fitted, self._j, axes=1) - rows @ rows.T
        found -= (self._weights.T * self._energies) @ self._weights
        size = self._weights.T @ self._weights
        total, virtual = float(np.trace(found)), self._weights[self._virtual]
        mean = total / float(np.trace(size))
        # The sum rule of the energy shows a common error of the occupied orbitals.
        shift = total / float((virtual**2).sum()) if len(virtual) else 0.0
        found -= mean * size
        np.fill_diagonal(found, 0.0)  # sums of the whole diagonal of R, which say nothing of one p
        found /= count * (count - 1)
        elements = [0.0]
        for p in range(0, len(self._random), ROWS):
            part = self._random[p : p + ROWS] @ found @ self._random.T
            elements.append(float(np.abs(part).max()))
        return max(2 * abs(mean), SHARPER * abs(shift), *elements)


class FockProbe:
    """The Fock matrices in a few random vectors of the orbitals of each spin.

    Parameters
    ----------
    solution : ScfSolution
    one_electron : ndarray, shape (nao, nao), float64, hartree
        One-electron part of the Fock matrix.
    naux : int
        Number of auxiliary functions.

    Attributes
    ----------
    columns : ndarray, shape (nao, number of vectors of all spins), float64
        The random vectors.
    """

    def __init__(self, solution: ScfSolution, one_electron: NDArray[np.float64], naux: int) -> None:
        self._spins = [_Spin(spin, one_electron, naux) for spin in solution.spins]
        electrons = 2 / len(self._spins)  # of one orbital
        orbitals = np.hstack([spin.orbitals for spin in self._spins])
        self._density: Array = electrons * orbitals @ orbitals.T
        self.columns = np.hstack([spin.vectors for spin in self._spins])
        self._rows = np.ascontiguousarray(self.columns.T)
        pairs = 2 * self._density - np.diag(self._density.diagonal())  # m > n is packed once
        self._triangle = pairs[np.tril_indices(len(pairs))]
        self._d = np.zeros(naux)
        self._d_fitted = self._d
        self._seen = np.zeros(naux, dtype=bool)

    def packed(self, p0: int, triangles: Array) -> None:
        """Multiply lower triangles [P,mn] of the auxiliary functions from `p0` on."""
        count, nao = self._rows.shape
        half = np.empty((count, len(triangles), nao))
        multiply(triangles, self._rows, half)
        with single_thread():  # others would compete with the threads that make the integrals
            self.coulomb(p0, triangles)
            self.half(p0, half)

    def coulomb(self, p0: int, triangles: Array) -> None:
        """Multiply lower triangles with the density only. `half` must follow."""
        self._d[p0 : p0 + len(triangles)] = triangles @ self._triangle

    def full(self, p0: int, eri: Tensor) -> None:
        """Multiply [P,m,n] on the device that holds it."""
        half = (eri @ eri.new_tensor(self.columns)).permute(2, 0, 1)
        self.half(p0, half.cpu().numpy())
        density = eri.new_tensor(self._density)
        self._d[p0 : p0 + len(eri)] = (eri.flatten(1) @ density.flatten()).cpu().numpy()

    def half(self, p0: int, half: Array) -> None:
        """Take half[x,P,m] = sum_n (mn|P) x_n of all vectors, from P = p0 on."""
        rows, first = slice(p0, p0 + half.shape[1]), 0
        for spin in self._spins:
            count = spin.vectors.shape[1]
            spin.put(rows, half[first : first + count])
            first += count
        self._seen[rows] = True

    @property
    def complete(self) -> bool:
        """Whether all auxiliary functions were seen. A resumed run does not make them all."""
        return bool(self._seen.all())

    def fit(self, metric: Metric) -> None:
        """Multiply with the metric, which fitted integrals hold already."""
        import torch

        factor, d = torch.from_numpy(metric.factor), torch.from_numpy(self._d)[:, None]
        cholesky = metric.kind == "cholesky"
        fitted = torch.cholesky_solve(d, factor) if cholesky else factor.T @ (factor @ d)
        self._d_fitted = fitted[:, 0].numpy()
        for spin in self._spins:
            k = torch.from_numpy(spin.k)
            for x in range(len(k)):
                k[x] = (
                    torch.linalg.solve_triangular(factor, k[x], upper=False)
                    if cholesky
                    else factor @ k[x]
                )

    def worst(self) -> float:
        """Largest element of C^T F C - diag(e), hartree. Above `SHARP` it is more than noise.

        Elements of virtual orbitals are divided by the root of 1 + |e - e(LUMO)| of each of the
        two. The means of the diagonal, of all and of the virtual orbitals, are compared apart: they
        are sharper, and most errors of the density fitting have the same sign there.
        """
        return max(spin.worst(self._d_fitted) for spin in self._spins)


def vectors(orbitals: int) -> int:
    """Number of random vectors for the orbitals of one spin.

    Parameters
    ----------
    orbitals : int
        Occupied and virtual orbitals.
    """
    return max(VECTORS, 2 * round(float(np.sqrt(orbitals)) / 4))


def _random_numbers(orbitals: int) -> Array:
    """Signs and sizes of the orbitals in the vectors, shape (orbitals, vectors), mean square 1.

    No number is small, so that each orbital is seen. The sizes differ, so that orbitals with the
    same signs are told apart.
    """
    random, count = np.random.default_rng(SEED), vectors(orbitals)
    found = random.choice([-1.0, 1.0], (orbitals, count))
    found *= random.uniform(0.6, 1.4, found.shape)
    found *= np.sqrt(count) / np.linalg.norm(found, axis=1, keepdims=True)
    return found


def _sizes(energies: Array, occupied: NDArray[np.bool_]) -> Array:
    """Weights of the orbitals, shape (nmo,): smaller for virtual orbitals far from the gap.

    These matter less to MP2, and density fitting is less exact for them.
    """
    found = np.ones(len(energies))
    virtual = energies[~occupied]
    found[~occupied] = 1 / np.sqrt(1 + np.abs(virtual - virtual.min(initial=np.inf)))
    return found

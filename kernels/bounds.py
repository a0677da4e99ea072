"""Largest acceptable differences between float32 kernels and their float64 definitions.

u = 2^-24 is half a unit in the last place of 1. A sum of n rounded terms in any order is off by at
most n u sum|terms|; with rounding errors of random sign, by at most lambda sqrt(n) u sum|terms|
except with probability 2 exp(-lambda^2 / 2) (Higham and Mary, SIAM J. Sci. Comput. 41, A2815,
2019). lambda = 6 makes that 3e-8 per sum. 3 u are added for the roundings outside sums. Inputs are
float32 numbers, so they add no error.

`unit` replaces u for other arithmetic: 2^-53 for float64. Each bound is a sum of powers of it, so
the bound for the sum of two units is at least the sum of the bounds for each.

Each function returns an elementwise bound. None of them uses a result of a kernel.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from dfmp2.kernels import reference
from dfmp2.kernels.limits import PARTITIONS

__all__ = ["UNIT", "ao2mo", "energies", "growth", "product", "triangular"]

Array = NDArray[np.float64]

UNIT = 2.0**-24
"""Rounding unit of float32."""

LAMBDA = 6.0
"""Confidence of the probabilistic bound."""


def growth(n: int, unit: float = UNIT) -> float:
    """Relative error of a sum of n products: lambda sqrt(n) u, and 3 u for roundings outside it."""
    return (LAMBDA * float(np.sqrt(n)) + 3) * unit


def product(a: ArrayLike, b: ArrayLike, unit: float = UNIT) -> Array:
    """Bound for A B (stacked or not): growth(k) |A| |B|."""
    left, right = np.abs(np.asarray(a, dtype=float)), np.abs(np.asarray(b, dtype=float))
    return np.asarray(growth(left.shape[-1], unit) * (left @ right))


def ao2mo(eri: ArrayLike, c_occ: ArrayLike, c_vir: ArrayLike, unit: float = UNIT) -> Array:
    """Bound for the two half transforms: each sums over the atomic orbitals once."""
    sizes = [np.abs(np.asarray(x, dtype=float)) for x in (eri, c_occ, c_vir)]
    return np.asarray(2 * growth(sizes[0].shape[1], unit) * reference.ao2mo(*sizes))


def triangular(a: Array, x: Array, unit: float = UNIT) -> Array:
    """Bound for the solution X of A X = B, A lower, by blocks with inverted diagonal blocks.

    The residual of a blocked substitution is at most growth(n) |A| |X|; multiplying with a
    rounded inverse instead of substituting multiplies that by the condition |Inv| |A| of the worst
    diagonal block. |A^-1| turns it into an error of X.
    """
    n = len(a)
    inverse = np.abs(scipy.linalg.solve_triangular(a, np.eye(n), lower=True))
    condition = 1.0
    for start in range(0, n, PARTITIONS):
        tile = a[start : start + PARTITIONS, start : start + PARTITIONS]
        inv = scipy.linalg.solve_triangular(tile, np.eye(len(tile)), lower=True)
        condition = max(condition, float((np.abs(inv) @ np.abs(tile)).sum(axis=1).max()))
    return np.asarray(2 * growth(n, unit) * condition * (inverse @ (np.abs(a) @ np.abs(x))))


def energies(
    t: Array,
    size_t: Array,
    n: int,
    e_ij: float,
    e_vir: Array,
    unit: float = UNIT,
    e_b: Array | None = None,
) -> tuple[float, float]:
    """Bounds for e_os and e_ss of one T[a,b] made by sums of n products of sizes `size_t`.

    n = 0 for a given T. With S = T D^-1/2, J = sum S^2, X = 1/2 sum (S - S^T)^2:

    - D is three float32 numbers added: relative error d = 3 u (|e_a| + |e_b| + |e_ij|) / D;
    - S is off by (d / 2 + 4 u) |S| + growth(n) size_t D^-1/2; the root of the sum of squares of
      that is at most s = (max d / 2 + 4 u) sqrt(J) + growth(n) sqrt(sum size_t^2 / D);
    - hence J by 2 sqrt(J) s + s^2 and, as |S_ab - S_ba| is off by at most twice that,
      X by 2 sqrt(X) sqrt(2) s + 2 s^2;
    - summing V squares in a row adds growth(V) of the sum itself.

    With `e_b`, of two spins, there is no X and its bound is 0; V is the length of a row of T.
    """
    column = e_vir if e_b is None else e_b
    gap = e_vir[:, None] + column[None, :] - e_ij
    sizes = np.abs(e_vir)[:, None] + np.abs(column)[None, :] + abs(e_ij)
    e_os, e_ss = (-float(e[0]) for e in reference.mp2_energy(t[None], [e_ij], e_vir, e_b))
    root = (float(np.max(1.5 * unit * sizes / gap)) + 4 * unit) * np.sqrt(e_os)
    s = float(root + (growth(n, unit) if n else 0.0) * np.sqrt(np.sum(size_t**2 / gap)))
    row = growth(len(column), unit)
    opposite = 2 * np.sqrt(e_os) * s + s * s + row * e_os
    same = 2 * np.sqrt(2 * e_ss) * s + 2 * s * s + row * e_ss
    return float(opposite), 0.0 if e_b is not None else float(same)

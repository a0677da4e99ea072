"""The definition of every operation, in NumPy float64.

Each function is its formula, written to be read. Every other implementation (NKI, torch) takes
the same arguments in the same order and must agree with it. The tests and the scripts for
Trainium call these functions, the pipeline does not.

Letters: ``i j`` occupied, ``a b`` virtual, ``P`` auxiliary, ``m n`` atomic orbitals (all real).
Inputs of any float dtype are computed on in float64.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

__all__ = ["ao2mo", "batched_gemm", "gemm", "mp2_energy", "pair_energy", "syrk", "trsm"]

Array = NDArray[np.float64]


def _f64(x: ArrayLike) -> Array:
    return np.asarray(x, dtype=np.float64)


def gemm(a: ArrayLike, b: ArrayLike, transpose_a: bool = False) -> Array:
    """C[m,n] = sum_k A[m,k] B[k,n]; with `transpose_a`, A is given as [k,m]."""
    a = _f64(a)
    return (a.T if transpose_a else a) @ _f64(b)


def batched_gemm(a: ArrayLike, b: ArrayLike, transpose_a: bool = False) -> Array:
    """C[x,m,n] = sum_k A[x,m,k] B[x,k,n]; with `transpose_a`, A is given as [x,k,m]."""
    a = _f64(a)
    return (a.transpose(0, 2, 1) if transpose_a else a) @ _f64(b)


def syrk(a: ArrayLike, transpose_a: bool = False) -> Array:
    """C[m,n] = sum_k A[m,k] A[n,k], symmetric; with `transpose_a`, A is given as [k,m]."""
    a = _f64(a)
    return a.T @ a if transpose_a else a @ a.T


def trsm(a: ArrayLike, b: ArrayLike) -> Array:
    """Solve A X = B for X[n,r]; A[n,n] is lower triangular."""
    return np.asarray(scipy.linalg.solve_triangular(_f64(a), _f64(b), lower=True))


def ao2mo(eri: ArrayLike, c_occ: ArrayLike, c_vir: ArrayLike) -> Array:
    """b[i,P,a] = sum_mn eri[P,m,n] C_occ[m,i] C_vir[n,a]; eri[P] is symmetric."""
    half = np.einsum("Pmn,mi->iPn", _f64(eri), _f64(c_occ), optimize=True)
    return np.asarray(half @ _f64(c_vir))


def mp2_energy(
    t: ArrayLike, e_ij: ArrayLike, e_vir: ArrayLike, e_b: ArrayLike | None = None
) -> tuple[Array, Array]:
    """Opposite- and same-spin energy of each T[x,a,b] = (ia|jb), with e_ij[x] = e_i + e_j.

    With D = e_a + e_b - e_ij > 0::

        e_os[x] = - sum_ab  T_ab^2 / D
        e_ss[x] = - sum_ab (T_ab - T_ba)^2 / (2 D)

    The same-spin sum is one of squares, so it loses no digits to cancellation. The energy of
    an unordered pair i < j is twice this.

    With `e_b`, i and a have one spin, and j and b the other: e_vir are the e_a and e_b the e_b of
    D, T may be a rectangle, and e_ss = 0. Two orbitals of one spin of an open shell have the e_ss
    above and no e_os.
    """
    t, e_ij, e_vir = _f64(t), _f64(e_ij), _f64(e_vir)
    column = e_vir if e_b is None else _f64(e_b)
    gap = e_vir[:, None] + column[None, :] - e_ij[:, None, None]
    e_os = -np.sum(t * t / gap, axis=(1, 2))
    if e_b is not None:
        return e_os, np.zeros_like(e_os)
    anti = t - t.transpose(0, 2, 1)
    e_ss = -np.sum(anti * anti / gap, axis=(1, 2)) / 2
    return e_os, e_ss


def pair_energy(
    b_i: ArrayLike,
    b_j: ArrayLike,
    e_i: ArrayLike,
    e_j: ArrayLike,
    e_vir: ArrayLike,
    diagonal: bool = False,
    e_b: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """`mp2_energy` of T_ij[a,b] = sum_P b_i[i,P,a] b_j[j,P,b], for all i and j of two blocks.

    Returns e_os[i,j] and e_ss[i,j]. With `diagonal` the two blocks are the same orbitals; only
    i <= j is computed and the rest of the result is zero.
    """
    b_i, b_j, e_i, e_j = _f64(b_i), _f64(b_j), _f64(e_i), _f64(e_j)
    e_os = np.zeros((len(b_i), len(b_j)))
    e_ss = np.zeros_like(e_os)
    for i in range(len(b_i)):
        for j in range(i if diagonal else 0, len(b_j)):
            t = b_i[i].T @ b_j[j]
            energies = mp2_energy(t[None], [e_i[i] + e_j[j]], e_vir, e_b)
            e_os[i, j : j + 1], e_ss[i, j : j + 1] = energies
    return e_os, e_ss

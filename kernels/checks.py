"""Run one kernel on one random problem and compare it with its definition.

The tests, the recorded evidence and the mutation test use the same checks. Inputs are views into
larger arrays of NaN, so that reading past an edge gives a wrong result. Orbital energies give
denominators from 0.05 to 100 Eh.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfmp2.kernels import bounds, reference
from dfmp2.kernels.ao2mo import ao2mo
from dfmp2.kernels.batched_gemm import batched_gemm
from dfmp2.kernels.gemm import gemm
from dfmp2.kernels.launch import Launch
from dfmp2.kernels.layout import to_float64
from dfmp2.kernels.mp2_energy import mp2_energy
from dfmp2.kernels.pair_energy import pair_energy
from dfmp2.kernels.syrk import syrk
from dfmp2.kernels.trsm import trsm

__all__ = ["CHECKS", "Outcome", "compare"]

Array = NDArray[np.float64]
Float32 = NDArray[np.float32]


class Outcome(NamedTuple):
    """Result of a comparison.

    Attributes
    ----------
    error
        Largest difference from the definition, relative to its largest element.
    ratio
        Largest difference in units of its bound: the kernel passes at <= 1.
    """

    error: float
    ratio: float


def compare(result: object, expected: Array, bound: Array) -> Outcome:
    """Compare elementwise. A wrong shape or anything not finite is an infinite error."""
    x = to_float64(result)
    if x.shape != expected.shape or not np.isfinite(x).all():
        return Outcome(np.inf, np.inf)
    error = np.abs(x - expected)
    ratio = np.divide(error, bound, out=np.where(error > 0, np.inf, 0.0), where=bound > 0)
    largest = float(np.abs(expected).max(initial=0)) or 1.0
    return Outcome(float(error.max(initial=0)) / largest, float(ratio.max(initial=0)))


def _worst(outcomes: list[Outcome]) -> Outcome:
    return Outcome(max(o.error for o in outcomes), max(o.ratio for o in outcomes))


def _draw(rng: np.random.Generator, *shape: int) -> Float32:
    """Normal numbers as a view into a larger array of NaN."""
    whole = np.full([n + 2 for n in shape], np.nan, dtype=np.float32)
    view = whole[tuple(slice(1, n + 1) for n in shape)]
    view[...] = rng.standard_normal(shape)
    return view


def _orbital_energies(rng: np.random.Generator, nocc: int, nvir: int) -> tuple[Array, Array]:
    """Energies whose gaps span 0.05 (first with first) to 100 Eh (last with last)."""
    occ = -np.exp(rng.uniform(np.log(0.0125), np.log(45), nocc))
    vir = np.exp(rng.uniform(np.log(0.0125), np.log(5), nvir))
    occ[0], vir[0] = -0.0125, 0.0125
    occ[1:][-1:], vir[1:][-1:] = -45, 5
    return occ, vir


def check_gemm(launch: Launch, m: int, n: int, k: int) -> Outcome:
    """C = A B, and C = A'^T B."""
    rng = np.random.default_rng([m, n, k])
    a, b = _draw(rng, m, k), _draw(rng, k, n)
    expected, bound = reference.gemm(a, b), bounds.product(a, b)
    return _worst(
        [
            compare(gemm(a, b, launch=launch), expected, bound),
            compare(gemm(a.T, b, True, launch=launch), expected, bound),
        ]
    )


def check_batched_gemm(launch: Launch, x: int, m: int, n: int, k: int) -> Outcome:
    """C[x] = A[x] B[x], and C[x] = A'[x]^T B[x]."""
    rng = np.random.default_rng([x, m, n, k])
    a, b = _draw(rng, x, m, k), _draw(rng, x, k, n)
    expected, bound = reference.batched_gemm(a, b), bounds.product(a, b)
    return _worst(
        [
            compare(batched_gemm(a, b, launch=launch), expected, bound),
            compare(batched_gemm(a.swapaxes(1, 2), b, True, launch=launch), expected, bound),
        ]
    )


def check_syrk(launch: Launch, m: int, k: int) -> Outcome:
    """C = A A^T, and C = A'^T A'."""
    rng = np.random.default_rng([m, k])
    a = _draw(rng, m, k)
    expected, bound = reference.syrk(a), bounds.product(a, a.T)
    return _worst(
        [
            compare(syrk(a, launch=launch), expected, bound),
            compare(syrk(a.T, True, launch=launch), expected, bound),
        ]
    )


def check_trsm(launch: Launch, n: int, r: int) -> Outcome:
    """A X = B with NaN in the upper triangle, which is not to be read."""
    rng = np.random.default_rng([n, r])
    b = _draw(rng, n, r)
    a = _draw(rng, n, n) * np.float32(4 / n)
    a[np.diag_indices(n)] = 1 + rng.random(n)
    tri = np.tril(a).astype(float)
    a[np.triu_indices(n, 1)] = np.nan
    x = reference.trsm(tri, b)
    return compare(trsm(a, b, launch=launch), x, bounds.triangular(tri, x))


def check_ao2mo(launch: Launch, naux: int, nao: int, nocc: int, nvir: int) -> Outcome:
    """Both half transforms of symmetric integrals."""
    rng = np.random.default_rng([naux, nao, nocc, nvir])
    eri = _draw(rng, naux, nao, nao)
    eri += np.tril(eri, -1).swapaxes(1, 2) - np.triu(eri, 1)
    c = (eri, _draw(rng, nao, nocc), _draw(rng, nao, nvir))
    return compare(ao2mo(*c, launch=launch), reference.ao2mo(*c), bounds.ao2mo(*c))


def _compare_energies(result: tuple[Array, Array], expected: list[Array], bound: Array) -> Outcome:
    return _worst([compare(result[n], expected[n], bound[n]) for n in range(2)])


def check_mp2_energy(launch: Launch, x: int, nvir: int, nvir_b: int = 0) -> Outcome:
    """Both energies of random T blocks; of two spins with `nvir_b`."""
    rng = np.random.default_rng([x, nvir])
    t = _draw(rng, x, nvir, nvir_b or nvir)
    occ, vir = _orbital_energies(rng, x, nvir)
    e_ij = 2 * occ
    e_b = _orbital_energies(rng, 1, nvir_b)[1] if nvir_b else None
    expected = list(reference.mp2_energy(t, e_ij, vir, e_b))
    limits = [bounds.energies(t[n].astype(float), t[n], 0, e_ij[n], vir, e_b=e_b) for n in range(x)]
    result = mp2_energy(t, e_ij, vir, e_b, launch=launch)
    return _compare_energies(result, expected, np.asarray(limits).T)


def check_pair_energy(
    launch: Launch, n_i: int, n_j: int, naux: int, nvir: int, nvir_b: int = 0
) -> Outcome:
    """Both energies of all pairs; n_j = 0 for the pairs i <= j of one block, of two spins with
    `nvir_b`."""
    rng = np.random.default_rng([n_i, n_j, naux, nvir])
    diagonal = n_j == 0
    scale = np.float32(1 / np.sqrt(naux))
    b_i = _draw(rng, n_i, naux, nvir) * scale
    b_j = b_i if diagonal else _draw(rng, n_j, naux, nvir_b or nvir) * scale
    e_i, vir = _orbital_energies(rng, n_i, nvir)
    other = _orbital_energies(rng, n_j or 1, nvir_b or nvir)
    e_j, e_b = e_i if diagonal else other[0], other[1] if nvir_b else None
    expected = list(reference.pair_energy(b_i, b_j, e_i, e_j, vir, diagonal, e_b))
    limits = np.zeros((2, len(b_i), len(b_j)))
    left, right = b_i.astype(float), b_j.astype(float)
    for i in range(len(b_i)):
        for j in range(i if diagonal else 0, len(b_j)):
            size = np.abs(left[i]).T @ np.abs(right[j])
            t = left[i].T @ right[j]
            limits[:, i, j] = bounds.energies(t, size, naux, e_i[i] + e_j[j], vir, e_b=e_b)
    result = pair_energy(b_i, b_j, e_i, e_j, vir, diagonal, e_b, launch=launch)
    return _compare_energies(result, expected, limits)


CHECKS: dict[str, Callable[..., Outcome]] = {
    "gemm": check_gemm,
    "batched_gemm": check_batched_gemm,
    "syrk": check_syrk,
    "trsm": check_trsm,
    "ao2mo": check_ao2mo,
    "mp2_energy": check_mp2_energy,
    "pair_energy": check_pair_energy,
}
"""The check of each kernel; its arguments after `launch` are the sizes of the problem."""

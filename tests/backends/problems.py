"""Random problems for the operations of a backend, and the largest error of each result.

Numbers are float32 numbers, so that every backend computes on the same ones, and views into larger
arrays of NaN, so that reading past an edge makes a result that is not finite. Bounds are those of
`dfmp2.kernels.bounds`, whose derivations they continue.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.backends.protocol import Array, Backend, PairBlock, TBlock, Tensor
from dfmp2.kernels import bounds, reference
from dfmp2.kernels.checks import compare
from tests.conftest import F64
from tests.systems import rng


def draw(seed: int, *shape: int) -> Array:
    """Normal float32 numbers, as float64, inside a larger array of NaN."""
    whole = np.full([n + 2 for n in shape], np.nan)
    inner = whole[tuple(slice(1, n + 1) for n in shape)]
    inner[...] = rng(seed).standard_normal(shape).astype(np.float32)
    return inner


def orbital_energies(seed: int, nocc: int, nvir: int) -> tuple[Array, Array]:
    """Orbital energies with gaps from 0.1 Eh, in no order."""
    random = rng(seed)
    return -random.uniform(0.05, 20.0, nocc), random.uniform(0.05, 5.0, nvir)


def put_b(backend: Backend, host: Array) -> Tensor:
    """B[i,P,a] in the backend's own memory order."""
    b = backend.empty_b(*host.shape)
    b[...] = backend.asarray(host)
    return b


def assert_within(found: Any, expected: Array, bound: Array) -> None:
    """Compare elementwise; a wrong shape and anything not finite fail."""
    outcome = compare(found, expected, bound)
    assert outcome.ratio <= 1, outcome


def energy_bound(t: Array, size: Array, n: int, e_ij: float, e_vir: Array, unit: float) -> Array:
    """Bounds for both energies of one T[a,b] made by sums of n products of sizes `size`.

    `bounds.energies` counts the sum along a row of T. A sum of all V^2 terms in float64, in the
    backend and in the definition, adds growth(V^2) of the energy to each.
    """
    energies = np.asarray(reference.mp2_energy(t[None], [e_ij], e_vir))[:, 0]
    limits = np.asarray(bounds.energies(t, size, n, e_ij, e_vir, unit))
    return limits + 2 * bounds.growth(t.size, F64) * np.abs(energies)


def assert_energies(
    backend: Backend, t: Tensor, host: Array, e_ij: Array, e_vir: Array, unit: float
) -> None:
    """The energies of a tensor T[x,a,b] that is `host` on the host."""
    expected = reference.mp2_energy(host, e_ij, e_vir)
    limits = [energy_bound(x, x, 0, e, e_vir, unit) for x, e in zip(host, e_ij, strict=True)]
    found = backend.mp2_energy(TBlock(t, e_ij, e_vir, e_vir))
    for mine, exact, limit in zip(found, expected, np.transpose(limits), strict=True):
        assert isinstance(mine, np.ndarray)
        assert mine.dtype == np.float64
        assert_within(mine, exact, limit)


def assert_pair_energies(
    backend: Backend, block: PairBlock, host_i: Array, host_j: Array, unit: float
) -> None:
    """The pair energies of a block whose B on the host are `host_i` and `host_j`."""
    e_i, e_j, e_vir = block.e_i, block.e_j, block.e_a
    expected = np.asarray(reference.pair_energy(host_i, host_j, e_i, e_j, e_vir, block.diagonal))
    limits = np.zeros_like(expected)
    for i in range(len(e_i)):
        for j in range(i if block.diagonal else 0, len(e_j)):
            t, size = host_i[i].T @ host_j[j], np.abs(host_i[i]).T @ np.abs(host_j[j])
            limits[:, i, j] = energy_bound(t, size, host_i.shape[1], e_i[i] + e_j[j], e_vir, unit)
    for found, exact, limit in zip(backend.pair_energy(block), expected, limits, strict=True):
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float64
        valid = np.triu(found) if block.diagonal else found  # only i <= j are wanted
        assert_within(valid, exact, limit)


def factor(naux: int) -> Array:
    """A well conditioned lower triangle with NaN above, which no backend may read."""
    a = np.tril(4 / naux * draw(13, naux, naux), -1)
    a += np.diag(rng(14).uniform(1, 2, naux))
    a += np.triu(np.full((naux, naux), np.nan), 1)
    return a.astype(np.float32).astype(np.float64)


def assert_solved(found: Array, a: Array, host: Array, unit: float) -> None:
    """Each B[i] of `found` is A^-1 B[i] of `host`."""
    lower = np.tril(a)
    for mine, given in zip(found, host, strict=True):
        x = reference.trsm(lower, given)
        assert_within(mine, x, bounds.triangular(lower, x, unit))

"""MP2 energies and their derivatives with respect to B and Fock matrices, by explicit sums.

Everything is dense, and nothing is shared with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["PairSums", "Stored", "pair_sums"]


class Stored:
    """Arrays [i,P,a] of all spins, as `HeldB.some` gives them."""

    def __init__(self, spins: Sequence[Any]) -> None:
        self.spins = spins

    def some(self, index: Any, backend: Any = None) -> Any:
        first = len(self.spins[0])
        spin = 0 if index[0] < first or len(self.spins) == 1 else 1
        return self.spins[spin][np.asarray(index) - spin * first]


@dataclass
class PairSums:
    """E2, B and gamma of each spin, and dE2/dF of each spin."""

    energy: float
    b: Stored
    gamma: Stored
    p_occ: list[Any]
    p_vir: list[Any]


def pair_sums(
    reference: Any,
    auxmol: Any,
    scale: tuple[float, float] = (1.0, 1.0),
    kappa: float | None = None,
) -> PairSums:
    """E2 = scale[0] E_os + scale[1] E_ss of a `Reference`, with its derivatives."""
    from pyscf import df

    three = df.incore.aux_e2(reference.mol, auxmol, "int3c2e", aosym="s1")
    lower = np.linalg.cholesky(auxmol.intor("int2c2e"))
    b = [
        np.linalg.solve(
            lower,
            np.einsum("mnQ,mi,na->Qia", three, s.c_occ, s.c_vir, optimize=True).reshape(
                len(lower), -1
            ),
        )
        .reshape(-1, s.nocc, s.nvir)
        .swapaxes(0, 1)
        for s in reference.spins
    ]
    f = _plain if kappa is None else _regularised(kappa)
    found = PairSums(
        0.0,
        Stored(b),
        Stored([np.zeros_like(one) for one in b]),
        [np.zeros((s.nocc, s.nocc)) for s in reference.spins],
        [np.zeros((s.nvir, s.nvir)) for s in reference.spins],
    )
    for s in range(len(b)):
        for t in range(s, len(b)):
            _add(found, reference.spins, (s, t), scale, f)
    return found


def _plain(gap: Any) -> tuple[Any, Any]:
    return 1 / gap, -1 / gap**2


def _regularised(kappa: float) -> Callable[[Any], tuple[Any, Any]]:
    def both(gap: Any) -> tuple[Any, Any]:
        damped = np.exp(-kappa * gap)
        value = (1 - damped) ** 2 / gap
        return value, (2 * kappa * damped * (1 - damped) - value) / gap

    return both


def _divided(f: Callable[[Any], tuple[Any, Any]], one: Any, other: Any) -> Any:
    """(f(x) - f(y)) / (x - y), the derivative where both are (nearly) equal."""
    gap = np.broadcast_arrays(one, other)
    same = abs(gap[0] - gap[1]) < 1e-6
    slope = (f(gap[0])[0] - f(gap[1])[0]) / np.where(same, 1.0, gap[0] - gap[1])
    return np.where(same, f((gap[0] + gap[1]) / 2)[1], slope)


def _add(found: PairSums, spins: Any, which: tuple[int, int], scale: Any, f: Any) -> None:
    """E = - sum u f(D) t over i, j, a, b with u linear in t."""
    s, t = which
    b_s, b_t = found.b.spins[s], found.b.spins[t]
    two = np.einsum("iPa,jPb->ijab", b_s, b_t, optimize=True)
    if len(spins) == 1:
        u = scale[0] * two + scale[1] * (two - two.swapaxes(2, 3))
    elif s == t:
        u = scale[1] * (two - two.swapaxes(2, 3)) / 2
    else:
        u = scale[0] * two
    (oi, va), (oj, vb) = ((spins[k].e_occ, spins[k].e_vir) for k in which)
    gap = va[:, None] + vb - oi[:, None, None, None] - oj[None, :, None, None]
    value = f(gap)[0]
    found.energy -= float((u * value * two).sum())
    slope = -2 * u * value
    found.gamma.spins[s][:] += np.einsum("ijab,jPb->iPa", slope, b_t, optimize=True)
    found.gamma.spins[t][:] += np.einsum("ijab,iPa->jPb", slope, b_s, optimize=True)

    def symmetric(matrix: Any) -> Any:
        return (matrix + matrix.T) / 2

    # D changes by -dF_ij and +dF_ab, on the first and on the second electron.
    def pair(i: int, k: int) -> Any:
        return _divided(f, gap[i], gap[k])

    n = len(oi)
    p = np.array([[(u[i] * two[k] * pair(i, k)).sum() for k in range(n)] for i in range(n)])
    found.p_occ[s] += symmetric(p)
    p = np.array(
        [
            [
                (u[:, i] * two[:, k] * _divided(f, gap[:, i], gap[:, k])).sum()
                for k in range(len(oj))
            ]
            for i in range(len(oj))
        ]
    )
    found.p_occ[t] += symmetric(p)
    p = np.array(
        [
            [
                (u[:, :, a] * two[:, :, c] * _divided(f, gap[:, :, a], gap[:, :, c])).sum()
                for c in range(len(va))
            ]
            for a in range(len(va))
        ]
    )
    found.p_vir[s] -= symmetric(p)
    p = np.array(
        [
            [
                (u[..., a] * two[..., c] * _divided(f, gap[..., a], gap[..., c])).sum()
                for c in range(len(vb))
            ]
            for a in range(len(vb))
        ]
    )
    found.p_vir[t] -= symmetric(p)

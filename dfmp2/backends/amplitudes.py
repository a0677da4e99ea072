"""From a block of T to the derivatives of the energy with respect to T, and to their sums.

E = sum_ij sum_ab W_ij[a,b] T_ij[a,b] over all i and j, with

    W_ij[a,b] = - f(D) (direct T_ij[a,b] - exchange T_ij[b,a])       f(D) = 1/D, or
                                                        (1 - exp(-kappa D))^2 / D

(`direct` and `exchange` follow from the weights of the method and from the spins). With 1/D, W is
minus the contravariant amplitude t~. The energy is a function of the Fock matrix F, too. Between
orbitals p and q of almost the same energy dE/dF_pq is a sum of products

    W_pc Z_qc q(D)        Z = T / (-f(D)) in terms of W,        q(D) = d(1/f)/dD

at the mean of both energies: the divided difference of 1/f at two points, whose error is of second
order in their distance. It is exact for f = 1/D, where q = 1. Elements between other orbitals
follow from dE/dB (see `dfmp2.methods.pair_densities`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, PairCase, Tensor
from dfmp2.results.variants import Weights

if TYPE_CHECKING:
    import torch

__all__ = [
    "AmplitudeBlock",
    "AmplitudeSums",
    "NearOccupied",
    "NearPairs",
    "PairWeights",
    "overlaps",
    "reduced",
]


@dataclass(frozen=True)
class PairWeights:
    """How the energy of a pair depends on T, and T on W.

    Attributes
    ----------
    direct, exchange : float
        W = - f (direct T - exchange T^T).
    straight, turned : float
        T = - (straight W + turned W^T) / f. A part of T that W does not contain is left out; the
        energy does not depend on it.
    times : float
        How often an ordered pair counts in dE/dF: 2 where both orders of a pair are pairs of the
        same spins, else 1.
    kappa : float
        Regularisation parameter, 1/hartree; infinite for f = 1/D.
    """

    direct: float
    exchange: float
    straight: float
    turned: float
    times: float
    kappa: float

    @classmethod
    def of(cls, weights: Weights, case: PairCase) -> PairWeights:
        """The weights of a method for pairs of these spins."""
        direct, exchange = weights.opposite, 0.0
        if case is PairCase.CLOSED:
            direct, exchange = weights.opposite + weights.same, weights.same
        elif case is PairCase.SAME_SPIN:
            direct = exchange = weights.same / 2
        kappa = np.inf if weights.kappa is None else weights.kappa
        if case is PairCase.OPPOSITE_SPIN:
            return cls(direct, 0.0, _inverse(direct), 0.0, 1.0, kappa)
        symmetric, antisymmetric = _inverse(direct - exchange), _inverse(direct + exchange)
        straight, turned = (symmetric + antisymmetric) / 2, (symmetric - antisymmetric) / 2
        return cls(direct, exchange, straight, turned, 2.0, kappa)


def _inverse(x: float) -> float:
    return 1 / x if x else 0.0


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Pairs p < q of orbitals whose energies are almost the same.

    Attributes
    ----------
    orbitals : ndarray, shape (n,), int64
        The orbitals that occur.
    pairs : ndarray, shape (npair, 2), int64
        Positions in `orbitals`.
    """

    orbitals: NDArray[np.int64]
    pairs: NDArray[np.int64]

    @classmethod
    def of(cls, energies: Array, distance: float) -> NearPairs:
        """The pairs of orbitals that are at most `distance` hartree apart."""
        near = np.abs(energies[:, None] - energies) <= distance
        pairs = np.argwhere(np.triu(near, 1)).astype(np.int64)
        orbitals, places = np.unique(pairs, return_inverse=True)
        return cls(orbitals.astype(np.int64), places.reshape(pairs.shape).astype(np.int64))

    def symmetric(self, diagonal: Array, values: Array) -> Array:
        """A symmetric matrix with these diagonal and near elements, and zeros."""
        found = np.diag(diagonal)
        p, q = self.orbitals[self.pairs].T
        found[p, q] = found[q, p] = values
        return found


@dataclass(frozen=True, eq=False)
class AmplitudeBlock:
    """T of one orbital i with several j.

    Attributes
    ----------
    t : Tensor, shape (nj, nvir_b, nvir_a), hartree
        T[j,b,a]. W and all sums are float64.
    e_i : float
    e_j : ndarray, shape (nj,), float64, hartree
    e_a, e_b : ndarray, shapes (nvir_a,) and (nvir_b,), float64, hartree
    near_a, near_b : NearPairs
        Virtual orbitals of almost the same energy.
    weights : PairWeights
    place : tuple of int
        Where W goes: i and the first j in the tile W[j,b,i,a].
    diagonal : bool
        The first j is i, and the tile is square, with W_ji wanted as well.
    """

    t: Tensor
    e_i: float
    e_j: Array
    e_a: Array
    e_b: Array
    near_a: NearPairs
    near_b: NearPairs
    weights: PairWeights
    place: tuple[int, int]
    diagonal: bool

    @property
    def counts(self) -> Array:
        """How often each pair counts: i < j stands for two pairs of the same spins."""
        counts = np.full(len(self.e_j), self.weights.times)
        if self.diagonal:
            counts[0] /= 2
        return counts


@dataclass(frozen=True, eq=False)
class AmplitudeSums:
    """Contributions of a block to dE/dF, each counted as often as its pair.

    Attributes
    ----------
    occ : ndarray, shape (nj,), float64
        Minus the contribution of each pair to the diagonal element of i, and to that of j.
    vir_a, vir_b : ndarray, shapes (nvir_a,) and (nvir_b,), float64
        Contributions to the diagonal.
    near_a, near_b : ndarray, float64
        Contributions to the near elements.
    """

    occ: Array
    vir_a: Array
    vir_b: Array
    near_a: Array
    near_b: Array

    @classmethod
    def zeros(cls, block: AmplitudeBlock) -> AmplitudeSums:
        """The sums of a block before anything is added."""
        counts = (len(block.e_j), len(block.e_a), len(block.e_b))
        near = (len(block.near_a.pairs), len(block.near_b.pairs))
        return cls(*(np.zeros(count) for count in counts + near))

    @classmethod
    def total(cls, parts: Sequence[AmplitudeSums]) -> AmplitudeSums:
        """The sum of several."""
        return cls(
            *(sum(arrays) for arrays in zip(*(vars(one).values() for one in parts), strict=True))
        )


def _slopes(gap: torch.Tensor, kappa: float) -> tuple[torch.Tensor, torch.Tensor | float]:
    """f(D) and d(1/f)/dD."""
    if kappa == np.inf:
        return 1 / gap, 1.0
    e = (-kappa * gap).exp()
    rest = -(-kappa * gap).expm1()
    return rest**2 / gap, (1 - 2 * kappa * gap * e / rest) / rest**2


def reduced(block: AmplitudeBlock, w: Tensor) -> AmplitudeSums:
    """Write W of a block to its place in the tile W[j,b,i,a], by operations of torch.

    Parameters
    ----------
    block : AmplitudeBlock
    w : torch.Tensor, shape (nj, nvir_b, ni, nvir_a)

    Returns
    -------
    AmplitudeSums
    """
    import torch

    def there(x: Array) -> torch.Tensor:
        return torch.as_tensor(x).to(block.t.device)

    own, t = block.weights, block.t
    e_a, e_b = there(block.e_a), there(block.e_b)
    e_ij = there(block.e_i + block.e_j)[:, None, None]
    f, q = _slopes(e_b[:, None] + e_a - e_ij, own.kappa)
    part = own.direct * t - own.exchange * t.mT if own.exchange else own.direct * t
    part *= -f
    i, j0 = block.place
    w[j0 : j0 + len(t), :, i] = part
    if block.diagonal:
        w[i, :, j0 : j0 + len(t)] = part.permute(2, 0, 1)
    z = own.straight * part + own.turned * part.mT if own.turned else own.straight * part
    counts = there(block.counts)
    terms = part * z * q * counts[:, None, None]
    occ, vir_a, vir_b = terms.sum((1, 2)), terms.sum((0, 1)), terms.sum((0, 2))

    def near(pairs: NearPairs, e_own: torch.Tensor, e_other: torch.Tensor, rows: bool) -> Array:
        found = np.zeros(len(pairs.pairs))
        for n, (p, r) in enumerate(pairs.orbitals[pairs.pairs].tolist()):
            middle = (e_own[p] + e_own[r]) / 2
            _, slope = _slopes(middle + e_other - e_ij[:, :, 0], own.kappa)
            left, right = (part[:, p], z[:, r]) if rows else (part[:, :, p], z[:, :, r])
            found[n] = float((left * right * slope * counts[:, None]).sum())
        return found

    near_a = near(block.near_a, e_a, e_b, False)
    near_b = near(block.near_b, e_b, e_a, True)
    if own.times == 2:  # a and b are the same orbitals: each is the first of a pair, and the second
        vir_a, near_a = vir_a + vir_b, near_a + near_b
        vir_b, near_b = vir_b * 0, near_b * 0
    occ, vir_a, vir_b = (x.cpu().numpy() for x in (occ, vir_a, vir_b))
    return AmplitudeSums(occ, vir_a, vir_b, near_a, near_b)


@dataclass(frozen=True, eq=False)
class NearOccupied:
    """Pairs of occupied orbitals of almost the same energy in a tile W[j,b,i,a].

    Attributes
    ----------
    pairs : ndarray, shape (npair, 2), int64
        Places in the tile, all of the i or all of the j.
    of_j : bool
        Which. The sum goes over the other axis.
    e_pairs : ndarray, shape (npair,), float64, hartree
        Mean energy of both orbitals.
    e_partners : ndarray, float64, hartree
        Energies of the orbitals of the other axis.
    e_a, e_b : ndarray, shapes (nvir_a,) and (nvir_b,), float64, hartree
    weights : PairWeights
    """

    pairs: NDArray[np.int64]
    of_j: bool
    e_pairs: Array
    e_partners: Array
    e_a: Array
    e_b: Array
    weights: PairWeights


def overlaps(near: NearOccupied, w: Tensor) -> Array:
    """The sum W Z q of each pair over partners and virtual orbitals, by operations of torch.

    Parameters
    ----------
    near : NearOccupied
    w : torch.Tensor, shape (nj, nvir_b, ni, nvir_a)

    Returns
    -------
    ndarray, shape (npair,), float64
    """
    import torch

    own, found = near.weights, np.zeros(len(near.pairs))
    energies = (near.e_a, near.e_b, near.e_partners)
    e_a, e_b, e_k = (torch.as_tensor(x).to(w.device) for x in energies)
    tile = w.transpose(1, 2) if near.of_j else w.permute(2, 0, 1, 3)  # of the pairs, first
    for n, (p, q) in enumerate(near.pairs.tolist()):
        left, right = tile[p], tile[q]
        z = own.straight * right + own.turned * right.mT if own.turned else own.straight * right
        gap = e_b[:, None] + e_a - (e_k + near.e_pairs[n])[:, None, None]
        found[n] = float((left * z * _slopes(gap, own.kappa)[1]).sum())
    return found

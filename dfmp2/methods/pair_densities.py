"""Pair energies and the first derivatives of the MP2 energy, from one pass over T_ij.

The energy of a method is a function E(F, B) of the Fock matrix of each spin, whose blocks of
correlated occupied and of virtual orbitals are diagonal here, and of B. This module returns

    gamma[i,P,a] = dE/dB[i,P,a]          p_occ[i,j] = dE/dF_ij          p_vir[a,b] = dE/dF_ab

With E = sum W T (`dfmp2.backends.amplitudes`), where both i,j and j,i are pairs of the same spins,

    gamma[i,P,a] = 4 sum_jb W_ij[a,b] B[j,P,b]      (2 where the spins differ)

T_ij is made once for i <= j, and both products with W_ij follow: three products of the size of T
for one of the energy. E does not change if the orbitals of a block are rotated together with F.
So for e_p != e_q

    p_pq = (X_pq - X_qp) / 2 (e_p - e_q),    X_ij = sum_Pa gamma[i,P,a] B[j,P,a],
                                             X_ab = sum_iP gamma[i,P,a] B[i,P,b]

for any regulariser. This takes 1/nocc of the work of the products above, where the usual sum over
t~ t takes about a third of it and all t_ik of an orbital. The digits that the difference loses grow
with 1 / (e_p - e_q). So elements of orbitals that are less than `NEAR` apart are summed from W:
those of occupied orbitals from tiles with both orbitals. Blocks of orbitals are chosen so that such
orbitals are in one block, as far as they fit. Otherwise their W is made again.

F. Weigend, M. Häser, Theor. Chem. Acc. 97, 331 (1997), doi:10.1007/s002140050269; R. A. DiStasio,
R. P. Steele, Y. M. Rhee, Y. Shao, M. Head-Gordon, J. Comput. Chem. 28, 839 (2007),
doi:10.1002/jcc.20604. Divided differences of matrix functions: N. J. Higham, Functions of Matrices
(2008), theorem 3.11.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.amplitudes import AmplitudeBlock, NearOccupied, NearPairs, PairWeights
from dfmp2.backends.protocol import Array, PairCase, TBlock, Tensor
from dfmp2.backends.recording import RecordingBackend, moved
from dfmp2.errors import InputError
from dfmp2.planning.plan import ranges
from dfmp2.references.reference import SpinBlock
from dfmp2.results.stages import Stage
from dfmp2.results.variants import Weights, method_weights
from dfmp2.settings import Settings
from dfmp2.tensors.gamma import GammaInMemory, GammaOnDisk, HeldGamma
from dfmp2.tensors.held import HeldB
from dfmp2.tensors.problem import Problem, Work

__all__ = [
    "NEAR",
    "NEAR_SINGLE",
    "PairDensities",
    "SpinDensities",
    "gamma_of",
    "keep_energies",
    "pair_densities",
    "weights_of",
]

NEAR = 1e-4
"""Hartree. Elements of dE/dF between orbitals that are closer than this are summed from W. At this
distance the difference of X, whose rounding error is about 1e-15, has an error of 1e-11."""

NEAR_SINGLE = 5e-3, 2e-2
"""The same for occupied and for virtual orbitals where products are in float32. Summing elements of
virtual orbitals is cheaper, and there are more of them."""

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class SpinDensities:
    """First derivatives of the correlation energy for one spin, of both for a closed shell.

    Attributes
    ----------
    p_occ, p_vir : ndarray, shapes (nocc, nocc) and (nvir, nvir), float64
        dE/dF_ij and dE/dF_ab, symmetric: the blocks of the unrelaxed correlation density.
    """

    p_occ: Array
    p_vir: Array


@dataclass(frozen=True, eq=False)
class PairDensities:
    """Pair energies and first derivatives of the correlation energy of one method.

    Attributes
    ----------
    energies : ndarray, shape (2 + 2 nkappa, nocc, nocc), float64, hartree
        As from `dfmp2.methods.pair_energies.pair_energies`.
    spins : tuple of SpinDensities
    gamma : HeldGamma
        gamma[i,P,a] = dE/dB[i,P,a]. Close it after use.
    """

    energies: Array
    spins: tuple[SpinDensities, ...]
    gamma: HeldGamma


def weights_of(method: str, settings: Settings) -> Weights:
    """What defines the energy of a method.

    Parameters
    ----------
    method : str
        A key of `Result.energies`.
    settings : Settings

    Returns
    -------
    Weights

    Raises
    ------
    InputError
        If the calculation has no such method.
    """
    known = method_weights(settings.kappa, settings.scale)
    if method not in known:
        raise InputError(f"method {method!r} is unknown here; choose one of {', '.join(known)}")
    return known[method]


def pair_densities(
    b: HeldB, problem: Problem, work: Work, weights: Weights, single: bool = False
) -> PairDensities:
    """Pair energies, densities and gamma of all pairs.

    Parameters
    ----------
    b : HeldB, float64
        On the CPU or a GPU, by torch.
    problem : Problem
        With a plan from `dfmp2.planning.gradient.with_gradient`.
    work : Work
        NKI kernels multiply matrices if they are its backend.
    weights : Weights
        The method.
    single : bool
        The operands of all products with B are float32, as they always are with NKI kernels. W and
        all sums are float64.

    Returns
    -------
    PairDensities

    Raises
    ------
    CheckpointError
        If the disk is too small for gamma.
    """
    backend = work.backend
    share = 1.0 if len(problem.reference.spins) == 1 else 0.5
    with backend.stage(Stage.DENSITIES, like=Stage.PAIRS):
        done = _Pass(b, problem, work, weights, single)
        with ExitStack() as failed:
            gamma = done.empty_gamma()
            failed.callback(gamma.close)
            done.tiles(gamma)
            spins = done.spins(gamma)
            failed.pop_all()
    energies = share * (done.energies + np.triu(done.energies, 1).swapaxes(1, 2))
    return PairDensities(energies, spins, gamma)


def keep_energies(found: PairDensities, work: Work) -> Array:
    """Fill the pair table of the checkpoint, where it has no energies yet, and commit it.

    Parameters
    ----------
    found : PairDensities
    work : Work

    Returns
    -------
    ndarray
        The energies of the table, in the shape of those of `found`.
    """
    checkpoint = work.checkpoint
    with checkpoint.committing():
        everything = (slice(None), slice(None))
        checkpoint.table.add(everything, found.energies, checkpoint.session)
    return checkpoint.table.symmetric()


def gamma_of(
    b: HeldB, problem: Problem, work: Work, weights: Weights, orbitals: tuple[int, Indices]
) -> Tensor:
    """Gamma of some orbitals, summed on its own, in float64.

    Parameters
    ----------
    b, problem, work, weights
        As of `pair_densities`, with torch as the backend.
    orbitals : tuple
        Number of the spin, and the orbitals of this spin.

    Returns
    -------
    Tensor, shape (n nvir, naux), float64
        As [(i,a),P].
    """
    return _Pass(b, problem, work, weights, False).gamma_of(*orbitals)


@dataclass(frozen=True, eq=False)
class _Block:
    """Some occupied orbitals of one spin.

    Attributes
    ----------
    spin : int
    own : ndarray of int
        Their places in the spin block, ascending.
    index : ndarray of int
        The same, counted over both spins.
    """

    spin: int
    own: Indices
    index: Indices


@dataclass(frozen=True)
class _Near:
    """Two occupied orbitals p < q of one spin with almost the same energy.

    `number` is their place among all such pairs of this spin.
    """

    number: int
    p: int
    q: int


@dataclass(eq=False)
class _Sums:
    """dE/dF of one spin as far as it is summed from W."""

    near_occ: NearPairs
    near_vir: NearPairs
    occ: Array
    vir: Array
    occ_values: Array
    vir_values: Array

    @classmethod
    def of(cls, spin: SpinBlock, near: tuple[float, float]) -> _Sums:
        occ, vir = NearPairs.of(spin.e_occ, near[0]), NearPairs.of(spin.e_vir, near[1])
        counts = (spin.nocc, spin.nvir, len(occ.pairs), len(vir.pairs))
        return cls(occ, vir, *(np.zeros(count) for count in counts))


class _Pass:
    def __init__(
        self, b: HeldB, problem: Problem, work: Work, weights: Weights, single: bool
    ) -> None:
        plan, self._reference = problem.plan, problem.reference
        self._plan = plan.of_gradient
        self._b, self._work, self._backend = b, work, work.backend
        self._weights, self._kappas = weights, problem.settings.kappa
        self._own, self._sizes = self._backend.elementwise, plan.sizes
        on_nki = self._own is not self._backend.current
        provenance = self._backend.provenance
        self._home = RecordingBackend(self._own, provenance) if on_nki else self._backend  # of B
        self._distances = NEAR_SINGLE if single or on_nki else (NEAR, NEAR)
        self._rounds = single and not on_nki  # operands of the products; NKI's are rounded anyway
        nocc = self._reference.nocc
        self.energies = np.zeros((2 + 2 * len(self._kappas), nocc, nocc))
        self._sums = [_Sums.of(spin, self._distances) for spin in self._reference.spins]
        self._blocks = list(self._chosen_blocks())
        self._near = self._near_by_blocks()

    def _chosen_blocks(self) -> Iterator[_Block]:
        """Blocks in the order of energy. Near orbitals are in one block where they fit."""
        first, most = 0, self._plan.block
        for number, spin in enumerate(self._reference.spins):
            order = np.argsort(spin.e_occ, kind="stable")
            groups = np.split(
                order, np.flatnonzero(np.diff(spin.e_occ[order]) > self._distances[0]) + 1
            )
            blocks: list[list[int]] = [[]]
            for group in groups if spin.nvir else []:
                if len(blocks[-1]) + len(group) > most:
                    blocks.append([])
                for i in group.tolist():
                    if len(blocks[-1]) == most:  # more near orbitals than fit
                        blocks.append([])
                    blocks[-1].append(i)
            for block in filter(None, blocks):
                own = np.sort(block)
                yield _Block(number, own, first + own)
            first += spin.nocc

    def _tile_memory(self, ni: int, nj: int) -> Tensor:
        """Memory for a tile W[j,b,i,a] of any spins."""
        nvir = max(spin.nvir for spin in self._reference.spins)
        return self._own.asarray(np.empty(ni * nj * nvir * nvir))

    def _rows(self, block: _Block, exact: bool = False) -> Tensor:
        """B of a block as [(i,a),P], where matrices are multiplied. `exact`: float64 by torch."""
        b = self._b.view(block.index, self._home)
        rows = b.swapaxes(1, 2).reshape(b.shape[0] * b.shape[2], b.shape[1])
        if exact:
            return rows
        return self._operand(rows)

    def _operand(self, x: Tensor) -> Tensor:
        """A matrix of torch where matrices are multiplied, and in the precision of the products."""
        return moved(x.float() if self._rounds else x, self._own, self._backend.current)

    def _case(self, i: _Block, j: _Block) -> PairCase:
        if len(self._reference.spins) == 1:
            return PairCase.CLOSED
        return PairCase.SAME_SPIN if i.spin == j.spin else PairCase.OPPOSITE_SPIN

    def empty_gamma(self) -> HeldGamma:
        """Gamma before anything is added."""
        in_memory = self._plan.in_memory
        return GammaInMemory(self._sizes, self._own) if in_memory else GammaOnDisk(self._sizes)

    def tiles(self, gamma: HeldGamma) -> None:
        """Every pair once."""
        self._memory = self._tile_memory(self._plan.block, self._plan.block)
        count = len(self._blocks)
        total, done = count * (count + 1) // 2, 0
        for n in range(count):
            rows = self._rows(self._blocks[n])
            for m in range(n, count):
                other = rows if m == n else self._rows(self._blocks[m])
                self._tile(n, m, (rows, other), gamma)
                done += 1
                self._work.progress(Stage.DENSITIES.value, done, total)
        self._separated()

    def _tile(
        self, number_i: int, number_j: int, rows: tuple[Tensor, Tensor], gamma: HeldGamma
    ) -> None:
        i, j = self._blocks[number_i], self._blocks[number_j]
        rows_i, rows_j = rows
        weights = PairWeights.of(self._weights, self._case(i, j))
        w = self._amplitudes(i, j, rows_i, rows_j, count=True)
        backend, factor = self._backend, 2 * weights.times
        matrix = self._operand(w.view(w.shape[0] * w.shape[1], -1))
        part = backend.gemm(matrix, rows_j, True)
        gamma.add(i.index, moved(part, backend.current, self._own), factor)
        if i is not j:
            part = backend.gemm(matrix, rows_i)
            gamma.add(j.index, moved(part, backend.current, self._own), factor)
        self._near_occupied(w, (i, j), self._near.get((number_i, number_i), ()))
        if i is not j:
            self._near_occupied(w, (i, j), self._near.get((number_j, number_j), ()), of_j=True)

    def _amplitudes(
        self, i: _Block, j: _Block, rows_i: Tensor, rows_j: Tensor, count: bool
    ) -> Tensor:
        """W[j,b,i,a] of two blocks. `count`: add the energies and the sums of the pairs."""
        spin_i, spin_j = self._reference.spins[i.spin], self._reference.spins[j.spin]
        sums_i, sums_j = self._sums[i.spin], self._sums[j.spin]
        na, nb, case = spin_i.nvir, spin_j.nvir, self._case(i, j)
        shape = (len(j.own), nb, len(i.own), na)
        w = self._memory[: int(np.prod(shape))].view(shape)
        diagonal = i is j
        for place, orbital in enumerate(i.own):
            first = place if diagonal else 0
            t = self._backend.gemm(rows_j[first * nb :], rows_i[place * na : (place + 1) * na].T)
            block = AmplitudeBlock(
                t=t.reshape(len(j.own) - first, nb, na),
                e_i=float(spin_i.e_occ[orbital]),
                e_j=spin_j.e_occ[j.own[first:]],
                e_a=spin_i.e_vir,
                e_b=spin_j.e_vir,
                near_a=sums_i.near_vir,
                near_b=sums_j.near_vir,
                weights=PairWeights.of(self._weights, case),
                place=(place, first),
                diagonal=diagonal,
            )
            found = self._backend.amplitudes(block, w)
            if not count:
                continue
            e_ij = block.e_i + block.e_j
            t_block = TBlock(block.t, e_ij, block.e_b, block.e_a, case, self._kappas)
            low = np.minimum(i.index[place], j.index[first:])
            high = np.maximum(i.index[place], j.index[first:])
            self.energies[:, low, high] = self._backend.mp2_energy(t_block)
            sums_i.occ[orbital] -= found.occ.sum()
            sums_j.occ[j.own[first:]] -= found.occ
            for sums, vir, near in (
                (sums_i, found.vir_a, found.near_a),
                (sums_j, found.vir_b, found.near_b),
            ):
                sums.vir += vir
                sums.vir_values += near
        return w

    def _near_occupied(
        self, w: Tensor, tile: tuple[_Block, _Block], near: Sequence[_Near], of_j: bool = False
    ) -> None:
        """Add the sums for near orbitals of i (or j), over the orbitals of the other block."""
        if not near:
            return
        own, other = tile[::-1] if of_j else tile
        spins = self._reference.spins
        e_own, e_other = spins[own.spin].e_occ, spins[other.spin].e_occ
        pairs = np.array([(one.p, one.q) for one in near])
        weights = PairWeights.of(self._weights, self._case(own, other))
        block = NearOccupied(
            pairs=np.searchsorted(own.own, pairs),
            of_j=of_j,
            e_pairs=e_own[pairs].mean(axis=1),
            e_partners=e_other[other.own],
            e_a=spins[tile[0].spin].e_vir,
            e_b=spins[tile[1].spin].e_vir,
            weights=weights,
        )
        numbers = [one.number for one in near]
        found = self._backend.overlaps(block, w)
        self._sums[own.spin].occ_values[numbers] -= weights.times * found

    def _near_by_blocks(self) -> dict[tuple[int, int], list[_Near]]:
        """The pairs of near occupied orbitals by the numbers of their blocks."""
        home = {(b.spin, int(i)): n for n, b in enumerate(self._blocks) for i in b.own}
        found: dict[tuple[int, int], list[_Near]] = {}
        for spin, sums in enumerate(self._sums):
            near = sums.near_occ
            for number, (p, q) in enumerate(near.orbitals[near.pairs].tolist()):
                if (spin, p) in home:
                    blocks = sorted((home[spin, p], home[spin, q]))
                    found.setdefault((blocks[0], blocks[1]), []).append(_Near(number, p, q))
        return found

    def _separated(self) -> None:
        """Near orbitals that are in two blocks: make W of both again, with all partners."""
        half = max(1, self._plan.block // 2)
        for (left, right), near in self._near.items():
            if left == right:
                continue
            spin = self._blocks[left].spin
            own = np.unique([(one.p, one.q) for one in near])
            i = _Block(spin, own, own + self._first(spin))
            self._memory = self._tile_memory(len(own), half)
            rows = self._rows(i)
            for j in self._halves(half):
                w = self._amplitudes(i, j, rows, self._rows(j), count=False)
                self._near_occupied(w, (i, j), near)

    def gamma_of(self, spin: int, own: Indices) -> Tensor:
        """Gamma of some orbitals, with all partners, as [(i,a),P]."""
        i = _Block(spin, own, own + self._first(spin))
        half = max(1, self._plan.block // 2)
        self._memory = self._tile_memory(len(own), half)
        rows, found = self._rows(i), None
        for j in self._halves(half):
            rows_j = self._rows(j)
            w = self._amplitudes(i, j, rows, rows_j, count=False)
            factor = 2 * PairWeights.of(self._weights, self._case(i, j)).times
            matrix = w.view(w.shape[0] * w.shape[1], -1)
            part = factor * self._backend.gemm(matrix, rows_j, True)
            found = part if found is None else found + part
        return found

    def _halves(self, size: int) -> Iterator[_Block]:
        """All blocks, in parts of at most `size` orbitals."""
        for block in self._blocks:
            for some in ranges(0, len(block.own), size):
                yield _Block(block.spin, block.own[some], block.index[some])

    def _first(self, spin: int) -> int:
        return sum(one.nocc for one in self._reference.spins[:spin])

    def spins(self, gamma: HeldGamma) -> tuple[SpinDensities, ...]:
        """dE/dF and X of each spin."""
        found = []
        for number, (spin, sums) in enumerate(zip(self._reference.spins, self._sums, strict=True)):
            x_occ, x_vir = self._rotations(number, gamma)
            p_occ = sums.near_occ.symmetric(sums.occ, sums.occ_values)
            p_vir = sums.near_vir.symmetric(sums.vir, sums.vir_values)
            _complete(p_occ, x_occ, spin.e_occ, self._distances[0])
            _complete(p_vir, x_vir, spin.e_vir, self._distances[1])
            found.append(SpinDensities(p_occ, p_vir))
        return tuple(found)

    def _rotations(self, number: int, held: HeldGamma) -> tuple[Array, Array]:
        """X_ij and X_ab of one spin, in float64."""
        spin, own = self._reference.spins[number], self._own
        x_occ, x_vir = np.zeros((spin.nocc, spin.nocc)), np.zeros((spin.nvir, spin.nvir))
        blocks = [block for block in self._blocks if block.spin == number]
        for i in blocks:
            gamma = own.asarray(held.some(i.index).swapaxes(1, 2))  # [i,a,P]
            for j in blocks:
                b = self._rows(j, exact=True)
                product = gamma.reshape(len(i.own), -1) @ b.reshape(len(j.own), -1).T
                x_occ[np.ix_(i.own, j.own)] = own.to_host(product)
                if j is i:
                    b = b.reshape(len(j.own), spin.nvir, self._sizes.naux)
                    x_vir += own.to_host(sum(g @ one.T for g, one in zip(gamma, b, strict=True)))
        return x_occ, x_vir


def _complete(p: Array, x: Array, e: Array, distance: float) -> None:
    """Add dE/dF between orbitals that are further apart than `distance`."""
    gap = e[:, None] - e
    far = np.abs(gap) > distance
    p[far] = (x - x.T)[far] / (2 * gap[far])

"""Pair energies of MP2 from B[i,P,a]: blocks of pairs i <= j, each T_ij formed once.

    T_ij[a,b] = sum_P B[i,P,a] B[j,P,b]                     2 naux nvir^2 flops
    e_os(i,j) = - sum_ab T_ab^2 / D                         D = e_a + e_b - e_i - e_j
    e_ss(i,j) = - 1/2 sum_ab (T_ab - T_ba)^2 / D

In a closed shell both belong to each pair. In an open shell a pair of one spin has e_ss, and a pair
of two spins has e_os. With a regularisation parameter kappa each term is also multiplied by
(1 - exp(-kappa D))^2; these energies come from the same T.

The table of an open shell holds half of each energy, so that the energy of the molecule is the sum
over all i and j, as for a closed shell.

Fused, T is reduced where it is made and is never stored. Unfused, T blocks are formed by `gemm`
(`syrk` for i = j, whose T is symmetric; `batched_gemm` where T is small) and then reduced by
`mp2_energy`. The unfused path is plainer and serves to check the fused one.

F. Weigend, M. Häser, Theor. Chem. Acc. 97, 331 (1997), doi:10.1007/s002140050269. Regularisation:
J. Lee, M. Head-Gordon, J. Chem. Theory Comput. 14, 5203 (2018), doi:10.1021/acs.jctc.8b00731.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dfmp2.backends.protocol import Array, PairBlock, PairCase, TBlock, Tensor
from dfmp2.backends.recording import RecordingBackend
from dfmp2.references.reference import Reference
from dfmp2.results.stages import Stage
from dfmp2.tensors.held import HeldB, OrbitalBlocks
from dfmp2.tensors.problem import Problem, Work

__all__ = ["pair_block", "pair_cases", "pair_energies"]

SMALL_T = 64
"""Virtual orbitals up to which one T_ij is too small to use all of a processor."""


def pair_energies(b: HeldB, problem: Problem, work: Work) -> Array:
    """Opposite- and same-spin energies of all pairs; known ones are not computed again.

    Parameters
    ----------
    b : HeldB
    problem : Problem
    work : Work
        The pair table of its checkpoint is filled.

    Returns
    -------
    ndarray, shape (2 + 2 nkappa, nocc, nocc), float64, hartree
        e_os and e_ss, then both with each kappa. Symmetric. The sum over all pairs is the energy of
        the molecule. The orbitals of an open shell are those of alpha, then those of beta.
    """
    reference, plan, backend = problem.reference, problem.plan, work.backend
    table, checkpoint = work.checkpoint.table, work.checkpoint
    block_energy = _fused if problem.settings.fused else _unfused
    share = 1.0 if len(reference.spins) == 1 else 0.5
    with backend.stage(Stage.PAIRS), checkpoint.committing():
        for rows in b.pair_blocks(table.missing, plan, backend):
            virtual = rows.b_i.shape[2] and rows.b_j.shape[2]
            whole = pair_block(reference, rows, problem.settings.kappa) if virtual else None
            for i, j, diagonal in table.parts(rows.i, rows.j):
                where = _within(rows.i, i), _within(rows.j, j)
                energies = np.zeros_like(table.energies[(slice(None), *where)])
                if whole is not None:
                    block = replace(
                        whole,
                        b_i=rows.b_i[i],
                        b_j=rows.b_j[j],
                        e_i=whole.e_i[i],
                        e_j=whole.e_j[j],
                        diagonal=diagonal,
                    )
                    energies = block_energy(backend, block)
                table.add(where, share * energies, checkpoint.session)
            checkpoint.commit()
            work.progress(Stage.PAIRS.value, table.known, plan.sizes.npair)
    return table.symmetric()


def pair_cases(reference: Reference) -> tuple[PairCase, ...]:
    """The cases of its pairs: within a spin block first, then those of two spin blocks."""
    if len(reference.spins) == 1:
        return (PairCase.CLOSED,)
    return PairCase.SAME_SPIN, PairCase.OPPOSITE_SPIN


def pair_block(
    reference: Reference, rows: OrbitalBlocks, kappas: tuple[float, ...] = ()
) -> PairBlock:
    """Two ranges of occupied orbitals, each of one spin, with their energies."""
    (s, own_i), (t, own_j) = reference.spin_of(rows.i), reference.spin_of(rows.j)
    spin_i, spin_j = reference.spins[s], reference.spins[t]
    cases = pair_cases(reference)
    return PairBlock(
        b_i=rows.b_i,
        b_j=rows.b_j,
        e_i=spin_i.e_occ[own_i],
        e_j=spin_j.e_occ[own_j],
        e_a=spin_i.e_vir,
        e_b=spin_j.e_vir,
        case=cases[0] if s == t else cases[1],
        diagonal=rows.i == rows.j,
        kappas=kappas,
    )


def _within(block: slice, part: slice) -> slice:
    return slice(block.start + part.start, block.start + part.stop)


def _fused(backend: RecordingBackend, block: PairBlock) -> Array:
    return backend.pair_energy(block)


def _unfused(backend: RecordingBackend, block: PairBlock) -> Array:
    b_i, b_j = block.b_i, block.b_j
    energies = block.energies()
    nj, small = len(block.e_j), max(len(block.e_a), len(block.e_b)) <= SMALL_T

    def reduce(t: Tensor, i: int, j: slice) -> None:
        e_ij = block.e_i[i] + block.e_j[j]
        blocks = TBlock(t, e_ij, block.e_a, block.e_b, block.case, block.kappas)
        energies[:, i, j] = backend.mp2_energy(blocks)

    for i in range(len(block.e_i)):
        first = i if block.diagonal else 0
        if block.diagonal:
            reduce(backend.syrk(b_i[i], True)[None], i, slice(i, i + 1))
            first += 1
        if first == nj:
            continue
        if small:
            reduce(backend.batched_gemm(b_i[i : i + 1], b_j[first:], True), i, slice(first, nj))
            continue
        for j in range(first, nj):
            reduce(backend.gemm(b_i[i], b_j[j], True)[None], i, slice(j, j + 1))
    return energies

"""Pair energies of closed-shell MP2 from B[i,P,a]: blocks of pairs i <= j, each T_ij formed once.

    T_ij[a,b] = sum_P B[i,P,a] B[j,P,b]                     2 naux nvir^2 flops
    e_os(i,j) = - sum_ab T_ab^2 / D                         D = e_a + e_b - e_i - e_j
    e_ss(i,j) = - 1/2 sum_ab (T_ab - T_ba)^2 / D

Fused, T is reduced where it is made and is never stored. Unfused, T blocks are formed by `gemm`
(`syrk` for i = j, whose T is symmetric; `batched_gemm` where T is small) and then reduced by
`mp2_energy`. The unfused path is plainer and serves to check the fused one.

F. Weigend, M. Häser, Theor. Chem. Acc. 97, 331 (1997), doi:10.1007/s002140050269.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.protocol import Array, PairBlock
from dfmp2.backends.recording import RecordingBackend
from dfmp2.results.stages import Stage
from dfmp2.tensors.held import HeldB
from dfmp2.tensors.problem import Problem, Work

__all__ = ["pair_energies"]

SMALL_T = 64
"""Virtual orbitals up to which one T_ij is too small to use all of a processor."""


def pair_energies(b: HeldB, problem: Problem, work: Work) -> tuple[Array, Array]:
    """Opposite- and same-spin energies of all pairs; known ones are not computed again.

    Parameters
    ----------
    b : HeldB, shape (nocc, naux, nvir)
    problem : Problem
    work : Work
        The pair table of its checkpoint is filled.

    Returns
    -------
    e_os, e_ss : ndarray, shape (nocc, nocc), float64, hartree
        Symmetric. The sum over all elements is the energy of the molecule.
    """
    spin, plan, backend = problem.reference.closed, problem.plan, work.backend
    table, checkpoint = work.checkpoint.table, work.checkpoint
    block_energy = _fused if problem.settings.fused else _unfused
    with backend.stage(Stage.PAIRS), checkpoint.committing():
        for rows in b.pair_blocks(table.missing, plan, backend):
            for i, j, diagonal in table.parts(rows.i, rows.j):
                block = PairBlock(
                    b_i=rows.b_i[i],
                    b_j=rows.b_j[j],
                    e_i=spin.e_occ[rows.i][i],
                    e_j=spin.e_occ[rows.j][j],
                    e_a=spin.e_vir,
                    e_b=spin.e_vir,
                    diagonal=diagonal,
                )
                e_os, e_ss = block_energy(backend, block)
                where = _within(rows.i, i), _within(rows.j, j)
                table.add(where, e_os, e_ss, checkpoint.session)
            checkpoint.commit()
            work.progress(Stage.PAIRS.value, table.known, plan.sizes.npair)
    return table.symmetric()


def _within(block: slice, part: slice) -> slice:
    return slice(block.start + part.start, block.start + part.stop)


def _fused(backend: RecordingBackend, block: PairBlock) -> tuple[Array, Array]:
    return backend.pair_energy(block)


def _unfused(backend: RecordingBackend, block: PairBlock) -> tuple[Array, Array]:
    b_i, b_j, e_i, e_j, e_vir = block.b_i, block.b_j, block.e_i, block.e_j, block.e_a
    ni, nj = len(e_i), len(e_j)
    e_os, e_ss = np.zeros((ni, nj)), np.zeros((ni, nj))
    small = len(e_vir) <= SMALL_T
    for i in range(ni):
        first = i if block.diagonal else 0
        if block.diagonal:
            t = backend.syrk(b_i[i], True)
            e_os[i, i : i + 1], e_ss[i, i : i + 1] = backend.mp2_energy(
                t[None], e_i[i] + e_j[i : i + 1], e_vir
            )
            first += 1
        if first == nj:
            continue
        if small:
            t = backend.batched_gemm(b_i[i : i + 1], b_j[first:], True)
            e_os[i, first:], e_ss[i, first:] = backend.mp2_energy(t, e_i[i] + e_j[first:], e_vir)
            continue
        for j in range(first, nj):
            t = backend.gemm(b_i[i], b_j[j], True)
            e_os[i, j : j + 1], e_ss[i, j : j + 1] = backend.mp2_energy(
                t[None], e_i[i] + e_j[j : j + 1], e_vir
            )
    return e_os, e_ss

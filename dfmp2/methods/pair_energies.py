"""From B[i,P,a] to the pair energies: blocks of pairs i <= j, each T_ij formed once.

    T_ij[a,b] = sum_P B[i,P,a] B[j,P,b]                     2 naux nvir^2 flops
    e_os(i,j) = - sum_ab T_ab^2 / D                         D = e_a + e_b - e_i - e_j
    e_ss(i,j) = - 1/2 sum_ab (T_ab - T_ba)^2 / D

Fused, T is reduced where it is made and never stored. Unfused, T blocks are formed by `gemm`
(`syrk` for i = j, whose T is symmetric; `batched_gemm` where T is small) and then reduced by
`mp2_energy`: the plainer path, kept to check the other one.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.protocol import Array, Tensor
from dfmp2.backends.recording import RecordedBackend
from dfmp2.planning.plan import Plan
from dfmp2.references.mean_field import Reference
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.tensors.build import Progress
from dfmp2.tensors.held import FittedB

__all__ = ["pair_energies"]

SMALL_T = 64
"""Virtual orbitals up to which one T_ij is too small to fill a processor by itself."""


def pair_energies(
    b: FittedB,
    reference: Reference,
    plan: Plan,
    backend: RecordedBackend,
    progress: Progress,
    fused: bool,
    checkpoint: Checkpoint,
) -> tuple[Array, Array]:
    """Opposite- and same-spin energies of all pairs; those that are known are not computed again.

    Parameters
    ----------
    b : FittedB, shape (nocc, naux, nvir)
    reference : Reference
    plan : Plan
    backend : RecordedBackend
    progress : callable
    fused : bool
        Reduce T where it is made.
    checkpoint : Checkpoint
        Its table is filled.

    Returns
    -------
    e_os, e_ss : ndarray, shape (nocc, nocc), float64, hartree
        Symmetric; the sum over all elements is the molecule's energy.
    """
    e_occ, e_vir = reference.e_occ, reference.e_vir
    table, npair = checkpoint.table, plan.sizes.npair
    block_energy = _fused if fused else _unfused
    with backend.stage("pair energies"), checkpoint.committing():
        for block in b.pair_blocks(table.missing, plan, backend):
            for i, j, diagonal in table.parts(block.i, block.j):
                e_i, e_j = e_occ[block.i][i], e_occ[block.j][j]
                found = block_energy(backend, block.b_i[i], block.b_j[j], e_i, e_j, e_vir, diagonal)
                table.add(_within(block.i, i), _within(block.j, j), *found, checkpoint.session)
            checkpoint.commit()
            progress("pair energies", table.known, npair)
    return table.symmetric()


def _within(block: slice, part: slice) -> slice:
    return slice(block.start + part.start, block.start + part.stop)


def _fused(
    backend: RecordedBackend,
    b_i: Tensor,
    b_j: Tensor,
    e_i: Array,
    e_j: Array,
    e_vir: Array,
    diagonal: bool,
) -> tuple[Array, Array]:
    return backend.pair_energy(b_i, b_j, e_i, e_j, e_vir, diagonal)


def _unfused(
    backend: RecordedBackend,
    b_i: Tensor,
    b_j: Tensor,
    e_i: Array,
    e_j: Array,
    e_vir: Array,
    diagonal: bool,
) -> tuple[Array, Array]:
    ni, nj = len(e_i), len(e_j)
    e_os, e_ss = np.zeros((ni, nj)), np.zeros((ni, nj))
    small = len(e_vir) <= SMALL_T
    for i in range(ni):
        first = i if diagonal else 0
        if diagonal:
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

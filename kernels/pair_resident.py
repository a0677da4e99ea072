"""Pairs of orbitals whose B fits in SBUF: the kernel behind `pair_energy`.

Several tasks are unrolled into one program. The docstring of the module `pair_energy` explains
the choice of engines and memories.
"""

from __future__ import annotations

from typing import Any

from dfmp2.kernels.limits import PARTITIONS, SBUF_BUDGET
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.operands import Operand, Tile
from dfmp2.kernels.pair_plan import resident_bytes
from dfmp2.kernels.reduction import inverse_root_gap, mirror_row, mirror_scratch, scale
from dfmp2.kernels.tiles import load_block, load_matrix, load_row, multiply
from dfmp2.kernels.tiling import chunk_strips

__all__ = ["pair_energy_kernel"]


def _load_orbital(tile: Tile, b: Operand, index: Tile) -> None:
    """Fill `tile` [128, naux/128, nvir] with B of orbital `index` (a run-time value)."""
    naux, nvir = b.shape[1], b.shape[2]
    nk = naux // PARTITIONS
    pattern = [[nk * nvir, PARTITIONS], [nvir, nk], [1, nvir]]
    nisa.dma_copy(dst=tile, src=b.ap(pattern, scalar_offset=index, indirect_dim=0))


def _tiles(count: int, shape: tuple[int, ...], buffer: Any) -> Tile:
    """`count` tiles of one shape in `buffer` (nl.sbuf or nl.psum), to be used in turn."""
    tiles = []
    for _n in range(count):
        tiles.append(nl.ndarray(shape, dtype=nl.float32, buffer=buffer))
    return tiles


def _workspace(nk: int, nstrip: int, slots: int, identity: Tile) -> Tile:
    """Every large tile of the kernel, allocated once and reused by all its tasks.

    Two of each, so that loading, multiplying and reducing overlap; where SBUF is too small, one
    B_i and one S.
    """
    p = identity.shape[0]
    v = nstrip * p
    ahead = resident_bytes(nk, nstrip, p, 4, 2) <= SBUF_BUDGET
    several = 2 if ahead else 1
    sums = []
    for _n in range(2):
        columns = _tiles(2, (p, slots * nstrip * nstrip), nl.sbuf)
        nisa.memset(columns[1], value=0.0)
        sums.append(columns)
    return {
        "ahead": ahead,
        "left": _tiles(several, (PARTITIONS, nk, v), nl.sbuf),
        "right": _tiles(2, (PARTITIONS, nk, v), nl.sbuf),
        "s": _tiles(several, (p, nstrip, v), nl.sbuf),
        "t": _tiles(4, (p, chunk_strips(nstrip, p) * p), nl.psum),
        "root": _tiles(2, (p, chunk_strips(nstrip, p) * p), nl.sbuf),
        "mirror": (mirror_scratch(identity, nstrip), mirror_scratch(identity, nstrip)),
        "sums": sums,
        "res": _tiles(2, (p, 3 * slots), nl.sbuf),
    }


def _load_task(b_i: Operand, partners: Operand, e_pair: Operand, task: Tile, left: Tile) -> Tile:
    """Load the table row, the energies and B_i of a task; returns these three tiles."""
    row = load_row(partners, task)
    _load_orbital(left, b_i, row[0:1, 0:1])
    return row, load_matrix(e_pair, task), left


def _mirror_strip(work: Tile, sums: Tile, pending: Tile) -> None:
    """Same-spin sums of a strip of S with the strips above it, and with itself."""
    s, strip, slot = pending
    nstrip = s.shape[1]
    column = (slot * nstrip + strip) * nstrip
    mirror_row(s, s, strip, work["mirror"], sums[1][:, column : column + strip + 1])


def _pair(work: Tile, operands: Tile, energies: Tile, slot: int, sums: Tile, pending: Tile) -> Tile:
    """Sums of one pair; returns its last strip, whose mirror the caller makes.

    `pending` is (S, strip, slot) of the previous strip, or (). Its transposes follow the products
    of this strip, so that TensorE need not wait until that strip is scaled. They precede the
    scaling of this strip, which may overwrite the same tile.
    """
    left, right = operands
    e_row, e_col, e_pair = energies
    p, nstrip = e_col.shape
    nk, v = left.shape[1], left.shape[2]
    width = work["t"][0].shape[1]
    s = work["s"][slot % len(work["s"])]
    turn = 0
    column = slot * nstrip * nstrip
    for strip in range(nstrip):
        for c0 in range(0, v, width):
            c1 = min(v, c0 + width)
            t = work["t"][turn % 4][:, 0 : c1 - c0]
            multiply(t, left, strip * p, right, c0, nk)
            if c0 == 0 and len(pending) > 0:
                _mirror_strip(work, sums, pending)
            root = work["root"][turn % 2]
            inverse_root_gap(
                root[:, 0 : c1 - c0],
                e_row[:, c0:c1],
                e_col[:, strip : strip + 1],
                e_pair[:, slot : slot + 1],
            )
            end = column + (c1 - c0) // p
            scale(s[:, strip, c0:c1], t, root, sums[0][:, column:end])
            column = end
            turn += 1
        pending = (s, strip, slot)
    return pending


def _collect(res: Tile, sums: Tile, nstrip: int) -> None:
    """Add the columns of each slot: res is [P, 3 slots], kind by kind.

    Mirrored strip pairs (strip, A <= strip) have column strip nstrip + A, so those of a strip
    with itself are every (nstrip + 1)-th; columns of A > strip are zero.
    """
    p, slots = res.shape[0], res.shape[1] // 3
    width = nstrip * nstrip
    whole = [[slots * width, p], [width, slots], [1, width]]
    diagonal = [[slots * width, p], [width, slots], [nstrip + 1, nstrip]]
    columns = (sums[0].ap(whole), sums[1].ap(whole), sums[1].ap(diagonal))
    for kind in range(3):
        kinds = res[:, kind * slots : (kind + 1) * slots]
        nisa.tensor_reduce(dst=kinds, op=nl.add, data=columns[kind], axis=2)


@nki.jit
def pair_energy_kernel(
    b_i: Operand,
    b_j: Operand,
    tasks: Operand,
    partners: Operand,
    e_pair: Operand,
    e_row: Operand,
    e_col: Operand,
    identity: Operand,
) -> Operand:
    """J, X and X_diag of the pairs of several tasks, unrolled.

    J = sum S^2, X = sum over A >= B of |S_AB - S_BA^T|^2 for row strips A and column strips B,
    X_diag its part of A = B, which the same-spin energy counts half (see `reduction`).

    Dimensions
        I, J  orbitals of the two blocks, any number
        K  auxiliaries, a multiple of 128
        V  padded virtuals, n strips of P <= 128. K and V as far as three tiles of B fit SBUF
           (K V <= 1.9 million); beyond that `pair_energy_streamed_kernel`
        N  tasks of this launch, as many as fit the instruction limit; T tasks in all
        G  partners j of the one i of a task

    Parameters
    ----------
    b_i, b_j
        [I, K, V] and [J, K, V] float32 in HBM, zero in their padding; may be the same array.
    tasks
        [1, N] int32: numbers of the tasks to do.
    partners
        [T, 1 + G] int32: i and the j of each task.
    e_pair
        [T, P, G] float32: -(e_i + e_j) repeated over P.
    e_row
        [P, V] float32: e_b repeated over P, a large finite number in the padding.
    e_col
        [P, n] float32: e_a of row p of each strip.
    identity
        [P, P] float32, for transposes.

    Returns
    -------
    [N, P, 3 G] float32 in shared HBM: J, X, X_diag of the slots, per partition. T accumulates
    in float32 in PSUM over K; rows are summed in float32 by blocks of P, partitions on the host
    in float64. Relative error of a pair energy: about (sqrt(K) + sqrt(V) + 4) u in
    practice, u = 2^-24, times |B|_i |B|_j / |T|.

    Notes
    -----
    ::

        for each task:                                      indices: HBM table -> SBUF -> DMA
            B_i -> SBUF [128, K/128, V]
            for each partner:
                next B_j -> SBUF                            DMA, while TensorE has the present one
                for each strip A of P virtuals, for each chunk of <= 512 columns:
                    for k in K/128:  PSUM[P, 512] += B_i[k, A]^T B_j[k]      TensorE, 4 passes
                    W = (e_b + e_a - e_i - e_j)^-1/2                         VectorE, GpSimdE
                    S_A = PSUM W;  J += sum S_A^2                   VectorE, ScalarE, VectorE
                    of the strip before, B, for A <= B:
                        PSUM = (S_B[:, A])^T                                 TensorE
                        d = S_A[:, B] - PSUM;  X += sum d^2         VectorE, ScalarE, VectorE
            sums -> HBM
    """
    p, nstrip = e_col.shape
    v = e_row.shape[1]
    nk = b_i.shape[1] // PARTITIONS
    count, slots = tasks.shape[1], e_pair.shape[2]
    out = nl.ndarray((count, p, 3 * slots), dtype=nl.float32, buffer=nl.shared_hbm)
    task = load_block(tasks, 1, count, 0, count)
    row = load_block(e_row, p, v, 0, v)
    col = load_block(e_col, p, nstrip, 0, nstrip)
    work = _workspace(nk, nstrip, slots, load_block(identity, p, p, 0, p))
    lefts, rights = work["left"], work["right"]
    head = _load_task(b_i, partners, e_pair, task[0:1, 0:1], lefts[0])
    _load_orbital(rights[0], b_j, head[0][0:1, 1:2])
    turn = 0
    for n in range(count):
        index, pair, left = head
        sums, res = work["sums"][n % 2], work["res"][n % 2]
        m = min(n + 1, count - 1)
        upcoming = task[0:1, m : m + 1]
        pending = ()
        for g in range(slots):
            right, after = rights[turn % 2], rights[(turn + 1) % 2]
            turn += 1
            if g + 1 < slots:
                _load_orbital(after, b_j, index[0:1, g + 2 : g + 3])
            elif n + 1 < count and work["ahead"]:
                head = _load_task(b_i, partners, e_pair, upcoming, lefts[(n + 1) % 2])
                _load_orbital(after, b_j, head[0][0:1, 1:2])
            pending = _pair(work, (left, right), (row, col, pair), g, sums, pending)
        _mirror_strip(work, sums, pending)
        if n + 1 < count and not work["ahead"]:
            head = _load_task(b_i, partners, e_pair, upcoming, lefts[0])
            _load_orbital(rights[turn % 2], b_j, head[0][0:1, 1:2])
        _collect(res, sums, nstrip)
        nisa.dma_copy(dst=out[n], src=res)
    return out

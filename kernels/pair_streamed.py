"""Pairs of orbitals whose B does not fit in SBUF: the other kernel behind `pair_energy`.

Virtuals are cut into blocks and the contraction into chunks, which are loaded one after the other,
so the kernel works for any size. It reads B more often than the resident form, and these
transfers limit its speed.
"""

from __future__ import annotations

from dfmp2.kernels.limits import PARTITIONS
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.operands import Operand, Tile
from dfmp2.kernels.pair_plan import k_chunk
from dfmp2.kernels.reduction import blocks_of, inverse_root_gap, square_sum
from dfmp2.kernels.tiles import load_block, load_matrix, load_row

__all__ = ["pair_energy_streamed_kernel"]


def _load_chunk(b: Operand, index: Tile, k0: int, kc: int) -> Tile:
    """Contraction tiles k0 .. k0 + kc - 1 of one block of virtuals of one orbital.

    `b` is [orbitals Z, K, V] and `index` a run-time value; each partition reads kc V consecutive
    numbers.
    """
    naux, v = b.shape[1], b.shape[2]
    nk = naux // PARTITIONS
    tile = nl.ndarray((PARTITIONS, kc, v), dtype=b.dtype, buffer=nl.sbuf)
    pattern = [[nk * v, PARTITIONS], [v, kc], [1, v]]
    nisa.dma_copy(dst=tile, src=b.ap(pattern, offset=k0 * v, scalar_offset=index, indirect_dim=0))
    return tile


def _load_chunks(b_i: Operand, b_j: Operand, index: Tile, k0: int, kc: int) -> Tile:
    """The four operands of T and of its mirror: B_i[A], B_j[B], B_j[A], B_i[B]."""
    return (
        _load_chunk(b_i, index[0:1, 0:1], k0, kc),
        _load_chunk(b_j, index[0:1, 1:2], k0, kc),
        _load_chunk(b_j, index[0:1, 2:3], k0, kc),
        _load_chunk(b_i, index[0:1, 3:4], k0, kc),
    )


@nki.jit
def pair_energy_streamed_kernel(
    b_i: Operand,
    b_j: Operand,
    slots: Operand,
    blocks: Operand,
    e_pair: Operand,
    e_row: Operand,
    e_col: Operand,
) -> Operand:
    """Squares of S, of its mirror and of their difference for pairs of blocks of virtuals.

    For B too large for SBUF: only the products in PSUM are kept from chunk to chunk of the
    contraction. A slot is a pair i j and two blocks A <= B of virtuals. Its mirror
    (T_ij[B, A])^T = B_j[A]^T B_i[B] is a product of its own in the layout of T_ij[A, B], so there
    is no transpose. Each element of T is still made once where A < B; blocks on the diagonal are
    made twice.

    Dimensions
        I, J  orbitals of the two blocks of orbitals
        K  auxiliaries, any multiple of 128
        Z  blocks of V virtuals, V = n P <= 384 (`V_STREAMED`), n strips of P <= 128
        N  slots of this launch, as many as fit the instruction limit; T slots in all

    Parameters
    ----------
    b_i, b_j
        [I Z, K, V] and [J Z, K, V] float32 in HBM, zero in their padding; block z of orbital i
        is number i Z + z.
    slots
        [1, N] int32: numbers of the slots to do.
    blocks
        [T, 6] int32: numbers of B_i[A], B_j[B], B_j[A], B_i[B], then A and B.
    e_pair
        [T, P, 1] float32: -(e_i + e_j) repeated over P.
    e_row
        [Z, P, V] float32: e_b of each block repeated over P.
    e_col
        [Z, P, n] float32: e_a of row p of each strip of each block.

    Returns
    -------
    [N, P, 3] float32 in shared HBM: squares of S[A,B], of its mirror, of their difference. Error
    as in `pair_energy_kernel`.

    Notes
    -----
    ::

        for each slot:
            for each chunk of the contraction:
                next four tiles -> SBUF [128, chunk, V]
                for each strip of A:                                         2 n PSUM banks
                    PSUM_T[P, V] += B_i[A]^T B_j[B];  PSUM_U += B_j[A]^T B_i[B]     TensorE
            for each strip of A:
                W = (e_b + e_a - e_i - e_j)^-1/2                             VectorE, GpSimdE
                S = T W, R = U W;  sum S^2, R^2, (S - R)^2                   VectorE, ScalarE
            sums -> HBM
    """
    p, nstrip = e_col.shape[1], e_col.shape[2]
    naux, v = b_i.shape[1], b_i.shape[2]
    nk = naux // PARTITIONS
    kc = k_chunk(nk, v)
    count = slots.shape[1]
    out = nl.ndarray((count, p, 3), dtype=nl.float32, buffer=nl.shared_hbm)
    number = load_block(slots, 1, count, 0, count)
    index = load_row(blocks, number[0:1, 0:1])
    tiles = _load_chunks(b_i, b_j, index, 0, min(kc, nk))
    for n in range(count):
        pair = load_matrix(e_pair, number[0:1, n : n + 1])
        col = load_matrix(e_col, index[0:1, 4:5])
        row = load_matrix(e_row, index[0:1, 5:6])
        t, u = [], []
        for _strip in range(nstrip):
            t.append(nl.ndarray((p, v), dtype=nl.float32, buffer=nl.psum))
            u.append(nl.ndarray((p, v), dtype=nl.float32, buffer=nl.psum))
        for k0 in range(0, nk, kc):
            i_a, j_b, j_a, i_b = tiles
            depth = i_a.shape[1]
            if k0 + kc < nk:
                tiles = _load_chunks(b_i, b_j, index, k0 + kc, min(kc, nk - k0 - kc))
            elif n + 1 < count:
                index = load_row(blocks, number[0:1, n + 1 : n + 2])
                tiles = _load_chunks(b_i, b_j, index, 0, min(kc, nk))
            for strip in range(nstrip):
                a = strip * p
                for k in range(depth):
                    first = k0 + k > 0
                    nisa.nc_matmul(t[strip], i_a[:, k, a : a + p], j_b[:, k, :], accumulate=first)
                    nisa.nc_matmul(u[strip], j_a[:, k, a : a + p], i_b[:, k, :], accumulate=first)
        width = nstrip * nstrip
        sums = nl.ndarray((p, 3 * width), dtype=nl.float32, buffer=nl.sbuf)
        for strip in range(nstrip):
            root = nl.ndarray((p, v), dtype=nl.float32, buffer=nl.sbuf)
            inverse_root_gap(root, row, col[:, strip : strip + 1], pair)
            scaled = []
            products = (t[strip], u[strip])
            for kind in range(2):
                c = (kind * nstrip + strip) * nstrip
                s = nl.ndarray((p, v), dtype=nl.float32, buffer=nl.sbuf)
                nisa.tensor_tensor(dst=s, data1=products[kind], data2=root, op=nl.multiply)
                squares = nl.ndarray((p, v), dtype=nl.float32, buffer=nl.sbuf)
                square_sum(squares, blocks_of(squares, v, nstrip), s, sums[:, c : c + nstrip])
                scaled.append(s)
            c = (2 * nstrip + strip) * nstrip
            diff = nl.ndarray((p, v), dtype=nl.float32, buffer=nl.sbuf)
            nisa.tensor_tensor(dst=diff, data1=scaled[0], data2=scaled[1], op=nl.subtract)
            square_sum(diff, blocks_of(diff, v, nstrip), diff, sums[:, c : c + nstrip])
        res = nl.ndarray((p, 3), dtype=nl.float32, buffer=nl.sbuf)
        kinds = sums.ap([[3 * width, p], [width, 3], [1, width]])
        nisa.tensor_reduce(dst=res, op=nl.add, data=kinds, axis=2)
        nisa.dma_copy(dst=out[n], src=res)
    return out

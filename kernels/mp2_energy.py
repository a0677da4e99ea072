"""Opposite- and same-spin energies of given integral blocks T[x,a,b], of one spin or of two.

For T made elsewhere (the unfused path, validation); `pair_energy` never stores T and is faster.
Row strips of T stream through SBUF by long contiguous transfers and are scaled at once to
S = T o D^-1/2 (VectorE, rsqrt on GpSimdE). T is read once. The same-spin sum needs S^T: TensorE,
otherwise idle, transposes S block by block. Reading T^T from HBM would fetch every element a
second time, four bytes per descriptor. ScalarE squares, VectorE sums. Strips are equal (448
virtuals: four of 112), so there is no shorter last one. For two spins only the squares are summed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfmp2.kernels.launch import Launch, Launcher, instruction_limit
from dfmp2.kernels.layout import as_float32, check_shapes, pad, to_float64
from dfmp2.kernels.limits import (
    F32_BYTES,
    NVIR_RESIDENT_T,
    PAD_ENERGY,
    PSUM_BANK_F32,
    SUMS_BYTES,
)
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.operands import Operand, Tile
from dfmp2.kernels.reduction import inverse_root_gap, mirror_row, mirror_scratch, scale
from dfmp2.kernels.tiles import load_block
from dfmp2.kernels.tiling import Panels, ceil_div, equal_panels, virtual_strips

__all__ = ["mp2_energy", "mp2_energy_kernel", "mp2_energy_opposite_kernel", "padded_energies"]


def _block_strips(nstrip: int, p: int) -> int:
    """Strips per square block of T: all of them up to 1024 virtuals."""
    return min(nstrip, max(1, NVIR_RESIDENT_T // p))


def _scaled(
    t: Operand,
    x: int,
    rows: tuple[int, int],
    columns: tuple[int, int],
    energies: tuple[Tile, Tile, Tile],
    sums: Tile,
) -> Tile:
    """S of a block of T[x]; `rows` and `columns` are its first strip and number of strips.

    Column a n + b of `sums` receives the squares of strip a against strip b.
    """
    (a0, na), (b0, nb) = rows, columns
    e_row, e_col, e_pair = energies
    p, v = e_row.shape
    nstrip, width = e_col.shape[1], nb * p
    s = nl.ndarray((p, na, width), dtype=nl.float32, buffer=nl.sbuf)
    for n in range(na):
        a = a0 + n
        strip = load_block(t, p, v, x * v * v + a * p * v + b0 * p, width)
        root = nl.ndarray((p, width), dtype=nl.float32, buffer=nl.sbuf)
        e_b = e_row[:, b0 * p : b0 * p + width]
        inverse_root_gap(root, e_b, e_col[:, a : a + 1], e_pair[:, x : x + 1])
        c = a * nstrip + b0
        scale(s[:, n, :], strip, root, sums[:, c : c + nb])
    return s


@nki.jit
def mp2_energy_kernel(
    t: Operand, e_pair: Operand, e_row: Operand, e_col: Operand, identity: Operand
) -> Operand:
    """J, X and X_diag of each T[x], one value per partition, as `pair_energy_kernel` does.

    Dimensions
        X  blocks of T in this launch, as many as fit the instruction limit
        V  padded virtuals, n strips of P <= 128; any size: beyond 1024 in square blocks

    Parameters
    ----------
    t
        [X, V, V] float32 in HBM, zero in its padding.
    e_pair
        [P, X] float32: -(e_i + e_j), repeated over P.
    e_row
        [P, V] float32: e_b repeated over P, a large finite number in the padding.
    e_col
        [P, n] float32: e_a of row p of each strip.
    identity
        [P, P] float32, for transposes.

    Returns
    -------
    [P, 3, X] float32 in shared HBM. Rows are summed in float32 by blocks of P, partitions on the
    host in float64: relative error at most (P + n^2) u, u = 2^-24, and a few u in practice. D and
    its root add a relative 4 u.

    Notes
    -----
    ::

        for x in X, in groups:
            for each strip A of P rows:
                T_A -> SBUF [P, V]                                      DMA, rows of 4 V bytes
                W = (e_b + e_a - e_ij)^-1/2                             VectorE, GpSimdE
                S_A = T_A W;  J += sum S_A^2                   VectorE, ScalarE, VectorE
            for each strip B, for A <= B:
                PSUM = (S_B[:, A])^T                                    TensorE
                d = S_A[:, B] - PSUM;  X += sum d^2            VectorE, ScalarE, VectorE
            after the last of a group: add the columns of each x          VectorE
    """
    items, v = t.shape[0], t.shape[1]
    p, nstrip = e_col.shape
    step = _block_strips(nstrip, p)
    out = nl.ndarray((p, 3, items), dtype=nl.float32, buffer=nl.shared_hbm)
    energies = (
        load_block(e_row, p, v, 0, v),
        load_block(e_col, p, nstrip, 0, nstrip),
        load_block(e_pair, p, items, 0, items),
    )
    unit = load_block(identity, p, p, 0, p)
    res = nl.ndarray((p, 3, items), dtype=nl.float32, buffer=nl.sbuf)
    count, group = nstrip * nstrip, _group(nstrip * nstrip)
    for x0 in range(0, items, group):
        number = min(group, items - x0)
        squares = nl.ndarray((p, number * count), dtype=nl.float32, buffer=nl.sbuf)
        mirrored = nl.ndarray((p, number * count), dtype=nl.float32, buffer=nl.sbuf)
        nisa.memset(mirrored, value=0.0)
        for x in range(number):
            own = squares[:, x * count : (x + 1) * count]
            for a0 in range(0, nstrip, step):
                na = min(step, nstrip - a0)
                for b0 in range(a0, nstrip, step):
                    nb = min(step, nstrip - b0)
                    upper = _scaled(t, x0 + x, (a0, na), (b0, nb), energies, own)
                    lower = upper
                    if b0 > a0:
                        lower = _scaled(t, x0 + x, (b0, nb), (a0, na), energies, own)
                    for strip in range(nb):
                        rows = na if b0 > a0 else strip + 1
                        scratch = (mirror_scratch(unit, nstrip), mirror_scratch(unit, nstrip))
                        c = (x * nstrip + b0 + strip) * nstrip + a0
                        mirror_row(upper, lower, strip, scratch, mirrored[:, c : c + rows])
        whole = [[number * count, p], [count, number], [1, count]]
        diagonal = [[number * count, p], [count, number], [nstrip + 1, nstrip]]
        columns = (squares.ap(whole), mirrored.ap(whole), mirrored.ap(diagonal))
        for kind in range(3):
            kinds = res[:, kind, x0 : x0 + number]
            nisa.tensor_reduce(dst=kinds, op=nl.add, data=columns[kind], axis=2)
    nisa.dma_copy(dst=out, src=res)
    return out


@nki.jit
def mp2_energy_opposite_kernel(
    t: Operand, e_pair: Operand, e_row: Operand, e_col: Operand
) -> Operand:
    """J of each T[x] of two spins, one value per partition.

    Dimensions
        X  blocks of T in this launch, as many as fit the instruction limit
        V_a, V_b  padded virtuals of each spin, n strips of P and m of Q <= 128; any size

    Parameters
    ----------
    t
        [X, V_a, V_b] float32 in HBM, zero in its padding.
    e_pair
        [P, X] float32: -(e_i + e_j), repeated over P.
    e_row
        [P, V_b] float32: e_b repeated over P, a large finite number in the padding.
    e_col
        [P, n] float32: e_a of row p of each strip.

    Returns
    -------
    [P, X] float32 in shared HBM. Rows are summed in float32 by blocks of Q. Error as in
    `mp2_energy_kernel`.

    Notes
    -----
    For each strip and up to 1024 columns: T -> SBUF (DMA), its roots (VectorE, GpSimdE), S = T W
    (VectorE), squares (ScalarE), sums (VectorE).
    """
    items, rows, v = t.shape
    p, nstrip = e_col.shape
    strips = virtual_strips(v)
    step = _block_strips(strips.number, strips.size)
    out = nl.ndarray((p, items), dtype=nl.float32, buffer=nl.shared_hbm)
    row = load_block(e_row, p, v, 0, v)
    col = load_block(e_col, p, nstrip, 0, nstrip)
    pair = load_block(e_pair, p, items, 0, items)
    res = nl.ndarray((p, items), dtype=nl.float32, buffer=nl.sbuf)
    count = nstrip * strips.number
    group = _group(count)
    for x0 in range(0, items, group):
        number = min(group, items - x0)
        squares = nl.ndarray((p, number * count), dtype=nl.float32, buffer=nl.sbuf)
        for x in range(number):
            for a in range(nstrip):
                for b0 in range(0, strips.number, step):
                    nb = min(step, strips.number - b0)
                    first, width = b0 * strips.size, nb * strips.size
                    start = ((x0 + x) * rows + a * p) * v + first
                    tile = load_block(t, p, v, start, width)
                    root = nl.ndarray((p, width), dtype=nl.float32, buffer=nl.sbuf)
                    e_b = row[:, first : first + width]
                    e_ij = pair[:, x0 + x : x0 + x + 1]
                    inverse_root_gap(root, e_b, col[:, a : a + 1], e_ij)
                    c = (x * nstrip + a) * strips.number + b0
                    scale(root, tile, root, squares[:, c : c + nb])
        whole = squares.ap([[number * count, p], [count, number], [1, count]])
        nisa.tensor_reduce(dst=res[:, x0 : x0 + number], op=nl.add, data=whole, axis=2)
    nisa.dma_copy(dst=out, src=res)
    return out


def _group(columns: int) -> int:
    """T blocks whose columns of sums are kept together; each has `columns` of each kind."""
    return max(1, SUMS_BYTES // (2 * F32_BYTES * columns))


def _instructions(nstrip: int, p: int) -> int:
    """Instructions per T block, an upper bound."""
    loads = nstrip * ceil_div(nstrip, _block_strips(nstrip, p))
    blocks = nstrip * (nstrip + 1) // 2
    mirrors = nstrip + ceil_div(blocks, PSUM_BANK_F32 // p)
    return 6 * loads + blocks + 3 * mirrors + ceil_div(4, _group(nstrip * nstrip))


def _opposite_instructions(rows: Panels, columns: Panels) -> int:
    """Instructions per T block of two spins, an upper bound."""
    loads = rows.number * ceil_div(columns.number, _block_strips(*columns))
    return 6 * loads + 1


def padded_energies(
    e_a: Operand, e_b: Operand, rows: Panels, columns: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """e_row[P, columns] of e_b and e_col[P, n] of e_a, for n row strips of P virtuals."""
    padded = np.full((2, max(rows.padded, columns)), PAD_ENERGY, dtype=np.float32)
    padded[0, : len(e_a)], padded[1, : len(e_b)] = e_a, e_b
    e_row = np.broadcast_to(padded[1, :columns], (rows.size, columns))
    e_col = padded[0, : rows.padded].reshape(rows).T
    return np.ascontiguousarray(e_row), np.ascontiguousarray(e_col)


def mp2_energy(
    t: Operand,
    e_ij: Operand,
    e_vir: Operand,
    e_b: Operand | None = None,
    launch: Launch | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Opposite- and same-spin energy of each T[x,a,b] = (ia|jb), with e_ij[x] = e_i + e_j.

    Parameters
    ----------
    t
        [x, a, a], or [x, a, b] with `e_b`, any float dtype: integrals in Eh.
    e_ij, e_vir
        [x] and [a], any float dtype: sums of occupied and virtual orbital energies in Eh, with
        e_a + e_b > e_ij.
    e_b
        [b], of pairs of two spins, where e_vir belongs to a only: the same-spin energy is zero.
    launch
        Runs the kernel; default: a new `Launcher`.

    Returns
    -------
    e_os[x] and e_ss[x], float64 NumPy arrays, in Eh.

    Raises
    ------
    InputError
        Shapes that do not fit, or an empty dimension.
    """
    launch = launch or Launcher()
    t, e_ij, e_vir = as_float32(t), to_float64(e_ij), to_float64(e_vir)
    e = {"e_ij": e_ij, "e_vir": e_vir}
    if e_b is None:
        check_shapes("mp2_energy", "xaa x a", t=t, **e)
        rows = columns = virtual_strips(len(e_vir))
        tables: tuple[NDArray[np.float32], ...] = (np.eye(rows.size, dtype=np.float32),)
        kernel, each, e_column = mp2_energy_kernel, _instructions(*rows), e_vir
    else:
        e_column = to_float64(e_b)
        check_shapes("mp2_energy", "xab x a b", t=t, **e, e_b=e_column)
        rows, columns = virtual_strips(len(e_vir)), virtual_strips(len(e_column))
        kernel, each, tables = mp2_energy_opposite_kernel, _opposite_instructions(rows, columns), ()
    tables = (*padded_energies(e_vir, e_column, rows, columns.padded), *tables)
    items = len(e_ij)
    px = equal_panels(items, max(1, (instruction_limit(launch) - 9) // each))
    t = pad(t, (px.padded, rows.padded, columns.padded))
    pair = np.zeros((rows.size, px.padded), dtype=np.float32)
    pair[:, :items] = -e_ij

    results = []  # read after the last launch is on its way: reading waits for the device
    for x in range(px.number):
        part = slice(x * px.size, (x + 1) * px.size)
        results.append(launch(kernel, t[part], np.ascontiguousarray(pair[:, part]), *tables))
    sums = np.concatenate([to_float64(result).sum(axis=0) for result in results], axis=-1)
    if e_b is not None:
        return -sums[:items], np.zeros(items)
    squares, mirrored, itself = sums[:, :items]
    return -squares, -(mirrored - itself / 2)

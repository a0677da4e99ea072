"""Transfers and products of tiles that several kernels need. Called inside kernels only."""

from __future__ import annotations

from dfmp2.kernels.limits import PARTITIONS
from dfmp2.kernels.nki import nisa, nl
from dfmp2.kernels.operands import Operand, Tile

__all__ = ["drain", "load_block", "load_matrix", "load_panel", "load_row", "multiply"]


def load_panel(src: Operand, nk: int, ld: int, offset: int, width: int) -> Tile:
    """Columns of an HBM matrix [128 nk, ld] as a tile [128, nk, width], in one transfer.

    Row p nk + k goes to partition p, so each partition reads nk consecutive rows: one long
    descriptor where width = ld. The order of a contraction index does not matter as long as both
    factors are loaded so. `offset` is the position of the first element in `src`.
    """
    tile = nl.ndarray((PARTITIONS, nk, width), dtype=src.dtype, buffer=nl.sbuf)
    pattern = [[nk * ld, PARTITIONS], [ld, nk], [1, width]]
    nisa.dma_copy(dst=tile, src=src.ap(pattern, offset=offset))
    return tile


def load_block(src: Operand, rows: int, ld: int, offset: int, width: int) -> Tile:
    """A tile [rows, width] of an HBM matrix with rows of `ld` elements, from position `offset`."""
    tile = nl.ndarray((rows, width), dtype=src.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=src.ap([[ld, rows], [1, width]], offset=offset))
    return tile


def load_row(src: Operand, index: Tile) -> Tile:
    """Row `index` (a [1, 1] int32 tile) of an HBM table as a tile [1, n]."""
    n = src.shape[1]
    row = nl.ndarray((1, n), dtype=src.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=row, src=src.ap([[n, 1], [1, n]], scalar_offset=index, indirect_dim=0))
    return row


def load_matrix(src: Operand, index: Tile) -> Tile:
    """Matrix `index` (a [1, 1] int32 tile) of an HBM array [n, rows, cols] as a tile."""
    rows, cols = src.shape[1], src.shape[2]
    tile = nl.ndarray((rows, cols), dtype=src.dtype, buffer=nl.sbuf)
    pattern = [[cols, rows], [1, cols]]
    nisa.dma_copy(dst=tile, src=src.ap(pattern, scalar_offset=index, indirect_dim=0))
    return tile


def multiply(dst: Tile, left: Tile, l0: int, right: Tile, r0: int, nk: int) -> None:
    """dst[m,n] = sum_pk left[p,k,l0+m] right[p,k,r0+n], accumulated in float32 in one PSUM bank."""
    m, n = dst.shape
    for k in range(nk):
        nisa.nc_matmul(
            dst,
            stationary=left[:, k, l0 : l0 + m],
            moving=right[:, k, r0 : r0 + n],
            accumulate=(k > 0),
        )


def drain(src: Tile) -> Tile:
    """A PSUM tile copied to SBUF by VectorE: DMA cannot read PSUM."""
    tile = nl.ndarray(src.shape, dtype=src.dtype, buffer=nl.sbuf)
    nisa.tensor_copy(dst=tile, src=src, engine=nisa.engine.vector)
    return tile

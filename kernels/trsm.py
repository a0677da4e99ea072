"""Triangular solve A X = B, A lower, in which the device only multiplies.

TensorE has no division, and a row-by-row substitution would use one partition at a time. The host
therefore inverts the 128 x 128 diagonal blocks in float64. The rest,

    X_k = Inv_k (B_k - sum_{j<k} L_kj X_j),

is two matrix products per block. X stays in SBUF from its first block to its last, so each block
of L, B and X is transferred once. The steps over k depend on each other. Within a step, the sums of
all strips of right-hand sides come before the last products, so VectorE subtracts for one strip
while TensorE works on the next.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.kernels.gemm import gemm
from dfmp2.kernels.launch import Launch, Launcher, instruction_limit
from dfmp2.kernels.layout import as_float32, check_shapes, pad, to_float64, zeros
from dfmp2.kernels.limits import PARTITIONS, PSUM_BANK_F32, TRSM_ORDER, TRSM_RHS
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.operands import Operand, Tile
from dfmp2.kernels.tiles import load_block
from dfmp2.kernels.tiling import ceil_div, equal_panels

__all__ = ["trsm", "trsm_kernel"]


def _solve(out: Operand, l_t: Operand, inv_t: Operand, b: Operand, first: int, width: int) -> None:
    """X = L^-1 B for columns `first` .. `first` + `width` - 1."""
    blocks, n = l_t.shape[0], l_t.shape[2]
    r = b.shape[1]
    x: list[Tile] = []
    for k in range(blocks):
        square = PARTITIONS * PARTITIONS
        start = k * PARTITIONS * r + first
        inverse = load_block(inv_t, PARTITIONS, PARTITIONS, k * square, PARTITIONS)
        rhs = load_block(b, PARTITIONS, r, start, width)
        if k > 0:
            row = load_block(l_t, PARTITIONS, n, k * PARTITIONS * n, k * PARTITIONS)
            for r0 in range(0, width, PSUM_BANK_F32):
                r1 = min(width, r0 + PSUM_BANK_F32)
                acc = nl.ndarray((PARTITIONS, r1 - r0), dtype=nl.float32, buffer=nl.psum)
                for j in range(k):
                    nisa.nc_matmul(
                        acc,
                        stationary=row[:, j * PARTITIONS : (j + 1) * PARTITIONS],
                        moving=x[j][:, r0:r1],
                        accumulate=(j > 0),
                    )
                nisa.tensor_tensor(
                    dst=rhs[:, r0:r1], data1=rhs[:, r0:r1], data2=acc, op=nl.subtract
                )
        x.append(nl.ndarray((PARTITIONS, width), dtype=nl.float32, buffer=nl.sbuf))
        for r0 in range(0, width, PSUM_BANK_F32):
            r1 = min(width, r0 + PSUM_BANK_F32)
            acc = nl.ndarray((PARTITIONS, r1 - r0), dtype=nl.float32, buffer=nl.psum)
            nisa.nc_matmul(acc, stationary=inverse, moving=rhs[:, r0:r1], accumulate=False)
            nisa.tensor_copy(dst=x[k][:, r0:r1], src=acc, engine=nisa.engine.vector)
        nisa.dma_copy(dst=out.ap([[r, PARTITIONS], [1, width]], offset=start), src=x[k])


@nki.jit
def trsm_kernel(l_t: Operand, inv_t: Operand, b: Operand) -> Operand:
    """X = L^-1 B for one panel of L and of right-hand sides.

    Dimensions
        N  order of L, a multiple of 128, <= 2048 (`TRSM_ORDER`); N/128 row blocks
        R  right-hand sides, as many as fit the instruction limit; 1024 (`TRSM_RHS`) at a time

    Parameters
    ----------
    l_t
        [N/128, 128, N] float32 in HBM: row block k of L, transposed in blocks, so that
        l_t[k, p, 128 j + c] = L[128 k + c, 128 j + p]; only j < k is read.
    inv_t
        [N/128, 128, 128] float32 in HBM: transposed inverses of the diagonal blocks.
    b
        [N, R] float32 in HBM.

    Returns
    -------
    [N, R] float32 in shared HBM. Sums and products accumulate in float32 in PSUM; the residual
    of a column is at most about N u (|L| |X| + |L_kk| |Inv_k| |B_k|), u = 2^-24.

    Notes
    -----
    ::

        for each 1024 right-hand sides:
            for k in N/128:
                L_k, Inv_k, B_k -> SBUF
                for each 512 of them:
                    for j < k:  PSUM[128, 512] += L_kj X_j              TensorE
                    rhs = B_k - PSUM                                    VectorE
                for each 512 of them:
                    PSUM = Inv_k rhs;  X_k = PSUM (kept in SBUF)        TensorE, VectorE
                X_k -> HBM
    """
    n, r = b.shape
    out = nl.ndarray((n, r), dtype=nl.float32, buffer=nl.shared_hbm)
    for first in range(0, r, TRSM_RHS):
        _solve(out, l_t, inv_t, b, first, min(TRSM_RHS, r - first))
    return out


def _right_hand_sides(blocks: int, limit: int) -> int:
    """Most right-hand sides of one launch, for a factor of that many row blocks."""
    chunks = ceil_div(TRSM_RHS, PSUM_BANK_F32)
    step = 4 * blocks + chunks * (blocks * (blocks - 1) // 2 + 3 * blocks)
    return TRSM_RHS * max(1, limit // step)


def _lower_operands(a: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """l_t and inv_t of `trsm_kernel` for a lower triangle whose order is a multiple of 128."""
    n = len(a)
    blocks = n // PARTITIONS
    tiles = a.reshape(blocks, PARTITIONS, blocks, PARTITIONS)
    l_t = np.ascontiguousarray(tiles.transpose(0, 3, 2, 1), dtype=np.float32)
    eye = np.eye(PARTITIONS)
    inv_t = np.empty((blocks, PARTITIONS, PARTITIONS), dtype=np.float32)
    for k in range(blocks):
        inv_t[k] = scipy.linalg.solve_triangular(tiles[k, :, k, :], eye, lower=True).T
    return l_t.reshape(blocks, PARTITIONS, n), inv_t


def trsm(a: Operand, b: Operand, launch: Launch | None = None) -> Operand:
    """Solve A X = B for X[n,r]; A[n,n] is lower triangular.

    A factor larger than one panel is solved by block rows, with `gemm` for the blocks beside the
    diagonal.

    Parameters
    ----------
    a
        [n, n], any float dtype; converted to float64 on the host. Its upper triangle is not read.
    b
        [n, r], any float dtype.
    launch
        Runs the kernels; default: a new `Launcher`.

    Returns
    -------
    [n, r] float32, NumPy or torch like `b`.

    Raises
    ------
    InputError
        Shapes that do not fit, an empty dimension, an element of A that is not finite, or a zero
        on its diagonal.
    """
    launch = launch or Launcher()
    b = as_float32(b)
    check_shapes("trsm", "nn nr", a=a, b=b)
    n, r = b.shape
    tri = np.tril(to_float64(a))
    if not np.isfinite(tri).all():
        raise InputError("trsm: the triangular matrix has NaN or infinite elements")
    if not np.diagonal(tri).all():
        row = int(np.flatnonzero(np.diagonal(tri) == 0)[0])
        raise InputError(
            f"trsm: the triangular matrix is singular: A[{row},{row}] = 0. If it is the Cholesky "
            "factor of a metric, the auxiliary basis is linearly dependent: remove the functions "
            "that cause it"
        )

    pn = equal_panels(n, TRSM_ORDER, multiple=PARTITIONS)
    pr = equal_panels(r, _right_hand_sides(pn.size // PARTITIONS, instruction_limit(launch)))
    full = np.eye(pn.padded)
    full[:n, :n] = tri
    b = pad(b, (pn.padded, pr.padded))
    x: Operand = None
    for p in range(pn.number):
        rows, done = pn.part(p), slice(0, p * pn.size)
        rhs = b[rows] if p == 0 else b[rows] - gemm(full[rows, done], x[done], launch=launch)
        l_t, inv_t = _lower_operands(full[rows, rows])
        for y in range(pr.number):
            cols = pr.part(y)
            part = launch(trsm_kernel, l_t, inv_t, pad(rhs[:, cols], (pn.size, pr.size)))
            if x is None:
                x = zeros((pn.padded, pr.padded), part)
            x[rows, cols] = part
    return x[:n, :r]

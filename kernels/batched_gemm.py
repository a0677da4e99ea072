"""Many matrix products C[x,m,n] = sum_k A[x,m,k] B[x,k,n] in one launch.

Small factors use little of TensorE: a product with K = M = 32 uses a sixteenth of the 128 x 128
array and takes as long as a full one. Factors of K, M <= 64 are therefore packed, 2 of up to 64 or
4 of up to 32 at a time, as the diagonal blocks of one stationary tile whose other blocks are zero.
The matching rows of B, stacked over partitions, are the moving tile, and the products are stacked
in the same way. The zeros are written once per launch, and a launch moves its operands in a few
transfers, whatever the number of products. Larger factors use the block product of `gemm`, several
items per launch.
"""

from __future__ import annotations

from dfmp2.kernels.gemm import block_product, gemm, gemm_instructions
from dfmp2.kernels.launch import Launch, Launcher, instruction_limit
from dfmp2.kernels.layout import as_float32, check_shapes, pad, swap, zeros
from dfmp2.kernels.limits import (
    F32_BYTES,
    K_PANEL,
    M_PANEL,
    N_PANEL,
    PARTITIONS,
    PSUM_BANK_F32,
    SBUF_BUDGET,
)
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.operands import Operand
from dfmp2.kernels.tiling import ceil_div, equal_panels, round_up

__all__ = ["batched_gemm", "batched_gemm_kernel", "packed_gemm_kernel"]


@nki.jit
def batched_gemm_kernel(a_t: Operand, b: Operand) -> Operand:
    """C[x] = A[x] B[x] for the items of one launch, one after the other.

    Dimensions
        X  items, as many as fit the instruction limit
        K, M, N  as in `gemm_kernel`

    Parameters
    ----------
    a_t
        [X, K, M] float32 in HBM: each A transposed.
    b
        [X, K, N] float32 in HBM.

    Returns
    -------
    [X, M, N] float32 in shared HBM; accumulation and error as in `gemm_kernel`.

    Notes
    -----
    ::

        for x in X:
            loop nest of gemm_kernel
    """
    items = a_t.shape[0]
    shape = (items, a_t.shape[2], b.shape[2])
    out = nl.ndarray(shape, dtype=nl.float32, buffer=nl.shared_hbm)
    for x in range(items):
        block_product(out, a_t, b, x)
    return out


@nki.jit
def packed_gemm_kernel(a_t: Operand, b: Operand) -> Operand:
    """C[x] = A[x] B[x] for small factors, 128 / E items per pass of TensorE.

    Dimensions
        E  padded K and M of an item: 32 or 64
        X  items, a multiple of 128 / E; G = X E / 128 groups
        N  columns, <= 4096 (`N_PANEL`)

    Parameters
    ----------
    a_t
        [X, E, E] float32 in HBM: each A transposed, zero in its padding.
    b
        [X, E, N] float32 in HBM.

    Returns
    -------
    [X, E, N] float32 in shared HBM. The zero blocks add exact zeros, so the error is that of a
    contraction over K <= E alone.

    Notes
    -----
    ::

        stationary[128, G, 128] = 0                                      VectorE
        for r in 128/E: diagonal block r of every group <- a_t           DMA, G blocks at a time
        moving[128, G, N] <- b
        for g in G:
            for each 512 columns:
                PSUM[128, 512] = stationary[g]^T moving[g]               TensorE
                PSUM -> SBUF (VectorE)
        SBUF -> HBM, all groups at once
    """
    items, e = a_t.shape[0], a_t.shape[1]
    n = b.shape[2]
    pack = PARTITIONS // e
    groups = items // pack
    out = nl.ndarray((items, e, n), dtype=nl.float32, buffer=nl.shared_hbm)
    left = nl.ndarray((PARTITIONS, groups, PARTITIONS), dtype=nl.float32, buffer=nl.sbuf)
    nisa.memset(left, value=0.0)
    for r in range(pack):
        block = [[e, e], [pack * e * e, groups], [1, e]]
        nisa.dma_copy(
            dst=left[r * e : (r + 1) * e, :, r * e : (r + 1) * e],
            src=a_t.ap(block, offset=r * e * e),
        )
    stacked = [[n, PARTITIONS], [PARTITIONS * n, groups], [1, n]]
    right = nl.ndarray((PARTITIONS, groups, n), dtype=nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=right, src=b.ap(stacked))
    result = nl.ndarray((PARTITIONS, groups, n), dtype=nl.float32, buffer=nl.sbuf)
    for g in range(groups):
        for n0 in range(0, n, PSUM_BANK_F32):
            n1 = min(n, n0 + PSUM_BANK_F32)
            acc = nl.ndarray((PARTITIONS, n1 - n0), dtype=nl.float32, buffer=nl.psum)
            nisa.nc_matmul(
                acc, stationary=left[:, g, :], moving=right[:, g, n0:n1], accumulate=False
            )
            nisa.tensor_copy(dst=result[:, g, n0:n1], src=acc, engine=nisa.engine.vector)
    nisa.dma_copy(dst=out.ap(stacked), src=result)
    return out


def _items_per_launch(e: int, k: int, m: int, n: int, limit: int) -> int:
    """Items that one launch may take: `e` is the packed edge, or 0 for whole block products."""
    if not e:
        return max(1, limit // gemm_instructions(k, m, n))
    pack = PARTITIONS // e
    by_memory = SBUF_BUDGET // (F32_BYTES * (PARTITIONS + 2 * n))
    by_count = (limit - pack - 3) // (2 * ceil_div(n, PSUM_BANK_F32))
    return pack * max(1, min(by_memory, by_count))


def batched_gemm(
    a: Operand, b: Operand, transpose_a: bool = False, launch: Launch | None = None
) -> Operand:
    """C[x,m,n] = sum_k A[x,m,k] B[x,k,n]; with `transpose_a`, A is given as [x,k,m].

    Factors larger than one launch of `gemm` go through `gemm` one by one.

    Parameters
    ----------
    a, b
        [x, m, k] (or [x, k, m]) and [x, k, n], any float dtype.
    launch
        Runs the kernel; default: a new `Launcher`.

    Returns
    -------
    [x, m, n] float32, NumPy or torch like `a`.

    Raises
    ------
    InputError
        Shapes that do not fit, or an empty dimension.
    """
    launch = launch or Launcher()
    a_t, b = as_float32(a), as_float32(b)
    a_t = a_t if transpose_a else swap(a_t)
    check_shapes("batched_gemm", "xkm xkn", a_t=a_t, b=b)
    (items, k, m), n = a_t.shape, b.shape[2]
    if m > M_PANEL or n > N_PANEL or k > K_PANEL:
        parts = [gemm(a_t[x], b[x], transpose_a=True, launch=launch) for x in range(items)]
        out = zeros((items, m, n), parts[0])
        for x in range(items):
            out[x] = parts[x]
        return out

    edge = next((e for e in (PARTITIONS // 4, PARTITIONS // 2) if max(k, m) <= e), 0)
    rows, cols = (edge, edge) if edge else (round_up(k, PARTITIONS), m)
    pack = PARTITIONS // edge if edge else 1
    most = _items_per_launch(edge, rows, cols, n, instruction_limit(launch))
    px = equal_panels(items, most, multiple=pack)
    a_t = pad(a_t, (px.padded, rows, cols))
    b = pad(b, (px.padded, rows, n))
    kernel = packed_gemm_kernel if edge else batched_gemm_kernel
    parts = [launch(kernel, a_t[px.part(x)], b[px.part(x)]) for x in range(px.number)]
    if px.number == 1:
        return as_float32(parts[0])[:items, :m]
    out = zeros((px.padded, m, n), parts[0])
    for x, part in enumerate(parts):
        out[px.part(x)] = part[:, :m]
    return out[:items]

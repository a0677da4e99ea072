"""Kernels in the form of AWS's tutorials, written anew in the subset we model.

Tensor addition, 2-D transpose within partitions, average pooling, and the tiled matrix products
from one tile to blocks in all three dimensions.
"""

from __future__ import annotations

from typing import Any

from dfmp2.kernels.nki import nisa, nki, nl


@nki.jit
def tensor_add(a_input: Any, b_input: Any) -> Any:
    """Sum of two matrices of whole 128 x 512 tiles."""
    out = nl.ndarray(a_input.shape, dtype=a_input.dtype, buffer=nl.shared_hbm)
    rows, columns = a_input.shape
    for m in nl.affine_range(rows // 128):
        for n in nl.affine_range(columns // 512):
            r, c = nl.ds(m * 128, 128), nl.ds(n * 512, 512)
            a = nl.ndarray(shape=(128, 512), dtype=a_input.dtype, buffer=nl.sbuf)
            b = nl.ndarray(shape=(128, 512), dtype=b_input.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=a, src=a_input[r, c])
            nisa.dma_copy(dst=b, src=b_input[r, c])
            total = nl.ndarray(shape=(128, 512), dtype=a_input.dtype, buffer=nl.sbuf)
            nisa.tensor_tensor(dst=total, data1=a, data2=b, op=nl.add)
            nisa.dma_copy(dst=out[r, c], src=total)
    return out


@nki.jit
def transpose_2d(x: Any, shape: Any) -> Any:
    """Each row holds a flattened matrix of `shape`; transpose every one of them."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    rows, columns = shape
    source = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=source, src=x)
    target = nl.ndarray(shape=(x.shape[0], rows * columns), dtype=x.dtype, buffer=nl.sbuf)
    for i in nl.affine_range(rows):
        for j in nl.affine_range(columns):
            nisa.tensor_copy(
                dst=target[:, nl.ds(j * rows + i, 1)], src=source[:, nl.ds(i * columns + j, 1)]
            )
    nisa.dma_copy(dst=out, src=target)
    return out


@nki.jit
def average_pool(x: Any, window: Any) -> Any:
    """Mean of window x window patches of [channels, height, width], by a 5-D access pattern."""
    channels, height, width = x.shape
    out = nl.ndarray(
        (channels, height // window, width // window), dtype=x.dtype, buffer=nl.shared_hbm
    )
    image = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=image, src=x)
    patches = image.ap(
        [
            [height * width, channels],
            [window * width, height // window],
            [window, width // window],
            [width, window],
            [1, window],
        ]
    )
    total = nl.sum(patches, axis=[3, 4])
    mean = nl.ndarray(total.shape, dtype=total.dtype, buffer=nl.sbuf)
    nisa.tensor_scalar(dst=mean, data=total, op0=nl.multiply, operand0=1.0 / (window * window))
    nisa.dma_copy(dst=out, src=mean)
    return out


@nki.jit
def matmul_one_tile(lhs_t: Any, rhs: Any) -> Any:
    """[128, 64]^T [128, 512]."""
    k, m = lhs_t.shape
    n = rhs.shape[1]
    assert (k, m, n) == (128, 64, 512), f"one tile only, got {k} {m} {n}"
    out = nl.ndarray((m, n), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    a = nl.ndarray(lhs_t.shape, dtype=lhs_t.dtype, buffer=nl.sbuf)
    b = nl.ndarray(rhs.shape, dtype=rhs.dtype, buffer=nl.sbuf)
    nisa.dma_copy(dst=a, src=lhs_t)
    nisa.dma_copy(dst=b, src=rhs)
    acc = nl.ndarray(out.shape, dtype=nl.float32, buffer=nl.psum)
    nisa.nc_matmul(acc, a, b)
    done = nl.ndarray(acc.shape, dtype=out.dtype, buffer=nl.sbuf)
    nisa.tensor_copy(dst=done, src=acc)
    nisa.dma_copy(dst=out, src=done)
    return out


@nki.jit
def matmul_tiled(lhs_t: Any, rhs: Any) -> Any:
    """Tiles of 128 x 512, loaded where they are used."""
    k, m = lhs_t.shape
    n = rhs.shape[1]
    tk, tm, tn = nl.tile_size.pmax, nl.tile_size.gemm_stationary_fmax, nl.tile_size.gemm_moving_fmax
    out = nl.ndarray((m, n), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    for i in nl.affine_range(m // tm):
        for j in nl.affine_range(n // tn):
            acc = nl.ndarray((tm, tn), nl.float32, buffer=nl.psum)
            for p in nl.affine_range(k // tk):
                a = nl.ndarray((tk, tm), dtype=lhs_t.dtype, buffer=nl.sbuf)
                b = nl.ndarray((tk, tn), dtype=rhs.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=a, src=lhs_t[p * tk : (p + 1) * tk, i * tm : (i + 1) * tm])
                nisa.dma_copy(dst=b, src=rhs[p * tk : (p + 1) * tk, j * tn : (j + 1) * tn])
                nisa.nc_matmul(dst=acc, stationary=a, moving=b)
            done = nl.ndarray((tm, tn), dtype=out.dtype, buffer=nl.sbuf)
            nisa.tensor_copy(dst=done, src=acc)
            nisa.dma_copy(dst=out[i * tm : (i + 1) * tm, j * tn : (j + 1) * tn], src=done)
    return out


@nki.jit
def matmul_hoisted(lhs_t: Any, rhs: Any) -> Any:
    """A row of left tiles is loaded once per row of the result."""
    k, m = lhs_t.shape
    n = rhs.shape[1]
    out = nl.ndarray((m, n), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    for i in nl.affine_range(m // 128):
        left = []
        for p in nl.affine_range(k // 128):
            a = nl.ndarray((128, 128), dtype=lhs_t.dtype, buffer=nl.sbuf)
            nisa.dma_copy(dst=a, src=lhs_t[p * 128 : (p + 1) * 128, i * 128 : (i + 1) * 128])
            left.append(a)
        for j in nl.affine_range(n // 512):
            acc = nl.ndarray((128, 512), nl.float32, buffer=nl.psum)
            for p in nl.affine_range(k // 128):
                b = nl.ndarray((128, 512), dtype=rhs.dtype, buffer=nl.sbuf)
                nisa.dma_copy(dst=b, src=rhs[p * 128 : (p + 1) * 128, j * 512 : (j + 1) * 512])
                nisa.nc_matmul(dst=acc, stationary=left[p], moving=b)
            done = nl.ndarray((128, 512), dtype=out.dtype, buffer=nl.sbuf)
            nisa.tensor_copy(dst=done, src=acc)
            nisa.dma_copy(dst=out[i * 128 : (i + 1) * 128, j * 512 : (j + 1) * 512], src=done)
    return out


@nki.jit
def matmul_blocked_free(lhs_t: Any, rhs: Any, tiles_m: Any = 2, tiles_n: Any = 2) -> Any:
    """Blocks of tiles in both free dimensions, held in SBUF for the whole contraction."""
    k, m = lhs_t.shape
    n = rhs.shape[1]
    nk, bm, bn = k // 128, 128 * tiles_m, 512 * tiles_n
    out = nl.ndarray((m, n), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    for i in nl.affine_range(m // bm):
        left = nl.ndarray((128, nk, bm), dtype=lhs_t.dtype, buffer=nl.sbuf)
        for p in nl.affine_range(nk):
            nisa.dma_copy(
                dst=left[:, p, :], src=lhs_t[p * 128 : (p + 1) * 128, i * bm : (i + 1) * bm]
            )
        for j in nl.affine_range(n // bn):
            right = nl.ndarray((128, nk, bn), dtype=rhs.dtype, buffer=nl.sbuf)
            for p in nl.affine_range(nk):
                nisa.dma_copy(
                    dst=right[:, p, :], src=rhs[p * 128 : (p + 1) * 128, j * bn : (j + 1) * bn]
                )
            for x in nl.affine_range(tiles_m):
                for y in nl.affine_range(tiles_n):
                    acc = nl.ndarray((128, 512), dtype=nl.float32, buffer=nl.psum)
                    for p in nl.affine_range(nk):
                        nisa.nc_matmul(
                            dst=acc,
                            stationary=left[:, p, x * 128 : (x + 1) * 128],
                            moving=right[:, p, y * 512 : (y + 1) * 512],
                        )
                    done = nl.ndarray((128, 512), dtype=out.dtype, buffer=nl.sbuf)
                    nisa.tensor_copy(dst=done, src=acc)
                    row, column = i * bm + x * 128, j * bn + y * 512
                    nisa.dma_copy(dst=out[row : row + 128, column : column + 512], src=done)
    return out


@nki.jit
def matmul_blocked_all(
    lhs_t: Any, rhs: Any, tiles_m: Any = 2, tiles_n: Any = 2, tiles_k: Any = 2
) -> Any:
    """Blocks in all three dimensions; partial results are added up in SBUF."""
    k, m = lhs_t.shape
    n = rhs.shape[1]
    bm, bn, bk = 128 * tiles_m, 512 * tiles_n, 128 * tiles_k
    out = nl.ndarray((m, n), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    for j in nl.affine_range(n // bn):
        results = []
        for _ in nl.affine_range(m // 128):
            tile = nl.ndarray((128, tiles_n, 512), dtype=out.dtype, buffer=nl.sbuf)
            nisa.memset(dst=tile, value=0.0)
            results.append(tile)
        for q in nl.sequential_range(k // bk):
            right = nl.ndarray((128, tiles_k, bn), dtype=rhs.dtype, buffer=nl.sbuf)
            for p in range(tiles_k):
                row = q * bk + p * 128
                nisa.dma_copy(
                    dst=right[0:128, p, 0:bn], src=rhs[row : row + 128, j * bn : (j + 1) * bn]
                )
            for i in nl.affine_range(m // bm):
                left = nl.ndarray((128, tiles_k, bm), dtype=lhs_t.dtype, buffer=nl.sbuf)
                for p in nl.affine_range(tiles_k):
                    row = q * bk + p * 128
                    nisa.dma_copy(
                        dst=left[0:128, p, 0:bm],
                        src=lhs_t[row : row + 128, i * bm : (i + 1) * bm],
                    )
                for y in nl.affine_range(tiles_n):
                    for x in nl.affine_range(tiles_m):
                        acc = nl.ndarray(shape=(128, 512), dtype=nl.float32, buffer=nl.psum)
                        for p in nl.affine_range(tiles_k):
                            nisa.nc_matmul(
                                dst=acc,
                                stationary=left[0:128, p, x * 128 : (x + 1) * 128],
                                moving=right[0:128, p, y * 512 : (y + 1) * 512],
                            )
                        total = results[i * tiles_m + x]
                        nisa.tensor_tensor(
                            dst=total[0:128, y, 0:512],
                            data1=total[0:128, y, 0:512],
                            data2=acc,
                            op=nl.add,
                        )
        for i in nl.affine_range(m // 128):
            wide = results[i].reshape((128, bn))
            nisa.dma_copy(
                dst=out[i * 128 : (i + 1) * 128, j * bn : (j + 1) * bn], src=wide[0:128, 0:bn]
            )
    return out

"""Symmetric product C = A A^T on TensorE: the lower half of the tiles, mirrored on the host.

One panel of A^T is both the stationary and the moving operand. A is therefore read from HBM once,
in strips of 512 columns, each loaded while earlier rows are multiplied. Row strip m is multiplied
with columns 0 .. m + 127 only: 9/16 of the work at 1024 rows, half of it for many rows. The host
makes the mirror. On the device it would take transposes on TensorE and as many bytes again to HBM.
"""

from __future__ import annotations

import numpy as np

from dfmp2.kernels.gemm import gemm_kernel, matrix_of_panels
from dfmp2.kernels.launch import Launch, Launcher
from dfmp2.kernels.layout import as_float32, check_shapes, is_tensor, pad, swap
from dfmp2.kernels.limits import K_PANEL, M_PANEL, PARTITIONS, PSUM_BANK_F32
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.operands import Operand
from dfmp2.kernels.tiles import drain, load_panel, multiply
from dfmp2.kernels.tiling import equal_panels

__all__ = ["syrk", "syrk_kernel"]


@nki.jit
def syrk_kernel(a_t: Operand) -> Operand:
    """Lower triangle of C = A A^T for one panel, by tiles.

    Dimensions
        K  contraction, a multiple of 128, <= 2048 (`K_PANEL`)
        M  rows, <= 2048 (`M_PANEL`): A^T then takes 128 KiB of each partition

    Parameters
    ----------
    a_t
        [K, M] float32 in HBM: A transposed.

    Returns
    -------
    [M, M] float32 in shared HBM, of which row strip m holds columns 0 .. m + 127; the rest is
    never written. Accumulation and error as in `gemm_kernel`.

    Notes
    -----
    ::

        for each strip c of 512 columns:
            A^T strip -> SBUF  [128, K/128, 512]
            for each 128 rows m of the strip:
                for each strip d <= c (the last one up to column m + 127):
                    for k in K/128:  PSUM[128, 512] += A[m,k] A[d,k]^T   TensorE, 4 passes (fp32)
                    PSUM -> SBUF (VectorE) -> HBM
    """
    k, m = a_t.shape
    nk = k // PARTITIONS
    out = nl.ndarray((m, m), dtype=nl.float32, buffer=nl.shared_hbm)
    strips = []
    for c0 in range(0, m, PSUM_BANK_F32):
        strips.append(load_panel(a_t, nk, m, c0, min(PSUM_BANK_F32, m - c0)))
        for m0 in range(c0, min(m, c0 + PSUM_BANK_F32), PARTITIONS):
            rows = min(PARTITIONS, m - m0)
            for d in range(len(strips)):
                d0 = d * PSUM_BANK_F32
                width = min(PSUM_BANK_F32, m0 + rows - d0)
                acc = nl.ndarray((rows, width), dtype=nl.float32, buffer=nl.psum)
                multiply(acc, strips[-1], m0 - c0, strips[d], 0, nk)
                dst = out.ap([[m, rows], [1, width]], offset=m0 * m + d0)
                nisa.dma_copy(dst=dst, src=drain(acc))
    return out


def _lower(x: Operand, diagonal: int = 0) -> Operand:
    return x.tril(diagonal) if is_tensor(x) else np.tril(x, diagonal)


def syrk(a: Operand, transpose_a: bool = False, launch: Launch | None = None) -> Operand:
    """C[m,n] = sum_k A[m,k] A[n,k], symmetric; with `transpose_a`, A is given as [k,m].

    Beyond one panel of rows, the blocks below the diagonal are products of two panels.

    Parameters
    ----------
    a
        [m, k] (or [k, m]), any float dtype.
    launch
        Runs the kernel; default: a new `Launcher`.

    Returns
    -------
    [m, m] float32, exactly symmetric, NumPy or torch like `a`.

    Raises
    ------
    InputError
        An array that is no matrix, or an empty dimension.
    """
    launch = launch or Launcher()
    a_t = as_float32(a)
    a_t = a_t if transpose_a else swap(a_t)
    check_shapes("syrk", "km", a_t=a_t)
    k, m = a_t.shape
    pm, pk = equal_panels(m, M_PANEL), equal_panels(k, K_PANEL, multiple=PARTITIONS)
    a_t = pad(a_t, (pk.padded, pm.padded))

    def panel(z: int, x: int) -> Operand:
        return pad(a_t[pk.part(z), pm.part(x)], (pk.size, pm.size))

    def part(x: int, y: int, z: int) -> Operand:
        if x == y:
            return _lower(launch(syrk_kernel, panel(z, x)))
        return launch(gemm_kernel, panel(z, x), panel(z, y))

    c = as_float32(matrix_of_panels(part, pm, pm, pk.number, lower=True))[:m, :m]
    return c + swap(_lower(c, -1))

"""Matrix product C[m,n] = sum_k A[m,k] B[k,n] on TensorE.

TensorE multiplies a stationary tile of at most 128 x 128 with a moving one of at most 128 x 512,
contracting over partitions. A therefore arrives transposed (contraction on rows, in HBM already:
DMA does not transpose 4-byte types) and is held in SBUF in blocks of 1024 rows. For each block, B
is loaded in strips of 512 columns, each during the products of the strip before. A is read once, B
once per block of A. Each output tile accumulates in one PSUM bank, is copied to SBUF by VectorE and
is written once. The host cuts larger problems into equal panels, so that one compiled program
serves them all.
"""

from __future__ import annotations

from collections.abc import Callable

from dfmp2.kernels.launch import Launch, Launcher
from dfmp2.kernels.layout import as_float32, check_shapes, is_tensor, pad, swap, to_float64, zeros
from dfmp2.kernels.limits import K_PANEL, M_BLOCK, M_PANEL, N_PANEL, PARTITIONS, PSUM_BANK_F32
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.operands import Operand
from dfmp2.kernels.tiles import drain, load_panel, multiply
from dfmp2.kernels.tiling import Panels, ceil_div, equal_panels

__all__ = [
    "block_product",
    "gemm",
    "gemm_instructions",
    "gemm_kernel",
    "matrix_of_panels",
]


def block_product(out: Operand, a_t: Operand, b: Operand, item: int) -> None:
    """out[item] = a_t[item]^T b[item], for HBM arrays of matrices [m,n], [k,m] and [k,n].

    `item` counts matrices from the start of each array; it is 0 if the arrays are matrices. k is a
    multiple of 128. Called inside kernels only.
    """
    rank = len(a_t.shape)
    k, m, n = a_t.shape[rank - 2], a_t.shape[rank - 1], b.shape[rank - 1]
    nk = k // PARTITIONS
    for m0 in range(0, m, M_BLOCK):
        left = load_panel(a_t, nk, m, item * k * m + m0, min(M_BLOCK, m - m0))
        right = load_panel(b, nk, n, item * k * n, min(PSUM_BANK_F32, n))
        for n0 in range(0, n, PSUM_BANK_F32):
            now, n1 = right, n0 + PSUM_BANK_F32
            if n1 < n:
                right = load_panel(b, nk, n, item * k * n + n1, min(PSUM_BANK_F32, n - n1))
            width = min(PSUM_BANK_F32, n - n0)
            for s0 in range(0, min(M_BLOCK, m - m0), PARTITIONS):
                rows = min(PARTITIONS, m - m0 - s0)
                acc = nl.ndarray((rows, width), dtype=nl.float32, buffer=nl.psum)
                multiply(acc, left, s0, now, 0, nk)
                start = item * m * n + (m0 + s0) * n + n0
                nisa.dma_copy(dst=out.ap([[n, rows], [1, width]], offset=start), src=drain(acc))


@nki.jit
def gemm_kernel(a_t: Operand, b: Operand) -> Operand:
    """C = A^T' B for one panel.

    Dimensions
        K  contraction, a multiple of 128, <= 2048 (`K_PANEL`)
        M  rows of C, <= 2048 (`M_PANEL`)
        N  columns of C, <= 4096 (`N_PANEL`)

    Parameters
    ----------
    a_t
        [K, M] float32 in HBM: A transposed.
    b
        [K, N] float32 in HBM.

    Returns
    -------
    [M, N] float32 in shared HBM. Products accumulate in float32 in PSUM: the error of an element
    is at most about (K / 2) u sum_k |a_mk b_kn| with u = 2^-24, and a few u times the root of
    sum_k (a_mk b_kn)^2 in practice.

    Notes
    -----
    ::

        for each block of 1024 rows of C:           A block -> SBUF  [128, K/128, 1024]
            for each strip of 512 columns:          next B strip -> SBUF  [128, K/128, 512]
                for each 128 rows of the block:
                    for k in K/128:  PSUM[128, 512] += A[k]^T B[k]      TensorE, 4 passes (fp32)
                    PSUM -> SBUF (VectorE) -> HBM
    """
    out = nl.ndarray((a_t.shape[1], b.shape[1]), dtype=nl.float32, buffer=nl.shared_hbm)
    block_product(out, a_t, b, 0)
    return out


def gemm_instructions(k: int, m: int, n: int) -> int:
    """Upper bound of the instructions of `block_product`."""
    strips = ceil_div(n, PSUM_BANK_F32)
    tiles, loads = ceil_div(m, PARTITIONS) * strips, ceil_div(m, M_BLOCK) * (1 + strips)
    return tiles * (k // PARTITIONS + 2) + loads


def matrix_of_panels(
    part: Callable[[int, int, int], Operand],
    rows: Panels,
    columns: Panels,
    depth: int,
    lower: bool = False,
) -> Operand:
    """A matrix whose panel (x, y) is the sum of ``part(x, y, z)`` over z < `depth`.

    Sums are made in float64 for NumPy arrays, on the device for tensors. With `lower`, panels with
    y > x stay zero.
    """
    whole: Operand = None
    for x in range(rows.number):
        for y in range(x + 1 if lower else columns.number):
            total: Operand = 0
            for z in range(depth):
                term = part(x, y, z)
                total = total + (term if is_tensor(term) or depth == 1 else to_float64(term))
            if rows.number * columns.number == 1:
                return total
            if whole is None:
                whole = zeros((rows.padded, columns.padded), total)
            whole[rows.part(x), columns.part(y)] = total
    return whole


def gemm(
    a: Operand, b: Operand, transpose_a: bool = False, launch: Launch | None = None
) -> Operand:
    """C[m,n] = sum_k A[m,k] B[k,n]; with `transpose_a`, A is given as [k,m].

    Contractions longer than one panel are summed over launches: in float64 for NumPy arrays, on
    the device in float32 for tensors.

    Parameters
    ----------
    a, b
        [m, k] (or [k, m]) and [k, n], any float dtype.
    launch
        Runs the kernel; default: a new `Launcher`.

    Returns
    -------
    [m, n] float32, NumPy or torch like `a`.

    Raises
    ------
    InputError
        Shapes that do not fit, or an empty dimension.
    """
    launch = launch or Launcher()
    a_t, b = as_float32(a), as_float32(b)
    a_t = a_t if transpose_a else swap(a_t)
    check_shapes("gemm", "km kn", a_t=a_t, b=b)
    (k, m), n = a_t.shape, b.shape[1]
    pm, pn = equal_panels(m, M_PANEL), equal_panels(n, N_PANEL)
    pk = equal_panels(k, K_PANEL, multiple=PARTITIONS)
    a_t, b = pad(a_t, (pk.padded, pm.padded)), pad(b, (pk.padded, pn.padded))

    def part(x: int, y: int, z: int) -> Operand:
        left = pad(a_t[pk.part(z), pm.part(x)], (pk.size, pm.size))
        right = pad(b[pk.part(z), pn.part(y)], (pk.size, pn.size))
        return launch(gemm_kernel, left, right)

    return as_float32(matrix_of_panels(part, pm, pn, pk.number))[:m, :n]

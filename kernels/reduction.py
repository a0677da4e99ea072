"""From a tile of integrals to sums of squares on chip; shared by `mp2_energy` and `pair_energy`.

With D = e_a + e_b - e_i - e_j, which is symmetric in a and b, and S = T o D^-1/2:

    J = sum_ab S_ab^2           X = 1/2 sum_ab (S_ab - S_ba)^2

X is a sum of squares, so nothing cancels as it would in J minus an exchange sum, and no division
is left: one multiplication per element. S_ba is the transpose of a mirrored block of strips,
made by TensorE from SBUF into PSUM where VectorE subtracts it. A tile S[P, strip, nvir] holds row
strip A at S[:, A, :]. Each sum lands in a column of its own, one value per partition; the host
adds partitions in float64. Called inside kernels only.
"""

from __future__ import annotations

from typing import Any

from dfmp2.kernels.limits import PSUM_BANK_F32
from dfmp2.kernels.nki import nisa, nl

__all__ = ["inverse_root_gap", "mirror", "mirror_columns", "mirror_row", "square_sum"]


def inverse_root_gap(e_row: Any, e_col: Any, e_pair: Any) -> Any:
    """W[p,c] = (e_row[p,c] + e_col[p] + e_pair[p])^-1/2.

    `e_row` repeats e_b over partitions, `e_col` is e_a of the strip's rows, `e_pair` is
    -(e_i + e_j) repeated over partitions: on chip nothing broadcasts over partitions. rsqrt runs
    on GpSimdE, four times slower than ScalarE's and documented as the more precise.
    """
    gap = nl.ndarray(e_row.shape, dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_scalar(
        dst=gap,
        data=e_row,
        op0=nl.add,
        operand0=e_col,
        op1=nl.add,
        operand1=e_pair,
        engine=nisa.engine.vector,
    )
    root = nl.ndarray(e_row.shape, dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_scalar(
        dst=root, data=gap, op0=nl.rsqrt, operand0=0.0, engine=nisa.engine.gpsimd
    )
    return root


def square_sum(data: Any, res: Any) -> None:
    """res[p] = sum of the squares in row p of an SBUF tile, on ScalarE in one instruction."""
    junk = nl.ndarray(data.shape, dtype=nl.float32, buffer=nl.sbuf)
    nisa.activation_reduce(
        dst=junk, op=nl.square, data=data, reduce_op=nl.add, reduce_res=res
    )


def mirror(upper: Any, lower: Any, strip: int, first: int, count: int, res: Any) -> None:
    """res[p] = sum of |upper[A][:, strip] - (lower[strip][:, A])^T|^2 over `count` A from `first`.

    `strip` names rows of `lower` and columns of `upper`; A the other way round. The transposed
    blocks stand side by side in one PSUM bank, so subtraction and squares are one instruction
    each.
    """
    p = upper.shape[0]
    flipped = nl.ndarray((p, count, p), dtype=nl.float32, buffer=nl.psum)
    for n in range(count):
        block = lower[:, strip, (first + n) * p : (first + n + 1) * p]
        nisa.nc_transpose(dst=flipped[:, n, :], data=block, engine=nisa.engine.tensor)
    diff = nl.ndarray((p, count, p), dtype=nl.float32, buffer=nl.sbuf)
    nisa.tensor_tensor(
        dst=diff,
        data1=upper[:, first : first + count, strip * p : (strip + 1) * p],
        data2=flipped,
        op=nl.subtract,
    )
    square_sum(diff, res)


def mirror_columns(rows: int, p: int) -> int:
    """Columns that `mirror_row` fills for `rows` mirrored strips: one per PSUM bank of blocks."""
    return -(-rows // (PSUM_BANK_F32 // p))


def mirror_row(upper: Any, lower: Any, strip: int, rows: int, sums: Any, column: int) -> None:
    """`mirror` of `strip` with strips 0 .. rows - 1, into columns of `sums` from `column`."""
    p = upper.shape[0]
    per_bank = PSUM_BANK_F32 // p
    for n in range(mirror_columns(rows, p)):
        first = n * per_bank
        c = column + n
        count = min(per_bank, rows - first)
        mirror(upper, lower, strip, first, count, sums[:, c : c + 1])

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

__all__ = [
    "inverse_root_gap",
    "mirror",
    "mirror_columns",
    "mirror_row",
    "mirror_scratch",
    "scale",
    "square_sum",
]


def inverse_root_gap(root: Any, e_row: Any, e_col: Any, e_pair: Any) -> None:
    """root[p,c] = (e_row[p,c] + e_col[p] + e_pair[p])^-1/2.

    `e_row` repeats e_b over partitions, `e_col` is e_a of the strip's rows, `e_pair` is
    -(e_i + e_j) repeated over partitions: on chip nothing broadcasts over partitions. rsqrt runs
    on GpSimdE, four times slower than ScalarE's and documented as the more precise.
    """
    nisa.tensor_scalar(
        dst=root,
        data=e_row,
        op0=nl.add,
        operand0=e_col,
        op1=nl.add,
        operand1=e_pair,
        engine=nisa.engine.vector,
    )
    nisa.tensor_scalar(dst=root, data=root, op0=nl.rsqrt, operand0=0.0, engine=nisa.engine.gpsimd)


def square_sum(squares: Any, data: Any, res: Any) -> None:
    """res[p] = sum of the squares in row p of `data`, on ScalarE in one instruction.

    `squares` is a tile of the same shape to write them to, which may be `data` itself.
    """
    nisa.activation_reduce(dst=squares, op=nl.square, data=data, reduce_op=nl.add, reduce_res=res)


def scale(s: Any, t: Any, root: Any, res: Any) -> None:
    """s = t root and res[p] = sum of the squares in row p of s; `root` is overwritten."""
    nisa.tensor_tensor(dst=s, data1=t, data2=root, op=nl.multiply)
    square_sum(root, s, res)


def mirror(
    upper: Any, lower: Any, strip: int, first: int, count: int, scratch: Any, res: Any
) -> None:
    """res[p] = sum of |upper[A][:, strip] - (lower[strip][:, A])^T|^2 over `count` A from `first`.

    `strip` names rows of `lower` and columns of `upper`; A the other way round. The transposed
    blocks stand side by side in one PSUM bank, so subtraction and squares are one instruction
    each. `scratch` is (PSUM tile, SBUF tile), both [P, n, P] with n >= count.
    """
    p = upper.shape[0]
    flipped, diff = scratch[0][:, 0:count, :], scratch[1][:, 0:count, :]
    for n in range(count):
        block = lower[:, strip, (first + n) * p : (first + n + 1) * p]
        nisa.nc_transpose(dst=scratch[0][:, n, :], data=block, engine=nisa.engine.tensor)
    columns = upper[:, first : first + count, strip * p : (strip + 1) * p]
    nisa.tensor_tensor(dst=diff, data1=columns, data2=flipped, op=nl.subtract)
    square_sum(diff, diff, res)


def mirror_scratch(p: int, nstrip: int) -> Any:
    """A PSUM bank of transposed blocks and an SBUF tile of differences, for `mirror`."""
    shape = (p, min(nstrip, PSUM_BANK_F32 // p), p)
    flipped = nl.ndarray(shape, dtype=nl.float32, buffer=nl.psum)
    return flipped, nl.ndarray(shape, dtype=nl.float32, buffer=nl.sbuf)


def mirror_columns(rows: int, p: int) -> int:
    """Columns that `mirror_row` fills for `rows` mirrored strips: one per PSUM bank of blocks."""
    return -(-rows // (PSUM_BANK_F32 // p))


def mirror_row(
    upper: Any, lower: Any, strip: int, rows: int, scratch: Any, sums: Any, column: int
) -> None:
    """`mirror` of `strip` with strips 0 .. rows - 1, into columns of `sums` from `column`.

    `scratch` is a tuple of such pairs, taken in turn.
    """
    p = upper.shape[0]
    per_bank = PSUM_BANK_F32 // p
    for n in range(mirror_columns(rows, p)):
        first = n * per_bank
        count = min(per_bank, rows - first)
        c = column + n
        mirror(upper, lower, strip, first, count, scratch[n % len(scratch)], sums[:, c : c + 1])

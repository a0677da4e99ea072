"""From a tile of integrals to sums of squares on chip; shared by `mp2_energy` and `pair_energy`.

With D = e_a + e_b - e_i - e_j, which is symmetric in a and b, and S = T o D^-1/2:

    J = sum_ab S_ab^2           X = 1/2 sum_ab (S_ab - S_ba)^2

X is a sum of squares, so nothing cancels as it would in J minus an exchange sum, and no division
is left: one multiplication per element. S_ba is the transpose of a mirrored block of strips,
made by TensorE from SBUF into PSUM where VectorE subtracts it. A tile S[P, strip, nvir] holds row
strip A at S[:, A, :]. Each block of P x P elements has a column of sums of its own, one value per
partition; columns are added at the end of a task, partitions by the host in float64. Called
inside kernels only.
"""

from __future__ import annotations

from typing import Any

from dfmp2.kernels.limits import PSUM_BANK_F32
from dfmp2.kernels.nki import nisa, nl

__all__ = [
    "blocks_of",
    "inverse_root_gap",
    "mirror",
    "mirror_banks",
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
    """res[p,n] = sum of the squares in row p of block n of `data`, blocks of P columns.

    `squares` is a tile [P, n, P] to write them to, which may be `data` itself. ScalarE could add
    up a whole row in the same instruction, but a long chain of float32 sums of positive terms of
    very different size comes out too small: by 5e-8 of itself after 112 terms, by 3e-7 after 448.
    VectorE therefore sums block by block.
    """
    nisa.activation(dst=squares, op=nl.square, data=data)
    nisa.tensor_reduce(dst=res, op=nl.add, data=squares, axis=2)


def scale(s: Any, t: Any, root: Any, res: Any) -> None:
    """s = t root and res[p,n] as in `square_sum`; `root` is overwritten."""
    nisa.tensor_tensor(dst=s, data1=t, data2=root[:, 0 : s.shape[1]], op=nl.multiply)
    square_sum(blocks_of(root, s.shape[1]), s, res)


def blocks_of(tile: Any, width: int) -> Any:
    """The first `width` columns of a tile [P, columns] as [P, width / P, P]."""
    p, columns = tile.shape
    return tile.ap([[columns, p], [p, width // p], [1, p]])


def mirror(
    upper: Any, lower: Any, strip: int, first: int, count: int, scratch: Any, res: Any
) -> None:
    """res[p,n] = sum of |upper[A][:, strip] - (lower[strip][:, A])^T|^2, A = `first` + n.

    `strip` names rows of `lower` and columns of `upper`; A the other way round. The transposed
    blocks of the `count` A stand side by side in one PSUM bank, so subtraction, squares and sums
    are one instruction each. `scratch` is (PSUM tile, SBUF tile), both [P, n, P] with n >= count.
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


def mirror_banks(rows: int, p: int) -> int:
    """Times `mirror_row` fills a PSUM bank for `rows` mirrored strips."""
    return -(-rows // (PSUM_BANK_F32 // p))


def mirror_row(
    upper: Any, lower: Any, strip: int, rows: int, scratch: Any, sums: Any, column: int
) -> None:
    """`mirror` of `strip` with strips 0 .. rows - 1, into so many columns of `sums`.

    `scratch` is a tuple of such pairs, taken in turn.
    """
    p = upper.shape[0]
    per_bank = PSUM_BANK_F32 // p
    for n in range(mirror_banks(rows, p)):
        first = n * per_bank
        count = min(per_bank, rows - first)
        c = column + first
        columns = sums[:, c : c + count]
        mirror(upper, lower, strip, first, count, scratch[n % len(scratch)], columns)

"""From a tile of integrals to sums of squares on chip; shared by `mp2_energy` and `pair_energy`.

With D = e_a + e_b - e_i - e_j, which is symmetric in a and b, and S = T o D^-1/2:

    J = sum_ab S_ab^2           X = 1/2 sum_ab (S_ab - S_ba)^2

X is a sum of squares, so nothing cancels as it would in J minus an exchange sum, and each element
is multiplied once and divided never. S_ba is the transpose of a mirrored block of strips: TensorE
transposes it from SBUF into PSUM, where VectorE subtracts it. A tile S[P, strip, nvir] holds row
strip A at S[:, A, :]. Each block of P x P elements has a column of sums of its own, one value per
partition; columns are added at the end of a task, partitions by the host in float64. Called
inside kernels only.
"""

from __future__ import annotations

from dfmp2.kernels.limits import PSUM_BANK_F32
from dfmp2.kernels.nki import nisa, nl
from dfmp2.kernels.operands import Tile
from dfmp2.kernels.tiling import ceil_div

__all__ = [
    "blocks_of",
    "inverse_root_gap",
    "mirror",
    "mirror_row",
    "mirror_scratch",
    "scale",
    "square_sum",
]


def inverse_root_gap(root: Tile, e_row: Tile, e_col: Tile, e_pair: Tile) -> None:
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


def square_sum(squares: Tile, blocks: Tile, data: Tile, res: Tile) -> None:
    """res[p,n] = sum of the squares in row p of block n of `data`, blocks of P columns.

    The squares are written to `squares`, which has the shape of `data` and may be `data` itself,
    and are read as `blocks`, the same elements as [P, n, P]: that an activation writes to another
    shape than it reads is not documented. ScalarE could
    sum a whole row in the same instruction, but a long chain of float32 sums of positive terms of
    very different size comes out too small: by a relative 5e-8 after 112 terms, 3e-7 after 448.
    VectorE therefore sums block by block.
    """
    nisa.activation(dst=squares, op=nl.square, data=data)
    nisa.tensor_reduce(dst=res, op=nl.add, data=blocks, axis=2)


def scale(s: Tile, t: Tile, root: Tile, res: Tile) -> None:
    """s = t root and res[p,n] as in `square_sum`; `root` is overwritten."""
    width = s.shape[1]
    nisa.tensor_tensor(dst=s, data1=t, data2=root[:, 0:width], op=nl.multiply)
    square_sum(root[:, 0:width], blocks_of(root, width), s, res)


def blocks_of(tile: Tile, width: int) -> Tile:
    """The first `width` columns of a tile [P, columns] as [P, width / P, P]."""
    p, columns = tile.shape
    return tile.ap([[columns, p], [p, width // p], [1, p]])


def mirror(upper: Tile, lower: Tile, strip: int, first: int, scratch: Tile, res: Tile) -> None:
    """res[p,n] = sum of |upper[A][:, strip] - (lower[strip][:, A])^T|^2, A = `first` + n.

    `strip` counts rows of `lower` and columns of `upper`, A rows of `upper` and columns of
    `lower`. The transposed blocks of all A stand side by side in one PSUM bank, so subtraction,
    squares and sums are one instruction each. `scratch` is from `mirror_scratch`, with n at least
    the columns of `res`.

    A transpose is a product with the identity in transpose mode: one instruction on TensorE.
    nc_transpose is documented as the same, but a front end of AWS makes an identity for each, by
    two more instructions and on GpSimdE.
    """
    p, count = upper.shape[0], res.shape[1]
    flipped, diff = scratch[0][:, 0:count, :], scratch[1][:, 0:count, :]
    for n in range(count):
        nisa.nc_matmul(
            scratch[0][:, n, :],
            stationary=lower[:, strip, (first + n) * p : (first + n + 1) * p],
            moving=scratch[2],
            is_transpose=True,
            accumulate=False,
        )
    columns = upper[:, first : first + count, strip * p : (strip + 1) * p]
    nisa.tensor_tensor(dst=diff, data1=columns, data2=flipped, op=nl.subtract)
    square_sum(diff, diff, diff, res)


def mirror_scratch(identity: Tile, nstrip: int) -> Tile:
    """Tiles for `mirror`: transposed blocks in a PSUM bank, differences in SBUF, the identity.

    The first two are [P, n, P] with n blocks per bank, the last is [P, P].
    """
    p = identity.shape[0]
    shape = (p, min(nstrip, PSUM_BANK_F32 // p), p)
    flipped = nl.ndarray(shape, dtype=nl.float32, buffer=nl.psum)
    return flipped, nl.ndarray(shape, dtype=nl.float32, buffer=nl.sbuf), identity


def mirror_row(upper: Tile, lower: Tile, strip: int, scratch: Tile, res: Tile) -> None:
    """`mirror` of `strip` with strips 0 .. n - 1, for the n columns of `res`.

    `scratch` is a tuple of results of `mirror_scratch`, taken in turn.
    """
    rows = res.shape[1]
    per_bank = PSUM_BANK_F32 // upper.shape[0]
    for n in range(ceil_div(rows, per_bank)):
        first = n * per_bank
        columns = res[:, first : min(rows, first + per_bank)]
        mirror(upper, lower, strip, first, scratch[n % len(scratch)], columns)

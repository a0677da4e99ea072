"""The metric solve by matrix products: forward substitution by blocks, in place.

With rows x = L^-1 b, and blocks K of the lower triangular L with diagonal blocks D_K = L_KK,

    x_K = D_K^-1 (b_K - sum_{J<K} L_KJ x_J)

D_K^-1 and -D_K^-1 L_KJ are made once. They stand side by side in one matrix, so x_K of many rows is
one product with b_K and the x_J before it. NumPy has matrix products, but no triangular solve.

The error is that of a triangular solve times at most the condition |D_K^-1| |D_K| of the worst
diagonal block (J. J. Du Croz, N. J. Higham, IMA J. Numer. Anal. 12, 1 (1992),
doi:10.1093/imanum/12.1.1). Diagonal blocks are better conditioned than L.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import torch

from dfmp2.backends.gemm_library import Product
from dfmp2.backends.protocol import Tensor

__all__ = ["row_solver"]

COLUMNS = 144
"""Columns of L in a block, at most."""

ROWS = 256
"""Rows that a thread solves together, at most."""


def row_solver(
    factor: Tensor, rows: Tensor, product: Product, threads: int
) -> Callable[[int], None]:
    """The work of each of several threads, which together overwrite each row b with L^-1 b.

    Parameters
    ----------
    factor : tensor, shape (n, n), float64
        L. The elements above the diagonal are not read.
    rows : tensor, shape (nrow, n), float64
        Contiguous.
    product : callable
    threads : int

    Returns
    -------
    callable
        Is called by each thread with its number.
    """
    blocks = _blocks(factor)
    nrow = len(rows)
    at_once = max(1, min(ROWS, ceil(nrow / threads)))
    starts = iter(range(0, nrow, at_once))

    def work(_: int) -> None:
        memory = torch.empty(at_once * COLUMNS, dtype=rows.dtype)
        for first in starts:  # all threads share this iterator
            own = rows[first : first + at_once]
            for begin, end, weights in blocks:
                x = memory[: len(own) * (end - begin)].view(len(own), -1)
                product(own[:, :end], weights.T, x)
                own[:, begin:end] = x

    return work


def _blocks(factor: Tensor) -> list[tuple[int, int, Tensor]]:
    """First and last column of each block, and [-D^-1 L_KJ, D^-1] of shape (columns, end)."""
    n = len(factor)
    width = ceil(n / ceil(n / COLUMNS))
    found = []
    for begin in range(0, n, width):
        end = min(begin + width, n)
        line = torch.zeros((end - begin, end), dtype=factor.dtype)
        torch.neg(factor[begin:end, :begin], out=line[:, :begin])
        line[:, begin:].fill_diagonal_(1.0)
        diagonal = factor[begin:end, begin:end]
        found.append((begin, end, torch.linalg.solve_triangular(diagonal, line, upper=False)))
    return found

"""The energies of a block of T in one pass, compiled for the CPU.

For one spin T_ab and T_ba are needed together, and 1/D is the same for both. So T is walked in
pairs of tiles that mirror each other at the diagonal: each element is read once, and half of the
divisions are saved. The same in torch operations takes about ten passes over T.

Regularised energies multiply each term by (1 - exp(-kappa D))^2. D is a sum of a part of a, a part
of b and a part of the pair, so exp(-kappa D) is a product of numbers that are computed once. The
terms of four rows stay in the fastest cache while each kappa multiplies and sums them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.numba_cache import compiled
from dfmp2.backends.protocol import Array, PairCase

__all__ = ["Reduction", "reduce_opposite_spin", "reduce_pairs"]

TILE = 64
"""Rows and columns of a tile. A row has 512 contiguous bytes, and the transposed copy of a tile
(32 KB) stays in the L2 cache."""

ROWS = 4
"""Rows that each kappa reduces at once. The loops over kappas are written for this number."""


class Reduction:
    """Reduces blocks of T that have the same virtual orbitals.

    Parameters
    ----------
    case : PairCase
    virtual : tuple of ndarray, shapes (nrow,) and (ncolumn,), float64
        Energies of the virtual orbitals of the rows and of the columns of T, hartree. The same
        array unless the spins differ.
    kappas : sequence of float
        Regularisation parameters, 1/hartree.
    """

    def __init__(
        self, case: PairCase, virtual: tuple[Array, Array], kappas: tuple[float, ...]
    ) -> None:
        self._case, self._virtual = case, virtual
        # D = (e_a - lowest e_a) + (e_b - lowest e_b) + (the lowest two - e_i - e_j). Each part is
        # zero or positive, so no exponential overflows.
        lowest = [e.min(initial=np.inf) for e in virtual]
        exponents = -np.array(kappas)[:, None]
        with np.errstate(over="ignore"):  # of a huge kappa: the exponential is 0
            row, column = (
                np.exp(exponents * (e - least)) for e, least in zip(virtual, lowest, strict=True)
            )
        row = np.pad(row, ((0, 0), (0, ROWS - 1)))  # the last rows may be fewer
        self._damping = (np.array(kappas), row, column, float(sum(lowest)))

    def subtract(
        self, t: NDArray[np.floating], e_ij: Array, share: tuple[int, int], energies: Array
    ) -> None:
        """Subtract the energies of one share of T.

        Several threads can reduce one T: the lock of the interpreter is released, and each thread
        takes another share and sums of its own.

        Parameters
        ----------
        t : ndarray, shape (npair, nrow, at least ncolumn), float64 or float32
            T[x,a,b] in hartree. Columns beyond the last virtual orbital are not read.
        e_ij : ndarray, shape (npair,), float64
            e_i + e_j of each pair, hartree.
        share : tuple of int
            Number of this share, from 0, and number of shares. (0, 1) is all of T.
        energies : ndarray, shape (2 + 2 nkappa, npair), float64
            Opposite- and same-spin energies in hartree, then both with each kappa, summed in
            float64. Changed in place. Those that the case does not have stay zero.
        """
        if self._case is PairCase.OPPOSITE_SPIN:
            reduce_opposite_spin(t, e_ij, self._virtual, self._damping, share, energies)
            return
        reduce_pairs(t, e_ij, self._virtual[0], self._damping, share, energies)
        if self._case is PairCase.SAME_SPIN:
            energies[::2] = 0.0


def _reduce(t, e_ij, e_vir, damping, share, energies):  # type: ignore[no-untyped-def]
    """Both energies of pairs of one spin; see `Reduction.subtract`.

    Parameters
    ----------
    t, e_ij, share, energies
        As of `Reduction.subtract`.
    e_vir : ndarray, shape (nvir,), float64
    damping : tuple
        kappas, shape (nkappa,); exp(-kappa (e - lowest e)) of the rows, shape (nkappa, nvir +
        ROWS - 1), and of the columns, shape (nkappa, nvir); the two lowest e together. Float64.
    """
    part, nparts = share
    kappas, damped_row, damped_column, lowest = damping
    npair, nvir, nkappa = t.shape[0], t.shape[1], kappas.shape[0]
    ntile = (nvir + TILE - 1) // TILE
    mirror = np.empty((TILE, TILE), dtype=t.dtype)
    sums, differences = np.zeros((ROWS, TILE)), np.zeros((ROWS, TILE))
    of_pair = np.empty(nkappa)
    for row in range(part, npair * ntile, nparts):
        x, a0 = row // ntile, (row % ntile) * TILE
        na = min(TILE, nvir - a0)
        t_ij = t[x]
        os, ss = 0.0, 0.0
        for k in range(nkappa):
            of_pair[k] = np.exp(-kappas[k] * (lowest - e_ij[x]))
        for b0 in range(a0, nvir, TILE):
            nb = min(TILE, nvir - b0)
            # The diagonal tile is its own mirror image: each of its terms is met twice.
            half = 0.5 if b0 == a0 else 1.0
            for b in range(nb):
                line = t_ij[b0 + b, a0 : a0 + na]
                for a in range(na):
                    mirror[a, b] = line[a]
            e_b = e_vir[b0 : b0 + nb]
            for first in range(0, na, ROWS):
                nr = min(ROWS, na - first)
                for r in range(nr):
                    # The loops run over slices: with an offset they are not vectorised.
                    line, image = t_ij[a0 + first + r, b0 : b0 + nb], mirror[first + r]
                    sum_r, difference_r = sums[r], differences[r]
                    e_a = e_vir[a0 + first + r] - e_ij[x]
                    for b in range(nb):
                        u, v = line[b], image[b]
                        weight = half / (e_a + e_b[b])
                        sum_r[b] = (u * u + v * v) * weight
                        difference_r[b] = (u - v) * (u - v) * weight
                        os += sum_r[b]
                        ss += difference_r[b]
                if nkappa > 0:
                    sums[nr:], differences[nr:] = 0.0, 0.0
                s0, s1, s2, s3 = sums[0], sums[1], sums[2], sums[3]
                d0, d1, d2, d3 = differences[0], differences[1], differences[2], differences[3]
                for k in range(nkappa):
                    g, own = of_pair[k], damped_row[k, a0 + first : a0 + first + ROWS]
                    g0, g1, g2, g3 = g * own[0], g * own[1], g * own[2], g * own[3]
                    partner = damped_column[k, b0 : b0 + nb]
                    damped_os, damped_ss = 0.0, 0.0
                    for b in range(nb):
                        f0, f1 = 1.0 - g0 * partner[b], 1.0 - g1 * partner[b]
                        f2, f3 = 1.0 - g2 * partner[b], 1.0 - g3 * partner[b]
                        f0, f1, f2, f3 = f0 * f0, f1 * f1, f2 * f2, f3 * f3
                        damped_os += f0 * s0[b] + f1 * s1[b] + f2 * s2[b] + f3 * s3[b]
                        damped_ss += f0 * d0[b] + f1 * d1[b] + f2 * d2[b] + f3 * d3[b]
                    energies[2 + 2 * k, x] -= damped_os
                    energies[3 + 2 * k, x] -= damped_ss
        energies[0, x] -= os
        energies[1, x] -= ss


def _reduce_opposite_spin(t, e_ij, virtual, damping, share, energies):  # type: ignore[no-untyped-def]
    """The opposite-spin energies of pairs of two spins; see `Reduction.subtract`.

    Parameters
    ----------
    t, e_ij, share, energies
        As of `Reduction.subtract`.
    virtual : tuple of ndarray
        As of `Reduction`.
    damping : tuple
        As of `_reduce`.
    """
    part, nparts = share
    e_row, e_column = virtual
    kappas, damped_row, damped_column, lowest = damping
    npair, nrow, ncolumn, nkappa = t.shape[0], t.shape[1], e_column.shape[0], kappas.shape[0]
    ngroup = (nrow + ROWS - 1) // ROWS
    terms, of_pair, last = np.zeros((ROWS, ncolumn)), np.empty(nkappa), -1
    for row in range(part, npair * ngroup, nparts):
        x, first = row // ngroup, (row % ngroup) * ROWS
        nr = min(ROWS, nrow - first)
        if x != last:
            last = x
            for k in range(nkappa):
                of_pair[k] = np.exp(-kappas[k] * (lowest - e_ij[x]))
        total = 0.0
        for r in range(nr):
            line, terms_r, e_a = t[x, first + r, :ncolumn], terms[r], e_row[first + r] - e_ij[x]
            for b in range(ncolumn):
                terms_r[b] = line[b] * line[b] / (e_a + e_column[b])
                total += terms_r[b]
        energies[0, x] -= total
        terms[nr:] = 0.0
        t0, t1, t2, t3 = terms[0], terms[1], terms[2], terms[3]
        for k in range(nkappa):
            g, own = of_pair[k], damped_row[k, first : first + ROWS]
            g0, g1, g2, g3 = g * own[0], g * own[1], g * own[2], g * own[3]
            partner, damped = damped_column[k], 0.0
            for b in range(ncolumn):
                f0, f1 = 1.0 - g0 * partner[b], 1.0 - g1 * partner[b]
                f2, f3 = 1.0 - g2 * partner[b], 1.0 - g3 * partner[b]
                damped += f0 * f0 * t0[b] + f1 * f1 * t1[b] + f2 * f2 * t2[b] + f3 * f3 * t3[b]
            energies[2 + 2 * k, x] -= damped


reduce_pairs = compiled(_reduce)
reduce_opposite_spin = compiled(_reduce_opposite_spin)

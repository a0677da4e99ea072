"""The energies of a block of T in one pass, compiled for the CPU.

For one spin T_ab and T_ba are needed together, and 1/D is the same for both. So T is walked in
pairs of tiles that mirror each other at the diagonal: each element is read once, and half of the
divisions are saved. The same in torch operations takes about ten passes over T.

Regularised energies multiply each term by (1 - exp(-kappa D))^2. D is a sum of a part of a and a
part of b, so exp(-kappa D) is a product of two numbers that are computed once per orbital. Ten
kappas cost ten times two multiplications per element, and no exponential.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.numba_cache import compiled

__all__ = ["reduce_opposite_spin", "reduce_pairs"]

TILE = 64
"""Rows and columns of a tile. A row has 512 contiguous bytes, and the transposed copy of a tile
(32 KB) stays in the L2 cache."""


def _reduce(t, e_ij, e_vir, kappas, share, energies):  # type: ignore[no-untyped-def]
    """Subtract the pair energies of one share of T, with both orbitals of one spin.

    Several threads can reduce one T: the lock of the interpreter is released, and each thread
    takes another share and sums of its own.

    Parameters
    ----------
    t : ndarray, shape (npair, nvir, ncolumns), float64 or float32
        T[x,a,b] in hartree. Columns from nvir on are not read.
    e_ij : ndarray, shape (npair,), float64
        e_i + e_j of each pair, hartree.
    e_vir : ndarray, shape (nvir,), float64
        Virtual orbital energies, hartree.
    kappas : ndarray, shape (nkappa,), float64
        Regularisation parameters, 1/hartree.
    share : tuple of int
        Number of this share, from 0, and number of shares. (0, 1) is all of T.
    energies : ndarray, shape (2 + 2 nkappa, npair), float64
        Opposite- and same-spin energies in hartree, then both with each kappa, summed in float64.
        Changed in place.
    """
    part, nparts = share
    npair, nvir, nkappa = t.shape[0], t.shape[1], kappas.shape[0]
    ntile = (nvir + TILE - 1) // TILE
    mirror = np.empty((TILE, TILE), dtype=t.dtype)
    damped = np.empty((nkappa, nvir))
    sums, differences = np.empty(TILE), np.empty(TILE)
    last = -1
    for row in range(part, npair * ntile, nparts):
        x, a0 = row // ntile, (row % ntile) * TILE
        na = min(TILE, nvir - a0)
        t_ij = t[x]
        os, ss = 0.0, 0.0
        if nkappa > 0 and x != last:
            last = x
            for k in range(nkappa):
                for a in range(nvir):
                    damped[k, a] = np.exp(-kappas[k] * (e_vir[a] - 0.5 * e_ij[x]))
        # The inner loops run over slices: loops over indices with an offset are not vectorised.
        for a in range(na):  # the diagonal tile: a = b, then a < b
            line, e_b = t_ij[a0 + a, a0 : a0 + na], e_vir[a0 : a0 + na]
            e_a = e_b[a] - e_ij[x]
            own = line[a] * line[a] / (e_a + e_b[a])
            os += own
            for b in range(a + 1, na):
                u, v = line[b], t_ij[a0 + b, a0 + a]
                weight = 1.0 / (e_a + e_b[b])
                sums[b] = (u * u + v * v) * weight
                differences[b] = (u - v) * (u - v) * weight
                os += sums[b]
                ss += differences[b]
            for k in range(nkappa):
                g, image = damped[k, a0 + a], damped[k, a0 : a0 + na]
                factor = 1.0 - g * g
                damped_os, damped_ss = factor * factor * own, 0.0
                for b in range(a + 1, na):
                    factor = 1.0 - g * image[b]
                    damped_os += factor * factor * sums[b]
                    damped_ss += factor * factor * differences[b]
                energies[2 + 2 * k, x] -= damped_os
                energies[3 + 2 * k, x] -= damped_ss
        for b0 in range(a0 + TILE, nvir, TILE):  # the tiles to its right, with their mirror images
            nb = min(TILE, nvir - b0)
            for b in range(nb):
                line = t_ij[b0 + b, a0 : a0 + na]
                for a in range(na):
                    mirror[a, b] = line[a]
            e_b = e_vir[b0 : b0 + nb]
            for a in range(na):
                e_a = e_vir[a0 + a] - e_ij[x]
                line, image = t_ij[a0 + a, b0 : b0 + nb], mirror[a]
                if nkappa == 0:
                    for b in range(nb):
                        u, v = line[b], image[b]
                        weight = 1.0 / (e_a + e_b[b])
                        os += (u * u + v * v) * weight
                        ss += (u - v) * (u - v) * weight
                else:
                    for b in range(nb):
                        u, v = line[b], image[b]
                        weight = 1.0 / (e_a + e_b[b])
                        sums[b] = (u * u + v * v) * weight
                        differences[b] = (u - v) * (u - v) * weight
                        os += sums[b]
                        ss += differences[b]
                    for k in range(nkappa):
                        g, partner = damped[k, a0 + a], damped[k, b0 : b0 + nb]
                        damped_os, damped_ss = 0.0, 0.0
                        for b in range(nb):
                            factor = 1.0 - g * partner[b]
                            damped_os += factor * factor * sums[b]
                            damped_ss += factor * factor * differences[b]
                        energies[2 + 2 * k, x] -= damped_os
                        energies[3 + 2 * k, x] -= damped_ss
        energies[0, x] -= os
        energies[1, x] -= ss


def _reduce_opposite_spin(t, e_ij, virtual, kappas, share, energies):  # type: ignore[no-untyped-def]
    """Subtract the opposite-spin energies of one share of T, with orbitals of two spins.

    Parameters
    ----------
    t : ndarray, shape (npair, nrow, ncolumns), float64 or float32
        T[x,a,b] in hartree. Columns beyond the last virtual orbital are not read.
    e_ij : ndarray, shape (npair,), float64
        e_i + e_j of each pair, hartree.
    virtual : tuple of ndarray, shapes (nrow,) and (ncolumn,), float64
        Energies of the virtual orbitals of the rows and of the columns, hartree.
    kappas, share, energies
        As of `reduce_pairs`. Only the opposite-spin energies change.
    """
    part, nparts = share
    e_row, e_column = virtual
    npair, nrow, ncolumn, nkappa = t.shape[0], t.shape[1], e_column.shape[0], kappas.shape[0]
    damped_row, damped_column = np.empty((nkappa, nrow)), np.empty((nkappa, ncolumn))
    terms = np.empty(ncolumn)
    last = -1
    for row in range(part, npair * nrow, nparts):
        x, a = row // nrow, row % nrow
        if nkappa > 0 and x != last:
            last = x
            # Each part of D is positive, so no exponential overflows.
            middle = 0.5 * (e_row.min() - e_column.min() + e_ij[x])
            for k in range(nkappa):
                for n in range(nrow):
                    damped_row[k, n] = np.exp(-kappas[k] * (e_row[n] - middle))
                for n in range(ncolumn):
                    damped_column[k, n] = np.exp(-kappas[k] * (e_column[n] - e_ij[x] + middle))
        line, e_a = t[x, a, :ncolumn], e_row[a] - e_ij[x]
        total = 0.0
        if nkappa == 0:
            for b in range(ncolumn):
                total += line[b] * line[b] / (e_a + e_column[b])
        else:
            for b in range(ncolumn):
                terms[b] = line[b] * line[b] / (e_a + e_column[b])
                total += terms[b]
            for k in range(nkappa):
                g, partner, damped = damped_row[k, a], damped_column[k], 0.0
                for b in range(ncolumn):
                    factor = 1.0 - g * partner[b]
                    damped += factor * factor * terms[b]
                energies[2 + 2 * k, x] -= damped
        energies[0, x] -= total


reduce_pairs = compiled(_reduce)
reduce_opposite_spin = compiled(_reduce_opposite_spin)

"""The energies of a block of T in one pass, compiled for the CPU.

T_ab and T_ba are needed together, and 1/D is the same for both. So T is walked in pairs of tiles
that mirror each other at the diagonal: each element is read once, and half of the divisions are
saved. The same in torch operations takes about ten passes over T.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.numba_cache import compiled

__all__ = ["reduce_pairs"]

TILE = 64
"""Rows and columns of a tile. A row has 512 contiguous bytes, and the transposed copy of a tile
(32 KB) stays in the L2 cache."""


def _reduce(t, e_ij, e_vir, share, e_os, e_ss):  # type: ignore[no-untyped-def]
    """Subtract the pair energies of one share of T from e_os and e_ss.

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
    share : tuple of int
        Number of this share, from 0, and number of shares. (0, 1) is all of T.
    e_os, e_ss : ndarray, shape (npair,), float64
        Opposite- and same-spin energies in hartree, summed in float64. Changed in place.
    """
    part, nparts = share
    npair, nvir = t.shape[0], t.shape[1]
    ntile = (nvir + TILE - 1) // TILE
    mirror = np.empty((TILE, TILE), dtype=t.dtype)
    for row in range(part, npair * ntile, nparts):
        x, a0 = row // ntile, (row % ntile) * TILE
        na = min(TILE, nvir - a0)
        t_ij = t[x]
        os, ss = 0.0, 0.0
        # The inner loops run over slices: loops over indices with an offset are not vectorised.
        for a in range(na):  # the diagonal tile: a = b, then a < b
            line, e_b = t_ij[a0 + a, a0 : a0 + na], e_vir[a0 : a0 + na]
            e_a = e_b[a] - e_ij[x]
            os += line[a] * line[a] / (e_a + e_b[a])
            for b in range(a + 1, na):
                u, v = line[b], t_ij[a0 + b, a0 + a]
                weight = 1.0 / (e_a + e_b[b])
                os += (u * u + v * v) * weight
                ss += (u - v) * (u - v) * weight
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
                for b in range(nb):
                    u, v = line[b], image[b]
                    weight = 1.0 / (e_a + e_b[b])
                    os += (u * u + v * v) * weight
                    ss += (u - v) * (u - v) * weight
        e_os[x] -= os
        e_ss[x] -= ss


reduce_pairs = compiled(_reduce)

"""The energy of one T block in a single pass over it, compiled for the CPU.

T_ab and T_ba are needed together and 1/D once for both, so T is walked in pairs of mirrored
tiles: each element is read once while it is in cache, and half of the divisions are saved.
Eager tensor code makes about ten passes instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["reduce_pairs"]

TILE = 64  # 512 contiguous bytes per row of a tile; the transposed copy (32 KB) stays in L2


def _compiled(function: Callable[..., None]) -> Any:
    # The Python error model would test each divisor and keep the loops from being vectorised.
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the user's cache folder is writable
        return numba.njit(**options)(function)


def _reduce(t, e_ij, e_vir, part, nparts, e_os, e_ss):  # type: ignore[no-untyped-def]
    """Add the share `part` of `nparts` of the energies of T[x,a,b] to e_os[x], e_ss[x].

    e_ij[x] = e_i + e_j and e_vir are float64, as are all sums; T may be float32. The loop releases
    the interpreter's lock, so that threads can share one T or work on their own. T may have more
    columns than virtual orbitals; they are not read.

    Inner loops run over slices: indices with an offset would not be vectorised.
    """
    npair, nvir = t.shape[0], t.shape[1]
    ntile = (nvir + TILE - 1) // TILE
    mirror = np.empty((TILE, TILE), dtype=t.dtype)
    for row in range(part, npair * ntile, nparts):
        x, a0 = row // ntile, (row % ntile) * TILE
        na = min(TILE, nvir - a0)
        t_ij = t[x]
        os, ss = 0.0, 0.0
        for a in range(na):  # the diagonal tile: a = b, then a < b
            line, e_b = t_ij[a0 + a, a0 : a0 + na], e_vir[a0 : a0 + na]
            e_a = e_b[a] - e_ij[x]
            os += line[a] * line[a] / (e_a + e_b[a])
            for b in range(a + 1, na):
                u, v = line[b], t_ij[a0 + b, a0 + a]
                weight = 1.0 / (e_a + e_b[b])
                os += (u * u + v * v) * weight
                ss += (u - v) * (u - v) * weight
        for b0 in range(a0 + TILE, nvir, TILE):  # tiles right of it, with their mirror images
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


reduce_pairs = _compiled(_reduce)

"""The energy of one T block in a single pass over it, compiled for the CPU.

T_ab and T_ba are needed together and 1/D once for both, so T is walked in pairs of mirrored
tiles: each element is read once while it is in cache, and half of the divisions are saved.
Eager tensor code makes about ten passes instead.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["PairReducer"]

TILE = 32  # a tile and its transposed copy are 16 KB: both fit a 32 KB L1 cache


def _compiled(function: Callable[..., None]) -> Any:
    options = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"}}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package nor the user's cache folder is writable
        return numba.njit(**options)(function)


def _reduce(t, e_ij, e_vir, part, nparts, e_os, e_ss):  # type: ignore[no-untyped-def]
    """Add the share `part` of `nparts` of the sums over T[x,a,b] to e_os[x], e_ss[x]."""
    npair, nvir = t.shape[0], t.shape[1]
    ntile = (nvir + TILE - 1) // TILE
    mirror = np.empty((TILE, TILE), dtype=t.dtype)
    for row in range(part, npair * ntile, nparts):
        x, a0 = row // ntile, (row % ntile) * TILE
        a1 = min(a0 + TILE, nvir)
        os, ss = 0.0, 0.0
        for a in range(a0, a1):  # the diagonal tile: a = b, then a < b
            ea = e_vir[a] - e_ij[x]
            os += t[x, a, a] * t[x, a, a] / (ea + e_vir[a])
            for b in range(a + 1, a1):
                u, v = t[x, a, b], t[x, b, a]
                weight = 1.0 / (ea + e_vir[b])
                os += (u * u + v * v) * weight
                ss += (u - v) * (u - v) * weight
        for b0 in range(a1, nvir, TILE):  # tiles right of it, with their mirror images
            b1 = min(b0 + TILE, nvir)
            for b in range(b0, b1):
                for a in range(a0, a1):
                    mirror[a - a0, b - b0] = t[x, b, a]
            for a in range(a0, a1):
                ea = e_vir[a] - e_ij[x]
                for b in range(b0, b1):
                    u, v = t[x, a, b], mirror[a - a0, b - b0]
                    weight = 1.0 / (ea + e_vir[b])
                    os += (u * u + v * v) * weight
                    ss += (u - v) * (u - v) * weight
        e_os[x] -= os
        e_ss[x] -= ss


class PairReducer:
    """Share the reduction of T blocks out over threads.

    Parameters
    ----------
    nthreads : int
        Threads to use; the compiled loop releases the interpreter's lock.
    """

    def __init__(self, nthreads: int) -> None:
        self._nthreads = nthreads
        self._pool = ThreadPoolExecutor(nthreads) if nthreads > 1 else None
        self._kernel = _compiled(_reduce)

    def __call__(
        self, t: NDArray[Any], e_ij: NDArray[np.float64], e_vir: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return e_os[x], e_ss[x] of T[x,a,b] with e_ij[x] = e_i + e_j, summed in float64."""
        sums = np.zeros((self._nthreads, 2, len(t)))

        def share(part: int) -> None:
            self._kernel(t, e_ij, e_vir, part, self._nthreads, sums[part, 0], sums[part, 1])

        if self._pool is None:
            share(0)
        else:
            list(self._pool.map(share, range(self._nthreads)))
        e_os, e_ss = sums.sum(axis=0)
        return e_os, e_ss

"""Memory and block sizes on a GPU: pure functions of sizes.

The figures follow from the sizes of the tensors. They were not measured on a GPU.
"""

from __future__ import annotations

from dfmp2.results.sizes import Sizes
from dfmp2.units import BYTES_PER_DOUBLE, BYTES_PER_MB

__all__ = ["GPU_ERI_BLOCK", "SOLVE_COLUMNS", "device_memory", "device_peak", "pairs_at_once"]

T_BLOCK = 256 * BYTES_PER_MB
"""Bytes of one block of T on a GPU: large enough to fill it."""

TEMPORARIES = 4
"""Arrays of T's size while a block of T is reduced: T, its float64 copy where it is float32, the
weights, and one for the terms."""

SOLVE_COLUMNS = 32768
"""Columns of the metric solve that are done at once: enough to fill a GPU."""

GPU_ERI_BLOCK = 256 * BYTES_PER_MB
"""Bytes of one block of integrals that the GPU makes itself: each repeats the screening of orbital
pairs, which large blocks make up for."""

ERI_COPIES = 4
"""Arrays of such a block's size while it is made: gpu4pyscf's own two, its result, and the copy in
the order that the transform takes."""

LIBRARIES = 512 * BYTES_PER_MB
"""Bytes for workspaces of cuBLAS, and gaps between what torch keeps."""


def device_memory(sizes: Sizes, aux_block: int) -> dict[str, int]:
    """Bytes on the GPU by item.

    Parameters
    ----------
    sizes : Sizes
    aux_block : int
        Auxiliary functions per block of integrals from the host.

    Returns
    -------
    dict of str to int
        "B[i,P,a]" and "libraries" are there all the time, the others one after the other.
    """
    nao, nocc, nvir, naux = sizes.nao, sizes.nocc, sizes.nvir, sizes.naux
    triangle = nao * (nao + 1) // 2
    halves = nocc * nao + 2 * nocc * nvir
    from_host = aux_block * (2 * triangle + nao * nao + halves) + nao * nao
    largest = min(naux, max(GPU_ERI_BLOCK // (BYTES_PER_DOUBLE * max(nao, 1) ** 2), aux_block))
    made_there = largest * (ERI_COPIES * nao * nao + halves)
    columns = min(nocc * nvir, max(SOLVE_COLUMNS, nvir))
    return {
        "B[i,P,a]": BYTES_PER_DOUBLE * nocc * nvir * naux,
        "integral blocks": BYTES_PER_DOUBLE * max(from_host, made_there),
        "metric solve": BYTES_PER_DOUBLE * naux * (2 * naux + columns),
        "one T block": TEMPORARIES * BYTES_PER_DOUBLE * nvir * nvir,
        "libraries": LIBRARIES,
    }


def device_peak(memory: dict[str, int]) -> int:
    """Bytes at the largest moment, of what `device_memory` returns."""
    always = ("B[i,P,a]", "libraries")
    passing = [size for name, size in memory.items() if name not in always]
    return sum(memory.get(name, 0) for name in always) + max(passing, default=0)


def pairs_at_once(nvir: int, free: int) -> int:
    """How many T_ij one block of T holds: as many as fill the GPU and fit, at least one.

    Parameters
    ----------
    nvir : int
    free : int
        Bytes that are free on the GPU.
    """
    one = BYTES_PER_DOUBLE * nvir * nvir
    return max(1, min(T_BLOCK // one, free // (TEMPORARIES * one)))

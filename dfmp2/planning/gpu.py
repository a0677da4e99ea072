"""Forecasts of memory, and block sizes on a GPU.

The numbers follow from the sizes of the tensors. They were not measured on a GPU.
"""

from __future__ import annotations

from dfmp2.results.sizes import Sizes
from dfmp2.units import BYTES_PER_DOUBLE, BYTES_PER_MB

__all__ = ["GPU_ERI_BLOCK", "SOLVE_COLUMNS", "device_memory", "device_peak", "pairs_at_once"]

T_BLOCK = 256 * BYTES_PER_MB
"""Bytes of one block of T on a GPU: large enough to fill it."""

TEMPORARIES = 4
"""Arrays of the size of a block of T during its reduction: T, a float64 copy of a float32 T, the
weights, and the terms of the sums."""

SOLVE_COLUMNS = 32768
"""Columns of one metric solve: enough to fill a GPU."""

GPU_ERI_BLOCK = 256 * BYTES_PER_MB
"""Bytes of one block of integrals that the GPU computes. The screening of orbital pairs is repeated
for each block, so blocks are large."""

ERI_COPIES = 4
"""Arrays of the size of such a block while it is computed: two inside gpu4pyscf, its result, and a
copy in the order of the transform."""

LIBRARIES = 512 * BYTES_PER_MB
"""Bytes for workspaces of cuBLAS, and for gaps in the memory of torch."""


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
        "B[i,P,a]" and "libraries" are used all the time. Of the others, only one is used at a time.
    """
    nao, nocc, nvir, naux = sizes.nao, sizes.nocc, sizes.nvir, sizes.naux
    elements = sizes.elements
    triangle = nao * (nao + 1) // 2
    halves = nocc * nao + 2 * elements
    from_host = aux_block * (2 * triangle + nao * nao + halves) + nao * nao
    largest = min(naux, max(GPU_ERI_BLOCK // (BYTES_PER_DOUBLE * max(nao, 1) ** 2), aux_block))
    made_there = largest * (ERI_COPIES * nao * nao + halves)
    columns = min(elements, max(SOLVE_COLUMNS, nvir))
    return {
        "B[i,P,a]": BYTES_PER_DOUBLE * elements * naux,
        "integral blocks": BYTES_PER_DOUBLE * max(from_host, made_there),
        "metric solve": BYTES_PER_DOUBLE * naux * (2 * naux + columns),
        "one T block": TEMPORARIES * BYTES_PER_DOUBLE * nvir * nvir,
        "libraries": LIBRARIES,
    }


def device_peak(memory: dict[str, int]) -> int:
    """Peak memory on the GPU in bytes.

    Parameters
    ----------
    memory : dict of str to int
        Bytes by item, from `device_memory`.
    """
    always = ("B[i,P,a]", "libraries")
    passing = [size for name, size in memory.items() if name not in always]
    return sum(memory.get(name, 0) for name in always) + max(passing, default=0)


def pairs_at_once(nvir: int, free: int) -> int:
    """Number of T_ij in one block of T on a GPU: what `T_BLOCK` and the free memory allow, or one.

    Parameters
    ----------
    nvir : int
        Number of virtual orbitals.
    free : int
        Free memory of the GPU in bytes.
    """
    one = BYTES_PER_DOUBLE * nvir * nvir
    return max(1, min(T_BLOCK // one, free // (TEMPORARIES * one)))

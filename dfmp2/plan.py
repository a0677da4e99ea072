"""How large a run is, and in what pieces it is done: a pure function of sizes and budget.

Forecast and execution share this module, so that ``dfmp2 plan`` shows what ``dfmp2 run`` does.
Memory is counted above the process's resident memory at the start of the DF-MP2 part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, sqrt

from dfmp2.device_plan import device_memory, device_peak
from dfmp2.errors import ResourceError
from dfmp2.units import BYTES_PER_DOUBLE, BYTES_PER_MB

__all__ = ["Plan", "Sizes", "make_plan"]

ERI_BLOCK = 64 * BYTES_PER_MB
"""Bytes of one unpacked block of (mn|P). Larger blocks are slower: their pages are never warm."""

T_BLOCK = BYTES_PER_MB
"""Bytes of one thread's block of T (or one T_ij, where that is larger): it is reduced while it is
in the core's own cache."""

OVERHEAD = 48 * BYTES_PER_MB
"""Bytes for what is not counted by formula: libcint's buffers, BLAS packing, the heap's own gaps.
Measured between 3 MB (water) and 62 MB (stacked uracil dimer)."""

PAIR_BLOCK_FLOPS = 5e10
"""Operations in one block of pairs, at least: about half a second of two cores, so that the threads
rarely wait for each other and progress is still seen."""

PAIR_BLOCK_FLOPS_GPU = 1e13
"""The same on a GPU, which is waited for once a block: tenths of a second at its float64 rate."""


@dataclass(frozen=True)
class Sizes:
    """Dimensions of a run: `nocc` counts the correlated occupied orbitals."""

    nao: int
    nocc: int
    nvir: int
    naux: int
    aux_shell: int = 1
    """Functions in the largest auxiliary shell: the smallest block of P."""

    @property
    def npair(self) -> int:
        """Number of pairs i <= j."""
        return self.nocc * (self.nocc + 1) // 2


@dataclass(frozen=True)
class Plan:
    """Block sizes, memory forecast and operation counts of one run.

    Attributes
    ----------
    sizes : Sizes
    aux_block : int
        Auxiliary functions per integral block.
    occ_block : int
        Occupied orbitals per pair block.
    memory : dict of str to float
        MB by item.
    peak : float
        MB at the largest moment.
    flops : dict of str to float
        Floating-point operations by stage.
    max_memory : float
        The budget, MB.
    device_memory : dict of str to float
        MB by item on the GPU that computes; empty where the host does.
    device_peak : float
        MB there at the largest moment.
    """

    sizes: Sizes
    aux_block: int
    occ_block: int
    memory: dict[str, float]
    peak: float
    flops: dict[str, float]
    max_memory: float
    device_memory: dict[str, float] = field(default_factory=dict)
    device_peak: float = 0.0


def make_plan(
    sizes: Sizes,
    max_memory: float,
    threads: int = 1,
    aux_block: int | None = None,
    occ_block: int | None = None,
    metric_done: bool = False,
    on_gpu: bool = False,
) -> Plan:
    """Choose block sizes that keep the run within its budget.

    Parameters
    ----------
    sizes : Sizes
    max_memory : float
        MB (10^6 bytes) above the resident memory at the start of DF-MP2.
    threads : int
        Threads that each hold a block of T.
    aux_block, occ_block : int, optional
        Use these block sizes instead of the best ones.
    metric_done : bool
        The integrals are an SCF's, which hold the metric already: it is neither made nor solved
        with, and they are read, one block ahead, instead of computed.
    on_gpu : bool
        B and all that follows is on a GPU; the host holds two blocks of packed integrals.

    Returns
    -------
    Plan

    Raises
    ------
    ResourceError
        If even the smallest blocks need more; the message says how much.
    """
    budget = max_memory * BYTES_PER_MB
    nao, nocc, nvir, naux = sizes.nao, sizes.nocc, sizes.nvir, sizes.naux
    b = 0 if on_gpu else BYTES_PER_DOUBLE * nocc * nvir * naux
    # (P|Q) and its factor
    metric = 0 if metric_done else 2 * BYTES_PER_DOUBLE * naux * naux
    t = 0 if on_gpu else threads * max(T_BLOCK, BYTES_PER_DOUBLE * nvir * nvir)
    # per auxiliary function: packed, unpacked, first and second half-transformed integrals
    packed = (1 + metric_done + on_gpu) * (nao * (nao + 1) // 2)
    unpacked = 0 if on_gpu else nao * nao + nocc * nao + nocc * nvir
    per_aux = BYTES_PER_DOUBLE * (packed + unpacked)
    smallest = min(max(sizes.aux_shell, 1), naux)

    def peak(block: int) -> int:
        return OVERHEAD + b + max(block * per_aux, metric, t)

    if not peak(smallest) <= budget:  # true for NaN, too
        raise ResourceError(
            f"max_memory is {max_memory:.0f} MB, but this run needs at least "
            f"{-(-peak(smallest) // BYTES_PER_MB)} MB (B[i,P,a] alone takes "
            f"{b / BYTES_PER_MB:.0f} MB); raise --max-memory or freeze the core"
        )
    if aux_block is None:
        best = max(ERI_BLOCK // (BYTES_PER_DOUBLE * nao * nao), smallest)
        fits = (budget - OVERHEAD - b) // per_aux
        aux_block = int(max(smallest, min(best, fits, naux)))
    if occ_block is None:
        pair_flops = 2.0 * naux * nvir * nvir
        block_flops = PAIR_BLOCK_FLOPS_GPU if on_gpu else PAIR_BLOCK_FLOPS
        most = max(1, ceil(sqrt(block_flops / max(pair_flops, 1.0))))
        occ_block = max(1, ceil(nocc / max(1, ceil(nocc / most))))  # equal blocks
    memory = {
        "B[i,P,a]": b,
        "metric and its factor": metric,
        "integral block": aux_block * per_aux,
        "T blocks": t,
        "libraries": OVERHEAD,
    }
    on_device = device_memory(sizes, aux_block) if on_gpu else {}
    return Plan(
        sizes=sizes,
        aux_block=aux_block,
        occ_block=occ_block,
        memory={name: size / BYTES_PER_MB for name, size in memory.items()},
        peak=peak(aux_block) / BYTES_PER_MB,
        flops={
            "AO->MO": 2.0 * naux * nao * nocc * (nao + nvir),
            "metric solve": 0.0 if metric_done else 1.0 * naux * naux * nocc * nvir,
            "pair energies": sizes.npair * nvir * nvir * (2.0 * naux + 8),
        },
        max_memory=max_memory,
        device_memory={name: size / BYTES_PER_MB for name, size in on_device.items()},
        device_peak=device_peak(on_device) / BYTES_PER_MB,
    )

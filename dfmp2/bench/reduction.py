"""Share of the reduction of T in the time of a pair block on the CPU.

A run cannot measure the two steps apart: each thread computes a block of T by GEMM and reduces it
while it is in cache. Here blocks of the same shape go through the same two functions, on as many
threads at once, and each call is timed.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from dfmp2.backends.protocol import PairCase
from dfmp2.backends.torch import _t_block, blocks_at_once
from dfmp2.planning.plan import gemm_width

__all__ = ["reduction_share"]

SECONDS = 0.2
"""Shortest measurement of each thread."""


def reduction_share(nvir: int, naux: int, dtype: str, threads: int | None = None) -> float:
    """Share of the reduction in the time of a pair block.

    Parameters
    ----------
    nvir, naux : int
        Numbers of virtual orbitals and auxiliary functions.
    dtype : {"float64", "float32"}
        Type of B and T; energies are always float64.
    threads : int, optional
        Threads that work at the same time; torch's number of threads if not given.

    Returns
    -------
    float
        Between 0 and 1.
    """
    from dfmp2.backends.reduction import Reduction

    threads = threads or torch.get_num_threads()
    kind = getattr(torch, dtype)
    at_once = blocks_at_once(nvir, kind.itemsize)
    e_vir = np.linspace(0.1, 3.0, nvir)
    reduction = Reduction(PairCase.CLOSED, (e_vir, e_vir), ())
    e_ij = np.full(at_once, -1.0)

    def work(seed: int) -> tuple[float, float]:
        generator = torch.Generator().manual_seed(seed)
        b = torch.randn((1 + at_once, nvir, naux), dtype=kind, generator=generator).transpose(1, 2)
        b_i = torch.zeros((gemm_width(nvir), naux), dtype=kind).T
        b_i[:, :nvir] = b[0]
        memory = torch.empty((at_once * nvir, b_i.shape[1]), dtype=kind)
        sums = np.zeros((2, at_once))
        gemm, reduced = 0.0, 0.0
        first = True
        while gemm + reduced < SECONDS:
            start = time.perf_counter()
            t = _t_block(b_i, b[1:], memory).numpy()
            made = time.perf_counter()
            reduction.subtract(t, e_ij, (0, 1), sums)
            if not first:  # the first round compiles, and accesses the memory for the first time
                gemm += made - start
                reduced += time.perf_counter() - made
            first = False
        return gemm, reduced

    with ThreadPoolExecutor(threads, initializer=lambda: torch.set_num_threads(1)) as pool:
        found = list(pool.map(work, range(threads)))
    gemm = sum(one for one, _ in found)
    reduced = sum(other for _, other in found)
    return reduced / (gemm + reduced)

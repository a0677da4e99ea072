"""GEMM rate of this machine, and the times of imports and compilation, which timings leave out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["StartUp", "gemm_rate", "start_up"]

LONG_ENOUGH = 0.02
"""Shortest time in seconds of a GEMM whose rate is that of large matrices."""

REPEAT = 3

_SCRIPT = """
import time
start = time.perf_counter()
import dfmp2.interfaces.pyscf
import torch
from dfmp2.backends.torch import TorchBackend
imported = time.perf_counter()
TorchBackend().warm_up()
print(imported - start, time.perf_counter() - imported)
"""


@dataclass(frozen=True)
class StartUp:
    """Times that timings leave out, in seconds.

    Attributes
    ----------
    imports : float
        Import of dfmp2 with torch and PySCF in a new process.
    compiled_first : float
        Compilation of the reduction in the first process, which stores it on disk.
    compiled_later : float
        Loading of the compiled reduction in later processes.
    """

    imports: float
    compiled_first: float
    compiled_later: float


def start_up() -> StartUp:
    """Measure the start of two new processes, beginning without compiled code on disk."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        first, later = (_started(environment) for _ in range(2))
    return StartUp(later[0], first[1], later[1])


def _started(environment: dict[str, str]) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def gemm_rate(device: torch.device | str, dtype: str) -> float:
    """Rate of a large square matrix product by torch in GFLOP/s, the best of three.

    Parameters
    ----------
    device : torch.device or str
    dtype : {"float64", "float32"}
    """
    import torch

    n, seconds = 512, 0.0
    while True:
        a = torch.ones((n, n), dtype=getattr(torch, dtype), device=device)
        c = torch.empty_like(a)
        _timed(a, c)  # first access to the memory is slower
        seconds = min(_timed(a, c) for _ in range(REPEAT))
        if seconds >= LONG_ENOUGH or n >= 16384:
            return 2 * n**3 / seconds / 1e9
        n *= 2


def _timed(a: torch.Tensor, c: torch.Tensor) -> float:
    import torch

    start = time.perf_counter()
    torch.mm(a, a, out=c)
    if a.is_cuda:
        torch.cuda.synchronize(a.device)
    return time.perf_counter() - start

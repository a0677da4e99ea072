"""What this machine can do, and what a timing leaves out: GEMM rate, imports, compilation."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

__all__ = ["StartUp", "gemm_rate", "start_up"]

LONG_ENOUGH = 0.02
"""Seconds that one GEMM must take for its rate to be that of large ones."""

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
    """What timings leave out, in seconds.

    Attributes
    ----------
    imports : float
        Importing dfmp2 with torch and PySCF, in a process of its own.
    compiled_first : float
        The compiled reduction in the first process ever: compiled and stored on disk.
    compiled_later : float
        The same in every later process: loaded from disk.
    """

    imports: float
    compiled_first: float
    compiled_later: float


def start_up() -> StartUp:
    """Measure the start of dfmp2 in two new processes with an empty folder of compiled code."""
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


def gemm_rate(device: Any, dtype: str) -> float:
    """GFLOP/s of torch's best square GEMM of a few.

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
        _timed(a, c)  # touches the memory
        seconds = min(_timed(a, c) for _ in range(REPEAT))
        if seconds >= LONG_ENOUGH or n >= 16384:
            return 2 * n**3 / seconds / 1e9
        n *= 2


def _timed(a: Any, c: Any) -> float:
    import torch

    start = time.perf_counter()
    torch.mm(a, a, out=c)
    if a.is_cuda:
        torch.cuda.synchronize(a.device)
    return time.perf_counter() - start

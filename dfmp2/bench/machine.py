"""GEMM rate of this machine, and the times of imports and compilation, which timings leave out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["StartUp", "gemm_rates", "start_up"]

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


def gemm_rates(device: torch.device | str, dtype: str) -> dict[str, float]:
    """Rate of a large square matrix product in GFLOP/s by library, the best of three each.

    Parameters
    ----------
    device : torch.device or str
    dtype : {"float64", "float32"}

    Returns
    -------
    dict of str to float
        "torch", and on a CPU "NumPy" and "SciPy", whose libraries may be faster.
    """
    import torch

    rates = {"torch": _rate(lambda n: _torch_product(n, device, dtype))}
    if torch.device(device).type == "cpu":
        rates["NumPy"] = _rate(lambda n: _numpy_product(n, dtype))
        rates["SciPy"] = _rate(lambda n: _scipy_product(n, dtype))
    return rates


def _rate(made: Callable[[int], Callable[[], object]]) -> float:
    n = 512
    while True:
        product = made(n)
        product()  # first access to the memory is slower
        seconds = min(_timed(product) for _ in range(REPEAT))
        if seconds >= LONG_ENOUGH or n >= 16384:
            return 2 * n**3 / seconds / 1e9
        n *= 2


def _timed(product: Callable[[], object]) -> float:
    start = time.perf_counter()
    product()
    return time.perf_counter() - start


def _torch_product(n: int, device: torch.device | str, dtype: str) -> Callable[[], object]:
    import torch

    a = torch.ones((n, n), dtype=getattr(torch, dtype), device=device)
    c = torch.empty_like(a)

    def product() -> None:
        torch.mm(a, a, out=c)
        if a.is_cuda:
            torch.cuda.synchronize(a.device)

    return product


def _numpy_product(n: int, dtype: str) -> Callable[[], object]:
    import numpy as np

    a, c = np.ones((n, n), dtype), np.empty((n, n), dtype)
    return lambda: np.matmul(a, a, out=c)


def _scipy_product(n: int, dtype: str) -> Callable[[], object]:
    import numpy as np
    from scipy.linalg.blas import get_blas_funcs

    a, c = np.ones((n, n), dtype, order="F"), np.zeros((n, n), dtype, order="F")
    (gemm,) = get_blas_funcs(("gemm",), (a,))
    return lambda: gemm(1.0, a, a, 0.0, c, overwrite_c=True)

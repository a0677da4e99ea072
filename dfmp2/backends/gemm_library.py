"""Choose the library that multiplies matrices on the CPU: torch's BLAS or NumPy's.

Which one is faster depends on the processor. On recent AMD processors the OpenBLAS of NumPy's
wheels reached up to twice the rate of torch's MKL, which has no 512-bit kernels there. So both are
measured where a run is long enough: each thread multiplies matrices of the size of a pair block.
SciPy's BLAS is left out: its wrappers hold the lock of the interpreter, so threads cannot share it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Any

import numpy as np
import torch

from dfmp2.backends.protocol import Tensor
from dfmp2.kernels.blas import blas_libraries, single_thread
from dfmp2.results.provenance import GemmLibrary

__all__ = ["Product", "by_torch", "choose_library", "measured_rates", "product_of"]

Product = Callable[[Tensor, Tensor, Tensor], object]
"""product(a, b, out) writes the matrix product of a and b to out."""

SECONDS = 0.03
"""Longest measurement in one dtype, but for one product of each library."""

ROUNDS = 16
"""Products of each library in each thread, in turn. The fastest counts, so that other programs on
the machine disturb the choice little."""

SIZES = (192, 192, 768)
"""Largest matrices that are measured: 1 ms in float64 at 60 GFLOP/s. The ratio of the libraries is
that of larger blocks."""

WORTH = 4e10
"""Operations of a run per thread from which the libraries are measured: about a second. The
measurement takes 2 to 5 % of it."""

CLEARLY = 1.2
"""NumPy's library is chosen if its rate is this many times that of torch's. Smaller differences
can be noise, and torch's also has a triangular solve."""


def by_torch(a: Tensor, b: Tensor, out: Tensor) -> object:
    """Write a b to `out`."""
    return torch.mm(a, b, out=out)


def _by_numpy(a: Tensor, b: Tensor, out: Tensor) -> object:
    return np.matmul(a.numpy(), b.numpy(), out=out.numpy())


_PRODUCTS: dict[str, Product] = {"torch": by_torch, "numpy": _by_numpy}


def product_of(library: str) -> Product:
    """The matrix product of "torch" or "numpy", on one thread inside of `single_thread`."""
    return _PRODUCTS[library]


def choose_library(
    asked: str, dtype: str, flops: float, measure: Callable[[], dict[str, float]]
) -> tuple[str, GemmLibrary]:
    """Choose between "torch" and "numpy".

    Parameters
    ----------
    asked : str
        One of `dfmp2.settings.BLAS`.
    dtype : {"float64", "float32"}
    flops : float
        Floating-point operations of the run per thread.
    measure : callable
        Returns the GFLOP/s of both libraries. It is called for "auto" in a long run.

    Returns
    -------
    library : {"torch", "numpy"}
    made : GemmLibrary
        The same in words, with the rates.
    """
    if asked != "auto":
        return asked, GemmLibrary(dtype, _name(asked), {}, "asked for")
    if flops < WORTH:
        return "torch", GemmLibrary(dtype, _name("torch"), {}, "not measured: the run is small")
    rates = measure()
    best = "numpy" if rates["numpy"] > CLEARLY * rates["torch"] else "torch"
    named = {_name(library): round(rate, 1) for library, rate in rates.items()}
    return best, GemmLibrary(dtype, _name(best), named, "measured")


def measured_rates(
    pool: ThreadPoolExecutor, threads: int, sizes: tuple[int, int, int], dtype: str
) -> dict[str, float]:
    """GFLOP/s of each library, summed over the threads, which measure at the same time.

    Parameters
    ----------
    pool : ThreadPoolExecutor
        The threads that will compute.
    threads : int
        Their number.
    sizes : tuple of int
        m, n and k of a product of the run, m x k by k x n.
    dtype : {"float64", "float32"}
    """
    m, n, k = (min(size, most) for size, most in zip(sizes, SIZES, strict=True))
    kind = getattr(torch, dtype)
    a, b = torch.ones((m, k), dtype=kind), torch.ones((n, k), dtype=kind).T  # [(j,b),P] [P,a]
    end = time.perf_counter() + SECONDS

    def work(_: int) -> dict[str, float]:
        out = torch.empty((m, n), dtype=kind)
        best = dict.fromkeys(_PRODUCTS, inf)
        for _ in range(ROUNDS):
            for library, product in _PRODUCTS.items():
                start = time.perf_counter()
                product(a, b, out)
                best[library] = min(best[library], time.perf_counter() - start)
            if time.perf_counter() > end:
                break
        return best

    with single_thread():
        found = list(pool.map(work, range(threads)))
    return {
        library: sum(2e-9 * m * n * k / max(best[library], 1e-9) for best in found)
        for library in _PRODUCTS
    }


def _name(library: str) -> str:
    if library == "torch":
        found = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
        kind = found[1] if found else "BLAS"
        return f"torch's {'MKL' if kind == 'mkl' else kind}"
    known: list[dict[str, Any]] = blas_libraries().info()
    own = [blas for blas in known if "numpy" in blas["filepath"]]
    shared = [blas for blas in known if not re.search("scipy|pyscf|torch", blas["filepath"])]
    for blas in (own or shared)[:1]:
        kind = {"openblas": "OpenBLAS", "mkl": "MKL"}.get(blas["internal_api"], "BLAS")
        version = ".".join((blas["version"] or "").split(".")[:3])
        return " ".join(filter(None, ("NumPy's", kind, version, blas.get("architecture"))))
    return "NumPy's BLAS"

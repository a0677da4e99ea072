"""Which BLAS each program multiplies matrices with: library, kernels, threads, and their variables.

Two installations of the same program can differ by a factor of two because of this.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

__all__ = ["VARIABLES", "described", "environment", "own_blas", "pyscf_blas"]

VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables of the environment that change the kernels of OpenBLAS when it is loaded."""


def environment() -> dict[str, str | None]:
    """The variables that change the kernels of OpenBLAS, as they are set."""
    return {name: os.environ.get(name) for name in VARIABLES}


def own_blas(device: Any, threads: int) -> str:
    """The BLAS of dfmp2 in one line.

    Parameters
    ----------
    device : torch.device or None
        None where NKI computes.
    threads : int
    """
    import torch

    if device is None:
        return "none: NKI kernels"
    if device.type == "cuda":
        return f"cuBLAS of CUDA {torch.version.cuda}"
    found = re.search(r"Math Kernel Library Version (\d+\.\d+)", torch.__config__.show())
    library = f"MKL {found[1]}" if found else "BLAS"
    return f"torch's {library} (it does not tell its kernels), {threads} threads"


def pyscf_blas(threads: int) -> str:
    """The BLAS libraries of PySCF in one line: its own, and NumPy's and SciPy's, which it uses."""
    from pyscf.lib import misc  # noqa: F401  loads its BLAS
    from threadpoolctl import threadpool_info

    found = [row for row in threadpool_info() if row["user_api"] == "blas"]
    owners = {"pyscf": "its own", "numpy": "NumPy's", "scipy": "SciPy's"}
    named = [
        f"{owner} {described(row)}"
        for package, owner in owners.items()
        for row in found
        if package in Path(row["filepath"]).parent.name or package in Path(row["filepath"]).parts
    ]
    named = named or [described(row) for row in found] or ["unknown"]
    return f"{', '.join(named)}, {threads} threads"


def described(row: dict[str, Any]) -> str:
    """Name, version and kernels of a library.

    Parameters
    ----------
    row : dict
        "internal_api", "version", "architecture" and "filepath", as of threadpoolctl.
    """
    name = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS"}.get(
        row["internal_api"], row["internal_api"]
    )
    in_name = re.search(r"(\d+\.\d+\.\d+)", Path(row["filepath"]).name)
    version = row.get("version") or (in_name[1] if in_name else "of unknown version")
    kernels = row.get("architecture")
    return f"{name} {version} ({kernels + ' kernels' if kernels else 'kernels unknown'})"

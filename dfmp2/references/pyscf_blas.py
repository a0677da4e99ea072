"""The kernels of the OpenBLAS that PySCF's wheel brings, version 0.3.3 of 2018.

It does not know processors that are newer, and takes kernels for them that are up to three times as
slow. An OpenBLAS reads its variable once, when it is loaded.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path

__all__ = ["CORETYPE", "KERNELS", "has_avx2", "load_pyscf"]

CORETYPE = "OPENBLAS_CORETYPE"

KERNELS = "Haswell"
"""The fastest kernels in it for processors with AVX2; it has none for AVX-512."""


def load_pyscf(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Import PySCF so that its OpenBLAS takes kernels that fit the processor.

    NumPy and SciPy have newer ones, which choose better by themselves, so they are loaded before. A
    value that the user gave to the variable is kept.

    Parameters
    ----------
    cpuinfo : Path
        What Linux says about the processor.
    """
    if CORETYPE in os.environ or not has_avx2(cpuinfo):
        return
    try:
        importlib.import_module("numpy")
        importlib.import_module("scipy.linalg")
        os.environ[CORETYPE] = KERNELS
        importlib.import_module("pyscf.lib")
    except (ImportError, OSError):
        pass  # the command that needs them says what is missing
    finally:
        os.environ.pop(CORETYPE, None)


def has_avx2(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor is known to have AVX2. Only Linux tells it in a file."""
    try:
        return " avx2 " in cpuinfo.read_text(encoding="utf-8")
    except (OSError, UnicodeError):
        return False

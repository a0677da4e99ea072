"""Versions of the programs that a result depends on."""

from __future__ import annotations

import platform
from importlib import metadata

import dfmp2

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """Versions of dfmp2, PySCF, torch, NumPy and Python."""
    found = {name: metadata.version(name) for name in ("pyscf", "torch", "numpy")}
    return {"dfmp2": dfmp2.__version__, **found, "python": platform.python_version()}

"""A strict CPU simulator of the part of NKI that the kernels use.

It stands in for the package `nki` (``jit``, ``simulate``, and the namespaces `isa` and
`language`), refuses what the hardware documents forbid, and keeps an account of instructions,
cycles, bytes and live memory.
"""

from __future__ import annotations

from . import isa, language
from .account import Account
from .errors import SimulatorError, SubsetError, UnprovenOnHardwareWarning
from .generations import GENERATIONS, Generation, current_generation, generation
from .runner import Kernel, jit, shape_of, simulate, trace
from .subset import check_subset

__all__ = [
    "GENERATIONS",
    "Account",
    "Generation",
    "Kernel",
    "SimulatorError",
    "SubsetError",
    "UnprovenOnHardwareWarning",
    "check_subset",
    "current_generation",
    "generation",
    "isa",
    "jit",
    "language",
    "shape_of",
    "simulate",
    "trace",
]

__version__ = "0.6.0+simulator"

"""A strict CPU simulator of the part of NKI that the kernels use.

It stands in for the package `nki` (``jit``, ``simulate``, and the namespaces `isa` and
`language`), refuses what the hardware documents forbid, and keeps an account of instructions,
cycles, bytes and live memory.

Modelled: one core of trn1, trn2 or trn3; types of 16 bits and more in float, all integers up to
32 bits; DMA copies and transposes with dynamic offsets, gather and scatter of rows; matrix
products and transposes; the element-wise, reducing and activation instructions listed in `isa`;
tensors, views, loops and experimental mathematics listed in `language`.

Refused as not modelled: launches on two cores and their communication, 8-bit floats and
microscaling formats, tiling of the TensorE array, out-of-bounds skipping, random numbers, tensor
indirection of trn3, and every call that `isa` and `language` do not list. Not checked: order of
execution across engines (it runs in program order) and where the compiler places tiles.
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

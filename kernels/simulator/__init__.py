"""A strict CPU simulator of the part of NKI that the kernels use.

It replaces the package `nki` (``jit``, ``simulate``, and the namespaces `isa` and `language`) on
machines without it, refuses what the hardware documents forbid, and keeps an account of
instructions, cycles, bytes and live memory.

Modelled: one core of trn1, trn2 or trn3; float types of 16 and 32 bits and integers up to 32
bits; the instructions of `isa` and the names of `language`; slices, access patterns and run-time
row offsets of tensors; loops of the device with constant bounds.

Refused as not modelled: every other call, parameter and operator of NKI. That includes registers
and other loops of the device, launches on two cores, 8-bit floats, reduce registers, gather and
scatter. Not checked: order of execution across engines (instructions run in program order) and
where the compiler places tiles.

Modules, each of which imports only from earlier rows:

- `rules`, `subset_rules`, `errors`: the rules and the exception that names them;
- `generations`, `dtypes`, `enums`, `memory`, `strides`, `indexing`, `cost`: facts and arithmetic;
- `tensor`, `account`, `operators`: the data that instructions work on;
- `state`, `allocate`, `operands`, `liveness`, `loops`: one run and the checks of operands;
- `isa_dma`, `isa_scalar`, `isa_tensor`, `isa_vector`: instructions, one module per engine;
- `isa`, `language`: the namespaces that kernels import;
- `subset_syntax`, `subset`: the check of a kernel's source;
- `rebind`, `blas`, `runner`: running a kernel.
"""

from __future__ import annotations

from . import isa, language
from .account import Account
from .errors import SimulatorError, SubsetError
from .generations import GENERATIONS, Generation, current_generation, generation
from .rules import current_rule_set
from .runner import Kernel, jit, shape_of, simulate, trace
from .subset import check_subset
from .subset_rules import current_profile

__all__ = [
    "GENERATIONS",
    "Account",
    "Generation",
    "Kernel",
    "SimulatorError",
    "SubsetError",
    "check_subset",
    "current_generation",
    "current_profile",
    "current_rule_set",
    "generation",
    "isa",
    "jit",
    "language",
    "shape_of",
    "simulate",
    "trace",
]

__version__ = "0.6.0+simulator"

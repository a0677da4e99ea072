"""The interface between the host side of a kernel and the machine that runs it.

A host function prepares operands, calls ``launch(kernel, *operands)`` once per launch and turns
the outputs into its result. `launch` is any callable of that form:

- by default a `Launcher` that runs ``nki.simulate(kernel)`` on NumPy copies of the operands;
- for a device, a callable that moves the operands there (large ones arrive as the kind of array
  the caller passed, small index and energy tables as NumPy), calls ``kernel(*operands)``, cuts
  the lazy graph and returns the outputs;
- in tests, a replacement that records or inspects the operands.

It returns the result of the kernel: one array or a tuple of arrays, each with a shape and slices.
All operands are C-contiguous, float32 or int32, and the host function does not write to their
memory afterwards. If `launch` has an attribute `target`, it is the `simulator.Generation` of its
machine; otherwise NEURON_PLATFORM_TARGET_OVERRIDE names the generation.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from dfmp2.errors import InputError
from dfmp2.kernels import simulator
from dfmp2.kernels.limits import INSTRUCTIONS, LEAST_INSTRUCTIONS
from dfmp2.kernels.nki import nki
from dfmp2.kernels.operands import Operand

__all__ = [
    "Kernel",
    "Launch",
    "Launcher",
    "instruction_limit",
    "program_key",
    "simulate",
    "simulate_bundled",
]

Kernel: TypeAlias = Callable[..., Operand]
"""A function decorated with `nki.jit`."""

Launch: TypeAlias = Callable[..., Operand]
"""A callable that is called as ``launch(kernel, *operands)``."""


def simulate(kernel: Kernel, *operands: Operand) -> Operand:
    """Run `kernel` once in the simulator of the installed (or bundled) NKI."""
    return nki.simulate(kernel)(*[np.ascontiguousarray(x) for x in operands])


def simulate_bundled(kernel: Kernel, *operands: Operand) -> Operand:
    """Run `kernel` once in the bundled simulator, also if AWS's NKI is installed."""
    return simulator.simulate(kernel)(*[np.ascontiguousarray(x) for x in operands])


def instruction_limit(launch: Launch) -> int:
    """Most instructions of one program on the machine behind `launch`.

    The environment variable DFMP2_NKI_INSTRUCTIONS lowers it: for a compiler that refuses larger
    programs, or takes too long for them.

    Raises
    ------
    InputError
        The variable is no integer, above the limit of the generation, or so low that the smallest
        programs do not fit.
    """
    target = getattr(launch, "target", None) or simulator.current_generation()
    limit = INSTRUCTIONS[target.name]
    text = os.environ.get("DFMP2_NKI_INSTRUCTIONS")
    if not text:
        return limit
    chosen = int(text) if text.isascii() and text.strip().isdecimal() else 0
    if not LEAST_INSTRUCTIONS <= chosen <= limit:
        raise InputError(
            f"DFMP2_NKI_INSTRUCTIONS is {text!r}; it lowers the limit of {target.name} and is an "
            f"integer from {LEAST_INSTRUCTIONS} to {limit}"
        )
    return chosen


def program_key(kernel: Kernel, operands: tuple[Operand, ...]) -> str:
    """Name of the compiled program a launch needs: the kernel and its operands' shapes and dtypes.

    NKI compiles one program per distinct key.
    """
    name = getattr(kernel, "__name__", None) or type(kernel).__name__
    shapes = [f"{str(x.dtype).removeprefix('torch.')}{list(x.shape)}" for x in operands]
    return f"{name}({', '.join(shapes)})"


class Launcher:
    """Counts launches by program and passes each on to `run`.

    Attributes
    ----------
    programs
        Launches of each distinct program, by `program_key`.
    """

    def __init__(self, run: Launch = simulate) -> None:
        self._run = run
        self.programs: Counter[str] = Counter()

    @property
    def target(self) -> simulator.Generation | None:
        """Generation of the machine that runs the kernels, if `run` knows it."""
        return getattr(self._run, "target", None)

    @property
    def launches(self) -> int:
        """Launches so far, of all programs."""
        return self.programs.total()

    def __call__(self, kernel: Kernel, *operands: Operand) -> Operand:
        """Run `kernel` on `operands`."""
        self.programs[program_key(kernel, operands)] += 1
        return self._run(kernel, *operands)

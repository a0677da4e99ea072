"""Launch NKI kernels in a simulator or on a device.

A `Runner` is the argument ``launch`` of the host functions in `dfmp2.kernels`. Errors of kernels
are caught in one place, `_guarded`, which turns them into a `KernelError`.
`dfmp2.backends.recording` decides whether torch may do the operation instead.

Errors outside a launch are reported as `DeviceLostError`: while operands are prepared, or results
are written or copied to the host. A lazy device reports a failed launch there. It is then not known
which tensors are valid.
"""

from __future__ import annotations

import functools
import textwrap
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.compiled import note_compiled
from dfmp2.backends.neuron import Kernel, NeuronDevice, compiled_for
from dfmp2.backends.protocol import Tensor
from dfmp2.errors import DeviceLostError, DFMP2Error, KernelError
from dfmp2.kernels.launch import program_key
from dfmp2.results.provenance import Where

__all__ = ["DeviceRunner", "Runner", "SimulatorRunner", "device_operation", "overwrite"]

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

MESSAGE = 300
"""Largest length of the message of a kernel error. Messages of compilers have many lines."""


def _guarded(error_class: type[KernelError], what: str, call: Callable[[], R]) -> R:
    """Call `call`, and turn any error into `error_class`."""
    try:
        return call()
    except DFMP2Error:
        raise  # a host function found wrong input; the kernel did not fail
    except Exception as error:
        message = textwrap.shorten(f"{what}: {type(error).__name__}: {error}", MESSAGE)
        raise error_class(message) from error


def device_operation(method: F) -> F:
    """Decorator of an operation: report errors outside a launch as `DeviceLostError`."""

    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return _guarded(DeviceLostError, method.__name__, lambda: method(*args, **kwargs))

    return guarded  # type: ignore[return-value]


@device_operation
def overwrite(out: Tensor, x: Tensor) -> None:
    """Write `x` to a tensor of the same device.

    Parameters
    ----------
    out, x : Tensor, of the same shape

    Raises
    ------
    DeviceLostError
        If the device fails.
    """
    out[...] = x


class Runner(Protocol):
    """Runs kernels on arrays of one device.

    Attributes
    ----------
    where : Where
        Backend, mode and device, for the provenance.
    programs : Counter of str
        Number of launches by `dfmp2.kernels.launch.program_key`.
    """

    where: Where
    programs: Counter[str]

    def __call__(self, kernel: Kernel, *operands: Tensor) -> Any:
        """Launch `kernel` on its operands, and return its output."""

    def put(self, x: NDArray[Any]) -> Tensor:
        """Copy a host array to the device."""

    def get(self, x: Tensor) -> NDArray[Any]:
        """Copy an array to the host."""


class SimulatorRunner:
    """Runs kernels on NumPy arrays, in AWS's simulator or the bundled one.

    Parameters
    ----------
    simulate : callable
        Called as ``simulate(kernel)(*arrays)``.
    name : str
        Name of the simulator, for the provenance.
    """

    def __init__(self, simulate: Callable[[Kernel], Callable[..., Any]], name: str) -> None:
        self._simulate = simulate
        self.where = Where("nki", "simulator", name)
        self.programs: Counter[str] = Counter()

    def __call__(self, kernel: Kernel, *operands: Tensor) -> Any:
        arrays = [np.ascontiguousarray(x) for x in operands]
        done = _guarded(KernelError, _name(kernel), lambda: self._simulate(kernel)(*arrays))
        self.programs[program_key(kernel, operands)] += 1
        return done

    def put(self, x: NDArray[Any]) -> Tensor:
        return np.ascontiguousarray(x)

    def get(self, x: Tensor) -> NDArray[Any]:
        return np.asarray(x)


class DeviceRunner:
    """Runs kernels on a Neuron device. Tensors stay on the device between launches.

    The lazy graph is cut after each launch, so that each kernel has a graph of its own. It is an
    error if an output is not on the device, because the provenance would be wrong.

    Parameters
    ----------
    device : NeuronDevice

    Attributes
    ----------
    target : Generation or None
        Generation of the device, for the limits of its programs.
    """

    def __init__(self, device: NeuronDevice) -> None:
        self._device = device
        self.where = Where("nki", "device", device.name)
        self.target = compiled_for()
        self.programs: Counter[str] = Counter()

    def __call__(self, kernel: Kernel, *operands: Tensor) -> Any:
        def run() -> Any:
            tensors = tuple(
                self._device.put(x) if isinstance(x, np.ndarray) else x.contiguous()
                for x in operands
            )
            # The operations that prepared the operands (padding, slices) get their own graph.
            self._device.cut(*tensors)
            result = self._device.run(kernel, tensors)
            for x in result if isinstance(result, tuple | list) else (result,):
                if not self._device.holds(x):
                    raise RuntimeError(f"its output is not on {self._device.name}")
            self._device.cut()
            return result

        done = _guarded(KernelError, _name(kernel), run)
        program = program_key(kernel, operands)
        if program not in self.programs:
            note_compiled(self.where.device, {program})
        self.programs[program] += 1
        return done

    def put(self, x: NDArray[Any]) -> Tensor:
        return _guarded(DeviceLostError, "copy to the device", lambda: self._device.put(x))

    def get(self, x: Tensor) -> NDArray[Any]:
        return _guarded(DeviceLostError, "copy from the device", lambda: self._device.get(x))


def _name(kernel: Kernel) -> str:
    return str(getattr(kernel, "__name__", type(kernel).__name__))

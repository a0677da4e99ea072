"""Launching NKI kernels: in a simulator or on a device, the one place where they may fail.

A `Runner` is the ``launch`` of the host functions in `dfmp2.kernels`. The single ``except`` around
kernels in this project is `_guarded`; it turns whatever they raise into a `KernelError` and decides
nothing. Who may go on without the kernel is decided in `dfmp2.backends.recording`.

An error between launches (operands laid out, results written or read back: on a lazy device that is
where a failed launch shows) is a `DeviceLostError`: nothing tells which tensors are still whole.
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
from dfmp2.backends.neuron import NeuronDevice
from dfmp2.errors import DeviceLostError, DFMP2Error, KernelError
from dfmp2.kernels.launch import program_key
from dfmp2.results.provenance import Where

__all__ = ["DeviceRunner", "Runner", "SimulatorRunner", "device_operation", "overwrite"]

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

MESSAGE = 300
"""Characters kept of what a kernel raised: compilers write pages."""


def _guarded(error_class: type[KernelError], what: str, call: Callable[[], R]) -> R:
    try:
        return call()
    except DFMP2Error:
        raise  # an input error that a host function found; no kernel was at fault
    except Exception as error:
        message = textwrap.shorten(f"{what}: {type(error).__name__}: {error}", MESSAGE)
        raise error_class(message) from error


def device_operation(method: F) -> F:
    """Decorate an operation of a backend: what fails in it outside a launch is a lost device."""

    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return _guarded(DeviceLostError, method.__name__, lambda: method(*args, **kwargs))

    return guarded  # type: ignore[return-value]


@device_operation
def overwrite(out: Any, x: Any) -> None:
    """Write `x` into a tensor of the same device."""
    out[...] = x


class Runner(Protocol):
    """Runs kernels and holds their arrays."""

    where: Where
    programs: Counter[str]

    def __call__(self, kernel: Any, *operands: Any) -> Any:
        """Launch `kernel`."""

    def put(self, x: NDArray[Any]) -> Any:
        """An array of the kind that kernels take."""

    def get(self, x: Any) -> NDArray[Any]:
        """Back to the host."""


class SimulatorRunner:
    """Kernels on NumPy arrays, in AWS's simulator or the bundled one.

    Parameters
    ----------
    simulate : callable
        ``simulate(kernel)(*arrays)``.
    name : str
        Of the simulator, for the provenance.
    """

    def __init__(self, simulate: Callable[[Any], Callable[..., Any]], name: str) -> None:
        self._simulate = simulate
        self.where = Where("nki", "simulator", name)
        self.programs: Counter[str] = Counter()

    def __call__(self, kernel: Any, *operands: Any) -> Any:
        arrays = [np.ascontiguousarray(x) for x in operands]
        done = _guarded(KernelError, _name(kernel), lambda: self._simulate(kernel)(*arrays))
        self.programs[program_key(kernel, operands)] += 1
        return done

    def put(self, x: NDArray[Any]) -> Any:
        return np.ascontiguousarray(x)

    def get(self, x: Any) -> NDArray[Any]:
        return np.asarray(x)


class DeviceRunner:
    """Kernels on a Neuron device; tensors stay there between launches.

    Each launch is followed by a cut of the lazy graph, so that no two kernels share one. An output
    that is not on the device is an error: the provenance says "device" of such launches only.
    """

    def __init__(self, device: NeuronDevice) -> None:
        self._device = device
        self.where = Where("nki", "device", device.name)
        self.programs: Counter[str] = Counter()

    def __call__(self, kernel: Any, *operands: Any) -> Any:
        def run() -> Any:
            tensors = tuple(
                self._device.put(x) if isinstance(x, np.ndarray) else x.contiguous()
                for x in operands
            )
            # What prepared the operands (padding, slices) is a graph of its own.
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

    def put(self, x: NDArray[Any]) -> Any:
        return _guarded(DeviceLostError, "copy to the device", lambda: self._device.put(x))

    def get(self, x: Any) -> NDArray[Any]:
        return _guarded(DeviceLostError, "copy from the device", lambda: self._device.get(x))


def _name(kernel: Any) -> str:
    return str(getattr(kernel, "__name__", type(kernel).__name__))

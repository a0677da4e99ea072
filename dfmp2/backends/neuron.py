"""A Neuron device in torch, by one of its two integrations: native or torch_xla.

Only this module calls the device. Tests replace one `NeuronDevice` to imitate it. The module has
not run on hardware yet.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Tensor
from dfmp2.errors import InputError
from dfmp2.kernels.simulator.generations import Generation
from dfmp2.kernels.simulator.generations import generation as known_generation

__all__ = [
    "Kernel",
    "NativeDevice",
    "NeuronDevice",
    "XlaDevice",
    "compiled_for",
    "find_device",
    "generation",
    "hardware_generation",
    "instance_type",
    "read_system_file",
]

Kernel = Any
"""A kernel, as decorated by `nki.jit`. nki has no types."""

Module = Any
"""torch or torch_xla. Their Neuron functions have no types."""


class NeuronDevice(Protocol):
    """A device that runs kernels and holds tensors."""

    name: str
    """Name of the device, for the provenance."""

    def put(self, x: NDArray[Any]) -> Tensor:
        """Copy a host array to the device."""

    def get(self, x: Tensor) -> NDArray[Any]:
        """Copy a tensor to the host."""

    def run(self, kernel: Kernel, operands: tuple[Tensor, ...]) -> Any:
        """Launch a kernel on tensors of this device."""

    def holds(self, x: Tensor) -> bool:
        """Whether a tensor is on this device."""

    def cut(self, *tensors: Tensor) -> None:
        """Run the operations that a lazy device has collected, and start a new graph.

        Afterwards `tensors` have values. The next graph does not contain their operations.
        """


class NativeDevice:
    """``torch.device("neuron")``: eager, with asynchronous launches."""

    def __init__(self, torch: Module) -> None:
        self._torch = torch
        self._device = torch.device("neuron")
        self.name = f"{generation() or 'Neuron'} NeuronCore, native torch"

    def put(self, x: NDArray[Any]) -> Tensor:
        return self._torch.from_numpy(np.ascontiguousarray(x)).to(self._device)

    def get(self, x: Tensor) -> NDArray[Any]:
        array: NDArray[Any] = x.cpu().numpy()
        return array

    def run(self, kernel: Kernel, operands: tuple[Tensor, ...]) -> Any:
        return kernel(*operands)

    def holds(self, x: Tensor) -> bool:
        return bool(x.device.type == self._device.type)

    def cut(self, *tensors: Tensor) -> None:
        """Do nothing: each launch is a program of its own."""


class XlaDevice(NativeDevice):
    """A torch_xla device, which collects operations in a graph until the graph is cut.

    On trn1 the runtime refuses a program with two kernels, so the graph is cut after every launch.
    A cut starts the work and does not wait for it.

    A view of a tensor that was written to enters the graph when it is used next. It would then be
    in the graph of the kernel, which would be compiled again for each offset of the view. So views
    enter the graph before the cut.
    """

    def __init__(self, torch: Module, torch_xla: Module) -> None:
        self._torch, self._xla = torch, torch_xla
        self._device = torch_xla.device()
        self.name = f"{generation() or 'Neuron'} NeuronCore, torch_xla"

    def cut(self, *tensors: Tensor) -> None:
        for x in tensors:
            if self._torch._is_functional_tensor(x):
                self._torch._sync(x)  # puts the operations of a view into the graph
        self._xla.sync()


def read_system_file(path: Path) -> str | None:
    """Text of a file of the operating system. None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def instance_type(root: Path = Path("/")) -> str | None:
    """EC2 instance type from the firmware, such as ``trn1.2xlarge``. None on other machines.

    Parameters
    ----------
    root : Path
        Root of the file system. Tests use another folder.
    """
    product = read_system_file(root / "sys/class/dmi/id/product_name") or ""
    return product if re.fullmatch(r"[a-z]+\d+[a-z0-9-]*\.[a-z0-9-]+", product) else None


def hardware_generation(root: Path = Path("/")) -> str | None:
    """trn1, trn2, trn3 or inf2 from the instance type. None on other machines."""
    found = re.match(r"(trn\d|inf\d)", instance_type(root) or "")
    return found[1] if found else None


def generation(root: Path = Path("/")) -> str | None:
    """Generation that programs are compiled for.

    Parameters
    ----------
    root : Path
        Root of the file system. Tests use another folder.

    Returns
    -------
    str or None
        NEURON_PLATFORM_TARGET_OVERRIDE if it is set, else the generation of the hardware.
    """
    override = os.environ.get("NEURON_PLATFORM_TARGET_OVERRIDE")
    if not override:
        return hardware_generation(root)
    try:
        return known_generation(override).name
    except InputError:  # a generation that the simulator lacks
        return override


def compiled_for() -> Generation | None:
    """Generation that programs are compiled for; None if it is not one that the kernels know."""
    try:
        return known_generation(generation() or "")
    except InputError:
        return None


def find_device() -> tuple[NeuronDevice | None, str]:
    """Find a Neuron device.

    Returns
    -------
    device : NeuronDevice or None
    reason : str
        Which device was found, or why there is none.
    """
    import torch

    if not any(Path("/dev").glob("neuron*")):
        return None, "no Neuron device: /dev/neuron* does not exist (driver not loaded, or no chip)"
    native = getattr(torch, "neuron", None)
    if native is not None and native.is_available():
        device = NativeDevice(torch)
        return device, f"found {device.name}"
    try:
        torch_xla = importlib.import_module("torch_xla")
        importlib.import_module("torch_neuronx")
        hardware = importlib.import_module("torch_xla.core.xla_model").xla_device_hw(
            torch_xla.device()
        )
    except (ImportError, OSError, RuntimeError) as error:
        return None, f"a Neuron chip is present, but torch cannot use it: {error}"
    if hardware != "NEURON":
        return None, f"a Neuron chip is present, but torch_xla runs on {hardware}"
    device = XlaDevice(torch, torch_xla)
    return device, f"found {device.name}"

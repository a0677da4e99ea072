"""The Neuron device as torch shows it, by either of its two integrations.

This is the lowest seam: everything above it is ordinary code, and a test that plays the device
replaces just one `NeuronDevice`. None of it has run on hardware yet.
"""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.kernels.simulator.generations import generation as known_generation

__all__ = [
    "NativeDevice",
    "NeuronDevice",
    "XlaDevice",
    "find_device",
    "generation",
    "hardware_generation",
    "instance_type",
    "read_system_file",
]


class NeuronDevice(Protocol):
    """Where kernels run and tensors live."""

    name: str
    """Of the device, for the provenance."""

    def put(self, x: NDArray[Any]) -> Any:
        """Copy a host array to the device."""

    def get(self, x: Any) -> NDArray[Any]:
        """Copy a tensor to the host."""

    def run(self, kernel: Any, operands: tuple[Any, ...]) -> Any:
        """Launch a kernel on tensors of this device."""

    def holds(self, x: Any) -> bool:
        """Whether a tensor lives on this device."""

    def cut(self, *tensors: Any) -> None:
        """End the graph that is being recorded, so that no two kernels share one.

        `tensors` have left it afterwards: a kernel finds data in them, no recorded operations.
        """


class NativeDevice:
    """``torch.device("neuron")``: eager, with asynchronous launches."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._device = torch.device("neuron")
        self.name = f"{generation() or 'Neuron'} NeuronCore, native torch"

    def put(self, x: NDArray[Any]) -> Any:
        return self._torch.from_numpy(np.ascontiguousarray(x)).to(self._device)

    def get(self, x: Any) -> NDArray[Any]:
        array: NDArray[Any] = x.cpu().numpy()
        return array

    def run(self, kernel: Any, operands: tuple[Any, ...]) -> Any:
        return kernel(*operands)

    def holds(self, x: Any) -> bool:
        return bool(x.device.type == self._device.type)

    def cut(self, *tensors: Any) -> None:
        """Nothing to cut: each launch is a program of its own."""


class XlaDevice(NativeDevice):
    """A torch_xla device: operations are recorded until the graph is cut.

    On trn1 the runtime refuses a program that two kernels were recorded into, so the graph is cut
    after every launch. Cutting starts the work and does not wait for it.

    A view of a tensor that was written to is recorded only when it is next used. Left alone, it
    would join the graph of the kernel, which would then be compiled again for each offset.
    """

    def __init__(self, torch: Any, torch_xla: Any) -> None:
        self._torch, self._xla = torch, torch_xla
        self._device = torch_xla.device()
        self.name = f"{generation() or 'Neuron'} NeuronCore, torch_xla"

    def cut(self, *tensors: Any) -> None:
        for x in tensors:
            if self._torch._is_functional_tensor(x):
                self._torch._sync(x)  # records what a view still owes
        self._xla.sync()


def read_system_file(path: Path) -> str | None:
    """Text of a file of the operating system; None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def instance_type(root: Path = Path("/")) -> str | None:
    """EC2 instance type from the firmware, such as ``trn1.2xlarge``; None on other machines.

    Parameters
    ----------
    root : Path
        Folder that holds the machine's files; another one in tests.
    """
    product = read_system_file(root / "sys/class/dmi/id/product_name") or ""
    return product if re.fullmatch(r"[a-z]+\d+[a-z0-9-]*\.[a-z0-9-]+", product) else None


def hardware_generation(root: Path = Path("/")) -> str | None:
    """trn1, trn2, trn3 or inf2 from the instance type alone; None on other machines."""
    found = re.match(r"(trn\d|inf\d)", instance_type(root) or "")
    return found[1] if found else None


def generation(root: Path = Path("/")) -> str | None:
    """Generation that programs are compiled for: the override, or that of the hardware."""
    override = os.environ.get("NEURON_PLATFORM_TARGET_OVERRIDE")
    if not override:
        return hardware_generation(root)
    try:
        return known_generation(override).name
    except InputError:  # a generation that the simulator lacks
        return override


def find_device() -> tuple[NeuronDevice | None, str]:
    """Look for a Neuron device.

    Returns
    -------
    device : NeuronDevice or None
    reason : str
        Why there is none, or which one was found.
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

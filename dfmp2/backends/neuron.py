"""The Neuron device as torch shows it, by either of its two integrations.

This is the lowest seam: everything above it is ordinary code, and a test that plays the device
replaces just one `NeuronDevice`. None of it has run on hardware yet.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["NativeDevice", "NeuronDevice", "XlaDevice", "find_device"]


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
        self.name = f"{_generation()} NeuronCore, native torch"

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
        self.name = f"{_generation()} NeuronCore, torch_xla"

    def cut(self, *tensors: Any) -> None:
        for x in tensors:
            self._torch._sync(x)  # records what a view still owes
        self._xla.sync()


def _generation() -> str:
    """trn1, trn2 or trn3 from the override or the instance type; "Neuron" where unknown."""
    override = os.environ.get("NEURON_PLATFORM_TARGET_OVERRIDE")
    if override:
        return override
    try:
        product = Path("/sys/class/dmi/id/product_name").read_text().strip()
    except OSError:
        return "Neuron"
    return product.split(".")[0] if product.startswith(("trn", "inf")) else "Neuron"


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

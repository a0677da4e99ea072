"""Looking for a Neuron device, and the two ways torch shows one, with torch's part played."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dfmp2.backends.launching import DeviceRunner
from dfmp2.backends.neuron import NativeDevice, XlaDevice, find_device
from dfmp2.kernels.launch import instruction_limit


@pytest.fixture(autouse=True)
def _bare_machine(monkeypatch: Any) -> None:
    monkeypatch.delenv("NEURON_PLATFORM_TARGET_OVERRIDE", raising=False)
    monkeypatch.delattr(torch, "neuron", raising=False)
    for name in ("torch_xla", "torch_xla.core", "torch_xla.core.xla_model", "torch_neuronx"):
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails


def chip(monkeypatch: Any, present: bool = True) -> None:
    real = Path.glob

    def glob(self: Path, pattern: str) -> Any:
        if str(self) == "/dev":
            return iter([Path("/dev/neuron0")] if present else [])
        return real(self, pattern)

    monkeypatch.setattr(Path, "glob", glob)


def xla(monkeypatch: Any, hardware: str, neuronx: bool = True) -> list[str]:
    """Install a torch_xla that runs on `hardware`; returns its log of cuts."""
    log: list[str] = []
    package, core, model = (
        ModuleType(name) for name in ("torch_xla", "torch_xla.core", "torch_xla.core.xla_model")
    )
    vars(package).update(device=lambda: torch.device("cpu"), sync=lambda: log.append("sync"))
    vars(model)["xla_device_hw"] = lambda device: hardware
    modules = [package, core, model]
    if neuronx:
        modules.append(ModuleType("torch_neuronx"))
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return log


def test_no_chip(monkeypatch: Any) -> None:
    chip(monkeypatch, present=False)
    xla(monkeypatch, "NEURON")  # software alone is no device
    device, why = find_device()
    assert device is None
    assert why.startswith("no Neuron device: /dev/neuron* does not exist")


def test_chip_without_software(monkeypatch: Any) -> None:
    chip(monkeypatch)
    device, why = find_device()
    assert device is None
    assert why.startswith("a Neuron chip is present, but torch cannot use it: ")
    assert "torch_xla" in why


def test_chip_without_the_plugin(monkeypatch: Any) -> None:
    chip(monkeypatch)
    xla(monkeypatch, "NEURON", neuronx=False)
    device, why = find_device()
    assert device is None
    assert "torch_neuronx" in why


@pytest.mark.parametrize(
    "error", [FileNotFoundError("libneuronpjrt-path"), RuntimeError("no PJRT client")]
)
def test_plugin_that_does_not_start(monkeypatch: Any, error: Exception) -> None:
    """Importing the plugin runs a program that may not be on PATH: then there is no device."""
    chip(monkeypatch)
    xla(monkeypatch, "NEURON")

    def broken() -> Any:
        raise error

    monkeypatch.setattr(sys.modules["torch_xla"], "device", broken)
    device, why = find_device()
    assert device is None
    assert str(error) in why


@pytest.mark.parametrize("hardware", ["CPU", "TPU", "CUDA"])
def test_torch_xla_on_something_else_is_no_neuron_device(monkeypatch: Any, hardware: str) -> None:
    chip(monkeypatch)
    xla(monkeypatch, hardware)
    assert find_device() == (None, f"a Neuron chip is present, but torch_xla runs on {hardware}")


def test_torch_xla_on_neuron(monkeypatch: Any) -> None:
    chip(monkeypatch)
    log = xla(monkeypatch, "NEURON")
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn2")
    device, why = find_device()
    assert isinstance(device, XlaDevice)
    assert device.name == "trn2 NeuronCore, torch_xla"
    assert why == "found trn2 NeuronCore, torch_xla"
    device.cut(torch.ones(2))
    assert log == ["sync"]


def test_native_torch_is_preferred(monkeypatch: Any) -> None:
    chip(monkeypatch)
    xla(monkeypatch, "NEURON")
    present = SimpleNamespace(is_available=lambda: True)
    monkeypatch.setattr(torch, "neuron", present, raising=False)
    monkeypatch.setattr(torch, "device", lambda name: SimpleNamespace(type=name))
    device, why = find_device()
    assert type(device) is NativeDevice
    assert why.endswith("NeuronCore, native torch")


def test_native_torch_without_a_device_is_not_taken(monkeypatch: Any) -> None:
    chip(monkeypatch)
    absent = SimpleNamespace(is_available=lambda: False)
    monkeypatch.setattr(torch, "neuron", absent, raising=False)
    device, why = find_device()
    assert device is None
    assert "torch_xla" in why


def test_instance_type_names_the_generation(monkeypatch: Any) -> None:
    chip(monkeypatch)
    xla(monkeypatch, "NEURON")
    for product, name in (
        ("trn1.2xlarge\n", "trn1"),
        ("inf2.xlarge", "inf2"),
        ("KVM", "Neuron"),
        ("trn2u.48xlarge", "trn2"),
    ):
        monkeypatch.setattr(Path, "read_text", lambda *_, product=product, **__: product)
        device, _ = find_device()
        assert device is not None
        assert device.name == f"{name} NeuronCore, torch_xla"


@pytest.mark.parametrize(
    ("hardware", "override", "known"),
    [
        ("trn1", "", "trn1"),
        ("trn1", "gen3", "trn2"),
        ("inf2", "", "trn1"),
        (None, "", None),
        ("trn9", "", None),
    ],
)
def test_programs_have_the_limit_of_the_device(
    monkeypatch: Any, hardware: str | None, override: str, known: str | None
) -> None:
    """Without it, the limits of a trn1 would be those of the simulator's default generation."""
    monkeypatch.setattr("dfmp2.backends.neuron.hardware_generation", lambda *_: hardware)
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", override)
    limits = {"trn1": 7000, "trn2": 8000, "trn3": 9000}
    monkeypatch.setattr("dfmp2.kernels.launch.INSTRUCTIONS", limits)
    monkeypatch.delenv("DFMP2_NKI_INSTRUCTIONS", raising=False)
    runner = DeviceRunner(SimpleNamespace(name="a device"))  # type: ignore[arg-type]
    assert (runner.target.name if runner.target else None) == known
    assert instruction_limit(runner) == limits[known or "trn2"]


def test_native_device_copies_runs_and_tells_what_it_holds(monkeypatch: Any) -> None:
    """`meta` tensors stand for those of a device: the host cannot be mistaken for it."""
    device = NativeDevice(SimpleNamespace(device=lambda _: torch.device("meta"),
                                          from_numpy=torch.from_numpy))  # fmt: skip
    x = device.put(np.ones((2, 3), dtype=np.float32).T)
    assert x.shape == (3, 2)
    assert device.holds(x)
    assert not device.holds(torch.ones(2))
    assert device.holds(device.run(torch.add, (x, x)))
    host = NativeDevice(SimpleNamespace(device=lambda _: torch.device("cpu"),
                                        from_numpy=torch.from_numpy))  # fmt: skip
    np.testing.assert_array_equal(host.get(host.put(np.eye(2))), np.eye(2))


def test_device_that_is_found_is_used(monkeypatch: Any) -> None:
    """From the search to the provenance: the name is the device's own."""
    from dfmp2.backends.selection import select
    from dfmp2.kernels import nki as chosen

    chip(monkeypatch)
    xla(monkeypatch, "NEURON")
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn1")
    for variable in ("DFMP2_REQUIRE_NKI", "DFMP2_USE_SIMULATOR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(chosen, "HAS_NKI", True)
    selection = select("nki")
    assert str(selection.backend.where) == "trn1 NeuronCore, torch_xla (nki, device)"
    assert selection.reason == "backend nki: NKI kernels (found trn1 NeuronCore, torch_xla)"
    assert not selection.may_fall_back
    assert select("auto").may_fall_back
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    assert not select("auto").may_fall_back

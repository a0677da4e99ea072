"""A Neuron device, and AWS's package, as tests play them.

The device is replaced at the lowest seam (`dfmp2.backends.neuron.NeuronDevice`): its tensors live
in host memory, but only `get` and ``.cpu()`` read them, they do not mix with tensors of the host,
and its kernels run in the bundled simulator. Everything above the seam is the real code.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dfmp2.kernels import nki as chosen
from dfmp2.kernels import simulator

SIMULATE = simulator.simulate
"""The real one: tests replace the attribute."""

METADATA = {"__get__", "__len__", "size", "dim", "stride", "is_contiguous", "element_size"}
"""What torch answers without a look at the data."""


@dataclass
class Fault:
    """What goes wrong, and at which launch (counted from 1).

    kind
        "none";
        "raise": that launch raises, all others work;
        "lost": from that launch on, nothing works;
        "unreadable": that launch seems to work, but what it left cannot be read: how an
        asynchronous error shows.
    """

    kind: str = "none"
    at: int = 1
    launches: int = 0
    lost: bool = False
    unreadable: bool = False

    def launch(self) -> None:
        """Count a launch, and raise if it is the one."""
        self.launches += 1
        if self.kind == "lost" and self.launches >= self.at:
            self.lost = True
        if self.kind == "unreadable" and self.launches >= self.at:
            self.unreadable = True
        if self.kind == "raise" and self.launches == self.at:
            raise RuntimeError("NRT_EXEC_BAD_INPUT")
        self.touch()

    def touch(self) -> None:
        """Anything that needs the device."""
        if self.lost:
            raise RuntimeError("NRT_EXEC_HW_ERR")

    def read(self) -> None:
        """Anything that waits for results."""
        self.touch()
        if self.unreadable:
            raise RuntimeError("NRT_EXEC_COMPLETED_WITH_ERR")


class DeviceTensor(torch.Tensor):
    """A tensor that the host cannot read, except by ``.cpu()``."""

    machine: FakeDevice

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        name = function.__name__
        if name in METADATA:
            return super().__torch_function__(function, types, args, kwargs)
        if name in ("numpy", "__array__", "tolist", "item", "__float__", "__bool__"):
            raise TypeError("a device tensor is read through .cpu()")
        for x in args:
            if isinstance(x, torch.Tensor) and not isinstance(x, cls) and x.dim() > 0:
                raise RuntimeError(f"{name}: tensors of the host and of the device")
        if name == "cpu":
            cls.machine.fault.read()
            cls.machine.log.append(("get", ""))
            return args[0].as_subclass(torch.Tensor).clone()
        cls.machine.fault.touch()
        cls.machine.log.append(("op", name))
        return super().__torch_function__(function, types, args, kwargs)


class FakeDevice:
    """`NeuronDevice` in host memory.

    Attributes
    ----------
    log : list of (str, str)
        What happened, in order: "put", "op", "cut", "run" and "get", with a name.
    """

    name = "trn2 NeuronCore, played by a test"

    def __init__(self, fault: Fault | None = None) -> None:
        self.fault = fault or Fault()
        self.log: list[tuple[str, str]] = []
        self._tensor: Any = type("DeviceTensor", (DeviceTensor,), {"machine": self})

    def put(self, x: Any) -> Any:
        self.fault.touch()
        self.log.append(("put", ""))
        return torch.from_numpy(np.array(x)).as_subclass(self._tensor)

    def get(self, x: Any) -> Any:
        return x.cpu().numpy()

    def run(self, kernel: Any, operands: tuple[Any, ...]) -> Any:
        self.log.append(("run", kernel.__name__))
        self.fault.launch()
        assert all(self.holds(x) for x in operands)
        done = SIMULATE(kernel)(*(x.as_subclass(torch.Tensor).numpy() for x in operands))
        if isinstance(done, tuple):
            return tuple(self._held(x) for x in done)
        return self._held(done)

    def _held(self, x: Any) -> Any:
        return torch.from_numpy(np.array(x)).as_subclass(self._tensor)

    def holds(self, x: Any) -> bool:
        return isinstance(x, self._tensor)

    def cut(self, *tensors: Any) -> None:
        assert all(self.holds(x) for x in tensors)
        self.fault.touch()
        self.log.append(("cut", ""))

    def graphs(self) -> list[list[tuple[str, str]]]:
        """What a lazy device would have compiled together: kernels and operations between cuts."""
        graphs: list[list[tuple[str, str]]] = [[]]
        for event in self.log:
            if event[0] in ("cut", "get"):  # reading a tensor ends its graph, too
                graphs.append([])
            elif event[0] in ("run", "op"):
                graphs[-1].append(event)
        return [graph for graph in graphs if graph]


VERSIONS = {"none": None, "placeholder": "0.0.1", "old": "0.2.9", "no-device": "0.4.0"}
VERSIONS["device"] = VERSIONS["no-device"]
"""Version of the installed nki in each state of a machine."""


def write_package(site: Path, version: str) -> None:
    """Install a package nki in a folder: a placeholder, or our simulator under AWS's names."""
    info = site / f"nki-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: nki\nVersion: {version}\n")
    package = site / "nki"
    package.mkdir()
    if version == "0.0.1":
        (package / "__init__.py").write_text("")
        return
    (package / "__init__.py").write_text("from dfmp2.kernels.simulator import jit, simulate\n")
    for part in ("isa", "language"):
        text = f"from dfmp2.kernels.simulator.{part} import *\n"
        (package / f"{part}.py").write_text(text)


def install(monkeypatch: Any, site: Path, state: str) -> None:
    """Make this process one that started where nki is in that state."""
    import importlib.metadata

    for name in ("nki", "nki.isa", "nki.language"):
        monkeypatch.setitem(sys.modules, name, None)
        del sys.modules[name]
    version = VERSIONS[state]
    if version is not None:
        write_package(site, version)
        monkeypatch.syspath_prepend(site)
    else:
        version_of = importlib.metadata.version

        def installed(name: str) -> str:
            if name == "nki":
                raise importlib.metadata.PackageNotFoundError(name)
            return version_of(name)

        monkeypatch.setattr(importlib.metadata, "version", installed)
    *modules, found, reason = chosen._find()
    for name, value in zip(("nki", "nisa", "nl"), modules, strict=True):
        monkeypatch.setattr(chosen, name, value)
    monkeypatch.setattr(chosen, "nki_version", found)
    monkeypatch.setattr(chosen, "_why_not", reason)
    monkeypatch.setattr(chosen, "HAS_NKI", reason is None)


def break_simulator(monkeypatch: Any, fault: Fault) -> None:
    """Let the simulator that will be chosen fail; call it after `install`."""

    def simulate(kernel: Any) -> Any:
        def run(*arrays: Any) -> Any:
            fault.launch()
            return SIMULATE(kernel)(*arrays)

        return run

    monkeypatch.setattr(chosen.nki, "simulate", simulate)


def attach(monkeypatch: Any, device: FakeDevice | None) -> None:
    """Let the search for a Neuron device find this one, or none."""
    found = (device, f"found {device.name}") if device else (None, NO_DEVICE)
    monkeypatch.setattr("dfmp2.backends.neuron.find_device", lambda: found)


NO_DEVICE = "no Neuron device: /dev/neuron* does not exist (driver not loaded, or no chip)"

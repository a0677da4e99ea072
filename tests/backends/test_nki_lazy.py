"""Cuts of the lazy graph, on real lazy tensors: torch_xla on its CPU device.

No accelerator is needed, but an environment of its own (7 GB), because torch_xla is built for one
release of torch::

    python3 -m venv xla
    xla/bin/pip install torch==2.9.0 torch_xla==2.9.0 -e '.[test]'
    PJRT_DEVICE=CPU xla/bin/python -m pytest -m xla tests/backends/test_nki_lazy.py

The real `XlaDevice` records and cuts; only `run` is played: the bundled simulator computes a
kernel's result, and an optimisation barrier stands for the kernel in the pending graph, whose text
torch_xla shows. Each graph that is cut may hold one barrier and nothing else that computes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dfmp2.backends.launching import DeviceRunner
from dfmp2.backends.neuron import XlaDevice
from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.selection import Selection
from dfmp2.backends.torch import TorchBackend
from dfmp2.precision.estimate import Placement
from dfmp2.workflow.compute import _Calculation
from dfmp2.workflow.labels import Outcome
from tests.backends.fakes import SIMULATE

pytestmark = [
    pytest.mark.usefixtures("small_auxbasis"),
    pytest.mark.xla,
    pytest.mark.filterwarnings("default::DeprecationWarning"),  # of torch_xla's own imports
    pytest.mark.filterwarnings("default::FutureWarning"),
]

KERNEL = "xla::optimization_barrier"
"""Stands for a kernel in the text of a graph."""

DATA = {"xla::device_data", "prim::Constant"}
"""What computes nothing."""


def operations(text: str) -> list[str]:
    """Names of the operations in the text of a graph."""
    return re.findall(r"= .*? (\w+::\w+)\(", text)


class LazyDevice(XlaDevice):
    """torch_xla's CPU device, with kernels in the bundled simulator.

    Attributes
    ----------
    graphs : list of list of str
        Operations of each graph that was cut, or was pending when the next kernel was launched.
    """

    def __init__(self, torch: Any, torch_xla: Any) -> None:
        super().__init__(torch, torch_xla)
        self.launches = 0
        self.graphs: list[list[str]] = []
        self._tensors: list[Any] = []

    def pending(self) -> list[str]:
        """Operations that the next cut would compile together."""
        if not self._tensors:
            return []
        text = self._xla._XLAC._get_xla_tensors_text(self._tensors)
        return [name for name in operations(text) if name not in DATA]

    def run(self, kernel: Any, operands: tuple[Any, ...]) -> Any:
        from torch_xla.core.xla_model import optimization_barrier_

        self._tensors.extend(operands)
        self.graphs.append([*self.pending(), KERNEL])
        done = SIMULATE(kernel)(*(x.cpu().numpy() for x in operands))
        results = [self.put(np.array(x)) for x in (done if isinstance(done, tuple) else (done,))]
        self._xla.sync()  # what the copies left: they are no part of the kernel
        optimization_barrier_(results)
        self.launches += 1
        self._tensors.extend(results)
        return tuple(results) if isinstance(done, tuple) else results[0]

    def cut(self, *tensors: Any) -> None:
        self.graphs.append(self.pending())
        super().cut(*tensors)


class WithoutCuts(DeviceRunner):
    """A runner that forgot to cut the graph."""

    def __call__(self, kernel: Any, *operands: Any) -> Any:
        put = self._device.put
        tensors = [put(x) if isinstance(x, np.ndarray) else x.contiguous() for x in operands]
        return self._device.run(kernel, tuple(tensors))


@pytest.fixture
def device(monkeypatch: Any) -> Iterator[LazyDevice]:
    if os.environ.get("PJRT_DEVICE") != "CPU":
        pytest.fail("set PJRT_DEVICE=CPU: see the head of this file")
    import torch
    import torch_xla

    monkeypatch.setattr("dfmp2.workflow.compute.place_stages", lambda *_: Placement({}, {}))
    monkeypatch.setattr(Placement, "__str__", lambda self: "all on the device")
    yield LazyDevice(torch, torch_xla)
    torch_xla.sync()


def pipeline(selection: Selection, fused: bool) -> Outcome:
    from dfmp2.runfile.checkpoint import Checkpoint
    from tests.systems import mean_field, prepared

    precision = "auto" if selection.is_nki else "fp64"
    mf = mean_field("water", "sto-3g")
    problem = prepared(mf, selection, precision, auxbasis="6-31g", fused=fused)
    problem = replace(problem, plan=replace(problem.plan, aux_block=7, occ_block=3, nki_block=3))
    return _Calculation(problem, Checkpoint(None, 5), lambda *_: None).run()


def on_device(device: LazyDevice, fused: bool, runner: type[DeviceRunner]) -> Outcome:
    return pipeline(Selection(NkiBackend(runner(device)), "a test"), fused)


FUSED = pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])


@FUSED
def test_each_kernel_has_its_own_graph(device: LazyDevice, fused: bool) -> None:
    found = on_device(device, fused, DeviceRunner)
    expected = pipeline(Selection(TorchBackend("cpu"), "a test"), fused)
    assert abs(found.e_os.sum() - expected.e_os.sum()) <= 1e-6
    assert abs(found.e_ss.sum() - expected.e_ss.sum()) <= 1e-6
    assert device.launches > 3
    with_kernel = [graph for graph in device.graphs if KERNEL in graph]
    assert with_kernel == [[KERNEL]] * (2 * device.launches)  # seen at the launch and at its cut


@FUSED
def test_a_missing_cut_is_seen(device: LazyDevice, fused: bool) -> None:
    """The test above fails where cuts are missing: two kernels are pending at once."""
    on_device(device, fused, WithoutCuts)
    assert max(graph.count(KERNEL) for graph in device.graphs) > 1


def test_views_that_are_left_out_of_a_cut_are_seen(device: LazyDevice, monkeypatch: Any) -> None:
    """A slice in a kernel's graph would have it compiled again for each offset."""
    cut = device.cut
    monkeypatch.setattr(device, "cut", lambda *tensors: cut())
    on_device(device, True, DeviceRunner)
    with_kernel = [graph for graph in device.graphs if KERNEL in graph]
    assert any(graph != [KERNEL] for graph in with_kernel)
    assert all(graph.count(KERNEL) == 1 for graph in with_kernel)


def test_a_cut_executes_what_is_pending(device: LazyDevice) -> None:
    """The text that these tests read does show pending work, and a cut does end it."""
    x = device.put(np.ones(3, dtype=np.float32)) * 2
    device._tensors.append(x)
    assert device.pending() == ["aten::mul"]
    device.cut()
    assert device.pending() == []
    assert device.holds(x)
    np.testing.assert_array_equal(device.get(x), np.full(3, 2.0))

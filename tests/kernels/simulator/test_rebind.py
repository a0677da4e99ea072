"""A kernel written against AWS's package runs here by name, with its helpers."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.simulator import SimulatorError, simulate, trace
from dfmp2.kernels.simulator.rebind import bind, plain_function

SOURCE = """
def double(x):
    nisa.tensor_tensor(dst=x, data1=x, data2=x, op=nl.add)
    return x

def kernel(x):
    out = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.shared_hbm)
    tile = nl.ndarray(x.shape, dtype=nl.float32, buffer=nl.sbuf)
    nisa.dma_copy(dst=tile, src=x)
    nisa.dma_copy(dst=out, src=helpers.double(double(tile)))
    assert named(out) == nl.shared_hbm
    return out

def named(t):
    return t.buffer
"""


class AwsKernel:
    """A replacement of AWS's decorated kernel: an object that holds the function."""

    def __init__(self, fn: FunctionType) -> None:
        self.fn = fn


@pytest.fixture
def aws_kernel(monkeypatch: Any) -> Any:
    """A kernel whose globals are a foreign `nki` package."""
    modules = {name: ModuleType(name) for name in ("nki", "nki.isa", "nki.language")}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    scope = {
        "nki": modules["nki"],
        "nisa": modules["nki.isa"],
        "nl": modules["nki.language"],
        "__name__": "foreign.kernels",
    }
    exec(SOURCE, scope)
    helpers = ModuleType("foreign.helpers")
    vars(helpers)["double"] = scope["double"]
    scope["helpers"] = helpers
    return AwsKernel(scope["kernel"])  # type: ignore[arg-type]


def test_foreign_kernel_runs_here(aws_kernel: Any, monkeypatch: Any) -> None:
    x = np.arange(32, dtype=np.float32).reshape(4, 8)
    # exec leaves no source file; the subset check has its own tests.
    monkeypatch.setattr("dfmp2.kernels.simulator.runner.check_subset", lambda f: None)
    assert np.array_equal(simulate(aws_kernel)(x), 4 * x)
    assert trace(aws_kernel, x).program["vector", "nisa.tensor_tensor"] == 2


def test_originals_stay_as_they_are(aws_kernel: Any) -> None:
    function = plain_function(aws_kernel)
    before = dict(function.__globals__)
    assert bind(function) is not function
    assert bind(function) is bind(function)
    assert function.__globals__ == before


def test_names_imported_from_the_package_are_bound(aws_kernel: Any) -> None:
    def ndarray(shape: Any, dtype: Any) -> Any:
        raise AssertionError("AWS's function was called")

    ndarray.__module__ = "nki.language"
    scope: dict[str, Any] = {"ndarray": ndarray, "__name__": "foreign.kernels"}
    exec("def kernel(x):\n    ndarray(x.shape, x.dtype)\n", scope)
    simulate(scope["kernel"])(np.ones((4, 8), np.float32))


def test_something_that_holds_no_function_is_refused() -> None:
    with pytest.raises(SimulatorError, match="int holds no Python function"):
        simulate(3)

"""Launches of NKI kernels complete, by the provenance: a right energy alone proves nothing.

Another project published times of a CPU as a NeuronCore's for three releases: every launch
raised, torch did the work, and all tests of the numbers passed.
"""

from __future__ import annotations

from typing import Any

import pytest

from dfmp2 import DFMP2
from dfmp2.backends.selection import select
from dfmp2.errors import BackendUnavailable, KernelError
from dfmp2.results.result import Result
from tests.conftest import BACKENDS
from tests.played import PlayedDevice, play
from tests.systems import mean_field, pyscf_mp2

FUSED = {"ao2mo", "trsm", "pair_energy"}
UNFUSED = {"ao2mo", "trsm", "syrk", "batched_gemm", "mp2_energy"}


@pytest.fixture(autouse=True)
def _required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFMP2_USE_SIMULATOR", raising=False)
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")


def run(backend: str, device: str | None, **attributes: Any) -> Result:
    calculation = DFMP2(mean_field("water")).set(backend=backend, device=device, **attributes)
    calculation.run()
    assert calculation.result is not None
    return calculation.result


def assert_launches_completed(result: Result, mode: str, operations: set[str]) -> None:
    provenance = result.provenance
    assert provenance.failures == []
    assert {row.operation for row in provenance.operations} == operations
    for row in provenance.operations:
        assert (row.where.backend, row.where.mode) == ("nki", mode), row
        assert row.calls > 0
        assert row.fallbacks == 0
        assert row.dtype == "float32"
        assert row.seconds > 0
        assert row.flops > 0


@pytest.mark.parametrize("fused", [True, False])
def test_launches_complete(kernel_backend: str, fused: bool) -> None:
    row = BACKENDS[kernel_backend]
    result = run(*row.asked, fused=fused)
    assert_launches_completed(result, row.mode, FUSED if fused else UNFUSED)
    assert abs(result.e_corr - pyscf_mp2(mean_field("water")).e_corr) < 1e-6


def test_tensors_are_where_the_provenance_says(kernel_backend: str) -> None:
    """On a device, operands and results are tensors of that device, not of the CPU."""
    import numpy as np

    row = BACKENDS[kernel_backend]
    chosen = select(*row.asked).backend
    x = chosen.asarray(np.eye(4))
    product = chosen.gemm(x, x)
    for tensor in (x, product):
        if row.mode == "device":
            assert tensor.device.type in ("neuron", "xla")
        else:
            assert isinstance(tensor, np.ndarray)


# That the test above can fail: the ways in which work has been done elsewhere.


def test_work_of_torch_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DFMP2_REQUIRE_NKI")
    result = run("pytorch", "cpu")
    with pytest.raises(AssertionError):
        assert_launches_completed(result, "device", FUSED)


def test_a_simulator_is_no_device() -> None:
    with pytest.raises(AssertionError):
        assert_launches_completed(run("simulator", "bundled"), "device", FUSED)


def test_launches_that_raise_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in that project: the device library is not found, at every launch."""
    play(monkeypatch, PlayedDevice(FileNotFoundError("libneuronpjrt-path")))
    for backend in ("auto", "nki"):
        with pytest.raises(KernelError, match="libneuronpjrt-path"):
            run(backend, None)


def test_a_played_device_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device's row of the test, with the launches themselves simulated."""
    device = PlayedDevice()
    play(monkeypatch, device)
    result = run("nki", None)
    assert_launches_completed(result, "device", FUSED)
    assert device.fault.launches >= len(FUSED)


@pytest.mark.parametrize("backend", ["auto", "pytorch"])
def test_torch_is_refused(backend: str) -> None:
    with pytest.raises(BackendUnavailable, match="DFMP2_REQUIRE_NKI"):
        run(backend, "cpu")

"""Launches: their order and cuts, what they raise, and what a failed one leaves behind."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dfmp2.backends.nki
from dfmp2 import NkiFallbackWarning
from dfmp2.backends.compiled import compiled_before
from dfmp2.backends.launching import DeviceRunner, SimulatorRunner, device_operation, overwrite
from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.selection import Selection
from dfmp2.backends.torch import TorchBackend
from dfmp2.errors import DeviceLostError, KernelError
from dfmp2.kernels.limits import INSTRUCTIONS
from dfmp2.precision.estimate import Placement
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.workflow.compute import _Calculation
from dfmp2.workflow.labels import Outcome
from tests.backends.fakes import FakeDevice, Fault
from tests.systems import ROOT, mean_field, prepared

pytestmark = pytest.mark.usefixtures("small_auxbasis")

ENERGY = 1e-6
"""Hartree: the accuracy that float32 is placed for."""


class WithoutCuts(DeviceRunner):
    """A runner that forgot to cut the graph."""

    def __call__(self, kernel: Any, *operands: Any) -> Any:
        put = self._device.put
        tensors = [put(x) if isinstance(x, np.ndarray) else x.contiguous() for x in operands]
        return self._device.run(kernel, tuple(tensors))


class CutsOnlyAfter(WithoutCuts):
    """A runner that lets what prepared the operands share the graph of the kernel."""

    def __call__(self, kernel: Any, *operands: Any) -> Any:
        result = super().__call__(kernel, *operands)
        self._device.cut()
        return result


NVIR = 2
"""Virtual orbitals of water in STO-3G."""


def computed(selection: Selection, precision: str, fused: bool = True) -> Outcome:
    """Water in blocks so small that each stage takes several calls."""
    mf = mean_field("water", "sto-3g")
    problem = prepared(mf, selection, precision, auxbasis="6-31g", fused=fused)
    problem = replace(problem, plan=replace(problem.plan, aux_block=7, occ_block=3, nki_block=3))
    return _Calculation(problem, Checkpoint(None, 5), lambda *_: None).run()


@pytest.fixture
def small_launches(monkeypatch: Any) -> None:
    """Let one operation take several launches, as large molecules do."""
    monkeypatch.setattr(dfmp2.backends.nki, "RIGHT_HAND_SIDES", 2 * NVIR)
    monkeypatch.setattr("dfmp2.kernels.launch.INSTRUCTIONS", dict.fromkeys(INSTRUCTIONS, 40))


@pytest.fixture(autouse=True)
def _all_on_the_device(monkeypatch: Any) -> None:
    """The precision's estimate has tests of its own."""
    monkeypatch.setattr("dfmp2.workflow.compute.place_stages", lambda *_: Placement({}, {}))
    monkeypatch.setattr(Placement, "__str__", lambda self: "all on the device")


def pipeline(device: FakeDevice, fused: bool, runner: type[DeviceRunner] = DeviceRunner) -> Outcome:
    """The whole pipeline on a device, as `auto` runs it."""
    selection = Selection(NkiBackend(runner(device)), "a test", TorchBackend("cpu"), True)
    return computed(selection, "auto", fused)


@cache
def exact() -> Outcome:
    return computed(Selection(TorchBackend("cpu"), "a test"), "fp64")


def assert_exact(found: Outcome, tolerance: float = ENERGY) -> None:
    np.testing.assert_allclose(found.energies, exact().energies, rtol=0, atol=tolerance)


FUSED = pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])


# Order


def shared(device: FakeDevice) -> list[list[str]]:
    """Graphs that hold a kernel beside anything else."""
    graphs = [[name for _, name in graph] for graph in device.graphs() if _kernels(graph)]
    return [graph for graph in graphs if len(graph) > 1]


def _kernels(graph: list[tuple[str, str]]) -> list[str]:
    return [name for kind, name in graph if kind == "run"]


@FUSED
@pytest.mark.usefixtures("small_launches")
def test_no_two_launches_share_a_graph(fused: bool) -> None:
    """From AO->MO to energies, each kernel is alone in its graph: not even a slice is with it."""
    device = FakeDevice()
    assert_exact(pipeline(device, fused))
    launched = {name for kind, name in device.log if kind == "run"}
    assert launched == {"ao2mo_kernel", "trsm_kernel"} | (
        {"pair_energy_kernel"}
        if fused
        else {"syrk_kernel", "packed_gemm_kernel", "mp2_energy_kernel"}
    )
    assert len([1 for kind, _ in device.log if kind == "run"]) > 15
    assert any(kind == "op" for kind, _ in device.log)
    assert shared(device) == []


@FUSED
@pytest.mark.usefixtures("small_launches")
def test_a_missing_cut_is_seen(fused: bool) -> None:
    """The test above fails where cuts are missing."""
    device = FakeDevice()
    assert_exact(pipeline(device, fused, WithoutCuts))
    assert any(len(_kernels(graph)) > 1 for graph in device.graphs())
    device = FakeDevice()
    assert_exact(pipeline(device, fused, CutsOnlyAfter))
    assert all(len(_kernels(graph)) <= 1 for graph in device.graphs())
    assert shared(device)


@FUSED
@pytest.mark.usefixtures("small_launches")
def test_tensors_stay_on_the_device(fused: bool) -> None:
    """Until the energies, nothing is read back; then once per launch that made any."""
    device = FakeDevice()
    pipeline(device, fused)
    makers = {"pair_energy_kernel", "mp2_energy_kernel"}
    launch = ""
    reads = []
    for kind, name in device.log:
        if kind == "run":
            launch = name
        elif kind == "get":
            reads.append(launch)
    assert set(reads) <= makers
    assert len(reads) == sum(kind == "run" and name in makers for kind, name in device.log)


def test_each_launch_is_put_cut_run_cut() -> None:
    device = FakeDevice()
    runner = DeviceRunner(device)
    a = runner.put(np.ones((128, 8), dtype=np.float32))
    device.log.clear()
    c = runner(_gemm_kernel(), a, np.ones((128, 16), dtype=np.float32))
    assert [kind for kind, _ in device.log if kind != "op"] == ["put", "cut", "run", "cut"]
    assert device.holds(c)
    np.testing.assert_array_equal(runner.get(c), np.full((8, 16), 128.0))
    assert list(runner.programs.values()) == [1]
    assert compiled_before(device.name) == set(runner.programs)


def _gemm_kernel() -> Any:
    from dfmp2.kernels.gemm import gemm_kernel

    return gemm_kernel


# Failures


@cache
def launches(fused: bool) -> tuple[str, ...]:
    """The kernel of each launch, in their order."""
    device = FakeDevice()
    pipeline(device, fused)
    names = tuple(name for kind, name in device.log if kind == "run")
    assert len(names) == device.fault.launches > 15
    return names


def numbers(fused: bool, which: str, step: int = 1) -> list[int]:
    """Launches to fail, counted from 1: all by steps, or the first and the last of each kernel."""
    names = launches(fused)
    if which == "all":
        return list(range(1, len(names) + 1, step))
    last = {name: number for number, name in enumerate(names, 1)}
    return sorted({names.index(name) + 1 for name in names} | set(last.values()))


ALL = pytest.mark.parametrize(
    "which", [pytest.param("all", marks=pytest.mark.slow), "first and last"]
)


def assert_honest(outcome: Outcome, device: FakeDevice) -> None:
    """What is filed as the device's cannot be more than the device was asked for."""
    launched = {
        name.removesuffix("_kernel").replace("packed", "batched")
        for kind, name in device.log
        if kind == "run"
    }
    rows = outcome.provenance.operations
    assert {row.operation for row in rows if row.where.mode == "device"} <= launched
    assert all(row.fallbacks == row.calls for row in rows if row.where.backend == "pytorch")
    failed = sum(failure.count for failure in outcome.provenance.failures)
    assert sum(row.fallbacks for row in rows) == failed


@FUSED
@ALL
@pytest.mark.usefixtures("small_launches")
def test_a_failure_at_any_launch_leaves_the_energy_right(fused: bool, which: str) -> None:
    """No operation may have changed its inputs when a later launch of it raises."""
    operations = set()
    for number in numbers(fused, which):
        device = FakeDevice(Fault("raise", number))
        with pytest.warns(NkiFallbackWarning) as caught:
            outcome = pipeline(device, fused)
        assert len(caught) == 1, number
        assert_exact(outcome)
        assert_honest(outcome, device)
        (failure,) = outcome.provenance.failures
        assert failure.count == 1
        operations.add(failure.operation)
    assert operations == {"ao2mo", "trsm"} | (
        {"pair_energy"} if fused else {"syrk", "batched_gemm", "mp2_energy"}
    )


@FUSED
@ALL
@pytest.mark.parametrize("kind", ["lost", "unreadable"])
@pytest.mark.usefixtures("small_launches")
def test_a_device_lost_at_any_launch_leaves_the_energy_right(
    fused: bool, kind: str, which: str
) -> None:
    for number in numbers(fused, which, 3 if fused else 5):
        device = FakeDevice(Fault(kind, number))
        with pytest.warns(NkiFallbackWarning) as caught:
            outcome = pipeline(device, fused)
        assert "torch computes the rest" in str(caught[-1].message)
        assert_exact(outcome, 1e-13)
        assert {row.where.backend for row in outcome.provenance.operations} == {"pytorch"}
        assert outcome.precision == "fp64"
        failures = outcome.provenance.failures
        assert len(caught) == len(failures)
        assert failures[-1].operation == "everything"


@pytest.mark.parametrize("operation", ["put", "get", "cut"])
def test_a_seam_that_fails_is_no_crash(operation: str, monkeypatch: Any) -> None:
    """Each of the seam's functions may raise what it likes: torch computes the rest."""
    device = FakeDevice()
    calls = 0
    real = getattr(device, operation)

    def broken(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= 3 or operation == "get":
            device.fault.lost = True
            raise OSError("PCIe")
        return real(*arguments)

    monkeypatch.setattr(device, operation, broken)
    if operation == "get":
        device.fault.kind, device.fault.at = "raise", 2  # torch must read the operands
    with pytest.warns(NkiFallbackWarning) as caught:
        outcome = pipeline(device, True)
    assert "torch computes the rest" in str(caught[-1].message)
    assert_exact(outcome, 1e-13)


def test_a_result_that_cannot_be_written_back() -> None:
    """`trsm` writes B after its launches: where that fails half-way, B is good for nothing."""
    device = FakeDevice()
    backend = NkiBackend(DeviceRunner(device))
    b = backend.asarray(np.ones((2, 4, 3)))
    written = 0
    real = type(b).__torch_function__.__func__

    def half(cls: Any, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        nonlocal written
        if function.__name__ == "__setitem__" and args[0] is b:
            written += 1
            raise RuntimeError("half-way")
        return real(cls, function, types, args, kwargs)

    type(b).__torch_function__ = classmethod(half)
    with pytest.raises(DeviceLostError, match="trsm: RuntimeError: half-way"):
        backend.trsm(np.eye(4), b)
    assert written == 1


# What a runner makes of errors


def raising(error: Exception) -> Any:
    def kernel(*_: Any) -> Any:
        raise error

    return kernel


class Odd(Exception):
    """No relation of any error that could be foreseen."""


@pytest.mark.parametrize("error", [RuntimeError("x"), ValueError("x"), Odd("x"), MemoryError("x")])
def test_whatever_a_kernel_raises_is_a_kernel_error(error: Exception) -> None:
    runner = SimulatorRunner(lambda kernel: kernel, "a test")
    with pytest.raises(KernelError, match=f"^kernel: {type(error).__name__}: x$") as raised:
        runner(raising(error))
    assert raised.value.__cause__ is error
    assert raised.value.exit_code == 7
    assert not isinstance(raised.value, DeviceLostError)
    assert not runner.programs


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_the_user_may_interrupt(error: BaseException) -> None:
    runner = SimulatorRunner(lambda kernel: kernel, "a test")
    with pytest.raises(type(error)):
        runner(raising(error))  # type: ignore[arg-type]


def test_errors_outside_a_launch() -> None:
    @device_operation
    def gemm() -> None:
        raise RuntimeError("when a slice was taken")

    with pytest.raises(DeviceLostError, match=r"^gemm: RuntimeError: when a slice was taken$"):
        gemm()
    with pytest.raises(DeviceLostError, match=r"^overwrite: "):
        overwrite(np.zeros(3), np.zeros(4))


def test_copies_that_fail_are_a_lost_device() -> None:
    device = FakeDevice()
    runner = DeviceRunner(device)
    x = runner.put(np.ones(3, dtype=np.float32))
    device.fault.lost = True
    with pytest.raises(DeviceLostError, match=r"^copy to the device: RuntimeError: NRT_EXEC_HW"):
        runner.put(np.ones(3))
    with pytest.raises(DeviceLostError, match=r"^copy from the device: RuntimeError: NRT_EXEC_HW"):
        runner.get(x)


@pytest.mark.parametrize("several", [False, True], ids=["one output", "a tuple"])
def test_an_output_on_the_host_is_refused(several: bool) -> None:
    device = FakeDevice()

    def run(kernel: Any, operands: Any) -> Any:
        return (operands[0], torch.ones(2)) if several else torch.ones(2)

    device.run = run  # type: ignore[method-assign]
    runner = DeviceRunner(device)
    with pytest.raises(KernelError, match="its output is not on trn2 NeuronCore"):
        runner(_gemm_kernel(), np.ones(2, dtype=np.float32))
    assert not runner.programs


def test_warnings_as_errors_stop_a_fallback(small_launches: None) -> None:
    """Who turns warnings into errors gets no energy."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(NkiFallbackWarning):
            pipeline(FakeDevice(Fault("raise", 2)), True)


def test_rescue_needs_permission() -> None:
    """A host beside the device does precision's stages, and no more."""
    from dfmp2.results.provenance import Provenance

    fault = Fault("raise", 1)
    device = NkiBackend(DeviceRunner(FakeDevice(fault)))
    backend = RecordingBackend(device, Provenance(), TorchBackend("cpu"))
    with pytest.raises(KernelError, match="gemm_kernel"):
        backend.gemm(*(device.asarray(np.eye(2)) for _ in range(2)))
    assert backend.provenance.operations == []
    assert backend.provenance.failures == []


# House rules


def handlers(files: list[Path]) -> Iterator[tuple[str, str]]:
    """(module, what is caught) of each ``except`` and each ``suppress``."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ExceptHandler):
                yield file.stem, ast.unparse(node.type) if node.type else ""
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                yield file.stem, ", ".join(ast.unparse(x) for x in node.args)


def sources() -> list[Path]:
    package = [p for p in (ROOT / "dfmp2").rglob("*.py") if "dfmp2/kernels/" not in str(p)]
    return [*package, *(ROOT / "kernels").rglob("*.py")]


def test_at_most_two_broad_excepts() -> None:
    names = {"", "Exception", "BaseException"}
    broad = [
        (module, caught)
        for module, caught in handlers(sources())
        if names & {name.strip(" ()").split(".")[-1] for name in caught.split(",")}
    ]
    assert ("launching", "Exception") in broad
    assert len(broad) <= 2, broad


@pytest.mark.parametrize(
    "source",
    ["try: f()\nexcept: pass", "try: f()\nexcept (OSError, Exception): pass",
     "with contextlib.suppress(BaseException): f()"],
)  # fmt: skip
def test_broad_excepts_are_found_in_any_form(source: str, tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(source)
    ((module, caught),) = handlers([file])
    assert module == "module"
    parts = {name.strip(" ()") for name in caught.split(",")}
    assert parts & {"", "Exception", "BaseException"}

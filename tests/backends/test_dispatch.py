"""The truth table: what does the work, and what is said, warned, raised and recorded about it.

{auto, pytorch, nki, simulator} x five states of nki on the machine x the two environment variables
x what happens to the kernels. Only the device and the installed package are played.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

import pytest

from dfmp2 import DFMP2, NkiFallbackWarning
from dfmp2.backends.selection import set_backend
from dfmp2.errors import BackendUnavailable, DeviceLostError, InputError, KernelError
from dfmp2.precision.estimate import Placement, place_stages
from tests.backends.fakes import (
    NO_DEVICE,
    VERSIONS,
    FakeDevice,
    Fault,
    attach,
    break_simulator,
    install,
)
from tests.systems import mean_field, reference_of

pytestmark = pytest.mark.usefixtures("small_auxbasis")

TABLE = """
asked      USE_SIMULATOR  none       placeholder  old        no-device  device
auto       unset          cpu        cpu          cpu        cpu        device
auto       set            bundled    bundled      bundled    aws        aws
pytorch    unset          cpu        cpu          cpu        cpu        cpu
pytorch    set            cpu        cpu          cpu        cpu        cpu
nki        unset          error      error        error      error      device
nki        set            bundled    bundled      bundled    aws        aws
simulator  unset          bundled    bundled      bundled    aws        aws
simulator  set            bundled    bundled      bundled    aws        aws
"""
"""Who does the work. With DFMP2_REQUIRE_NKI set, "cpu" is an error, too."""

STATES = tuple(VERSIONS)
ROWS = [line.split() for line in TABLE.split("\n")[2:-1]]
WORKER = {
    (asked, simulate == "set", state): worker
    for asked, simulate, *workers in ROWS
    for state, worker in zip(STATES, workers, strict=True)
}
FAULTS = ("none", "raise", "lost")

WHERE = {
    "device": ("nki", "device", FakeDevice.name),
    "bundled": ("nki", "simulator", "bundled simulator of "),
    "aws": ("nki", "simulator", "AWS nki.simulate 0.4.0 on the CPU"),
    "cpu": ("pytorch", "cpu", ""),
}
"""Backend, mode and the beginning of the device's name."""

WHY_NOT_NKI = {
    "none": "the package nki is not installed",
    "placeholder": "nki 0.0.1 is installed, 0.3.0 is needed (0.0.1 is the public registry's "
    "placeholder; AWS's package comes from its Neuron repository)",
    "old": "nki 0.2.9 is installed, 0.3.0 is needed",
    "no-device": NO_DEVICE,
}

OPERATIONS = {"ao2mo", "trsm", "pair_energy"}

ENERGY = 1e-6
"""Hartree: the accuracy that float32 was placed for."""

FAULTY_LAUNCH = 2
"""The metric solve of a run with one launch per operation."""


@pytest.fixture(autouse=True)
def _first_default() -> Iterator[None]:
    set_backend("auto")
    yield
    set_backend("auto")


@cache
def water() -> Any:
    return mean_field("water", "sto-3g")


def calculation() -> DFMP2:
    """Water with a fitting basis that is too small for anything but a fast simulation."""
    return DFMP2(water(), auxbasis="6-31g")


@cache
def exact() -> float:
    return float(calculation().set(backend="pytorch", device="cpu").run().e_corr)


@cache
def placed() -> Placement:
    """The estimate of the real code, which takes longer than the run and is the same for all."""
    from dfmp2.fitting.auxbasis import choose_auxbasis

    mol = water().mol
    aux = choose_auxbasis(mol, "6-31g")
    return place_stages(reference_of(water()), aux, 1e-6)


class Machine:
    """One row's machine: environment, package, device and fault."""

    def __init__(self, monkeypatch: Any, site: Any, state: str, fault: str = "none") -> None:
        self.monkeypatch = monkeypatch
        self.fault = Fault(fault, FAULTY_LAUNCH)
        self.device = FakeDevice(self.fault)
        install(monkeypatch, site, state)
        attach(monkeypatch, self.device if state == "device" else None)
        break_simulator(monkeypatch, self.fault)
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        for variable in ("DFMP2_REQUIRE_NKI", "DFMP2_USE_SIMULATOR"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setattr("dfmp2.workflow.compute.place_stages", lambda *_: placed())

    def environment(self, require: bool, simulate: bool) -> None:
        if require:
            self.monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
        if simulate:
            self.monkeypatch.setenv("DFMP2_USE_SIMULATOR", "1")


def run(asked: str) -> tuple[DFMP2, list[str]]:
    """A run, and the texts of its fallback warnings; any other warning is an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", NkiFallbackWarning)
        mp = calculation().set(backend=asked).run()
    return mp, [str(w.message) for w in caught]


def assert_unavailable(asked: str, state: str, require: bool) -> None:
    with pytest.raises(BackendUnavailable) as raised:
        run(asked)
    message = str(raised.value)
    assert raised.value.exit_code == 7
    assert not isinstance(raised.value, KernelError)
    if asked != "pytorch":
        assert WHY_NOT_NKI[state] in message
    if asked == "nki":
        assert "--backend simulator" in message
        assert "DFMP2_USE_SIMULATOR=1" in message
        assert "--backend pytorch" in message
    else:
        assert require
        assert message.startswith("DFMP2_REQUIRE_NKI is set")
        assert "unset it, or use backend nki or simulator (--backend)" in message


def assert_fails(asked: str, worker: str, fault: str) -> None:
    mp = calculation().set(backend=asked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KernelError) as raised:
            mp.run()
    assert raised.value.exit_code == 7
    assert not isinstance(raised.value, DeviceLostError)
    cause = "NRT_EXEC_BAD_INPUT" if fault == "raise" else "NRT_EXEC_HW_ERR"
    assert f"trsm_kernel: RuntimeError: {cause}" in str(raised.value)
    assert "use backend pytorch (--backend pytorch), or auto without DFMP2_REQUIRE_NKI" in str(
        raised.value
    )
    assert mp.result is None
    with pytest.raises(AttributeError, match="the energies do not exist"):
        _ = mp.e_corr


def places(mp: DFMP2) -> dict[str, set[tuple[str, str]]]:
    """Backend and mode of each operation in the provenance."""
    found: dict[str, set[tuple[str, str]]] = {}
    for row in mp.result.provenance.operations:
        assert row.calls > 0
        found.setdefault(row.operation, set()).add((row.where.backend, row.where.mode))
    return found


def assert_works(mp: DFMP2, told: list[str], worker: str, asked: str) -> None:
    backend, mode, name = WHERE[worker]
    provenance = mp.result.provenance
    assert told == []
    assert provenance.failures == []
    assert places(mp) == {operation: {(backend, mode)} for operation in OPERATIONS}
    assert {row.dtype for row in provenance.operations} == (
        {"float64"} if worker == "cpu" else {"float32"}
    )
    assert all(row.where.device.startswith(name) for row in provenance.operations)
    assert all(row.fallbacks == 0 for row in provenance.operations)
    assert provenance.device_line() == str(provenance.operations[0].where)
    assert provenance.reason.startswith(f"backend {asked}: ")


def assert_rescued(mp: DFMP2, told: list[str], worker: str) -> None:
    """One operation went to torch, and everything says so."""
    backend, mode, _ = WHERE[worker]
    provenance = mp.result.provenance
    expected = {operation: {(backend, mode)} for operation in OPERATIONS}
    expected["trsm"] = {WHERE["cpu"][:2]}
    assert places(mp) == expected
    assert {row.operation: row.fallbacks for row in provenance.operations} == {
        "ao2mo": 0, "trsm": 1, "pair_energy": 0,
    }  # fmt: skip
    error = "trsm_kernel: RuntimeError: NRT_EXEC_BAD_INPUT"
    (text,) = told
    assert text == (
        f"trsm: torch does this operation, because the NKI kernel failed ({error}); set "
        "DFMP2_REQUIRE_NKI=1 to make this an error"
    )
    (failure,) = provenance.failures
    assert (failure.operation, failure.error, failure.count) == ("trsm", error, 1)
    assert provenance.device_line().endswith(f"; FELL BACK to torch 1 times (trsm: {error})")
    assert f"({backend}, {mode})" in provenance.device_line()
    assert "(pytorch, cpu)" in provenance.device_line()


def assert_each_rescued(mp: DFMP2, told: list[str], worker: str) -> None:
    """A simulator that fails for good has nothing to lose: what it did stays, torch does the rest.

    The metric solve and the pair energies fail with different messages: two warnings.
    """
    expected = {operation: {WHERE["cpu"][:2]} for operation in OPERATIONS}
    expected["ao2mo"] = {WHERE[worker][:2]}
    assert places(mp) == expected
    assert len(told) == 2
    assert [f.operation for f in mp.result.provenance.failures] == ["trsm", "pair_energy"]
    assert "FELL BACK to torch 2 times" in mp.result.provenance.device_line()


def assert_computed_again(mp: DFMP2, told: list[str]) -> None:
    """The device is gone: no row may claim that it did anything."""
    provenance = mp.result.provenance
    assert places(mp) == {operation: {WHERE["cpu"][:2]} for operation in OPERATIONS}
    assert {row.dtype for row in provenance.operations} == {"float64"}
    assert mp.result.settings["precision"] == "fp64"
    assert "fp32" not in mp.result.labels["precision"]
    assert len(told) == len(provenance.failures) == len(set(told)) == 2
    assert told[-1].startswith("the device was lost, torch computes the rest (copy from")
    assert [f.operation for f in provenance.failures] == ["trsm", "everything"]
    line = provenance.device_line()
    where, fell_back = line.split("; FELL BACK to torch 2 times ")
    assert where == str(provenance.operations[0].where)
    assert "NRT_EXEC_HW_ERR" in fell_back
    assert FakeDevice.name not in where


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("require", [False, True], ids=["", "require"])
@pytest.mark.parametrize("simulate", [False, True], ids=["", "simulate"])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("asked", ["auto", "pytorch", "nki", "simulator"])
def test_truth_table(
    monkeypatch: Any,
    tmp_path: Any,
    asked: str,
    state: str,
    simulate: bool,
    require: bool,
    fault: str,
) -> None:
    expected_energy = exact()
    machine = Machine(monkeypatch, tmp_path, state, fault)
    machine.environment(require, simulate)
    worker = WORKER[asked, simulate, state]
    if worker == "error" or (worker == "cpu" and require):
        assert_unavailable(asked, state, require)
        assert machine.fault.launches == 0
        return
    if fault != "none" and worker != "cpu" and (asked != "auto" or require):
        assert_fails(asked, worker, fault)
        return
    mp, told = run(asked)
    assert abs(mp.e_corr - expected_energy) <= (1e-12 if worker == "cpu" else ENERGY)
    if fault == "none" or worker == "cpu":
        assert_works(mp, told, worker, asked)
    elif fault == "raise":
        assert_rescued(mp, told, worker)
    elif worker == "device":
        assert_computed_again(mp, told)
    else:
        assert_each_rescued(mp, told, worker)
    if worker == "cpu":
        assert machine.fault.launches == 0
    if asked == "auto" and worker == "cpu":
        assert WHY_NOT_NKI[state] in mp.result.provenance.reason


def test_table_is_complete() -> None:
    asked = ("auto", "pytorch", "nki", "simulator")
    assert set(WORKER) == set(product(asked, (False, True), STATES))


@pytest.mark.parametrize("asked", ["auto", "nki"])
def test_the_process_wide_default_counts(monkeypatch: Any, tmp_path: Any, asked: str) -> None:
    """set_backend decides as the name given to a run does, and the name wins over it."""
    Machine(monkeypatch, tmp_path, "device")
    set_backend(asked)
    mp = calculation().run()
    assert places(mp)["trsm"] == {("nki", "device")}
    set_backend("pytorch")
    assert places(calculation().set(backend=asked).run())["trsm"] == {("nki", "device")}


@pytest.mark.parametrize(("value", "on"), [("", False), ("0", False), ("1", True), ("yes", True),
                                             ("False", False), ("no", False)])  # fmt: skip
def test_values_of_the_variables(monkeypatch: Any, tmp_path: Any, value: str, on: bool) -> None:
    Machine(monkeypatch, tmp_path, "none")
    monkeypatch.setenv("DFMP2_USE_SIMULATOR", value)
    mode = "simulator" if on else "cpu"
    assert {m for where in places(run("auto")[0]).values() for _, m in where} == {mode}
    monkeypatch.delenv("DFMP2_USE_SIMULATOR")
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", value)
    if on:
        assert_unavailable("auto", "none", True)
    else:
        run("auto")


def test_a_value_that_is_neither_on_nor_off(monkeypatch: Any) -> None:
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "maybe")
    with pytest.raises(InputError, match="DFMP2_REQUIRE_NKI='maybe' is neither on nor off"):
        calculation().run()


def test_bundled_simulator_by_name_where_aws_is_installed(monkeypatch: Any, tmp_path: Any) -> None:
    machine = Machine(monkeypatch, tmp_path, "no-device")
    mp = calculation().set(backend="simulator", device="bundled").run()
    (where,) = {row.where for row in mp.result.provenance.operations}
    assert where.device.startswith("bundled simulator of ")
    assert machine.fault.launches == 0  # those of the simulator that stands for AWS's


@pytest.mark.parametrize("state", ["none", "placeholder", "old"])
def test_aws_simulator_by_name_where_it_is_missing(
    monkeypatch: Any, tmp_path: Any, state: str
) -> None:
    Machine(monkeypatch, tmp_path, state)
    with pytest.raises(BackendUnavailable) as raised:
        calculation().set(backend="simulator", device="aws").run()
    assert WHY_NOT_NKI[state] in str(raised.value)
    assert str(raised.value).endswith("use device bundled (--device bundled)")


def test_a_named_torch_device_is_not_replaced_by_neuron(monkeypatch: Any, tmp_path: Any) -> None:
    machine = Machine(monkeypatch, tmp_path, "device")
    mp = calculation().set(device="cpu").run()
    assert places(mp)["trsm"] == {("pytorch", "cpu")}
    assert "NKI not used: device 'cpu' was asked for" in mp.result.provenance.reason
    assert machine.device.log == []


def test_same_error_warns_once_and_is_counted(monkeypatch: Any, tmp_path: Any) -> None:
    """Unfused, mp2_energy is called nine times; all fail with one error."""
    machine = Machine(monkeypatch, tmp_path, "device")
    real = machine.device.run

    def broken(kernel: Any, operands: Any) -> Any:
        if kernel.__name__ == "mp2_energy_kernel":
            raise ValueError("no")
        return real(kernel, operands)

    machine.device.run = broken  # type: ignore[method-assign]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        mp = calculation().set(fused=False).run()
    assert len(caught) == 1
    (failure,) = mp.result.provenance.failures
    assert (failure.operation, failure.count) == ("mp2_energy", 9)
    assert "FELL BACK to torch 9 times" in mp.result.provenance.device_line()
    assert abs(mp.e_corr - exact()) <= ENERGY


def test_failures_survive_json(monkeypatch: Any, tmp_path: Any) -> None:
    from dfmp2.results.provenance import Provenance

    Machine(monkeypatch, tmp_path, "device", "raise")
    mp, _ = run("auto")
    provenance = mp.result.provenance
    again = Provenance.from_dict(provenance.to_dict())
    assert again == provenance
    assert again.device_line() == provenance.device_line()


def test_kernel_whose_output_is_elsewhere_did_not_run_on_the_device(
    monkeypatch: Any, tmp_path: Any
) -> None:
    """A kernel that quietly computed on the host must not be filed as the device's."""
    machine = Machine(monkeypatch, tmp_path, "device")
    real = machine.device.run

    def elsewhere(kernel: Any, operands: Any) -> Any:
        return real(kernel, operands).cpu()

    machine.device.run = elsewhere  # type: ignore[method-assign]
    mp, told = run("auto")
    assert {where for found in places(mp).values() for where in found} == {("pytorch", "cpu")}
    assert len(told) == 3
    assert all(f"its output is not on {FakeDevice.name}" in text for text in told)
    with pytest.raises(KernelError, match="its output is not on"):
        run("nki")


@pytest.mark.parametrize("asked", ["auto", "nki"])
def test_results_that_cannot_be_read(monkeypatch: Any, tmp_path: Any, asked: str) -> None:
    """An asynchronous error shows when a result is read, not at the launch."""
    machine = Machine(monkeypatch, tmp_path, "device")
    machine.fault.kind, machine.fault.at = "unreadable", 3
    if asked == "nki":
        with pytest.raises(DeviceLostError, match=r"pair_energy: .*COMPLETED_WITH_ERR.*; use "):
            run(asked)
        return
    mp, told = run(asked)
    assert abs(mp.e_corr - exact()) <= 1e-12
    assert {where for found in places(mp).values() for where in found} == {("pytorch", "cpu")}
    assert len(told) == 1
    assert [f.operation for f in mp.result.provenance.failures] == ["everything"]


def test_label_of_a_recomputed_run_is_what_computed_it(monkeypatch: Any, tmp_path: Any) -> None:
    Machine(monkeypatch, tmp_path, "device", "lost")
    with pytest.warns(NkiFallbackWarning):
        mp = calculation().set(precision="auto").run()
    assert mp.result.labels["precision"] == "fp64"
    assert abs(mp.e_corr - exact()) <= 1e-12


def test_long_errors_are_shortened(monkeypatch: Any, tmp_path: Any) -> None:
    machine = Machine(monkeypatch, tmp_path, "device")

    def compiler(kernel: Any, operands: Any) -> Any:
        raise RuntimeError("neuronx-cc failed:\n" + "line of a log\n" * 500)

    machine.device.run = compiler  # type: ignore[method-assign]
    with pytest.raises(KernelError) as raised:
        run("nki")
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400
    assert "ao2mo_kernel: RuntimeError: neuronx-cc failed: line of a log" in str(raised.value)

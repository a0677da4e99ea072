"""One calculation from request to result: combinations of options, and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2, NkiFallbackWarning
from dfmp2.backends.launching import DeviceRunner
from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.selection import Selection
from dfmp2.backends.torch import TorchBackend
from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.results.provenance import Where
from dfmp2.settings import Settings
from dfmp2.workflow.compute import _Calculation
from dfmp2.workflow.labels import Outcome
from dfmp2.workflow.prepare import choose
from tests.backends.fakes import FakeDevice, write_package
from tests.cli.common import dfmp2
from tests.systems import INPUTS, ROOT, mean_field


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: Any) -> None:
    for variable in ("DFMP2_REQUIRE_NKI", "DFMP2_USE_SIMULATOR"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def _temporary_list(monkeypatch: Any, tmp_path: Path) -> None:
    """Write the list of compiled programs to a temporary file, not to that of the user."""
    monkeypatch.setattr("dfmp2.backends.compiled.list_path", lambda: tmp_path / "programs.json")


def request(backend: str, precision: str | None = None, device: str | None = None) -> Settings:
    return Settings(backend=backend, device=device, precision=precision)


@pytest.mark.parametrize(
    ("backend", "precision", "expected"),
    [
        ("pytorch", None, "fp64"),
        ("pytorch", "fp64", "fp64"),
        ("pytorch", "auto", "auto"),
        ("pytorch", "fp32", "fp32"),
        ("simulator", None, "auto"),
        ("simulator", "auto", "auto"),
    ],
)
def test_precision_of_a_request(backend: str, precision: str | None, expected: str) -> None:
    device = "cpu" if backend == "pytorch" else None
    choice = choose(request(backend, precision, device))
    assert choice.precision == expected
    assert choice.selection.is_nki == (backend == "simulator")


@pytest.mark.parametrize("backend", ["pytorch", "simulator"])
def test_unknown_precision(backend: str) -> None:
    with pytest.raises(InputError, match="precision 'fp16' is unknown; choose one of fp64, fp32"):
        choose(request(backend, "fp16"))


def test_unknown_precision_is_reported_before_a_missing_backend(monkeypatch: Any) -> None:
    """The user can correct the precision at once, so this error comes first."""
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    with pytest.raises(InputError):
        choose(request("pytorch", "fp16"))
    with pytest.raises(BackendUnavailable):
        choose(request("pytorch"))


@pytest.mark.parametrize("device", ["cpu", "cuda", "trn1"])
def test_simulator_on_a_device_is_refused(device: str) -> None:
    with pytest.raises(
        InputError, match=f"device '{device}' is not a simulator; use bundled or aws"
    ):
        choose(request("simulator", device=device))


def test_refused_requests_compute_nothing(monkeypatch: Any) -> None:
    """They must be refused before any work is done."""

    def never(*_: Any) -> Outcome:
        raise AssertionError("computed")

    monkeypatch.setattr(DFMP2, "_solution", never)
    with pytest.raises(InputError):
        DFMP2(mean_field("water")).set(backend="simulator", precision="fp64").run()
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    with pytest.raises(BackendUnavailable):
        DFMP2(mean_field("water")).set(backend="pytorch").run()


def test_numpy_is_refused_where_it_cannot_compute(monkeypatch: Any) -> None:
    """Without it, a user could believe that NumPy computes what a GPU does."""
    gpu = TorchBackend("cpu")
    gpu.where = Where("pytorch", "cuda", "a GPU")
    monkeypatch.setattr("dfmp2.workflow.prepare.select", lambda *_: Selection(gpu, "a test"))
    with pytest.raises(InputError, match="blas numpy: this run is on a GPU"):
        choose(Settings(blas="numpy"))
    choose(Settings(blas="auto"))


def test_pair_energies_are_symmetric_and_all_computed() -> None:
    exact = DFMP2(mean_field("water")).set(backend="pytorch", device="cpu").run().result
    for fused in (True, False):
        mp = DFMP2(mean_field("water")).set(backend="simulator", fused=fused).run()
        for name in ("e_os_pairs", "e_ss_pairs"):
            pairs = getattr(mp.result, name)
            np.testing.assert_array_equal(pairs, pairs.T)
            np.testing.assert_allclose(pairs, getattr(exact, name), rtol=0, atol=1e-7)


def test_stages_on_host_and_device_in_any_split(monkeypatch: Any) -> None:
    """Every placement of the stages gives the same energy. B is not copied back from the device."""
    from dfmp2.precision.estimate import STAGES, Placement

    exact = DFMP2(mean_field("water")).set(backend="pytorch", device="cpu").run().e_corr
    for count in range(len(STAGES) + 1):
        placed = Placement(dict.fromkeys(STAGES, 0.0), dict.fromkeys(STAGES[:count], "a test"))
        monkeypatch.setattr("dfmp2.workflow.compute.place_stages", lambda *_, placed=placed: placed)
        device = FakeDevice()
        selection = Selection(NkiBackend(DeviceRunner(device)), "a test", TorchBackend("cpu"))
        monkeypatch.setattr("dfmp2.workflow.prepare.select", lambda *_, chosen=selection: chosen)
        mp = DFMP2(mean_field("water")).run()
        rows = {row.stage: row.where.mode for row in mp.result.provenance.operations}
        assert rows == {s: "cpu" if s in STAGES[:count] else "device" for s in STAGES}
        assert abs(mp.e_corr - exact) <= (1e-12 if count == 3 else 2e-7)
        if count == 3:
            assert "get" not in [kind for kind, _ in device.log]
            assert "device" not in mp.result.provenance.device_line()


def test_b_of_a_lost_device_is_freed(monkeypatch: Any) -> None:
    """B of the first attempt is freed before the second allocates its own: two might not fit."""
    import weakref

    from dfmp2.errors import DeviceLostError

    alive: list[weakref.ref[Any]] = []
    seen: list[bool] = []
    by_torch = _Calculation._by_torch

    class B:
        pass

    def by_nki(self: _Calculation, *_: Any) -> Outcome:
        b = B()
        alive.append(weakref.ref(b))
        raise DeviceLostError("gone")

    def again(self: _Calculation, *arguments: Any) -> Outcome:
        seen.append(alive[0]() is None)
        return by_torch(self, *arguments)

    monkeypatch.setattr(_Calculation, "_by_nki", by_nki)
    monkeypatch.setattr(_Calculation, "_by_torch", again)
    selection = Selection(
        NkiBackend(DeviceRunner(FakeDevice())), "a test", TorchBackend("cpu"), may_fall_back=True
    )
    monkeypatch.setattr("dfmp2.workflow.prepare.select", lambda *_: selection)
    with pytest.warns(NkiFallbackWarning, match="the device was lost"):
        DFMP2(mean_field("water")).run()
    assert seen == [True]


# The command line with an installed package


def command(site: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DFMP2_")}
    environment["PYTHONPATH"] = os.pathsep.join([str(site), str(ROOT)])
    water = str(INPUTS / "water.xyz")
    return subprocess.run(
        [sys.executable, "-m", "dfmp2", "run", water, "--basis", "sto-3g", "--quiet", *options],
        env={**environment, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_placeholder_package_on_the_command_line(tmp_path: Path) -> None:
    write_package(tmp_path, "0.0.1")
    done = command(tmp_path, "--backend", "nki")
    assert done.returncode == 7
    assert "nki 0.0.1 is installed, 0.3.0 is needed" in done.stderr
    assert "--backend simulator" in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4
    assert done.stdout == ""


def test_simulator_of_an_installed_package_on_the_command_line(tmp_path: Path) -> None:
    """The kernels must then use the decorator of the package, too."""
    write_package(tmp_path, "0.4.0")
    done = command(tmp_path, "--backend", "nki", "--json", "-",
                   DFMP2_USE_SIMULATOR="1", DFMP2_REQUIRE_NKI="1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    (rows,) = _found(result, "operations")
    assert {row["where"]["mode"] for row in rows} == {"simulator"}
    assert {row["where"]["device"] for row in rows} == {"AWS nki.simulate 0.4.0 on the CPU"}


def test_required_nki_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    done = dfmp2("run", INPUTS / "water.xyz", "--basis", "sto-3g", "--quiet", "--no-checkpoint")
    assert done.exit_code == 7
    assert "DFMP2_REQUIRE_NKI is set" in done.stderr
    assert done.stdout == ""


def _found(data: Any, key: str) -> list[Any]:
    """All values of `key`, at any depth."""
    if isinstance(data, list):
        return [x for item in data for x in _found(item, key)]
    if not isinstance(data, dict):
        return []
    here = [data[key]] if key in data else []
    return here + [x for value in data.values() for x in _found(value, key)]

"""examples/trainium: the scripts write evidence only of work that ran on a device."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dfmp2.kernels import registry
from dfmp2.kernels.nki import HAS_NKI
from tests.played import PlayedDevice, play
from tests.systems import ROOT

FOLDER = ROOT / "examples" / "trainium"
SCRIPTS = ("1_check_environment.sh", "2_kernel_tests.sh", "3_benchmark.py")
SHELL = sorted(FOLDER.glob("*.sh"))
without_device = pytest.mark.skipif(
    HAS_NKI or Path("/dev/neuron0").exists(), reason="there is a Neuron installation"
)


def run(
    script: str, *arguments: str, folder: Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    interpreter = "bash" if script.endswith(".sh") else sys.executable
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DFMP2_", "NEURON_"))}
    environment = {
        **clean, "VIRTUAL_ENV": str(Path(sys.executable).parents[1]), "PYTHONPATH": str(ROOT),
        "PATH": "/usr/bin:/bin", **variables,
    }  # fmt: skip
    return subprocess.run(
        [interpreter, str(FOLDER / script), *arguments],
        cwd=folder, capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip


def registry_files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in registry.EVIDENCE.iterdir()}


@pytest.mark.parametrize("path", SHELL, ids=lambda path: path.name)
def test_shell_syntax(path: Path) -> None:
    bash = shutil.which("bash")
    assert bash
    done = subprocess.run([bash, "-n", str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", SCRIPTS)
def test_settings_of_every_script(script: str) -> None:
    """The bin folder of the virtual environment is first on PATH, and NKI is required."""
    text = (FOLDER / script).read_text()
    if script.endswith(".sh"):
        assert text.startswith("#!/usr/bin/env bash\n")
        assert os.access(FOLDER / script, os.X_OK)
        assert "set -euo pipefail" in text
        assert text.index("/common.sh") < text.index("python")
        text = (FOLDER / "common.sh").read_text()
        assert 'PATH="$venv/bin:$PATH"' in text
    else:
        assert text.index('os.environ["PATH"]') < text.index("import numpy")
        assert "Path(sys.executable).parent" in text
    assert "DFMP2_REQUIRE_NKI" in text


@without_device
@pytest.mark.parametrize(
    "script",
    # record.py, which the first starts, is tested in this process below
    [pytest.param(s, marks=[pytest.mark.slow] * (s == SCRIPTS[0])) for s in SCRIPTS],
)
def test_without_a_device_there_is_no_evidence(script: str, tmp_path: Path) -> None:
    """Not even with the variable that makes backend nki use a simulator."""
    before = registry_files()
    done = run(script, "--output", str(tmp_path / "out"), DFMP2_USE_SIMULATOR="1")
    assert done.returncode == 7, done.stdout + done.stderr
    said = done.stdout + done.stderr
    assert "fail  backend: backend nki: the package nki is not installed -> " in said
    assert "fail  NeuronCores: " in said
    assert not (tmp_path / "out").exists()
    assert registry_files() == before


def test_missing_python_is_an_error(tmp_path: Path) -> None:
    done = run("1_check_environment.sh", VIRTUAL_ENV=str(tmp_path))
    assert done.returncode == 2
    assert "no Python" in done.stderr


STEMS = dict(zip(SCRIPTS, ("environment", "kernels", "benchmark"), strict=True))
REHEARSAL = {
    "trn1": {"NEURON_PLATFORM_TARGET_OVERRIDE": "trn1"},
    "trn2": {
        "NEURON_PLATFORM_TARGET_OVERRIDE": "trn2",
        "NEURON_LOGICAL_NC_CONFIG": "1",
        "NEURON_CC_FLAGS": "--lnc=1",
    },
}
"""What the run book sets for a rehearsal of each generation."""


def _rehearse(script: str, generation: str, folder: Path) -> None:
    """One step of the run book without a device, and what it may write."""
    before, stem = registry_files(), STEMS[script]
    variables = REHEARSAL[generation]
    done = run(script, "--simulator", "--output", folder.name, folder=folder.parent, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (folder / f"{stem}.bundled-simulator.json").read_text()
    content = json.loads(text)
    assert content["mode"] == "simulator"
    assert content["passed"] is True
    assert content["timings"] == []
    assert {entry["mode"] for entry in content["ran"]} == {"simulator"}
    devices = {row["where"]["device"] for entry in content["ran"] for row in entry["operations"]}
    assert f"bundled simulator of {generation} on the CPU" in devices
    for path in folder.iterdir():
        assert "trainium" not in path.read_text().lower()
        assert "seconds" not in path.read_text()
        assert not path.name.endswith((".trn1.json", ".trn2.json"))
    assert registry_files() == before
    if stem == "kernels":
        assert {row.status("bundled-simulator") for row in registry.rows(folder)} == {"passed"}
        assert {row.status("trn1") for row in registry.rows(folder)} == {"never run"}
    if stem == "benchmark":
        what = [entry["what"] for entry in content["ran"]]
        assert [w.split(",")[0] for w in what] == [
            "ao2mo", "trsm", "pair_energy", "gemm", "syrk", "batched_gemm", "mp2_energy",
            "water/cc-pvdz",
        ]  # fmt: skip
        assert abs(content["ran"][-1]["difference_from_pyscf"]) < 1e-6


@pytest.mark.parametrize(
    ("script", "generation"),
    # the benchmark runs on the fake device below
    [(SCRIPTS[0], "trn1"), pytest.param(SCRIPTS[2], "trn2", marks=pytest.mark.slow)],
)
def test_dry_run(script: str, generation: str, tmp_path: Path) -> None:
    _rehearse(script, generation, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("generation", REHEARSAL)
def test_run_book_end_to_end(generation: str, tmp_path: Path) -> None:
    """The commands of the page in their order, into one folder, as an owner would run them."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name, value in REHEARSAL[generation].items():
        assert f"{name}={value}" in page
    first_block = page.split("```sh\n")[1].split("```")[0]
    commands = re.findall(r"examples/trainium/(\S+)", first_block)
    assert tuple(commands) == SCRIPTS
    for script in commands:
        _rehearse(script, generation, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *(f"{stem}.bundled-simulator.json" for stem in STEMS.values()),
        *(f"{kernel}.bundled-simulator.json" for kernel in registry.KERNELS),
    }


# With a fake device


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the main function of a script, with small problems and a fake device of trn1."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    monkeypatch.delenv("DFMP2_USE_SIMULATOR", raising=False)
    for name in ("record", "3_benchmark"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    record = load("record")
    monkeypatch.setattr(record, "hardware_generation", lambda: "trn1")
    if "3_benchmark" not in sys.modules:
        benchmark = load("3_benchmark")
        monkeypatch.setattr(benchmark, "SHAPES", {"small": (3, 7, 11), "large": (2, 130, 70)})
        monkeypatch.setattr(benchmark, "MOLECULES", ("water",))

    def main(name: str, *arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        return int(sys.modules[name].main())

    return main


def test_benchmark_on_a_fake_device(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, PlayedDevice())
    assert script("3_benchmark", "--output", str(tmp_path)) == 0
    content = json.loads((tmp_path / "benchmark.trn1.json").read_text())
    assert content["mode"] == "device"
    assert content["passed"] is True
    assert len(content["ran"]) == 2 * 7 + 1
    assert len(content["timings"]) == 2 * len(content["ran"])
    for timing in content["timings"]:
        assert timing["mode"] == "device"
        assert timing["seconds"] > 0
        assert "s on Trainium, played NeuronCore (nki, device)" in timing["text"]


def test_wrong_results_are_exit_3(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is right for small products and wrong otherwise: the file must name the errors."""
    device = PlayedDevice()
    play(monkeypatch, device)
    put = device.put

    def spoiled(x: Any) -> Any:
        return put(x) * (1.001 if x.ndim == 3 else 1)

    monkeypatch.setattr(device, "put", spoiled)
    monkeypatch.setattr(sys.modules["3_benchmark"], "MOLECULES", ())
    assert script("3_benchmark", "--output", str(tmp_path)) == 3
    content = json.loads((tmp_path / "benchmark.trn1.json").read_text())
    assert content["passed"] is False
    passed = {entry["what"].split(",")[0]: entry["passed"] for entry in content["ran"]}
    assert passed["gemm"] is True
    assert passed["pair_energy"] is False


def test_kernel_evidence_of_a_fake_device(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written to the folder of the status table, and the table shows it."""
    play(monkeypatch, PlayedDevice())
    table = tmp_path / "table"
    monkeypatch.setattr(registry, "EVIDENCE", table)
    monkeypatch.setattr(registry, "PROBLEMS", {k: v[:1] for k, v in registry.PROBLEMS.items()})
    assert script("record", "kernels", "--output", str(tmp_path / "out")) == 0
    content = json.loads((tmp_path / "out" / "kernels.trn1.json").read_text())
    assert content["mode"] == "device"
    (entry,) = content["ran"]
    assert set(entry["kernels"]) == set(registry.KERNELS)
    assert all(row["calls"] > 0 for row in entry["operations"])
    rows = registry.rows(table)
    assert {row.status("trn1") for row in rows} == {"passed"}
    assert {row.status("bundled-simulator") for row in rows} == {"never run"}
    found = rows[0].evidence["trn1"]
    assert found is not None
    assert found.version == "nki 0.4.0"


@pytest.mark.parametrize("generation", [None, "inf2", "trn3"])
def test_other_hardware_makes_no_evidence(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: str | None
) -> None:
    play(monkeypatch, PlayedDevice())
    monkeypatch.setattr(sys.modules["record"], "hardware_generation", lambda: generation)
    with pytest.raises(SystemExit) as stopped:
        script("record", "environment", "--output", str(tmp_path / "out"))
    assert stopped.value.code == 7
    assert not (tmp_path / "out").exists()


def test_launches_that_raise_make_no_evidence(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, PlayedDevice(FileNotFoundError("libneuronpjrt-path")))
    for name, arguments in (("3_benchmark", ()), ("record", ("kernels",))):
        with pytest.raises(SystemExit) as stopped:
            script(name, *arguments, "--output", str(tmp_path / "out"))
        assert stopped.value.code == 7
    assert not (tmp_path / "out").exists()

"""``dfmp2 doctor``: lines, JSON and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from click.testing import Result as Outcome

from dfmp2.cli import main
from dfmp2.doctor import CHECKS
from dfmp2.kernels.nki import HAS_NKI
from tests.played import PlayedDevice, distributions, play, without_settings
from tests.systems import ROOT

without_nki = pytest.mark.skipif(HAS_NKI, reason="AWS's nki is installed")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    without_settings(monkeypatch)


def doctor(*arguments: str) -> Outcome:
    outcome = CliRunner().invoke(main, ["doctor", *arguments])
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
    return outcome


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--backend", "pytorch", "--device", "cpu"),
        ("--backend", "simulator", "--device", "bundled"),
    ],
)
def test_usable(arguments: tuple[str, ...]) -> None:
    outcome = doctor(*arguments)
    assert outcome.exit_code == 0
    lines = outcome.stdout.splitlines()
    assert len(lines) == 2 + len(CHECKS)
    assert lines[0].startswith("ok    backend: ")
    assert outcome.stderr == ""


@without_nki
def test_not_usable_is_exit_7_with_all_findings() -> None:
    outcome = doctor("--backend", "nki")
    assert outcome.exit_code == 7
    lines = outcome.stdout.splitlines()
    assert len(lines) == 2 + len(CHECKS)
    assert lines[0].startswith("fail  backend: ")
    assert " -> " in lines[0]
    assert outcome.stderr == "Error: backend: backend nki: the package nki is not installed\n"


@without_nki
@pytest.mark.parametrize(("backend", "code"), [("nki", 7), ("auto", 0), ("simulator", 0)])
def test_json(backend: str, code: int) -> None:
    outcome = doctor("--backend", backend, "--json")
    assert outcome.exit_code == code
    data = json.loads(outcome.stdout)
    assert set(data) == {"asked", "usable", "findings"}
    assert data["asked"] == {"backend": backend, "device": None}
    assert data["usable"] is (code == 0)
    assert len(data["findings"]) == 2 + len(CHECKS)
    for finding in data["findings"]:
        assert set(finding) == {"check", "status", "message", "remedy", "backends"}


def test_wrong_use_is_exit_2() -> None:
    assert doctor("--backend", "cuda").exit_code == 2
    assert doctor("--backend", "simulator", "--device", "cuda").exit_code == 2


def test_missing_device_is_exit_7() -> None:
    outcome = doctor("--backend", "pytorch", "--device", "cuda:99")
    assert outcome.exit_code == 7
    assert "cuda:99" in outcome.stderr


def test_launches_that_raise_are_exit_7(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, PlayedDevice(OSError("no libneuronpjrt-path")))
    for backend in ("auto", "nki"):
        outcome = doctor("--backend", backend)
        assert outcome.exit_code == 7
        assert "no libneuronpjrt-path" in outcome.stderr
    play(monkeypatch, PlayedDevice())
    assert doctor("--backend", "nki").exit_code == 0


@without_nki
def test_placeholders_in_a_separate_process(tmp_path: Path) -> None:
    """Both placeholders are installed as by pip. They must be reported, and not be imported."""
    for name, version in (("nki", "0.0.1"), ("torch_neuronx", "1.0")):
        distributions(tmp_path, **{name: version})
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the placeholder was imported')\n")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-m", "dfmp2", "doctor", "--backend", "nki", "--json", "--threads", "1"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 7
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    for check in ("nki", "torch-neuronx"):
        assert found[check]["status"] == "fail"
        assert "placeholder" in found[check]["message"]
    assert "torch 1 threads, PySCF 1 threads" in found["threads"]["message"]

"""README and examples: every command in them works as it stands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def _dfmp2_commands() -> list[str]:
    """Lines of the README's shell blocks that call an installed dfmp2."""
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    return [line for line in lines if line.startswith("dfmp2 ")]


def _run(command: list[str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("command", _dfmp2_commands())
def test_readme_command(command: str, tmp_path: Path) -> None:
    for folder in ("inputs", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    # What an earlier line of the README wrote, a later one may read.
    for writer in (c for c in _dfmp2_commands() if "--json" in c and c != command):
        if shlex.split(writer)[-1] in command:
            assert _run([sys.executable, "-m", *shlex.split(writer)], tmp_path).returncode == 0
    done = _run([sys.executable, "-m", *shlex.split(command)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_readme_set_up_commands() -> None:
    """The two set-up commands make a virtual environment, use the pins and do the job."""
    set_up = [text.strip() for kind, text in BLOCKS if kind == "sh" and "venv" in text]
    assert len(set_up) == 2
    main_job, tests = set_up
    for command in (main_job, tests):
        assert command.startswith(
            "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt"
        )
        assert "\n" not in command
    assert main_job.endswith(".venv/bin/dfmp2 run inputs/water.xyz --basis cc-pvdz --fused-energy")
    assert tests.endswith(".venv/bin/pytest")


def test_readme_python() -> None:
    (script,) = [text for kind, text in BLOCKS if kind == "python"]
    done = _run([sys.executable, "-c", script])
    assert done.returncode == 0, done.stderr


def test_readme_output() -> None:
    """The sample output is what the program prints: same energies, same lines."""
    sample = next(text for kind, text in BLOCKS if kind == "text" and "E(HF)" in text)
    command = [sys.executable, "-m", "dfmp2", "run", "inputs/water.xyz", "--basis", "cc-pvdz"]
    printed = _run(command).stdout
    energies = re.findall(r"^ *E\(.*$|^ *(?:opposite|same) spin.*$", sample, flags=re.MULTILINE)
    assert len(energies) == 7
    for line in energies:
        name, value = line.rsplit(maxsplit=1)
        (found,) = [row for row in printed.splitlines() if row.startswith(name)]
        # Two BLAS libraries may differ in the last of ten digits.
        assert float(found.split()[-1]) == pytest.approx(float(value), abs=2e-10, rel=0)
    labels = [line[2:18].strip() for line in sample.splitlines() if re.match(r"  [a-zA-Z]", line)]
    for label in labels:
        assert label in printed


@pytest.mark.parametrize(
    "example", sorted(p.name for p in (ROOT / "examples").iterdir() if p.suffix in (".py", ".sh"))
)
def test_example(example: str, tmp_path: Path) -> None:
    if example.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    elif example.endswith(".sh"):
        wrapper = tmp_path / "dfmp2"
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dfmp2 "$@"\n')
        wrapper.chmod(0o755)
        command = ["env", f"PATH={tmp_path}:/usr/bin:/bin", "bash"]
    else:
        command = [sys.executable]
    done = _run([*command, f"examples/{example}"])
    assert done.returncode == 0, done.stdout + done.stderr

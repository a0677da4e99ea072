"""The option `--require-backend`: what it requires is tested, or the run fails."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import BACKENDS
from tests.systems import ROOT

KERNEL = "tests/kernels/test_launch.py::test_syrk_is_exactly_symmetric"
OPERATION = "tests/backends/test_operations.py::test_materialize"

OPTIONAL = {
    "nki-aws-simulator": (KERNEL, "-m", "aws_simulator"),
    "torch-cuda": (OPERATION, "-k", "torch-cuda"),
}
"""A test of each backend that this machine may lack, and how only its row is chosen."""


def _pytest(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_missing_backend_skips_or_fails() -> None:
    """A missing backend skips with the reason; a required one fails with it."""
    absent = ((name, reason) for name in OPTIONAL if (reason := BACKENDS[name].missing()))
    name, reason = next(absent, (None, None))
    if name is None:
        pytest.skip("every backend is here")
    skipped = _pytest(*OPTIONAL[name])
    assert skipped.returncode == 0
    assert f"backend {name}: {reason}" in skipped.stdout
    failed = _pytest(*OPTIONAL[name], "--require-backend", name)
    assert failed.returncode == 1
    assert f"backend {name} is required, but {reason}" in failed.stdout


def test_unknown_backend_is_refused() -> None:
    """A misspelt name would otherwise disable the requirement."""
    result = _pytest(KERNEL, "--require-backend", "nki-simulater")
    assert result.returncode == 4
    assert "not one of torch-cpu, torch-cuda, nki-simulator" in result.stderr

"""The options of the test run itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dfmp2.kernels.nki import HAS_NKI

ROOT = Path(__file__).parents[2]
CASE = "tests/kernels/test_launch.py::test_syrk_is_exactly_symmetric"


def _pytest(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", CASE, *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(HAS_NKI, reason="AWS's nki is installed")
def test_missing_backend_skips_or_fails() -> None:
    """AWS's simulator skips with the reason; with --require-backend it fails with the reason."""
    skipped = _pytest("-m", "aws_simulator")
    assert skipped.returncode == 0
    assert "1 skipped" in skipped.stdout
    assert "the package nki is not installed" in skipped.stdout
    failed = _pytest("-m", "aws_simulator", "--require-backend", "nki-aws-simulator")
    assert failed.returncode == 1
    assert "backend nki-aws-simulator is required" in failed.stdout


def test_unknown_backend_is_refused() -> None:
    """A misspelt name would otherwise disable the requirement."""
    result = _pytest("--require-backend", "nki-simulater")
    assert result.returncode == 4
    assert "not one of nki-simulator" in result.stderr

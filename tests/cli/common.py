"""Calls of the command line, in this process and in a separate one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from click.testing import Result as Outcome

from dfmp2.cli import main
from tests.systems import INPUTS, ROOT

WATER = str(INPUTS / "water.xyz")
AMMONIA = str(INPUTS / "ammonia.xyz")

H2 = "2\nhydrogen; charge=0 spin=0\nH 0 0 0\nH 0 0 0.74\n"

PRINTED = 6e-11
"""Hartree. A printed energy is rounded to ten decimals. The order of summation can differ with
another number of threads or another BLAS, and changes a total energy by 1e-12."""


def dfmp2(*args: object, stdin: str | None = None) -> Outcome:
    """Run a command in this process. Exceptions other than exits are bugs and are raised."""
    outcome = any_end(*args, stdin=stdin)
    assert outcome.exit_code != 70, outcome.stderr
    return outcome


def any_end(*args: object, stdin: str | bytes | None = None) -> Outcome:
    """As `dfmp2`, but a fault of dfmp2 may be reported (exit code 70)."""
    outcome = CliRunner().invoke(main, [str(a) for a in args], input=stdin)
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome


def in_own_process(*args: object, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``python -m dfmp2`` as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "dfmp2", *map(str, args)],
        input=stdin, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def file_with(folder: Path, name: str, text: str) -> Path:
    """Write a file for one test."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def energy(text: str, name: str) -> float:
    """An energy of the table. It must have ten decimals."""
    found = re.search(rf"^ +{re.escape(name)} +(-?\d+\.\d{{10}})$", text, re.MULTILINE)
    assert found, f"no line {name!r} in\n{text}"
    return float(found[1])


def fact(text: str, name: str) -> str:
    """The text of a row of the table."""
    found = re.search(rf"^  {re.escape(name)}  +(\S.*)$", text, re.MULTILINE)
    assert found, f"no line {name!r} in\n{text}"
    return found[1]

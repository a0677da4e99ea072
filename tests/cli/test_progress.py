"""Progress on a terminal: a bar with the remaining time on stderr, nothing on stdout."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.cli.common import WATER, energy
from tests.systems import ROOT

pty = pytest.importorskip("pty", reason="no pseudo-terminals on this system")


def test_bar_on_a_terminal() -> None:
    main, terminal = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-m", "dfmp2", "run", WATER, "--basis", "cc-pvdz"],
        stdout=subprocess.PIPE, stderr=terminal, text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(main, 65536):
            shown += chunk
    except OSError:  # Linux raises this if the other end is closed
        pass
    finally:
        os.close(main)
    stdout, _ = done.communicate(timeout=60)
    assert done.returncode == 0
    assert energy(stdout, "E(MP2) total") < -76
    text = shown.decode(errors="replace")
    assert "water: SCF" in text
    assert "ETA" in text
    assert "\x1b" not in stdout

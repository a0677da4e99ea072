"""Two processes on one run file: one may write, any number may read."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfmp2.runfile.file import RunFile
from tests.cli.common import dfmp2, energy
from tests.runfile.common import FILE, JOB, OPTIONS, resumed, small_blocks
from tests.runfile.killed import Killer
from tests.systems import ROOT

HOLD = """
import sys
from dfmp2.runfile.file import RunFile
file = RunFile(sys.argv[1])
file.state["mark"] = "written by the holder"
file.save()
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def copy(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a finished run file."""
    monkeypatch.chdir(tmp_path)
    small_blocks(monkeypatch)
    shutil.copy(finished, tmp_path / FILE)
    return tmp_path / FILE


@pytest.fixture
def holder(copy: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has the file open for writing."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(copy)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


@pytest.mark.parametrize(
    "command", [("resume", FILE, "--quiet"), (*JOB, *OPTIONS), (*JOB, *OPTIONS, "--restart")]
)
def test_a_second_writer_is_refused(
    command: tuple[object, ...], copy: Path, holder: subprocess.Popen[str]
) -> None:
    """The file must not change, and the lock must end with the other process."""
    before = copy.read_bytes()
    done = dfmp2(*command)
    assert done.exit_code == 6
    assert done.stderr == (
        f"Error: {FILE}: is in use by another process; wait for it, or name another file "
        "(checkpoint, --checkpoint)\n"
    )
    assert copy.read_bytes() == before
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert dfmp2(*command).exit_code == 0


def test_a_reader_is_not_refused(copy: Path, finished: Path, holder: subprocess.Popen[str]) -> None:
    with RunFile(str(copy), writable=False) as file:
        assert file.state["mark"] == "written by the holder"
    shown = dfmp2("show", copy)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert abs(energy(shown.stdout, "E(MP2) total") - resumed(finished).e_tot) < 1e-9
    assert holder.poll() is None


def test_a_reader_does_not_block_a_writer(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOLD.replace("(sys.argv[1])", "(sys.argv[1], False)")
         .replace("file.save()", "import subprocess"), str(copy)],
        input="", capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with RunFile(str(copy), writable=True) as file:
        file.save()


def test_two_runs_started_at_the_same_time(killer: Killer, finished: Path, tmp_path: Path) -> None:
    """Both create a file. One run succeeds; the other ends with an error and leaves no file."""
    answer = killer.run(tmp_path, *JOB, *OPTIONS, twins=True)
    assert sorted((answer["exit"], answer["other"])) == [0, 6]
    refused = tmp_path / ("stderr" if answer["exit"] else "otherstderr")
    assert refused.read_text() == (
        f"Error: {FILE}: another process began the same run at the same moment, and works on it "
        "now; wait for it and start again, or name another file (checkpoint, --checkpoint)\n"
    )
    assert abs(resumed(tmp_path / FILE).e_tot - resumed(finished).e_tot) < 1e-10
    assert not list(tmp_path.glob("*.tmp"))

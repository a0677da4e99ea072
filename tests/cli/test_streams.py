"""Outputs that cannot be written, and what a command leaves behind in its process.

Energies are printed before anything else is written, so that a full disk at the end loses nothing.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pyscf import lib

from dfmp2.cli import streams
from dfmp2.cli.process import VARIABLES
from dfmp2.errors import OutputError
from tests.cli.common import dfmp2, energy, file_with
from tests.systems import ROOT

HELIUM = "1\n\nHe 0 0 0\n"
RUN = ("--basis", "cc-pvdz", "--quiet")


@pytest.fixture
def helium(tmp_path: Path) -> Path:
    return file_with(tmp_path, "he.xyz", HELIUM)


def in_shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell command, in which D is ``python -m dfmp2``."""
    return subprocess.run(
        ["bash", "-c", command], cwd=cwd, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "D": f"{sys.executable} -m dfmp2"},
    )  # fmt: skip


# Energies come first


def test_energies_are_printed_before_a_json_that_fails(
    helium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *_: Any, **__: Any) -> None:
        if path.suffix == ".tmp":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    done = dfmp2("run", helium, *RUN, "--no-checkpoint", "--json", tmp_path / "he.json")
    assert done.exit_code == 6
    assert "he.json: cannot be written (No space left on device)" in done.stderr
    assert energy(done.stdout, "E(MP2) total") < -2.8


class Broken:
    """A stdout whose reader has gone."""

    encoding = "utf-8"

    def write(self, _: str) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    flush = write


def test_without_a_reader_all_molecules_are_computed(
    helium: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with ``| head -1``. The run files and the JSON are complete, and the exit code says it."""
    from dfmp2.cli.output import JsonOutput

    target = tmp_path / "both.json"
    monkeypatch.setattr(sys, "stdout", Broken())

    def command() -> None:
        with JsonOutput(str(target)) as output:
            for number in range(2):
                output.echo("a table")
                output.add({"number": number})

    with pytest.raises(OutputError, match="Broken pipe"):
        command()
    assert json.loads(target.read_text()) == [{"number": 0}, {"number": 1}]
    for stdout in (Broken(), None):
        monkeypatch.setattr(sys, "stdout", stdout)
        with pytest.raises(OutputError, match="standard output cannot be written"):
            streams.echo("text")


def test_an_error_of_a_molecule_is_not_hidden_by_a_broken_pipe(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dfmp2.cli.output import JsonOutput

    monkeypatch.setattr(sys, "stdout", Broken())

    def command() -> None:
        with JsonOutput(None) as output:
            output.echo("a table")
            raise OutputError("first")

    with pytest.raises(OutputError, match="first"):
        command()
    assert "Error: standard output cannot be written" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("$D run he.xyz {run} >&-", 6, "it is closed"),
        ("$D run he.xyz {run} >/dev/full", 6, "No space left on device"),
        ("$D run he.xyz he.xyz he.xyz {run} | head -1; exit ${{PIPESTATUS[0]}}", 6, "Broken pipe"),
        ("$D run he.xyz {run} 2>&-", 0, ""),
        ("$D run he.xyz {run} --max-memory 1 2>&-", 5, ""),
        ("$D run he.xyz --basi 2>/dev/full", 2, ""),
        ("$D run he.xyz --basis cc-pvdz 2>/dev/full", 0, ""),
        ("$D run - {run} <&-", 2, "the file is empty"),
        ("$D --help | true; exit ${{PIPESTATUS[0]}}", 6, ""),
        ("mkfifo p; (cat p >copy) & $D run he.xyz {run} --json p; wait; grep -q success copy", 0,
         ""),
        ("mkdir gone; cd gone; rmdir ../gone; $D run ../he.xyz {run}", 6, "was it deleted?"),
        ("PYSCF_TMPDIR=/nowhere $D run he.xyz {run}", 6, "make it, or set PYSCF_TMPDIR"),
    ],
)  # fmt: skip
def test_streams_of_a_process(
    command: str, code: int, says: str, helium: Path, tmp_path: Path
) -> None:
    """Python would print a traceback about a stream that it cannot flush, and exit with 120."""
    done = in_shell(command.format(run=" ".join(RUN)), tmp_path)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert len(done.stderr.splitlines()) <= 4


# Files that must not be replaced


def test_json_does_not_replace_what_the_command_reads(helium: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(helium)
    for target in (helium, link):
        done = dfmp2("run", helium, *RUN, "--json", target)
        assert done.exit_code == 2
        assert f"--json {target} would replace {helium}, another file of this" in done.stderr
    assert helium.read_text() == HELIUM
    assert dfmp2("run", helium, *RUN, "--json", "new.dfmp2.h5").exit_code == 2
    assert not Path("new.dfmp2.h5").exists()
    assert dfmp2("run", helium, *RUN).exit_code == 0
    (kept,) = Path().glob("*.h5")
    content = kept.read_bytes()
    kept.rename("kept")
    for done in (
        dfmp2("run", helium, *RUN, "--checkpoint", "kept", "--json", "kept"),
        dfmp2("run", helium, *RUN, "--json", "kept"),
        dfmp2("resume", "kept", "--json", "kept"),
    ):
        assert done.exit_code == 2
        assert "--json kept" in done.stderr
    assert Path("kept").read_bytes() == content


def test_a_json_name_as_long_as_the_file_system_allows(helium: Path) -> None:
    name = "j" * 250 + ".json"
    done = dfmp2("run", helium, *RUN, "--no-checkpoint", "--json", name)
    assert done.exit_code == 0, done.stderr
    assert json.loads(Path(name).read_text())["success"]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "h\udcffe.xyz"
    try:
        path.write_text(HELIUM)
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    done = dfmp2("run", path, *RUN, "--json", "he.json")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("h_e: DF-MP2")
    assert dfmp2("show", "he.json").stdout.startswith("h_e: DF-MP2")


# The process of the caller


def state() -> tuple[Any, ...]:
    variables = {k: v for k, v in os.environ.items() if "THREADS" in k}
    return (
        list(warnings.filters), warnings.showwarning, sys.excepthook, sys.unraisablehook,
        threading.excepthook, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT),
        torch.get_num_threads(), variables,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("--max-memory", "1"), ("--threads", "3")])
def test_a_command_leaves_its_process_as_it_was(helium: Path, arguments: tuple[str, ...]) -> None:
    before = state()
    dfmp2("run", helium, *RUN, "--no-checkpoint", *arguments)
    assert state() == before


def test_unknown_variable_of_the_environment(helium: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DFMP2_REQUIRE_NIK=1 demanded nothing, without a word."""
    monkeypatch.setenv("DFMP2_REQUIRE_NIK", "1")
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "0")
    done = dfmp2("plan", helium, *RUN[:2])
    assert "Warning: DFMP2_REQUIRE_NIK in the environment is not read; dfmp2 knows" in done.stderr


def test_another_number_of_threads_than_the_process_has(helium: Path) -> None:
    """Libraries keep the number that they were loaded with. Another was ignored in silence."""
    own = lib.num_threads()
    done = dfmp2("plan", helium, *RUN[:2], "--threads", own + 1)
    assert f"--threads {own + 1} does not apply: this process has loaded PySCF with {own}" in (
        done.stderr
    )
    assert "PySCF with" not in dfmp2("plan", helium, *RUN[:2], "--threads", own).stderr


def test_commands_in_threads_leave_the_process_as_it_was(helium: Path) -> None:
    """The filters of `warnings` belong to the process. Each thread put back what it had found."""
    from dfmp2.cli import main

    before, codes = state(), []

    def command() -> None:
        try:
            main.main(["plan", str(helium), "--basis", "cc-pvdz"], standalone_mode=False)
            codes.append(0)
        except BaseException:  # noqa: BLE001
            codes.append(1)

    threads = [threading.Thread(target=command) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 4
    assert state() == before


def test_json_spares_the_other_files_of_the_command(helium: Path) -> None:
    """A basis file was replaced, and so was the run file of the same command."""
    own = Path("own.nw")
    own.write_text("BASIS\nHe S\n 1.0 1.0\nEND\n")
    for options in (
        ("--basis", own, "--json", own),
        ("--basis", f"He={own}", "--json", own),
        ("--basis", "cc-pvdz", "--checkpoint", "x.h5", "--json", "x.h5"),
    ):
        done = dfmp2("run", helium, *options)
        assert done.exit_code == 2
        assert "another file of this command" in done.stderr
    assert own.read_text().startswith("BASIS")


def test_every_variable_that_is_read_is_known() -> None:
    """One that was added without a word here was called unknown although it is read."""
    sources = [*(ROOT / "dfmp2").rglob("*.py"), *(ROOT / "kernels").rglob("*.py")]
    text = "".join(p.read_text(encoding="utf-8") for p in sources if p.name != "process.py")
    assert set(re.findall(r'"(DFMP2_[A-Z_]+)"', text)) == VARIABLES

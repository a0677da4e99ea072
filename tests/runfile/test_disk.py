"""Full, small and read-only disks: one line, what was committed stays, and room is all it takes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfmp2.errors import CheckpointError
from dfmp2.runfile.file import RunFile
from tests.cli.common import dfmp2
from tests.runfile.common import (
    FILE,
    JOB,
    OPTIONS,
    committed_pairs,
    out_of_core,
    resumed,
    small_blocks,
    state_of,
)
from tests.runfile.killed import Killer

NO_SPACE = (
    f"{FILE}: cannot be written (No space left on device; committed work is not lost: free disk "
    "space and start again, or use --no-checkpoint)"
)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    yield from _mounted(tmp_path / "disk", "size=1m")


def _mounted(path: Path, options: str) -> Iterator[Path]:
    path.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("there is no program `mount`")
    if done.returncode:
        pytest.skip("this user cannot mount a disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def exact(finished: Path) -> float:
    """The energy."""
    return resumed(finished).e_tot


def line(folder: Path) -> str:
    """What a run wrote to stderr: one line."""
    text = (folder / "stderr").read_text()
    assert text.startswith("Error: ")
    assert text.count("\n") == 1, text
    return text.removeprefix("Error: ").rstrip("\n")


def run(killer: Killer, mount: Path, *more: object, **how: object) -> int:
    """Run with the run file on the small disk and all else elsewhere."""
    options = [mount / FILE if option == FILE else option for option in OPTIONS]
    fill = {"fill": str(mount / "filled")} if "write" in how else {}
    answer = killer.run(mount.parent, *JOB, *options, *more, **how, **fill)
    (mount / "filled").unlink(missing_ok=True)
    return int(answer["exit"])


def fill(mount: Path, leave: int) -> None:
    """Leave so many bytes free."""
    disk = os.statvfs(mount)
    (mount / "other").write_bytes(b"0" * (disk.f_bavail * disk.f_frsize - leave))


def test_no_room_for_the_file(killer: Killer, mount: Path) -> None:
    """The forecast says so before any work."""
    fill(mount, 100_000)
    assert run(killer, mount) == 5
    assert "the run file needs 0 MB, but 0 MB are free" in line(mount.parent)
    assert not (mount / FILE).exists()


@pytest.mark.parametrize("write", [1, 2])
def test_the_disk_fills_while_the_file_is_made(
    write: int, killer: Killer, mount: Path, exact: float
) -> None:
    """Between the forecast and the file: nothing is left behind, or a whole file is there."""
    code = run(killer, mount, write=write)
    if code:
        assert code == 6
        assert "No space left on device" in line(mount.parent)
        assert list(mount.iterdir()) == []
        assert run(killer, mount) == 0
    assert abs(resumed(mount / FILE).e_tot - exact) < 1e-10


def test_the_disk_is_too_small_for_b_in_memory(killer: Killer, mount: Path, exact: float) -> None:
    """B in memory need not be kept: the run goes on without, and says so."""
    assert run(killer, mount, of="scf/energy", write=1) == 0
    result = resumed(mount / FILE)
    assert abs(result.e_tot - exact) < 1e-10
    assert any(n.startswith("B was not kept: ") and "No space left" in n for n in result.notes)
    assert len(committed_pairs(mount / FILE)) == 15


def test_the_disk_is_too_small_for_b_out_of_core(
    killer: Killer, mount: Path, exact: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line before any work on B; the orbitals are there, and with room the rest is done."""
    small_blocks(monkeypatch)
    memory = out_of_core()
    assert run(killer, mount, "--max-memory", memory, of="scf/energy", write=1) == 6
    assert line(mount.parent).endswith(NO_SPACE)
    assert "scf" in state_of(mount / FILE)
    result = resumed(mount / FILE)
    assert abs(result.e_tot - exact) < 1e-10


@pytest.mark.parametrize(
    ("dataset", "write"), [("b/rows", 2), ("b/row_crc32", 1), ("pairs/e_os", 3), ("energies", 1)]
)
@pytest.mark.parametrize("memory", ["in memory", "out of core"])
def test_a_full_disk_later_does_no_harm(
    dataset: str, write: int, memory: str, killer: Killer, mount: Path, exact: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """While B, pairs and the result are written, their space has been taken already."""
    small_blocks(monkeypatch)
    more = ("--max-memory", out_of_core()) if memory == "out of core" else ()
    assert run(killer, mount, *more, of=dataset, write=write) == 0
    result = resumed(mount / FILE)
    assert abs(result.e_tot - exact) < 1e-10
    assert result.notes == ()
    stages = {stage.name for stage in result.provenance.stages}
    assert ("reading B" in stages) == (memory == "out of core")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_limit_on_the_size_of_files(part: float, killer: Killer, finished: Path,
                                      tmp_path: Path) -> None:  # fmt: skip
    """RLIMIT_FSIZE is met when the file is made, never later."""
    limit = int(part * finished.stat().st_size)
    answer = killer.run(tmp_path, *JOB, *OPTIONS, file_size=limit)
    assert answer["exit"] == 6
    assert line(tmp_path).startswith(f"{FILE}: cannot be made (File too large; ")
    assert not list(tmp_path.glob("*.h5*"))


def test_a_limit_that_is_just_large_enough(
    killer: Killer, finished: Path, tmp_path: Path, exact: float
) -> None:
    limit = finished.stat().st_size + 16 * 1024
    assert killer.run(tmp_path, *JOB, *OPTIONS, file_size=limit)["exit"] == 0
    assert abs(resumed(tmp_path / FILE).e_tot - exact) < 1e-10


# Places that cannot be written


def refused(path: Path) -> str:
    """The line that names a run file which cannot be made there."""
    done = dfmp2(*JOB, "--checkpoint", path, "--quiet")
    assert done.exit_code == 6
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"Error: {path}: cannot be made (")
    assert "name another file with --checkpoint, or use --no-checkpoint" in done.stderr
    return done.stderr


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    assert "No such file or directory" in refused(tmp_path / "no" / FILE)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in refused(tmp_path / "file" / FILE)


def test_a_read_only_disk(tmp_path: Path) -> None:
    for folder in _mounted(tmp_path / "disk", "ro"):
        assert "Read-only file system" in refused(folder / FILE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o500)
    assert "Permission denied" in refused(folder / FILE)


def test_a_folder_of_that_name(tmp_path: Path) -> None:
    done = dfmp2(*JOB, "--checkpoint", tmp_path, "--quiet")
    assert done.exit_code == 6
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"Error: {tmp_path}: cannot be opened (Is a directory")
    with pytest.raises(CheckpointError, match="Is a directory"):
        RunFile(str(tmp_path))

"""Full, small and read-only disks: a one-line error, and committed work can be continued."""

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
    "space and start again, or keep no run file (checkpoint None, --no-checkpoint))"
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
    """The total energy."""
    return resumed(finished).e_tot


def line(folder: Path) -> str:
    """The error that a run wrote to stderr, which must be one line."""
    text = (folder / "stderr").read_text()
    assert text.startswith("Error: ")
    assert text.count("\n") == 1, text
    return text.removeprefix("Error: ").rstrip("\n")


def run(killer: Killer, mount: Path, *more: object, **how: object) -> int:
    """Run with the run file on the small disk and all other files elsewhere."""
    options = [mount / FILE if option == FILE else option for option in OPTIONS]
    fill = {"fill": str(mount / "filled")} if "write" in how else {}
    answer = killer.run(mount.parent, *JOB, *options, *more, **how, **fill)
    (mount / "filled").unlink(missing_ok=True)
    return int(answer["exit"])


def fill(mount: Path, leave: int) -> None:
    """Leave `leave` bytes free."""
    disk = os.statvfs(mount)
    (mount / "other").write_bytes(b"0" * (disk.f_bavail * disk.f_frsize - leave))


def test_no_room_for_the_file(killer: Killer, mount: Path) -> None:
    """The forecast must refuse the run before any work."""
    fill(mount, 100_000)
    assert run(killer, mount) == 5
    assert "the run file needs 0 MB, but 0 MB are free" in line(mount.parent)
    assert not (mount / FILE).exists()


@pytest.mark.parametrize("write", [1, 2])
def test_the_disk_fills_while_the_file_is_created(
    write: int, killer: Killer, mount: Path, exact: float
) -> None:
    """After the forecast. Then there must be no file or a complete one, never a partial one."""
    code = run(killer, mount, write=write)
    if code:
        assert code == 6
        assert "No space left on device" in line(mount.parent)
        assert list(mount.iterdir()) == []
        assert run(killer, mount) == 0
    assert abs(resumed(mount / FILE).e_tot - exact) < 1e-10


def test_the_disk_is_too_small_for_b_in_memory(killer: Killer, mount: Path, exact: float) -> None:
    """B in memory does not have to be stored: the run must continue, with a note."""
    assert run(killer, mount, of="scf/energy", write=1) == 0
    result = resumed(mount / FILE)
    assert abs(result.e_tot - exact) < 1e-10
    assert any(n.startswith("B was not kept: ") and "No space left" in n for n in result.notes)
    assert len(committed_pairs(mount / FILE)) == 15


def test_the_disk_is_too_small_for_b_out_of_core(
    killer: Killer, mount: Path, exact: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error before any work on B. The orbitals are stored, and with free space it can resume."""
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
def test_a_full_disk_after_allocation_has_no_effect(
    dataset: str, write: int, memory: str, killer: Killer, mount: Path, exact: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The space for B, pairs and the result must be allocated before they are written."""
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
    """RLIMIT_FSIZE must cause an error when the file is created, not after hours of work."""
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
    """The error for a run file that cannot be created at `path`."""
    done = dfmp2(*JOB, "--checkpoint", path, "--quiet")
    assert done.exit_code == 6
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"Error: {path}: cannot be made (")
    assert "name another file (checkpoint, --checkpoint), or keep no run file" in done.stderr
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

"""The place of a run file: long names, file systems without locks or links, files that vanish."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dfmp2.errors import CheckpointError, DFMP2Warning, ValidationError
from dfmp2.results.sizes import Sizes
from dfmp2.runfile import file as runfile
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.layout import Shape
from dfmp2.runfile.opening import default_path
from dfmp2.runfile.pairs import PairTable, load_pairs, store_pairs
from tests.cli.common import H2, PRINTED, dfmp2, energy, file_with

RUN = ("run", "h2.xyz", "--basis", "6-31g", "--auxbasis", "cc-pvdz-ri", "--quiet")

SHAPE = Shape(Sizes(nao=5, nocc=2, nvir=3, naux=4, aux_shell=1), 5)


@pytest.fixture(autouse=True)
def _molecule(own_folder: None) -> None:
    file_with(Path(), "h2.xyz", H2)


@pytest.fixture
def file() -> RunFile:
    """An open run file of two orbitals."""
    return RunFile.create("a.dfmp2.h5", SHAPE, {"fields": {}})


def test_a_long_name_is_shortened() -> None:
    """The fingerprint stays, so the same command finds the file again."""
    name = "h" * 251
    shutil.copy("h2.xyz", f"{name}.xyz")
    for _ in range(2):
        done = dfmp2(RUN[0], f"{name}.xyz", *RUN[2:])
        assert done.exit_code == 0, done.stderr
    assert "read from run file" in done.stdout
    (found,) = Path().glob("h*.dfmp2.h5")
    fingerprint = found.name[-len("-01234567.dfmp2.h5") :]
    assert dfmp2(*RUN).exit_code == 0
    assert Path(f"h2{fingerprint}").is_file(), "the same input under a short name"
    two_bytes = default_path("ä" * 200, {"a": 1})
    assert len(os.fsencode(two_bytes)) < 255
    assert two_bytes.endswith(default_path("", {"a": 1}))


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_a_file_that_loses_its_name_is_noticed_once(change: str, file: RunFile) -> None:
    """Work that is written into a deleted file is lost. The user must be told."""
    Path(file.path).unlink()
    if change == "replaced":
        Path(file.path).write_text("another file\n")
    with pytest.warns(DFMP2Warning, match=rf"a\.dfmp2\.h5: was {change} .*while this run goes on"):
        file.sync()
    file.sync()  # a second warning would be an error here
    file.close()


def test_a_run_that_changes_the_folder_has_not_lost_its_file(
    file: RunFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file.sync()


def test_the_run_says_that_its_file_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    from dfmp2.workflow import jobs

    compute = jobs.compute

    def lose(*args: Any, **options: Any) -> Any:
        Path("h2.dfmp2.h5").unlink()
        return compute(*args, **options)

    monkeypatch.setattr(jobs, "compute", lose)
    done = dfmp2(*RUN, "--checkpoint", "h2.dfmp2.h5")
    assert done.exit_code == 0
    assert energy(done.stdout, "E(MP2) total") < -1
    assert done.stderr.count("h2.dfmp2.h5: was deleted or moved while this run goes on") == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The remedies are named. With the first one, the run works."""
    plain = h5py.File

    def refuse(path: str, mode: str, **options: Any) -> Any:
        if options.get("locking") and os.environ.get("HDF5_USE_FILE_LOCKING") != "FALSE":
            raise OSError(f"unable to lock file, errno = {number}")
        return plain(path, mode, **options)

    monkeypatch.setattr(runfile.h5py, "File", refuse)
    done = dfmp2(*RUN)
    assert done.exit_code == 6
    assert "its file system has no locks" in done.stderr
    assert "HDF5_USE_FILE_LOCKING=FALSE" in done.stderr
    assert "--no-checkpoint" in done.stderr
    assert not list(Path().glob("*.h5*"))
    monkeypatch.setenv("HDF5_USE_FILE_LOCKING", "FALSE")
    assert dfmp2(*RUN).exit_code == 0


def test_two_first_starts_without_hard_links(
    file: RunFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second must not replace the file of the first."""

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    before = Path(file.path).stat().st_ino
    with pytest.raises(CheckpointError, match="another process made it just now"):
        RunFile.create(file.path, SHAPE, {"fields": {}})
    assert Path(file.path).stat().st_ino == before
    RunFile.create("b.dfmp2.h5", SHAPE, {"fields": {}}).close()
    assert sorted(Path().glob("*.h5*")) == [Path("a.dfmp2.h5"), Path("b.dfmp2.h5")]


@pytest.mark.parametrize("kind", ["pipe", "loop", "link", "long"])
def test_a_place_where_no_run_file_can_be(kind: str) -> None:
    """One line and exit code 6. HDF5 would wait for ever for a pipe."""
    path = {"long": "x" * 300}.get(kind, "odd.dfmp2.h5")
    if kind == "pipe":
        os.mkfifo(path)
        assert stat.S_ISFIFO(Path(path).stat().st_mode)
    elif kind != "long":
        Path(path).symlink_to("nothing" if kind == "link" else path)
    for command in ((*RUN, "--checkpoint", path), ("resume", path, "--quiet")):
        done = dfmp2(*command)
        assert done.exit_code == 6
        assert done.stderr.startswith(f"Error: {path}: ")
        assert done.stderr.count("\n") == 1


# Numbers that are not finite


def test_pairs_that_are_not_finite_are_not_stored(file: RunFile) -> None:
    """A NaN with a valid checksum would be read in every later run."""
    file.state["sessions"] = [{"id": 1, "rejected": False}]
    table = PairTable(2)
    energies = np.array([[[-1.0, np.nan], [0.0, -3.0]], np.zeros((2, 2))])
    table.add((slice(2), slice(2)), energies, 1)
    store_pairs(file, table)
    again, damaged = load_pairs(file, {1})
    assert not damaged
    assert again.missing.tolist() == [[False, True], [False, False]]
    assert not np.isnan(file.read("pairs/e_os")).any()


def test_an_energy_that_is_not_finite_is_never_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a run file and JSON. Both would hold NaN otherwise."""
    from dfmp2.backends.recording import RecordingBackend

    plain = RecordingBackend.pair_energy

    def broken(self: Any, block: Any) -> Any:
        energies = plain(self, block)
        energies[0] *= np.nan
        return energies

    with monkeypatch.context() as patch:
        patch.setattr(RecordingBackend, "pair_energy", broken)
        done = dfmp2(*RUN, "--checkpoint", "h2.dfmp2.h5", "--json", "h2.json")
    assert done.exit_code == ValidationError.exit_code
    assert "the energies are not finite numbers" in done.stderr
    assert not Path("h2.json").exists()
    assert "E(MP2) total" not in done.stdout
    again = dfmp2(*RUN, "--checkpoint", "h2.dfmp2.h5")
    right = dfmp2(*RUN, "--no-checkpoint")
    name = "E(MP2) total"
    assert abs(energy(again.stdout, name) - energy(right.stdout, name)) < PRINTED

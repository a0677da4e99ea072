"""Damage anywhere in a run file gives the right energy or an error, never a wrong energy.

Bytes are flipped in every dataset and in the structures of HDF5, in finished and unfinished files.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from dfmp2.runfile.file import RunFile
from tests.cli.common import PRINTED, dfmp2, energy
from tests.runfile.common import FILE, JOB, OPTIONS, extents, resumed, small_blocks
from tests.runfile.killed import Killer
from tests.systems import rng

FAST, SLOW = range(12), range(12, 212)
SEEDS = [*FAST, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SLOW)]

STATES = ("finished", "half the pairs", "half of B", "(P|ia)")


@pytest.fixture(scope="module")
def files(
    killer: Killer, finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A file of every stage. The unfinished files are from killed runs."""
    made = {"finished": finished}
    killed_at = {
        "half the pairs": {"of": "pairs/e_os", "write": 8},
        "half of B": {"of": "b/row_session", "write": 2},
        "(P|ia)": {"of": "b/rows", "write": 8},
    }
    for state, when in killed_at.items():
        folder = tmp_path_factory.mktemp("half")
        answer = killer.run(folder, *JOB, *OPTIONS, **when, cut=1.0)
        assert answer["exit"] == -9
        made[state] = folder / FILE
    return made


@pytest.fixture(scope="module")
def right(finished: Path) -> float:
    """The total energy of the undamaged file."""
    return resumed(finished).e_tot


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path for a copy that a test damages."""
    small_blocks(monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path / FILE


def flip(path: Path, where: int, random: np.random.Generator) -> None:
    """Change the byte at `where`."""
    with path.open("r+b") as file:
        file.seek(where)
        old = file.read(1)[0]
        file.seek(where)
        file.write(bytes([old ^ int(random.integers(1, 256))]))


def check(path: Path, right: float) -> None:
    """Run every command on a damaged file: the right energy, or one line and exit code 6."""
    for command in (("show", path), ("resume", path, "--quiet"), (*JOB, *OPTIONS)):
        copy = path.with_name("used.dfmp2.h5")
        shutil.copy(path, copy)
        args = [copy if arg == path else copy.name if arg == FILE else arg for arg in command]
        done = dfmp2(*args)  # raises exceptions other than exits
        if done.exit_code == 0:
            assert done.stderr == ""
            if "E(MP2) total" in done.stdout or command[0] != "show":
                assert abs(energy(done.stdout, "E(MP2) total") - right) < PRINTED
        else:
            assert done.exit_code == 6, done.stderr
            assert done.stderr.startswith(f"Error: {copy}: ") or done.stderr.startswith(
                f"Error: {copy.name}: "
            )
            assert done.stderr.count("\n") == 1
            assert done.stdout == ""
    with_restart = dfmp2(*JOB, *OPTIONS, "--restart")
    assert with_restart.exit_code == 0, with_restart.stderr
    assert abs(energy(with_restart.stdout, "E(MP2) total") - right) < PRINTED


@pytest.mark.parametrize("seed", SEEDS)
def test_flips_in_datasets(seed: int, files: dict[str, Path], right: float, copy: Path) -> None:
    """One to three bytes of one dataset. The seeds cover all datasets."""
    random = rng(1000 + seed)
    shutil.copy(files[STATES[seed % len(STATES)]], copy)
    places = extents(copy)
    name = sorted(places)[(seed // len(STATES) * 5 + seed) % len(places)]
    offset, length = places[name]
    for _ in range(int(random.integers(1, 4))):
        # the text of the journal is at the start of each half
        part = min(length, 3000) if name == "journal" and seed % 2 else length
        flip(copy, offset + int(random.integers(part)), random)
    check(copy, right)


@pytest.mark.parametrize("seed", SEEDS)
def test_flips_anywhere(seed: int, files: dict[str, Path], right: float, copy: Path) -> None:
    """One byte of the structures of HDF5 or, for every fourth seed, of the whole file."""
    random = rng(2000 + seed)
    shutil.copy(files[STATES[seed % len(STATES)]], copy)
    used = np.zeros(copy.stat().st_size, dtype=bool)
    if seed % 4:
        for offset, length in extents(copy).values():
            used[offset : offset + length] = True
    flip(copy, int(random.choice(np.flatnonzero(~used))), random)
    check(copy, right)


def test_each_half_of_the_journal_lost(files: dict[str, Path], right: float, copy: Path) -> None:
    """With one half lost, at every stage, the older one must not be used with newer values."""
    for path in files.values():
        for half in (0, 1):
            shutil.copy(path, copy)
            with h5py.File(copy, "r+") as file:
                file["journal"][half, :64] = 0
            assert abs(resumed(copy).e_tot - right) < 1e-10


@pytest.mark.parametrize("part", [0.0, 1e-4, 0.1, 0.5, 0.9, 0.999])
def test_truncated(part: float, finished: Path, right: float, copy: Path) -> None:
    shutil.copy(finished, copy)
    os.truncate(copy, int(part * copy.stat().st_size))
    check(copy, right)


def test_text_file(right: float, copy: Path) -> None:
    """`dfmp2 run` must not replace a text file of that name without --restart."""
    copy.write_text("not a run file\n")
    check(copy, right)


def test_a_file_of_the_user_is_not_called_a_damaged_run_file(copy: Path) -> None:
    """The advice was to start over with --restart, also for the geometry itself."""
    Path("notes.txt").write_text("mine\n")
    for args in (("resume", "notes.txt"), (*JOB, "--checkpoint", "notes.txt", "--quiet")):
        done = dfmp2(*args)
        assert done.exit_code == 6
        assert "notes.txt: cannot be opened (it is no HDF5 file, so it is no run" in done.stderr
        assert "give the file that dfmp2 run wrote" in done.stderr
        assert "start over" not in done.stderr
    assert Path("notes.txt").read_text() == "mine\n"


def test_another_hdf5_file_is_never_replaced(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File("mine.h5", "w") as file:
        file["precious"] = np.arange(3)
    before = Path("mine.h5").read_bytes()
    for more in ((), ("--restart",)):
        done = dfmp2(*JOB, "--checkpoint", "mine.h5", *more)
        assert done.exit_code == 6
        assert "mine.h5: is not a run file of dfmp2" in done.stderr
    done = dfmp2("resume", "mine.h5")
    assert (done.exit_code, done.stderr.count("\n")) == (6, 1)
    assert "mine.h5: is not a run file of dfmp2" in done.stderr
    assert Path("mine.h5").read_bytes() == before


def test_a_chkfile_of_pyscf_is_refused(copy: Path) -> None:
    from tests.systems import mean_field

    mf = mean_field("water").copy()
    mf.chkfile = "scf.chk"
    mf.dump_chk({"e_tot": mf.e_tot, "mo_energy": mf.mo_energy, "mo_occ": mf.mo_occ,
                 "mo_coeff": mf.mo_coeff})  # fmt: skip
    for args in (("resume", "scf.chk"), (*JOB, "--checkpoint", "scf.chk", "--quiet")):
        done = dfmp2(*args)
        assert done.exit_code == 6
        assert done.stderr == "Error: scf.chk: is not a run file of dfmp2; name another file\n"


def test_a_newer_schema_is_refused(finished: Path, copy: Path) -> None:
    shutil.copy(finished, copy)
    with h5py.File(copy, "r+") as file:
        file.attrs["schema_version"] = 99
    for args in (("resume", copy), (*JOB, *OPTIONS)):
        done = dfmp2(*args)
        assert done.exit_code == 6
        assert "was written by a newer dfmp2 (schema 99, this one reads 2); upgrade" in done.stderr


def test_damaged_orbitals_are_not_used(finished: Path, copy: Path) -> None:
    shutil.copy(finished, copy)
    with h5py.File(copy, "r+") as file:
        file["scf/mo_coeff"][2, 3] += 1e-9
    done = dfmp2("resume", copy)
    assert done.exit_code == 6
    assert (
        "its orbitals are damaged (checksum); move it away and start over (on the command line: "
        "--restart)" in done.stderr
    )


def test_a_damaged_pair_is_computed_again(finished: Path, right: float, copy: Path) -> None:
    shutil.copy(finished, copy)
    with h5py.File(copy, "r+") as file:
        file["pairs/e_os"][0, 2] *= 1 + 1e-12
    result = resumed(copy)
    assert abs(result.e_tot - right) < 1e-10
    assert any("1 pairs in" in note and "damaged" in note for note in result.notes)
    RunFile(str(copy)).close()

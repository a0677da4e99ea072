"""``dfmp2 show`` on run files: finished, unfinished, in use and damaged ones."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dfmp2.runfile.checkpoint import Checkpoint
from tests.cli.common import AMMONIA, WATER, dfmp2, energy, fact
from tests.systems import ROOT


class _Killed(BaseException):
    """Ends a run like a kill: nothing is written after it."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run file, and the output of its run."""
    path = tmp_path_factory.mktemp("kept") / "water.dfmp2.h5"
    args = ("run", WATER, "--basis", "cc-pvdz", "--frozen", "auto", "--quiet")
    done = dfmp2(*args, "--checkpoint", path)
    assert done.exit_code == 0, done.stderr
    return path, done.stdout


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of a run that was killed after some of its pairs."""
    path = tmp_path_factory.mktemp("killed") / "ammonia.dfmp2.h5"
    commit = Checkpoint.commit

    def lose(self: Checkpoint, force: bool = False) -> None:
        if self.table.known:
            self.table.session[1:] = 0  # the other rows were not computed yet
            commit(self, True)
            raise _Killed
        commit(self, force)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "commit", lose)
        with pytest.raises(_Killed):
            dfmp2("run", AMMONIA, "--basis", "cc-pvdz", "--checkpoint", path, "--quiet",
                  "--checkpoint-interval", 0)  # fmt: skip
    return path


@pytest.fixture
def copy(kept: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of a finished run file, which a test may damage."""
    return Path(shutil.copy(kept[0], tmp_path / "copy.dfmp2.h5"))


def change(path: Path, name: str, where: Any) -> None:
    """Flip bits of some values without updating their checksums."""
    with h5py.File(path, "r+") as file:
        values = file[name][()]
        part = np.atleast_1d(values[where]).copy()
        part.view(np.uint8)[...] ^= 0x55
        values[where] = part if np.ndim(values[where]) else part[0]
        file[name][...] = values


@contextmanager
def open_elsewhere(path: Path) -> Iterator[None]:
    """Hold the file open for writing in another process."""
    code = f"""
import sys
from dfmp2.runfile.file import RunFile
with RunFile({str(path)!r}):
    print("open", flush=True)
    sys.stdin.read()
"""
    run = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"open\n"
        yield
        run.communicate()
    assert run.returncode == 0


# Finished


def test_finished_prints_what_run_printed(kept: tuple[Path, str]) -> None:
    path, printed = kept
    text = dfmp2("show", path).stdout
    origin = re.search(r"^  read from (.*), not computed now\n", text, re.MULTILINE)
    assert origin
    device = fact(printed, "ran on")
    assert re.fullmatch(
        rf"run file {re.escape(str(path))}, computed on {re.escape(device)} "
        r"at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
        origin[1],
    )
    assert text.replace(origin[0], "").startswith(printed.rstrip("\n"))
    assert "DAMAGED" not in text


def test_sessions(kept: tuple[Path, str], killed: Path) -> None:
    head, row = dfmp2("show", kept[0]).stdout.splitlines()[-3:-1]
    assert head.split() == ["session", "started", "pairs", "precision", "ran", "on"]
    assert row.split()[0] == "1"
    assert row.split()[2:4] == ["10", "fp64"]
    assert row.endswith("(pytorch, cpu)")
    text = dfmp2("show", killed, "--verbose").stdout
    assert re.search(r"^ +1  \S+ +5  fp64 .*; dfmp2 \S+, pyscf \S+, torch ", text, re.MULTILINE)


def test_finished_file_is_recognised_by_content(kept: tuple[Path, str], tmp_path: Path) -> None:
    renamed = shutil.copy(kept[0], tmp_path / "renamed.json")
    assert energy(dfmp2("show", renamed).stdout, "E(MP2) total") < -76


# Not finished


def test_unfinished(killed: Path) -> None:
    done = dfmp2("show", killed)
    assert done.exit_code == 0
    assert "ammonia: DF-MP2 by dfmp2, not finished" in done.stdout
    assert fact(done.stdout, "formula") == "H3N"
    assert fact(done.stdout, "basis") == "cc-pvdz"
    assert fact(done.stdout, "auxiliary basis") == "cc-pvdz-ri"
    assert fact(done.stdout, "frozen orbitals") == "none"
    assert "5 correlated occupied" in fact(done.stdout, "sizes")
    assert re.search(r"^  SCF +converged, E = -56\.\d{10}$", done.stdout, re.MULTILINE)
    assert fact(done.stdout, "metric") == "Cholesky"
    assert fact(done.stdout, "B[i,P,a]").endswith("5 of 5 rows fitted")
    assert fact(done.stdout, "pairs") == "5 of 15 (33.3 %)"
    assert f"continue it with: dfmp2 resume {killed}" in done.stdout
    assert "E(MP2)" not in done.stdout


def test_advised_command_continues_the_run(killed: Path, tmp_path: Path) -> None:
    path = shutil.copy(killed, tmp_path / "again.dfmp2.h5")
    advice = re.search(r"continue it with: dfmp2 (.*)", dfmp2("show", path).stdout)
    assert advice
    done = dfmp2(*advice[1].split(), "--quiet")
    assert done.exit_code == 0
    assert fact(done.stdout, "basis") == "cc-pvdz"  # the same output as without an interruption
    rows = dfmp2("show", path).stdout.splitlines()[-3:-1]
    assert [row.split()[2] for row in rows] == ["5", "10"]


def test_show_changes_nothing_and_takes_no_lock(killed: Path) -> None:
    before = killed.read_bytes()
    with open_elsewhere(killed):
        text = dfmp2("show", killed, "--check").stdout
    assert "running now" in text
    assert "a run has the file open" in text
    assert killed.read_bytes() == before
    killed.chmod(0o444)
    assert dfmp2("show", killed).exit_code == 0


def test_a_pair_that_is_being_written_is_not_damaged(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run writes values before their checksums, so `show` must read such a pair again."""
    whole = copy.read_bytes()
    change(copy, "pairs/e_os", (0, 1))
    pauses = []

    def finish(seconds: float) -> None:
        pauses.append(seconds)
        copy.write_bytes(whole)

    monkeypatch.setattr("dfmp2.runfile.status.time.sleep", finish)
    with open_elsewhere(copy):
        assert "DAMAGED" not in dfmp2("show", copy).stdout
    assert len(pauses) == 1


def test_before_the_scf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: Any, **__: Any) -> None:
        raise _Killed

    monkeypatch.setattr("dfmp2.workflow.jobs.run_scf", die)
    path = tmp_path / "new.dfmp2.h5"
    with pytest.raises(_Killed):
        dfmp2("run", WATER, "--basis", "cc-pvdz", "--checkpoint", path, "--quiet")
    text = dfmp2("show", path).stdout
    assert re.search(r"^  SCF +not computed yet$", text, re.MULTILINE)
    assert fact(text, "B[i,P,a]") == "not kept"
    assert "no session has begun yet" in text


# Damaged


def test_damaged_pairs_are_named_and_not_shown(copy: Path) -> None:
    change(copy, "pairs/e_os", (0, 1))
    change(copy, "pairs/crc32", (2, 3))
    done = dfmp2("show", copy)
    assert done.exit_code == 0
    assert "DAMAGED: 2 pairs: (0,1), (2,3)" in done.stdout
    assert "E(MP2)" not in done.stdout
    assert fact(done.stdout, "pairs") == "8 of 10 (80.0 %)"
    assert f"dfmp2 resume {copy}" in done.stdout


def test_damaged_orbitals(copy: Path) -> None:
    change(copy, "scf/mo_coeff", (0, 0))
    change(copy, "pairs/e_os", (0, 1))
    text = dfmp2("show", copy).stdout
    assert "DAMAGED: the orbitals of the SCF" in text
    assert re.search(r"^  SCF +damaged$", text, re.MULTILINE)
    assert "--restart" in text
    assert "dfmp2 resume" not in text


def test_damaged_sums(copy: Path) -> None:
    change(copy, "energies", 3)
    text = dfmp2("show", copy).stdout
    assert "DAMAGED: the dataset energies" in text
    assert energy(text, "E(MP2) total") < -76  # from the pairs, which are undamaged


@pytest.mark.parametrize(
    ("name", "where", "says"),
    [
        ("b/rows", (1, 0), "1 row of B: 1"),
        ("metric/factor", (3, 0), "the factor of the metric"),
    ],
)
def test_check_reads_b(killed: Path, tmp_path: Path, name: str, where: Any, says: str) -> None:
    path = Path(shutil.copy(killed, tmp_path / "b.dfmp2.h5"))
    path.chmod(0o644)
    assert "DAMAGED" not in dfmp2("show", path, "--check").stdout
    change(path, name, where)
    assert "DAMAGED" not in dfmp2("show", path).stdout  # B may be large, so it is not read
    assert f"DAMAGED: {says}" in dfmp2("show", path, "--check").stdout


@pytest.mark.parametrize("name", ["input", "journal"])
def test_damage_that_cannot_be_repaired(copy: Path, name: str) -> None:
    change(copy, name, slice(None))
    done = dfmp2("show", copy)
    assert done.exit_code == 6
    assert (
        "damaged (checksum); move it away and start over (on the command line: --restart)"
        in done.stderr
    )
    assert done.stdout == ""


def test_truncated(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:1000])
    done = dfmp2("show", copy)
    assert done.exit_code == 6
    assert str(copy) in done.stderr
    assert "Traceback" not in done.stderr


# Requirements


def test_show_needs_only_h5py_and_numpy(kept: tuple[Path, str], killed: Path) -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys("
        "('pyscf', 'torch', 'scipy', 'numba', 'matplotlib'), None)); "
        f"from dfmp2.cli import main; main(['show', {str(kept[0])!r}, {str(killed)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert energy(done.stdout, "E(MP2) total") < -76
    assert fact(done.stdout, "pairs") == "5 of 15 (33.3 %)"


# Figures


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Collect the figures that are drawn and saved."""
    from dfmp2.cli import pair_figure as pair_plot
    from dfmp2.cli.figure import save

    figures: list[Any] = []

    def keep(figure: Any, target: str) -> None:
        figures.append(figure)
        save(figure, target)

    monkeypatch.setattr(pair_plot, "save", keep)
    return figures


def titles(figure: Any) -> list[str]:
    return [a.get_title().split(" (")[0] for a in figure.axes if a.get_title()]


@pytest.mark.parametrize("suffix", [pytest.param("png", marks=pytest.mark.slow), "svg"])
def test_plot_of_a_finished_run(
    kept: tuple[Path, str], tmp_path: Path, panels: list[Any], suffix: str
) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / f"water.{suffix}"
    done = dfmp2("show", kept[0], "--plot", target)
    assert done.exit_code == 0, done.stderr
    assert target.stat().st_size > 10_000
    (figure,) = panels
    assert titles(figure) == ["pair energies", "decay with distance", "time per stage"]
    matrix, decay, times = (a for a in figure.axes if a.get_title())
    assert [t.get_text() for t in matrix.get_xticklabels()] == ["1", "2", "3", "4"]  # 0 is frozen
    shown = matrix.images[0].get_array()
    assert not np.ma.is_masked(shown)
    assert shown.sum() == pytest.approx(-1e3 * energy(kept[1], "E(MP2) correlation"), rel=1e-9)
    assert "canonical" in decay.get_xlabel()
    assert decay.get_xlabel().endswith("(Å)")
    assert len(decay.lines[0].get_xdata()) == 6
    assert set(decay.lines[1].get_xdata()) == {0.0}
    assert "SCF not included" in times.get_xlabel()


def test_plot_of_an_unfinished_run(killed: Path, tmp_path: Path, panels: list[Any]) -> None:
    pytest.importorskip("matplotlib")
    assert dfmp2("show", killed, "--plot", tmp_path / "x.png").exit_code == 0
    shown = panels[0].axes[0].images[0].get_array()
    assert shown.count() == 9  # the first row and column
    assert "5 of 15 pairs, not finished" in panels[0].get_suptitle()


def test_plot_of_json_has_no_distances(
    kept: tuple[Path, str], tmp_path: Path, panels: list[Any]
) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "water.json"
    assert dfmp2("resume", kept[0], "--json", target, "--quiet").exit_code == 0
    assert dfmp2("show", target, "--plot", tmp_path / "x.png").exit_code == 0
    assert titles(panels[0]) == ["pair energies", "time per stage"]


def test_centroids_are_those_of_the_orbitals(kept: tuple[Path, str]) -> None:
    """Compared with the dipole moment, which the SCF computes in another way."""
    from tests.systems import mean_field

    mf = mean_field("water")
    with h5py.File(kept[0], "r") as file:
        coeff, centroids = file["scf/mo_coeff"][()], file["scf/centroids"][()]
    core = np.einsum("xmn,m,n->x", mf.mol.intor("int1e_r"), coeff[:, 0], coeff[:, 0])
    charges, positions = mf.mol.atom_charges(), mf.mol.atom_coords()
    dipole = charges @ positions - 2 * (centroids.sum(axis=0) + core)
    assert dipole == pytest.approx(mf.dip_moment(unit="AU", verbose=0), abs=1e-6)


def test_damaged_centroids_remove_only_their_panel(
    copy: Path, tmp_path: Path, panels: list[Any]
) -> None:
    pytest.importorskip("matplotlib")
    change(copy, "scf/centroids", (0, 0))
    done = dfmp2("show", copy, "--plot", tmp_path / "x.png")
    assert "DAMAGED: the orbital centroids" in done.stdout
    assert energy(done.stdout, "E(MP2) total") < -76
    assert titles(panels[0]) == ["pair energies", "time per stage"]


def test_plot_of_several_files(kept: tuple[Path, str], killed: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "x.png"
    done = dfmp2("show", kept[0], killed, "--plot", target)
    assert done.exit_code == 2
    assert "--plot draws one result, but there are 2" in done.stderr
    assert not target.exists()


def test_plot_without_matplotlib(
    kept: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfmp2.cli.figure.importlib.util.find_spec", lambda _: None)
    done = dfmp2("show", kept[0], "--plot", tmp_path / "x.png")
    assert done.exit_code == 2
    assert "pip install 'dfmp2[plot]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("target", "code", "says"),
    [("x.pdf", 2, "ends in .png or .svg"), ("nowhere/x.png", 2, "make the folder 'nowhere'")],
)
def test_plot_target(kept: tuple[Path, str], target: str, code: int, says: str) -> None:
    pytest.importorskip("matplotlib")
    done = dfmp2("show", kept[0], "--plot", target)
    assert done.exit_code == code
    assert says in done.stderr


def test_plot_that_cannot_be_written(kept: tuple[Path, str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / "folder.png"
    target.mkdir()
    done = dfmp2("show", kept[0], "--plot", target)
    assert done.exit_code == 6
    assert f"{str(target)!r}: cannot be written (Is a directory); name another" in done.stderr

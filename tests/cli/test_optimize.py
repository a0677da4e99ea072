"""``dfmp2 optimize``: geometry, trajectory, journal, and work that continues after a kill."""

from __future__ import annotations

import fcntl
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfmp2.molecules.files import read_geometry
from dfmp2.workflow import optimization
from tests.cli.common import WATER, any_end, dfmp2, energy, file_with
from tests.systems import ROOT, rng

pytest.importorskip("geometric")
qcelemental = pytest.importorskip("qcelemental")

H2 = "2\nhydrogen; charge=0 spin=0\nH 0 0 0\nH 0 0 0.78\n"
BASIS = ("--basis", "sto-3g", "--quiet")


@pytest.fixture
def h2() -> Path:
    return file_with(Path(), "h2.xyz", H2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an optimisation, which a test copies to its own."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done = optimize(file_with(Path(), "h2.xyz", H2))
    assert done.exit_code == 0, done.stderr
    file_with(folder, "stdout", done.stdout)
    return folder


@pytest.fixture
def here(finished: Path) -> Path:
    """The molecule of a finished optimisation in the current folder."""
    shutil.copytree(finished, Path(), dirs_exist_ok=True)
    return Path("h2.xyz")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Coordinates of the geometries that are computed, in bohr."""
    found: list[Any] = []
    plain = optimization.run_job

    def counted(job: Any, *args: Any) -> Any:
        found.append(job.mol.atom_coords())
        return plain(job, *args)

    monkeypatch.setattr(optimization, "run_job", counted)
    return found


def optimize(molecule: Path, *options: object) -> Any:
    return dfmp2("optimize", molecule, *BASIS, *options)


def only(pattern: str) -> Path:
    (found,) = Path().glob(pattern)
    return found


def frames(path: Path) -> list[list[str]]:
    """The frames of an XYZ file, as lists of lines."""
    lines, found = path.read_text().splitlines(), []
    while lines:
        count = int(lines[0]) + 2
        found.append(lines[:count])
        lines = lines[count:]
    return found


def test_optimization(h2: Path, computed: list[Any]) -> None:
    """The last frame is a minimum, can be computed again as it is, and names what it holds."""
    done = optimize(h2, "--json", "h2.json", "--convergence", "gau_tight")
    assert done.exit_code == 0, done.stderr
    trajectory = frames(only("h2-*.opt.xyz"))
    assert len(trajectory) == len(computed)
    last = file_with(Path(), "last.xyz", "\n".join(trajectory[-1]) + "\n")
    again = dfmp2("gradient", last, *BASIS, "--no-checkpoint")
    assert not again.stderr
    largest = float(re.findall(r"largest component +(\S+)", again.stdout)[0])
    assert largest < 2e-5
    comment = dict(item.split("=") for item in trajectory[-1][1].split())
    assert float(comment["energy_hartree"]) == pytest.approx(
        energy(again.stdout, "E(MP2) total"), abs=1e-9
    )
    assert f"step  {'E(MP2) total':>16}"[:4] in done.stdout
    assert "converged" in done.stdout
    assert not list(Path().glob("*.dfmp2.h5"))  # run files of finished geometries are removed

    data = json.loads(Path("h2.json").read_text())
    qcelemental.models.OptimizationResult(**data)
    assert data["schema_name"] == "qcschema_optimization_output"
    assert data["success"] is True
    assert len(data["energies"]) == len(data["trajectory"]) == len(trajectory)
    assert data["energies"] == [step["properties"]["return_energy"] for step in data["trajectory"]]
    assert data["final_molecule"]["geometry"] == pytest.approx(computed[-1].ravel(), abs=1e-12)
    shown = dfmp2("show", "h2.json")
    assert (shown.exit_code, "is a geometry optimisation" in shown.stderr) == (6, True)


@pytest.mark.usefixtures("here")
def test_trajectory_is_read_by_ase() -> None:
    """Energies in the comment line must not be taken for eV."""
    pytest.importorskip("ase")
    from ase.io import read

    path = only("h2-*.opt.xyz")
    found = read(path, ":", format="extxyz")
    assert len(found) == len(frames(path))
    assert all(atoms.calc is None for atoms in found)
    assert found[-1].info["energy_hartree"] == pytest.approx(-1.13, abs=0.1)


def test_same_command_computes_nothing_again(here: Path, computed: list[Any]) -> None:
    trajectory = only("h2-*.opt.xyz").read_bytes()
    only("h2-*.opt.xyz").unlink()
    again = optimize(here)
    assert again.stdout == Path("stdout").read_text()
    assert not computed
    assert only("h2-*.opt.xyz").read_bytes() == trajectory


def test_tighter_thresholds_go_on(here: Path, computed: list[Any]) -> None:
    before = len(frames(only("h2-*.opt.xyz")))
    assert optimize(here, "--convergence", "gau_verytight").exit_code == 0
    assert 0 < len(computed) <= len(frames(only("h2-*.opt.xyz"))) - before


def test_warnings_are_printed_once(h2: Path) -> None:
    """Not at every geometry."""
    done = optimize(h2, "--auxbasis", "cc-pvdz", "--max-steps", 2)
    assert done.stderr.count("Warning") == done.stderr.count("is an orbital basis") == 1


def test_too_few_steps(h2: Path, computed: list[Any]) -> None:
    """The outputs are complete, and the same command with more steps goes on."""
    done = optimize(h2, "--max-steps", 1, "--json", "h2.json")
    assert done.exit_code == 4
    assert "not converged in 1 steps; run the same command with a larger --max-steps" in done.stderr
    assert json.loads(Path("h2.json").read_text())["success"] is False
    assert len(frames(only("h2-*.opt.xyz"))) == 2
    assert optimize(h2).exit_code == 0
    everything = {coordinates.tobytes() for coordinates in computed}
    assert len(everything) == len(computed)


class Killed(BaseException):
    """Ends the work as a kill does, without the cleaning up of ordinary errors."""


def killed_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> Iterator[None]:
    """End the work at the n-th time that data is brought to the disk."""
    calls, plain = [0], os.fsync

    def counted(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] == moment:
            raise Killed
        plain(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", counted)
        yield


def test_stopped_at_any_write(h2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trajectory is the one of a run that was not stopped, with the same bytes."""
    optimize(h2, "--trajectory", "whole.opt.xyz")
    whole = Path("whole.opt.xyz").read_bytes()
    for moment in (1, 2, 3, 5, 7):
        for _ in killed_at(monkeypatch, moment):
            with pytest.raises(Killed):
                any_end("optimize", h2, *BASIS, "--trajectory", "cut.opt.xyz")
    assert optimize(h2, "--trajectory", "cut.opt.xyz").exit_code == 0
    assert Path("cut.opt.xyz").read_bytes() == whole
    assert not list(Path().glob("*.dfmp2.h5"))


SERVER = """
import os, sys
import geometric.optimize, pyscf.scf, torch
import dfmp2.cli.optimize, dfmp2.cli.optimization_report, dfmp2.workflow.optimization
from dfmp2.cli import main
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        try:
            main(line.split())
        except SystemExit as end:
            os._exit(end.code or 0)
        os._exit(99)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
"""Runs each line of its input as a command, in a process that has done its imports already."""


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as process:  # fmt: skip
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _run(server: subprocess.Popen[str], command: str, seconds: float) -> int:
    """Exit code of a command that is killed after so many seconds."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(command + "\n")
    pid = int(server.stdout.readline())
    ended, _, _ = select.select([server.stdout], [], [], seconds)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    return int(server.stdout.readline())


@pytest.mark.slow
def test_fifty_kills(server: subprocess.Popen[str]) -> None:
    """At seeded instants; an optimisation that was finished before one is started anew."""
    command = f"optimize {WATER} --basis sto-3g --quiet --trajectory"
    start = time.perf_counter()
    assert _run(server, f"{command} whole.opt.xyz", 600) == 0
    seconds, whole = time.perf_counter() - start, Path("whole.opt.xyz").read_bytes()
    kills, instants = 0, rng(1)
    while True:
        last = kills == 50
        code = _run(
            server, f"{command} cut.opt.xyz", 600 if last else instants.uniform(0, 0.6 * seconds)
        )
        if code == 0:
            assert Path("cut.opt.xyz").read_bytes() == whole
            assert not list(Path().glob("*.dfmp2.h5"))
            if last:
                return
            for file in Path().glob("cut.*"):
                file.unlink()
        else:
            assert code == -signal.SIGKILL
            kills += 1


def test_journal_with_a_torn_last_line(here: Path, computed: list[Any]) -> None:
    """A kill can leave a part of a line. Only its geometry is computed again."""
    whole, journal = only("h2-*.opt.xyz").read_bytes(), only("h2-*.opt.journal")
    text = journal.read_bytes()
    for cut in (1, len(text.splitlines(keepends=True)[-1]) - 1):
        journal.write_bytes(text[:-cut])
        assert optimize(here).exit_code == 0
        assert only("h2-*.opt.xyz").read_bytes() == whole
    assert len(computed) == 2


def test_damaged_journal_is_refused(here: Path) -> None:
    journal = only("h2-*.opt.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"e_hf":-1', b'"e_hf":-2')
    journal.write_bytes(b"".join(lines))
    done = optimize(here)
    assert done.exit_code == 6
    assert f"{journal}:3: is damaged" in done.stderr
    assert optimize(here, "--restart", "--max-steps", 1).exit_code == 4
    assert len(journal.read_bytes().splitlines()) == 5  # of two geometries


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--charge", "1", "--spin", "1"), "its charge is 0, not 1"),
        (("--method", "SCS-MP2"), "its method of the gradient is default, not SCS-MP2"),
        (("--conv-tol", "1e-9"), "its conv_tol is 1e-10, not 1e-09"),
    ],
)
def test_journal_of_another_input(here: Path, options: tuple[str, ...], says: str) -> None:
    name, kept = str(only("h2-*.opt.xyz")), only("h2-*.opt.xyz").read_bytes()
    done = optimize(here, "--trajectory", name, *options)
    assert done.exit_code == 6
    assert says in done.stderr
    assert Path(name).read_bytes() == kept


def test_two_processes_with_one_journal(here: Path) -> None:
    """The second one would add geometries of its own between those of the first."""
    with only("h2-*.opt.journal").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = optimize(here)
    assert done.exit_code == 6
    assert "another process of dfmp2 continues this optimisation" in done.stderr


def test_run_file_of_the_geometry_at_work(here: Path) -> None:
    """Its SCF is not done again: the run file of the step is continued."""
    from dfmp2.workflow import jobs

    journal = only("h2-*.opt.journal")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # started, not finished
    started: list[int] = []
    plain = jobs.run_scf
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "run_scf", lambda *a, **k: started.append(1) or plain(*a, **k))
        patch.setattr(optimization.GeometryJournal, "add", _killed)
        with pytest.raises(Killed):
            any_end("optimize", here, *BASIS)
        assert started == [1]
        assert list(Path().glob("*.dfmp2.h5"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "run_scf", lambda *a, **k: started.append(2))
        assert optimize(here).exit_code == 0
    assert started == [1]


def _killed(*_: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("1\ncharge=0 spin=0\nHe 0 0 0\n", (), "one atom has no geometry"),
        (H2.replace("2\n", "3\n", 1) + "Ghost-H 0 0 2\n", (), "ghost atoms"),
        (H2, ("--method", "MP3"), "--method MP3 is unknown"),
        (H2, ("--plot", "h2.pdf"), "ends in .png or .svg"),
        (H2, ("--trajectory", "no/h2.xyz"), "its folder does not exist"),
        (H2, ("--trajectory", "mol.xyz"), "mol.xyz is another file of this command"),
        (H2, ("--trajectory", "a.xyz", "--json", "a.xyz"), "a.xyz is another file"),
        (H2, ("--trajectory", "other.xyz"), "exists without the journal other.opt.journal"),
    ],
)
def test_wrong_input_is_found_before_the_scf(
    text: str, options: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("dfmp2.workflow.jobs.run_scf")
    file_with(Path(), "other.xyz", "somebody's work")
    done = optimize(file_with(Path(), "mol.xyz", text), *options)
    assert done.exit_code in (2, 6)
    assert says in done.stderr
    assert not list(Path().glob("*.opt.*"))


def test_several_molecules(h2: Path) -> None:
    done = optimize(h2, h2)
    assert done.exit_code == 2
    assert "optimize takes one molecule" in done.stderr


def test_geometric_missing(h2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geometric", None)
    done = optimize(h2)
    assert done.exit_code == 2
    assert "pip install 'dfmp2[optimize]'" in done.stderr


def test_scf_that_fails_keeps_what_is_finished(h2: Path, computed: list[Any]) -> None:
    """The error says so with exit code 4, and the same command goes on once it is mended."""
    optimize(h2, "--max-steps", 1)
    before = len(computed)
    done = optimize(h2, "--max-cycle", 1)
    assert done.exit_code == 4
    assert "SCF did not converge" in done.stderr
    assert optimize(h2).exit_code == 0
    assert np.linalg.norm(np.diff(computed[before], axis=0)) > 0
    assert len({c.tobytes() for c in computed}) == len(computed) - 1  # the failed one, twice


def test_plot(here: Path) -> None:
    pytest.importorskip("matplotlib")
    assert optimize(here, "--plot", "h2.png").exit_code == 0
    assert Path("h2.png").read_bytes().startswith(b"\x89PNG")


def test_frames_are_the_geometries(h2: Path, computed: list[Any]) -> None:
    """In Å, with the factor of PySCF, which reads them."""
    optimize(h2, "--max-steps", 1)
    for lines, coordinates in zip(frames(only("h2-*.opt.xyz")), computed, strict=True):
        frame = file_with(Path(), "frame.xyz", "\n".join(lines) + "\n")
        from pyscf.lib import param

        read = np.array([xyz for _, xyz in read_geometry(str(frame)).atoms]) / param.BOHR
        assert read == pytest.approx(coordinates, abs=1e-11)


@pytest.mark.slow
def test_geometry_is_that_of_mp2_without_fitting() -> None:
    """The gradient of PySCF's MP2 at the optimised geometry is the error of the fit, which is below
    1e-4 Eh/bohr. Force constants of bonds are above 0.3 Eh/bohr^2, so bond lengths differ by less
    than 2e-4 Å."""
    from pyscf import gto, mp, scf

    done = dfmp2("optimize", WATER, "--basis", "cc-pvtz", "--frozen", "auto", "--quiet",
                 "--convergence", "gau_tight")  # fmt: skip
    assert done.exit_code == 0
    geometry = read_geometry(str(file_with(Path(), "last.xyz", _last_frame())))
    mol = gto.M(atom=list(geometry.atoms), basis="cc-pvtz", verbose=0)
    mf = scf.RHF(mol).run(conv_tol=1e-11)
    assert np.abs(mp.MP2(mf, frozen=1).run().nuc_grad_method().kernel()).max() < 1e-4


def _last_frame() -> str:
    return "\n".join(frames(only("water-*.opt.xyz"))[-1]) + "\n"

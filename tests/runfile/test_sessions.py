"""Provenance of runs with several sessions, and sessions that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyscf.scf import chkfile

from dfmp2 import DFMP2
from dfmp2.errors import CheckpointError, InputError
from dfmp2.planning.plan import make_plan
from dfmp2.precision.spot_check import SpotCheck
from dfmp2.runfile.file import RunFile
from tests.cli.common import PRINTED, dfmp2, energy, fact, file_with
from tests.runfile.common import (
    FILE,
    JOB,
    OPTIONS,
    committed_pairs,
    counted,
    fitted_rows,
    out_of_core,
    resumed,
    small_blocks,
    state_of,
    whole_input,
)
from tests.runfile.killed import Killer
from tests.systems import INPUTS, converge, duplicated_auxbasis, mean_field, molecule, rng

SIMULATOR = {"backend": "simulator", "device": "bundled", "precision": "auto"}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small_blocks(monkeypatch)


@pytest.fixture
def exact(finished: Path) -> float:
    """The total energy."""
    return resumed(finished).e_tot


def options_with(*more: object) -> tuple[object, ...]:
    """The usual options and more ones, with one device."""
    usual = [o for o in OPTIONS if o not in ("--device", "cpu")] if "--device" in more else OPTIONS
    return (*usual, *more)


def killed(
    killer: Killer, *more: object, of: str = "pairs/crc32", write: int = 8, **how: Any
) -> Path:
    """The run file of a run that was killed after seven pairs."""
    folder = Path.cwd()
    done = killer.run(folder, *JOB, *options_with(*more), of=of, write=write, cut=0.0, **how)
    assert done["exit"] == -9
    return folder / FILE


# Provenance


def test_all_devices_are_named(killer: Killer, exact: float) -> None:
    """Seven pairs by torch and eight by NKI kernels in a simulator: the result must name both."""
    path = killed(killer)
    before = committed_pairs(path)
    assert len(before) == 7
    result = resumed(path, **SIMULATOR)
    assert abs(result.e_tot - exact) < 1e-6
    rows = [r for r in result.provenance.operations if r.stage == "pair energies"]
    assert {(row.where.backend, row.where.mode) for row in rows} == {
        ("pytorch", "cpu"), ("nki", "simulator"),
    }  # fmt: skip
    assert "bundled simulator" in result.provenance.device_line()
    assert "(pytorch, cpu)" in result.provenance.device_line()
    assert result.labels["precision"].startswith("7 pairs fp64; 8 pairs ")
    after = committed_pairs(path)
    assert {pair for pair, entry in after.items() if entry[0] == 1} == set(before)
    assert {entry[0] for entry in after.values()} == {1, 2}


def test_b_by_torch_and_pairs_by_nki(killer: Killer, exact: float) -> None:
    """The first session computed only B. The result must name it, too."""
    path = killed(killer, of="pairs/e_os", write=1)
    assert fitted_rows(path) == 5
    assert not committed_pairs(path)
    result = resumed(path, **SIMULATOR)
    assert abs(result.e_tot - exact) < 1e-6
    done = {row.stage: row.where.backend for row in result.provenance.operations}
    assert (done["metric solve"], done["pair energies"]) == ("pytorch", "nki")


def test_b_by_nki_and_pairs_by_torch(killer: Killer, exact: float) -> None:
    """Torch must continue B in the orthonormal auxiliary basis that the NKI session used."""
    path = killed(killer, "--backend", "simulator", "--device", "bundled",
                  of="b/raw_session", write=10)  # fmt: skip
    assert state_of(path)["b"]["aux"] == "conditioned"
    assert fitted_rows(path) == 0
    result = resumed(path, backend="pytorch", device="cpu", precision="fp64")
    assert abs(result.e_tot - exact) < 1e-6
    done = {(row.stage, row.where.backend) for row in result.provenance.operations}
    assert ("pair energies", "pytorch") in done


def test_a_session_without_stored_values_is_not_named(killer: Killer) -> None:
    """A session killed before its first value must not appear in the provenance."""
    path = killed(killer, "--backend", "simulator", "--device", "bundled", of="b/rows", write=1)
    assert [s["mode"] for s in state_of(path)["sessions"]] == ["simulator"]
    result = resumed(path, backend="pytorch", device="cpu", precision="fp64")
    assert {row.where.backend for row in result.provenance.operations} == {"pytorch"}
    assert result.labels["precision"] == "fp64"


def test_a_lost_record_is_not_taken_over(killer: Killer, exact: float) -> None:
    """The device of its pairs is unknown, and its number must not be used again."""
    path = killed(killer)
    with RunFile(str(path)) as file:
        file.state["sessions"] = []
        del file.state["b"]
        file.save()
        file.save()
    with counted() as work:
        result = resumed(path)
    assert work.pairs == 15
    assert abs(result.e_tot - exact) < 1e-10
    assert [s["id"] for s in state_of(path)["sessions"]] == [2]
    assert {entry[0] for entry in committed_pairs(path).values()} == {2}


# Refusals


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--backend", "simulator", "--device", "bundled"),
         "computed by pytorch (cpu), not nki (simulator)"),
        (("--precision", "fp32"), "computed with precision fp64, not fp32"),
        (("--precision", "auto"), "computed with precision fp64, not auto"),
    ],
)  # fmt: skip
def test_another_backend_or_precision_is_refused(
    more: tuple[str, ...], says: str, killer: Killer
) -> None:
    path = killed(killer)
    before = path.read_bytes()
    done = dfmp2(*JOB, *options_with(*more))
    assert done.exit_code == 6
    assert done.stderr.count("\n") == 1
    assert f"pairs in it were {says}; dfmp2 resume continues" in done.stderr
    assert "or move it away and start over (on the command line: --restart)" in done.stderr
    pairs = committed_pairs(path)
    assert len(pairs) == 7
    assert path.stat().st_size == len(before)
    assert dfmp2(*JOB, *options_with(*more), "--restart").exit_code == 0


def test_pairs_of_lower_accuracy_are_refused(killer: Killer) -> None:
    killed(killer, "--precision", "fp32", "--accuracy", "1e-6")
    done = dfmp2(*JOB, *OPTIONS, "--precision", "fp32", "--accuracy", "1e-8")
    assert done.exit_code == 6
    assert "for an accuracy of 1e-06 Eh, not 1e-08" in done.stderr
    assert dfmp2(*JOB, *OPTIONS, "--precision", "fp32", "--accuracy", "1e-5").exit_code == 0


@pytest.mark.parametrize("command", ["run", "resume"])
@pytest.mark.parametrize(("of", "what"), [("pairs/crc32", "pairs"), ("pairs/e_os", "B")])
def test_require_nki(
    command: str, of: str, what: str, killer: Killer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither pairs nor B by torch may be used if NKI is required."""
    killed(killer, of=of, write=8 if what == "pairs" else 1)
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    nki = ("--backend", "simulator", "--device", "bundled")
    run = (*JOB, *options_with(*nki))
    done = dfmp2(*run) if command == "run" else dfmp2("resume", FILE, *nki)
    assert done.exit_code == 7
    line = done.stderr.splitlines()[-1]
    assert line == (
        f"Error: DFMP2_REQUIRE_NKI is set, but {what} in {FILE} came from pytorch (cpu); move "
        "it away and start over (on the command line: --restart)"
    )


OTHERS: dict[str, tuple[object, ...]] = {
    "atoms": ("run", INPUTS / "ammonia.xyz", *JOB[2:]),
    "charge": (*JOB, "--charge", "2"),
    "basis": (*JOB[:3], "sto-3g", *JOB[4:]),
    "auxbasis": (*JOB[:5], "def2-svp-ri"),
    "frozen": (*JOB, "--frozen", "auto"),
    "density_fit": (*JOB, "--density-fit"),
    "conv_tol": (*JOB, "--conv-tol", "1e-9"),
    "fused": (*JOB, "--no-fused-energy"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_input_is_refused(name: str, finished: Path) -> None:
    before = finished.read_bytes()
    options = [finished if o == FILE else o for o in OPTIONS]
    done = dfmp2(*OTHERS[name], *options)
    assert done.exit_code == 6
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert f"{FILE}: is the run file of another input: its {name} is " in done.stderr
    assert "--checkpoint" in done.stderr
    assert "--restart" in done.stderr
    assert finished.read_bytes() == before


def test_resume_refuses_another_calculation(finished: Path) -> None:
    """The stored pairs would be printed as those of the other calculation."""
    before = finished.read_bytes()
    done = dfmp2("resume", finished, "--no-fused-energy")
    assert done.exit_code == 6
    assert f"{finished}: was made with fused = True, which cannot change to False" in done.stderr
    assert finished.read_bytes() == before


def test_default_names_differ_by_input() -> None:
    for args in (JOB, OTHERS["frozen"], OTHERS["basis"]):
        assert dfmp2(*args).exit_code == 0
    assert len(list(Path.cwd().glob("water-*.dfmp2.h5"))) == 3


# auto


def test_auto_that_rejects_fp32(exact: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejected pairs are computed again and not read by a later resume."""
    monkeypatch.setattr(SpotCheck, "error", lambda *_: 1.0)
    done = dfmp2(*JOB, *OPTIONS, "--precision", "auto")
    assert done.exit_code == 0
    assert fact(done.stdout, "precision").startswith("fp64 (auto: with fp32, estimated error 1e+00")
    assert abs(energy(done.stdout, "E(MP2) total") - exact) < PRINTED
    path = Path(FILE)
    assert [s["rejected"] for s in state_of(path)["sessions"]] == [True, False]
    assert {entry[0] for entry in committed_pairs(path).values()} == {2}
    again = resumed(path)
    assert abs(again.e_tot - exact) < 1e-10
    assert not any("damaged" in note for note in again.notes)


@pytest.mark.parametrize("write", [17, 20, 30])
def test_auto_that_rejects_fp32_and_is_killed(
    write: int, killer: Killer, exact: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spot check rejects fp32, then the run is killed: its fp64 pairs must be kept."""
    monkeypatch.setattr("dfmp2.workflow.compute.expected_error", lambda _: 0.0)
    path = killed(killer, "--precision", "auto", "--accuracy", "1e-11",
                  of="pairs/e_os", write=write, expected=0.0)  # fmt: skip
    sessions = state_of(path)["sessions"]
    assert [s["rejected"] for s in sessions] == [True, False]
    before = committed_pairs(path)
    with counted() as work:
        result = resumed(path)
    assert abs(result.e_tot - exact) < 1e-10
    assert work.pairs == 15 - len(before)
    assert result.labels["precision"] == "fp64 (auto: fp32 was too rough before)"
    after = committed_pairs(path)
    assert {pair: after[pair] for pair in before} == before
    assert result.notes == (
        f"{len(before)} of 15 pairs were computed in earlier sessions of {path}",
    )


# Unusual molecules


class Ended(Exception):
    """Raised where a run is interrupted."""


def ending(stage: str, number: int) -> Any:
    """A progress function that interrupts the run in a stage."""

    def progress(name: str, done: int, total: int) -> None:
        if (name, done) == (stage, number):
            raise Ended

    return progress


@pytest.mark.parametrize("on_disk", [False, True])
def test_an_eigenvector_metric_interrupted_between_rows(on_disk: bool) -> None:
    """Some auxiliary functions occur twice, so vectors are dropped and B is smaller."""
    mf = mean_field("water")
    auxbasis = duplicated_auxbasis(("O", "H"))
    exact = DFMP2(mf, auxbasis=auxbasis).run()
    assert "eigen" in exact.result.labels["metric"]

    def driver() -> Any:
        made = DFMP2(mf, auxbasis=auxbasis).set(checkpoint="eigen.h5", checkpoint_interval=0.0)
        if on_disk:
            made.max_memory = least(made)
        return made

    stage, number = ("metric solve", 2) if on_disk else ("pair energies", 1)
    with pytest.raises(Ended):
        driver().set(progress=ending(stage, number)).kernel()
    rows = fitted_rows("eigen.h5")
    assert 0 < rows < 5 or not on_disk
    again = driver().run()
    assert abs(again.e_corr - exact.e_corr) < 1e-10
    assert again.result.labels["metric"] == exact.result.labels["metric"]
    assert driver().run().read_from is not None


def least(driver: Any) -> float:
    """The smallest memory budget (MB) of a run."""
    from pyscf import lib

    from dfmp2.errors import ResourceError

    sizes, low, high = driver.plan().sizes, 0.0, 4000.0
    for _ in range(60):
        middle = (low + high) / 2
        try:
            make_plan(sizes, middle, lib.num_threads())
            high = middle
        except ResourceError:
            low = middle
    assert not make_plan(sizes, high, lib.num_threads()).in_memory
    return high


def test_nothing_to_correlate() -> None:
    """Finished runs without virtual or without occupied orbitals can be read."""
    helium = file_with(Path.cwd(), "he.xyz", "1\n\nHe 0 0 0\n")
    aluminium = file_with(Path.cwd(), "al.xyz", "1\ncharge=3\nAl 0 0 0\n")
    for args in (
        (helium, "--basis", "sto-3g"),
        (aluminium, "--basis", "sto-3g", "--frozen", "auto"),
    ):
        texts = [
            dfmp2("run", *args, "--auxbasis", "def2-svp-ri", "--checkpoint", "x.h5").stdout
            for _ in range(2)
        ]
        assert "not computed now" not in texts[0]
        assert "read from run file x.h5" in texts[1]
        for text in texts:
            assert energy(text, "E(MP2) correlation") == 0.0
        assert dfmp2("resume", "x.h5").exit_code == 0
        Path("x.h5").unlink()


@pytest.mark.filterwarnings("ignore:the SCF dropped 2 of 12")
def test_a_linearly_dependent_basis() -> None:
    """Fewer orbitals than functions: the run file is created again with the smaller size."""
    shells = [[0, [3.0, 1.0]], [0, [0.5, 1.0]], [0, [0.5 + 3e-6, 1.0]], [1, [0.8, 1.0]]]
    mol = molecule("H 0 0 0; H 0 0 0.74", {"H": shells})
    mf = converge(mol)
    assert mf.mo_coeff.shape == (12, 10)
    exact = DFMP2(mf, auxbasis="def2-svp-ri").run()
    for number in (1, 2):
        driver = DFMP2(mf, auxbasis="def2-svp-ri").set(checkpoint="x.h5", checkpoint_interval=0.0)
        if number == 1:
            with pytest.raises(Ended):
                driver.set(progress=ending("metric solve", 1)).kernel()
            continue
        assert abs(driver.run().e_corr - exact.e_corr) < 1e-10
    with RunFile("x.h5") as file:
        assert file.shape.nmo == 10
        assert file.shape.sizes.nvir == 9


@pytest.mark.filterwarnings("ignore:the SCF dropped 2 of 12")
def test_a_linearly_dependent_basis_from_the_command_line(killer: Killer) -> None:
    """The dependence is found in the SCF. Kills before and after the second file can be resumed."""
    text = """#BASIS SET
H    S
      3.0    1.0
H    S
      0.5    1.0
H    S
      0.500003    1.0
H    P
      0.8    1.0
END
"""
    path = file_with(Path.cwd(), "dependent.nw", text)
    geometry = file_with(Path.cwd(), "h2.xyz", "2\n\nH 0 0 0\nH 0 0 0.74\n")
    job = ("run", geometry, "--basis", path, "--auxbasis", "def2-svp-ri")
    done = dfmp2(*job, "--checkpoint", "whole.h5", "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    assert "1 correlated occupied, 9 virtual" in fact(done.stdout, "sizes")
    assert "Warning: h2: the SCF dropped 2 of 12 basis functions" in done.stderr
    assert done.stdout.count("note: the SCF dropped 2 of 12 basis functions") == 1
    exact = resumed("whole.h5").e_tot
    for of, write in (("input", 2), ("scf/energy", 1), ("pairs/e_os", 1)):
        killer.run(Path.cwd(), *job, *OPTIONS, of=of, write=write, cut=1.0)
        assert abs(resumed(FILE).e_tot - exact) < 1e-10
        Path(FILE).unlink()
    assert energy(done.stdout, "E(MP2) total") == round(exact, 10)


def test_resume_without_the_orbitals_of_the_chkfile(killer: Killer) -> None:
    """A new SCF could be another reference, so `resume` must refuse until they are stored."""
    mf = mean_field("water", density_fit=True)  # not the orbitals of an SCF by dfmp2
    chkfile.dump_scf(mf.mol, "water.chk", mf.e_tot, mf.mo_energy, mf.mo_coeff, mf.mo_occ)
    exact = DFMP2(mf).run()
    job = ("run", Path("water.chk").resolve())
    answer = killer.run(Path.cwd(), *job, *OPTIONS, of="scf/mo_coeff", write=1)
    assert answer["exit"] == -9
    done = dfmp2("resume", FILE)
    assert done.exit_code == 6
    assert done.stderr == (
        f"Error: {FILE}: was begun with the orbitals of a chkfile, which are not in it yet; start "
        "again with the chkfile\n"
    )
    killer.run(Path.cwd(), *job, *OPTIONS, of="pairs/e_os", write=3, cut=0.5)
    result = resumed(FILE)
    assert abs(result.e_corr - exact.e_corr) < 1e-10
    assert abs(result.e_hf - mf.e_tot) < 1e-10


def test_settings_of_another_version(finished: Path) -> None:
    content = whole_input(finished)
    content["calculation"]["quantum"] = True
    with RunFile(str(finished), writable=False) as file:
        RunFile.create("newer.h5", file.shape, content).close()
    done = dfmp2("resume", "newer.h5")
    assert (done.exit_code, done.stderr.count("\n")) == (6, 1)
    assert "newer.h5: has a setting that this dfmp2 does not have (" in done.stderr
    assert "'quantum'" in done.stderr


# Python scripts


def test_only_the_script_continues_its_run_file() -> None:
    mf = mean_field("water")
    exact = DFMP2(mf).run()
    driver = DFMP2(mf).set(checkpoint="script.h5", checkpoint_interval=0.0)
    with pytest.raises(Ended):
        driver.set(progress=ending("pair energies", 4)).kernel()
    done = dfmp2("resume", "script.h5")
    assert done.exit_code == 6
    assert done.stderr == (
        "Error: script.h5: was begun by DFMP2 in a Python script, and is continued by it\n"
    )
    before = committed_pairs("script.h5")
    assert 0 < len(before) < 15
    with counted() as work:
        again = DFMP2(mf).set(checkpoint="script.h5").run()
    assert work.pairs == 15 - len(before)
    assert abs(again.e_corr - exact.e_corr) < 1e-10
    assert again.read_from is None
    assert DFMP2(mf).set(checkpoint="script.h5").run().read_from is not None


def test_a_script_continues_with_slightly_different_orbitals() -> None:
    """A repeated SCF may differ by rounding and by rotations of degenerate orbitals."""
    mf = converge(molecule("Ne 0 0 0", "cc-pvdz"))
    exact = DFMP2(mf).run()
    driver = DFMP2(mf).set(checkpoint=Path("script.h5"), checkpoint_interval=0.0)
    with pytest.raises(Ended):
        driver.set(progress=ending("pair energies", 4)).kernel()
    before = committed_pairs("script.h5")
    again = mf.copy()
    again.mo_coeff = mf.mo_coeff.copy()
    turn, _ = np.linalg.qr(rng().normal(size=(3, 3)))
    again.mo_coeff[:, 2:5] = mf.mo_coeff[:, 2:5] @ turn  # the three 2p orbitals
    again.mo_coeff[:, 1] *= -1
    again.mo_energy = mf.mo_energy + 1e-12
    with counted() as work:
        result = DFMP2(again).set(checkpoint="script.h5").run()
    assert work.pairs == 15 - len(before)
    assert abs(result.e_corr - exact.e_corr) < 1e-10
    after = committed_pairs("script.h5")
    assert {pair: after[pair] for pair in before} == before


def test_a_script_with_other_orbitals_is_refused() -> None:
    """Orbitals passed as mo_coeff, and orbitals of another state, are another input."""
    mf = mean_field("water")
    DFMP2(mf).set(checkpoint="script.h5").run()
    with pytest.raises(CheckpointError, match="another input: its orbitals is "):
        DFMP2(mf, mo_coeff=-mf.mo_coeff).set(checkpoint="script.h5").run()
    other = mf.copy()
    other.mo_coeff = mf.mo_coeff[:, [0, 1, 2, 3, 5, 4, *range(6, 24)]]
    with pytest.raises(CheckpointError, match="another input: its orbitals is "):
        DFMP2(other).set(checkpoint="script.h5", check_reference="off").run()
    with pytest.raises(CheckpointError, match="another input: its frozen is "):
        DFMP2(mf, frozen=1).set(checkpoint="script.h5").run()
    with pytest.raises(InputError):
        DFMP2(mf).set(checkpoint_file="script.h5")


def test_out_of_core_without_a_run_file() -> None:
    """With --no-checkpoint B is in a temporary file, which must be removed."""
    done = dfmp2(*JOB, "--no-checkpoint", "--max-memory", out_of_core())
    assert done.exit_code == 0
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("command", ["run", "plan", "validate"])
def test_a_run_file_as_molecule_is_an_error(command: str, tmp_path: Path) -> None:
    path = tmp_path / "water.dfmp2.h5"
    DFMP2(mean_field("water")).set(checkpoint=str(path)).run()
    done = dfmp2(command, path)
    assert done.exit_code == 2
    assert f"{path}: is a run file of dfmp2; continue it with dfmp2 resume" in done.stderr

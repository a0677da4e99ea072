"""Timing against other programs: order of the runs, comparison of energies, refused cases."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dfmp2.backends import reduction
from dfmp2.backends.selection import select
from dfmp2.bench import own as bench_own
from dfmp2.bench import reduction as bench_reduction
from dfmp2.bench.compare import SCF_REMARK, bench, make_setup, orbitals
from dfmp2.bench.machine import gemm_rates
from dfmp2.bench.own import require_device
from dfmp2.bench.pairs import Pairs, Run, interleave
from dfmp2.bench.peers import PEERS, Psi4, Setup, find_peers
from dfmp2.bench.psi4 import gbs, input_files, read_output, read_timer
from dfmp2.bench.scaling import exponent, exponents, medians
from dfmp2.errors import BackendUnavailable, InputError, PeerError, ValidationError
from dfmp2.references.mean_field import as_mean_field, read_mean_field
from dfmp2.settings import Settings
from dfmp2.workflow.jobs import Job, PlannedJob, forecast_job
from dfmp2.workflow.prepare import choose
from dfmp2.workflow.reading import read_jobs
from tests.systems import INPUTS, mean_field, molecule, pyscf_mp2

RATES = {"float64": 100.0, "float32": 200.0}


@pytest.fixture(autouse=True)
def _no_gemm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a fixed GEMM rate, so that it is not measured before each run."""
    monkeypatch.setattr(
        bench_own, "gemm_rates", lambda device, dtype: {"slow": 1.0, "fast": RATES[dtype]}
    )


def planned(job: Job) -> PlannedJob:
    """The job with its plan, as a command makes it."""
    return PlannedJob.of(job, choose(job.settings), forecast_job(job))


def job_of(name: str, basis: str = "sto-3g", **options: Any) -> PlannedJob:
    settings = Settings(basis=basis, device="cpu", **options)
    (job,) = read_jobs(str(INPUTS / f"{name}.xyz"), settings)
    return planned(job)


def job_on(mf: Any, **options: Any) -> PlannedJob:
    """A job with the orbitals of a mean field."""
    settings = Settings(device="cpu", **options)
    return planned(Job(name="water", mol=mf.mol, settings=settings, solution=read_mean_field(mf)))


def setup_of(mf: Any, **options: Any) -> Setup:
    job = job_on(mf, **options)
    return make_setup(job, orbitals(job))


@cache
def radical() -> Any:
    """UHF of OH."""
    from pyscf import scf

    mf = scf.UHF(molecule("O 0 0 0; H 0.3 0.5 0.8", "6-31g", spin=1))
    return mf.run(conv_tol=1e-11, conv_tol_grad=1e-7)


def silent(stage: str, done: int, total: int) -> None:
    pass


@dataclass
class Fake:
    """A program that takes no time and records the order of its runs."""

    name: str
    calls: list[str]
    energies: list[float] = field(default_factory=list)
    version: str = "1"
    blas: str = "none"
    tolerance: float = 1e-8
    error: float = 0.0

    def run(self) -> Run:
        self.calls.append(self.name)
        e_corr = self.energies.pop(0) if self.energies else -1.0
        return Run(float(len(self.calls)), e_corr, error=self.error)


# Order of the runs


def test_each_run_of_a_peer_follows_one_of_dfmp2() -> None:
    calls: list[str] = []
    steps: list[tuple[str, int, int]] = []
    own, beside = interleave(
        Fake("dfmp2", calls).run,
        [Fake("a", calls), Fake("b", calls)],
        2,
        lambda *step: steps.append(step),
    )
    assert calls == ["dfmp2", "a", "b", *["dfmp2", "a", "dfmp2", "b"] * 2]
    assert [run.seconds for run in own] == [4, 8, 6, 10]  # without the warm-up
    assert [pairs.peer for pairs in beside] == ["a", "b"]
    assert beside[0].ratios == [5 / 4, 9 / 8]
    assert beside[1].ratios == [7 / 6, 11 / 10]
    assert steps == [("repetitions", 1, 2), ("repetitions", 2, 2)]


def test_without_peers_dfmp2_runs_alone() -> None:
    calls: list[str] = []
    own, beside = interleave(Fake("dfmp2", calls).run, [], 3, silent)
    assert calls == ["dfmp2"] * 4
    assert len(own) == 3
    assert beside == []


@pytest.mark.parametrize("wrong", [-1.0 + 2e-8, float("nan")])
@pytest.mark.parametrize("when", [0, 1, 3])
def test_a_wrong_energy_in_any_repetition_is_an_error(when: int, wrong: float) -> None:
    calls: list[str] = []
    peer = Fake("a", calls, [-1.0] * when + [wrong])
    with pytest.raises(ValidationError, match=r"a gives .* not timed: the energies differ"):
        interleave(Fake("dfmp2", calls).run, [peer], 3, silent)
    assert calls.count("a") == when + 1


def test_reduced_precision_has_a_larger_tolerance() -> None:
    calls: list[str] = []
    own = Fake("dfmp2", calls, [-1.0 - 9e-7] * 9, error=1e-6)
    assert len(interleave(own.run, [Fake("a", calls)], 1, silent)[1][0].ratios) == 1
    own.energies = [-1.0 - 2e-6] * 9
    with pytest.raises(ValidationError):
        interleave(own.run, [Fake("a", calls)], 1, silent)


def test_peak_memory_counts_the_warm_up() -> None:
    pairs = Pairs("a", theirs=[Run(1.0, 0.0, 3.0)], warm_up=Run(1.0, 0.0, 8.0))
    assert pairs.peak == 8.0
    assert Pairs("a", theirs=[Run(1.0, 0.0)], warm_up=Run(1.0, 0.0)).peak is None


# Scaling


@pytest.mark.parametrize("power", [2.5, 5.0])
def test_exponent_of_a_power_law(power: float) -> None:
    sizes = [24.0, 240.0, 580.0]
    assert exponent(sizes, [3e-9 * n**power for n in sizes]) == pytest.approx(power, abs=1e-9)


def test_exponent_is_the_least_squares_one() -> None:
    # residuals +d, -2d, +d at equal steps are orthogonal to a line
    sizes, d = [10.0, 100.0, 1000.0], np.array([1.1, 1.1**-2, 1.1])
    assert exponent(sizes, list(d * np.array(sizes) ** 3)) == pytest.approx(3.0, abs=1e-9)


def test_one_size_has_no_exponent() -> None:
    assert exponent([24, 24], [1.0, 2.0]) is None


def test_exponents_by_program() -> None:
    def of(nao: int, own: list[float], peer: list[float]) -> Any:
        pairs = Pairs("a", theirs=[Run(t, 0.0) for t in peer])
        return SimpleNamespace(
            result=SimpleNamespace(sizes={"nao": nao}),
            own=[Run(t, 0.0) for t in own],
            beside=[pairs],
        )

    found = [of(20, [16.0, 16.0, 1.0], [4.0]), of(10, [1.0, 2.0, 90.0], [1.0])]
    assert medians(found) == {"dfmp2": [(20, 16.0), (10, 2.0)], "a": [(20, 4.0), (10, 1.0)]}
    assert exponents(found) == {"dfmp2": pytest.approx(3.0), "a": pytest.approx(2.0)}
    assert exponents(found[:1]) == {"dfmp2": None, "a": None}


# One molecule


def test_bench_of_water() -> None:
    job = job_of("water", frozen=1, precision="fp32")
    found = bench(job, ["pyscf", "pyscf-native"], 1, silent)
    assert [pairs.peer for pairs in found.beside] == ["pyscf", "pyscf-native"]
    assert found.missing == {}
    assert found.peak is not None
    assert found.peak >= max(run.peak or 0.0 for run in found.own)
    assert len(found.own) == 2
    assert found.result.sizes["nocc"] == 4
    for pairs in found.beside:
        assert pairs.theirs[0].e_corr == pytest.approx(found.result.e_corr, abs=1e-6)
        assert pairs.theirs[0].peak is not None
        assert pairs.ratios[0] == pairs.theirs[0].seconds / pairs.own[0].seconds > 0
    assert SCF_REMARK in found.scf
    assert found.gemm_rates == {dtype: {"slow": 1.0, "fast": r} for dtype, r in RATES.items()}
    stages = {stage.name: stage for stage in found.stages}
    assert list(stages) == [stage.name for stage in found.result.provenance.stages]
    pair_stage = stages["pair energies"]
    assert pair_stage.dtype == "float32"
    assert pair_stage.of_peak == pair_stage.gflops / RATES["float32"]
    assert stages["metric solve"].dtype == "float64"
    assert stages["integrals"].of_peak is None
    assert found.reduction is not None
    assert 0 < found.reduction < 1


def test_unfused_run_has_no_share_of_the_reduction() -> None:
    assert bench(job_of("water", fused=False), [], 1, silent).reduction is None


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_share_of_the_reduction(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """A slow reduction must have a share above one half, an empty one almost none."""
    sizes: list[tuple[tuple[int, ...], str]] = []

    def sleep(t: np.ndarray, *_: Any) -> None:
        sizes.append((t.shape, t.dtype.name))
        time.sleep(0.01)

    monkeypatch.setattr(bench_reduction, "SECONDS", 0.05)
    monkeypatch.setattr(reduction, "reduce_pairs", sleep)
    assert bench_reduction.reduction_share(100, 20, dtype, threads=2) > 0.5
    at_once = 10**6 // (100 * 100 * (8 if dtype == "float64" else 4))
    assert set(sizes) == {((at_once, 100, 100), dtype)}
    monkeypatch.setattr(reduction, "reduce_pairs", lambda *_: None)
    assert bench_reduction.reduction_share(100, 200, dtype, threads=2) < 0.05


def test_loosely_converged_orbitals_are_accurate_enough() -> None:
    """Psi4 converges its own orbitals, so the energies must agree within its tolerance."""
    tight = pyscf_mp2(mean_field("water", density_fit=True)).e_corr
    loose = pyscf_mp2(as_mean_field(orbitals(job_of("water", "cc-pvdz")))).e_corr
    assert loose == pytest.approx(tight, abs=2e-7, rel=0)


def test_integrals_of_the_scf_are_freed() -> None:
    assert orbitals(job_of("water", "cc-pvdz")).with_df._cderi is None


def test_mean_field_of_the_job_is_used() -> None:
    mf = mean_field("water")
    job = job_on(mf)
    assert orbitals(job).mo_coeff is mf.mo_coeff
    found = bench(job, [], 1, silent)
    assert found.result.e_hf == mf.e_tot
    assert "exact integrals" in found.scf
    assert SCF_REMARK not in found.scf


def test_nothing_to_time(tmp_path: Path) -> None:
    path = tmp_path / "helium.xyz"
    path.write_text("1\n\nHe 0 0 0\n")
    (job,) = read_jobs(str(path), Settings(basis="sto-3g", device="cpu"))
    with pytest.raises(InputError, match="nothing to time"):
        bench(planned(job), ["pyscf"], 1, silent)


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_simulator_is_refused(by_variable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    calculation = Settings(backend="auto" if by_variable else "simulator")
    if by_variable:
        monkeypatch.setenv("DFMP2_USE_SIMULATOR", "1")
    assert select(calculation.backend).backend.where.mode == "simulator"
    with pytest.raises(BackendUnavailable, match="time of a simulator is not that of a device"):
        require_device(choose(calculation))


def test_gemm_rates_are_those_of_every_library() -> None:
    for dtype in ("float64", "float32"):
        found = gemm_rates("cpu", dtype)
        assert set(found) == {"torch", "NumPy", "SciPy"}
        assert all(0.1 < rate < 1e5 for rate in found.values())


# Choice of peers


def test_peers_that_cannot_compute_the_job_have_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    setup = setup_of(mean_field("water"))
    ready, missing = find_peers(list(PEERS), setup)
    assert [peer.name for peer in ready] == ["pyscf", "pyscf-native"]
    assert missing["psi4"] == missing["gpu4pyscf"] == "not installed"
    for frozen in ([1], [0, 20]):
        setup = setup_of(mean_field("water"), frozen=frozen)
        ready, missing = find_peers(list(PEERS), setup)
        assert [peer.name for peer in ready] == ["pyscf"]
        assert "lowest occupied" in missing["pyscf-native"]


def test_open_shells_beside_pyscf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Energies that differ are an error, so that each program gets the orbitals of both spins.

    Others do not scale the energy, and leave out the single excitations of an ROHF.
    """
    from pyscf import scf

    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    uhf = radical()
    found = bench(job_on(uhf, frozen=1, scale=(1.2, 0.3)), ["pyscf", "pyscf-native"], 1, silent)
    assert [pairs.peer for pairs in found.beside] == ["pyscf", "pyscf-native"]
    assert found.reduction is None
    peers = ["pyscf", "pyscf-native", "gpu4pyscf"]
    found = bench(job_on(uhf, frozen=[[0], [1]]), peers, 1, silent)
    assert [pairs.peer for pairs in found.beside] == ["pyscf"]
    assert "lowest occupied" in found.missing["pyscf-native"]
    assert "closed shells only" in found.missing["gpu4pyscf"]
    rohf = scf.ROHF(uhf.mol).run(conv_tol=1e-11, conv_tol_grad=1e-7)
    found = bench(job_on(rohf), ["pyscf", "pyscf-native", "psi4"], 1, silent)
    assert abs(found.result.e_singles) > 1e-4
    assert "single excitations" in found.missing["psi4"]


def test_molecules_that_the_input_of_psi4_cannot_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    for atoms, options, reason in (
        ("O1 0 0 0", {}, "labelled"),
        ("Ne 0 0 0; Ghost-H 0 0 2", {}, "ghost"),
        ("Ne 0 0 0", {"cart": True}, "Cartesian"),
    ):
        solution = SimpleNamespace(mol=molecule(atoms, **options), kind="RHF")
        setup = SimpleNamespace(solution=solution, core=0)
        assert reason in str(Psi4.obstacle(setup))  # type: ignore[arg-type]
    setup.solution.mol = molecule("Ne 0 0 0")
    assert Psi4.obstacle(setup) is None  # type: ignore[arg-type]


# Files of psi4. Both texts are shortened output of psi4 1.3.2 for water in cc-pVDZ.

TIMER = """\
Module                                       User      System        Wall        Calls
HF: Form C                          :      0.017u      0.000s      0.007w      9 calls
DFMP2 Singles                       :      0.000u      0.000s      0.000w      1 calls
DFMP2 Aia                           :      0.033u      0.000s      0.085w      1 calls
DFMP2 (A|mn)                        :      0.017u      0.000s      0.012w      1 calls
DFMP2 Qia                           :      0.050u      0.000s      0.056w      1 calls
DFMP2 Metric                        :      0.050u      0.000s      0.041w      1 calls
DFMP2 Energy                        :      0.000u      0.000s      0.008w      1 calls

--------------------------------------------------------------------------------------
HF: Form C                          :      0.017u      0.000s      0.007w      9 calls
DFMP2 Singles                       :      0.000u      0.000s      0.000w      1 calls
DFMP2 Aia                           :      0.033u      0.000s      0.085w      1 calls
| DFMP2 (A|mn)                      :      0.017u      0.000s      0.012w      1 calls
DFMP2 Qia                           :      0.050u      0.000s      0.056w      1 calls
| DFMP2 Metric                      :      0.050u      0.000s      0.041w      1 calls
DFMP2 Energy                        :      0.000u      0.000s      0.008w      1 calls

**************************************************************************************
"""

OUTPUT = """\
\t Reference Energy          =     -76.0267499878416686 [Eh]
\t Singles Energy            =      -0.0000000000000000 [Eh]
\t Opposite-Spin Energy      =      -0.1523981674164129 [Eh]
\t Correlation Energy        =      -0.2039755194257881 [Eh]
\t Total Energy              =     -76.2307255072674508 [Eh]
\t SCS Correlation Energy    =      -0.2000702515694872 [Eh]
"""


def test_psi4_timers_of_dfmp2_without_nested_ones_and_scf() -> None:
    assert read_timer(TIMER) == pytest.approx(0.085 + 0.056 + 0.008, abs=1e-12)


def test_psi4_energy_is_the_unscaled_one() -> None:
    assert read_output(OUTPUT) == -0.2039755194257881


@pytest.mark.parametrize("read", [read_timer, read_output])
def test_other_text_is_an_error(read: Any) -> None:
    with pytest.raises(PeerError, match=r"psi4 wrote .*; leave it out"):
        read("HF: Form C   :  0.017u  0.000s  0.007w  9 calls\n Total Energy = -76.2 [Eh]\n")


def test_psi4_input_follows_the_mean_field() -> None:
    exact = mean_field("water")
    solution = orbitals(job_of("water", "cc-pvdz"))
    fitted = as_mean_field(solution)
    fitted.with_df = solution.with_df
    setup = setup_of(exact)
    files = input_files(exact, setup.aux.mol, 1)
    assert set(files) == {"input.dat", "orb.gbs", "aux.gbs"}
    assert "scf_type pk" in files["input.dat"]
    assert "num_frozen_docc 1" in files["input.dat"]
    assert "\n0 1\n" in files["input.dat"]
    assert "reference rhf" in files["input.dat"]
    open_shell = input_files(as_mean_field(read_mean_field(radical())), setup.aux.mol, 0)
    assert "\n0 2\n" in open_shell["input.dat"]
    assert "reference uhf" in open_shell["input.dat"]
    files = input_files(fitted, setup.aux.mol, 0)
    assert "scf_type df\nset df_basis_scf jkfit" in files["input.dat"]
    assert files["jkfit.gbs"] == gbs(fitted.with_df.auxmol)


def test_psi4_basis_file_holds_pyscfs_functions() -> None:
    from pyscf import gto
    from pyscf.gto.basis.parse_gaussian import parse

    mol = mean_field("water").mol
    head, *elements, _ = gbs(mol).split("****\n")
    assert head.split() == ["spherical"]
    basis = {text.split()[0]: parse(text) for text in elements}
    again = gto.M(atom=mol.atom, basis=basis, verbose=0)
    ours, theirs = mol.intor("int1e_kin"), again.intor("int1e_kin")
    assert np.linalg.eigvalsh(ours) == pytest.approx(np.linalg.eigvalsh(theirs), abs=1e-10)


def fake_psi4(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> Psi4:
    """A program named psi4, and the peer that calls it."""
    program = folder / "psi4"
    program.write_text(f"#!/bin/sh\n{script}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Psi4(setup_of(mean_field("water")))


def test_psi4_runs_in_a_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "output").write_text(OUTPUT)
    (tmp_path / "timer").write_text(TIMER)
    peer = fake_psi4(
        tmp_path,
        f"""\
if [ "$1" = --version ]; then echo 9.9; exit; fi
[ "$1 $3" = "-n input.dat" ] && [ "$PSIPATH" = "$PWD" ] && grep -q "basis orb" input.dat || exit 1
cp {tmp_path}/output "$4"; cp {tmp_path}/timer timer.dat; pwd > {tmp_path}/where
""",
        monkeypatch,
    )
    run = peer.run()
    assert peer.version == "9.9"
    assert run.seconds == pytest.approx(0.149, abs=1e-12)
    assert run.e_corr == -0.2039755194257881
    assert not Path((tmp_path / "where").read_text().strip()).exists()


def test_psi4_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peer = fake_psi4(tmp_path, "echo 'no such basis' >&2; exit 1", monkeypatch)
    with pytest.raises(PeerError, match=r"psi4 failed: no such basis; leave it out"):
        peer.run()


@pytest.mark.skipif(shutil.which("psi4") is None, reason="psi4 is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "water",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("radical", "hydrogen_iodide")),
    ],
)
def test_psi4_computes_the_same_problem(name: str) -> None:
    """A density-fitted SCF, an open shell, and an effective core potential."""
    exact = job_on(radical() if name == "radical" else mean_field(name), frozen=1)
    job = job_of(name, "cc-pvdz", frozen=1) if name == "water" else exact
    solution = orbitals(job)
    setup = make_setup(job, solution)
    run = Psi4(setup).run()
    expected = PEERS["pyscf"](setup).run().e_corr
    assert run.e_corr == pytest.approx(expected, abs=Psi4.tolerance, rel=0)
    assert run.seconds > 0

"""``dfmp2 plan``: the forecast. Nothing may be computed for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dfmp2 import DFMP2
from dfmp2.workflow import scf_time, stage_time
from tests.cli.common import AMMONIA, WATER, dfmp2, fact, file_with
from tests.systems import INPUTS, mean_field


@pytest.fixture(autouse=True)
def _no_scf(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyscf import scf

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("an SCF was started")

    for kind in (scf.hf.SCF, scf.hf.RHF):
        monkeypatch.setattr(kind, "kernel", refuse)
        monkeypatch.setattr(kind, "scf", refuse)


def test_plan() -> None:
    done = dfmp2("plan", WATER, "--basis", "cc-pvdz", "--max-memory", 500, "--device", "cpu")
    assert done.exit_code == 0, done.stderr
    text = done.stdout
    assert text.startswith("water: plan of the DF-MP2 part\n")
    assert fact(text, "auxiliary basis") == "cc-pvdz-ri (the RI-MP2 set of the orbital basis)"
    sizes = "24 AOs, 5 correlated occupied, 19 virtual, 84 auxiliary, 15 pairs"
    assert fact(text, "sizes") == sizes
    assert fact(text, "memory, B[i,P,a]") == f"{8 * 5 * 84 * 19 / 1e6:.1f} MB"
    assert fact(text, "memory, limit") == "500.0 MB"
    assert re.fullmatch(r"\d+ auxiliary functions each", fact(text, "integral blocks"))
    assert re.fullmatch(r"\d x \d occupied orbitals", fact(text, "pair blocks"))
    for stage in ("AO->MO", "metric solve", "pair energies"):
        assert re.fullmatch(r"\d+\.\d{3} GFLOP", fact(text, f"work, {stage}"))
    assert "pytorch on cpu" in fact(text, "backend")


def test_frozen_and_several_molecules() -> None:
    done = dfmp2("plan", WATER, AMMONIA, "--basis", "cc-pvdz", "--frozen", "auto")
    assert re.findall(r"^(\w+): plan", done.stdout, re.M) == ["water", "ammonia"]
    assert done.stdout.count(" 4 correlated occupied") == 2


def test_plan_is_that_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    text = dfmp2("plan", WATER, "--basis", "cc-pvdz", "--frozen", "0,1,20").stdout
    monkeypatch.undo()
    plan = DFMP2(mean_field("water"), frozen=[0, 1, 20]).plan()
    assert fact(text, "memory, peak (forecast)") == f"{plan.peak:.1f} MB"
    assert fact(text, "integral blocks") == f"{plan.aux_block} auxiliary functions each"
    s = plan.sizes
    assert fact(text, "sizes").startswith(
        f"{s.nao} AOs, {s.nocc} correlated occupied, {s.nvir} virtual, {s.naux} auxiliary"
    )


@pytest.mark.parametrize("command", ["plan", "run", "validate"])
@pytest.mark.parametrize("budget", ["0.1", "1"])
def test_too_little_memory_is_found_before_the_scf(command: str, budget: str) -> None:
    """The fixture `_no_scf` raises if an SCF starts."""
    done = dfmp2(command, INPUTS / "caffeine.xyz", "--basis", "cc-pvtz", "--max-memory", budget)
    assert done.exit_code == 5
    needed = re.search(r"this run needs at least (\d+) MB", done.stderr)
    assert needed
    assert 48 < int(needed[1]) < 240  # with B[i,P,a] of 51 occupied orbitals in the run file
    assert re.search(r"even with B\[i,P,a\] \(298 MB\) in the run file", done.stderr)
    assert "raise max_memory (--max-memory) or freeze the core" in done.stderr
    if command == "plan":
        enough = ("--max-memory", needed[1])
        assert dfmp2(command, INPUTS / "caffeine.xyz", "--basis", "cc-pvtz", *enough).exit_code == 0


def test_unwritable_json_is_found_before_the_scf(tmp_path: Path) -> None:
    """The path is below a regular file, where the superuser cannot write either."""
    target = file_with(tmp_path, "file", "") / "out.json"
    done = dfmp2("run", WATER, "--basis", "cc-pvdz", "--json", target)
    assert done.exit_code == 6
    assert f"{target}: cannot be written (Not a directory)" in done.stderr


def test_forecast_of_time_without_an_scf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rates there is no number, and rates are measured only if that is asked for."""
    text = dfmp2("plan", WATER, "--basis", "sto-3g", "--device", "cpu").stdout
    assert fact(text, "time (forecast)") == "no rates yet (use --measure, or run once)"
    assert "time, " not in text
    monkeypatch.setattr(scf_time, "SECONDS", 0.02)
    monkeypatch.setattr(stage_time, "SECONDS", 0.01)
    options = ("--basis", "sto-3g", "--device", "cpu", "--measure")
    text = dfmp2("plan", WATER, *options).stdout
    assert re.fullmatch(r"from rates measured now in \d\.\d s", fact(text, "time (forecast)"))
    for stage in ("integrals", "AO->MO", "metric", "metric solve", "pair energies"):
        assert re.fullmatch(r"0\.\d{3} s", fact(text, f"time, {stage}"))
    assert re.fullmatch(r"\S+ s \(14 iterations\)", fact(text, "time, SCF in all"))
    assert re.fullmatch(r"0\.\d{3} s", fact(text, "time, DF-MP2 part in all"))


def test_only_the_cpu_is_measured() -> None:
    options = ("--basis", "sto-3g", "--measure", "--backend", "simulator")
    done = dfmp2("plan", WATER, *options)
    assert done.exit_code == 2
    assert "--measure times backend pytorch on the CPU" in done.stderr
    assert dfmp2("plan", WATER, *options[:2], *options[3:]).exit_code == 0


def test_plan_of_a_gradient() -> None:
    """Gamma is as large as B, and goes to a file where both do not fit."""
    plain = ("plan", INPUTS / "water10.xyz", "--basis", "cc-pvdz", "--device", "cpu")
    command = (*plain, "--gradient", "--max-memory")
    roomy, tight = dfmp2(*command, 4000).stdout, dfmp2(*command, 150).stdout
    assert fact(roomy, "memory, gamma[i,P,a]") == fact(roomy, "memory, B[i,P,a]")
    assert fact(roomy, "gamma[i,P,a] of the gradient") == "in memory"
    assert fact(tight, "gamma[i,P,a] of the gradient").startswith("in a temporary file of ")
    assert "energies alone" in fact(tight, "time of the gradient")
    assert "gamma" not in dfmp2(*plain).stdout
    assert dfmp2(*command, 60).exit_code == 5


@pytest.mark.parametrize("options", [("--reference", "rohf"), ("--xc", "B2PLYP")])
@pytest.mark.parametrize(
    "command", [("gradient",), ("optimize",), ("run", "--properties"), ("plan", "--gradient")]
)
def test_references_without_gradients(
    command: tuple[str, ...], options: tuple[str, ...], tmp_path: Path
) -> None:
    """They are refused before their SCF, which may take hours."""
    oh = file_with(tmp_path, "oh.xyz", "2\ncharge=0 spin=1\nO 0 0 0\nH 0 0 1\n")
    done = dfmp2(*command, oh, "--basis", "6-31g", *options)
    assert done.exit_code == 2
    assert "gradients and densities are not provided for" in done.stderr

"""The option --scf-algorithm: its choices, what the result says of the SCF, and the run file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfmp2.references.pyscf_blas import CORETYPE, has_avx2, load_pyscf
from tests.cli.common import WATER, any_end, dfmp2, energy, fact

BASIS = ("--basis", "cc-pvdz")


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small molecules are done as large ones are, and their iterations are listed."""
    monkeypatch.setattr("dfmp2.references.converge.SMALL", 0)
    monkeypatch.setattr("dfmp2.cli.progress.SHORT", 0.0)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("always")
def test_the_result_says_how_the_scf_was_done() -> None:
    done = dfmp2("run", WATER, *BASIS, "--checkpoint", "run.h5", "--json", "corrected.json")
    direct = dfmp2("run", WATER, *BASIS, "--scf-algorithm", "direct", "--no-checkpoint")
    for name in ("E(HF)", "E(MP2) correlation"):
        assert abs(energy(done.stdout, name) - energy(direct.stdout, name)) < 1e-9
    assert fact(done.stdout, "SCF iterations").startswith("corrected, 3 exact, ")
    assert fact(direct.stdout, "SCF iterations").startswith("direct, ")
    assert "fitted" not in fact(direct.stdout, "SCF iterations")
    assert "whole Fock matrix" in fact(done.stdout, "reference check")
    lines = [line for line in done.stderr.splitlines() if "exact iteration" in line]
    assert len(lines) == 3
    assert "water: SCF, exact iteration 3: E = -76.02677090 Eh, gradient " in lines[-1]

    scf = json.loads(Path("corrected.json").read_text())["extras"]["dfmp2"]["scf"]
    assert (scf["algorithm"], scf["exact_builds"], scf["failed"]) == ("corrected", 3, False)
    assert scf["fitted_iterations"] > 3
    assert scf["seconds"] > 0
    for read in ("run.h5", "corrected.json"):
        stored = fact(dfmp2("show", read).stdout, "SCF iterations")
        assert stored == fact(done.stdout, "SCF iterations")
    assert dfmp2("run", WATER, *BASIS, "--quiet", "--no-checkpoint").stderr == ""


@pytest.mark.usefixtures("always")
def test_a_failed_correction_is_a_warning_and_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyscf.df.make_auxbasis", lambda _: {"default": [[0, [1.0, 1.0]]]})
    done = dfmp2("run", WATER, *BASIS, "--no-checkpoint")
    assert abs(energy(done.stdout, "E(HF)") + 76.0267709017) < 1e-9
    assert "Warning: water: the corrected SCF failed" in done.stderr
    assert "note: the corrected SCF failed" in done.stdout
    assert fact(done.stdout, "SCF iterations").startswith("direct, ")


def test_fitted_is_density_fit() -> None:
    """The two ways to ask for it are one input: the second finds the run file of the first."""
    first = dfmp2("run", WATER, *BASIS, "--density-fit")
    second = dfmp2("run", WATER, *BASIS, "--scf-algorithm", "fitted")
    assert fact(first.stdout, "SCF").startswith("RHF, density-fitted, ")
    assert "run file" in second.stdout
    assert energy(second.stdout, "E(HF)") == energy(first.stdout, "E(HF)")


@pytest.mark.parametrize("name", ["direct", "corrected"])
def test_contradictions(name: str) -> None:
    done = any_end("run", WATER, *BASIS, "--density-fit", "--scf-algorithm", name)
    assert done.exit_code == 2
    assert f"--density-fit contradicts --scf-algorithm {name}" in done.stderr
    assert len(done.stderr.splitlines()) <= 4


def test_kernels_of_the_blas_of_pyscf() -> None:
    """PySCF's old library would take kernels without AVX2; the others keep their choice."""
    program = (
        "import os; from dfmp2.references.pyscf_blas import *; load_pyscf()\n"
        "from threadpoolctl import threadpool_info\n"
        "print(os.environ.get(CORETYPE))\n"
        "for i in threadpool_info(): print(i['filepath'], i.get('architecture'))\n"
    )
    unset = {name: value for name, value in os.environ.items() if name != CORETYPE}
    command = [sys.executable, "-c", program]
    found = subprocess.run(
        command, env=unset, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert found.startswith("None\n")
    if not has_avx2() or "openblas-r0-" not in found:
        pytest.skip("not PySCF's wheel on a processor with AVX2")
    (own,) = (line for line in found.splitlines() if "openblas-r0-" in line)
    assert own.endswith("Haswell")


def test_the_users_kernels_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : sse2 avx2 fma\n")
    monkeypatch.setenv(CORETYPE, "Zen")
    load_pyscf(cpuinfo)
    assert os.environ[CORETYPE] == "Zen"
    monkeypatch.delenv(CORETYPE)
    load_pyscf(cpuinfo)
    assert CORETYPE not in os.environ
    assert not has_avx2(tmp_path / "none")

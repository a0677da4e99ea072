"""Whole jobs beside other programs, and the BLAS that each program uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfmp2.bench import whole
from dfmp2.bench.blas import described, environment, own_blas, pyscf_blas
from dfmp2.bench.compare import make_setup, orbitals
from dfmp2.bench.psi4 import read_blas
from dfmp2.bench.whole import time_whole_jobs
from dfmp2.errors import PeerError
from dfmp2.references.mean_field import read_mean_field
from dfmp2.settings import Settings
from dfmp2.workflow.jobs import Job, PlannedJob, forecast_job
from dfmp2.workflow.prepare import choose
from tests.cli.common import dfmp2
from tests.systems import mean_field, molecule


def planned(mol: Any, **options: Any) -> PlannedJob:
    job = Job(name="x", mol=mol, settings=Settings(device="cpu", conv_tol=1e-8, **options))
    choice = choose(job.settings)
    return PlannedJob.of(job, choice, forecast_job(job, choice))


def silent(stage: str, done: int, total: int) -> None:
    pass


def in_this_process(
    name: str, command: list[str], files: dict[str, str], threads: int
) -> tuple[float, Any]:
    """Instead of new processes, whose imports take seconds."""
    for file, text in files.items():
        Path(file).write_text(text)
    if command[:2] == ["-m", "dfmp2"]:
        done = dfmp2(*command[2:])
        assert done.exit_code == 0, done.stderr
        return 2.0, json.loads(Path("output.json").read_text())
    exec(files[command[0]], {})
    return 3.0, json.loads(Path("output.json").read_text())


@pytest.mark.parametrize(
    ("charge", "frozen", "given"),
    [(-1, 1, [0]), (0, [[0], [1]], [[0], [1]])],
    ids=["closed", "open"],
)
def test_whole_jobs_are_the_same_calculation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, charge: int, frozen: Any, given: Any
) -> None:
    """Charge, basis by element, frozen orbitals and geometry must reach both programs.

    Energies of two SCFs with these thresholds agree to 1e-9 Eh.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(whole, "_timed", in_this_process)
    basis = {"default": "sto-3g", "O": "6-31g"}
    mol = molecule("O 0 0 0; H 0.1 0.2 .96", basis, charge=charge, spin=charge + 1)
    options = {"charge": charge, "spin": charge + 1, "frozen": frozen}
    job = planned(mol, basis=basis, auxbasis="cc-pvdz-ri", **options)
    setup = make_setup(job, orbitals(job))
    found = time_whole_jobs(job, setup, ["pyscf", "pyscf-native"], 1, silent)
    (own,), (pairs,) = found.own, found.beside
    assert pairs.peer == "pyscf"  # the others have no whole job
    assert pairs.ratios == [1.5]
    assert pairs.theirs[0].e_corr == pytest.approx(own.e_corr, abs=1e-9, rel=0)
    assert json.loads(Path("input.json").read_text())["frozen"] == given


def test_jobs_that_cannot_be_repeated_say_why() -> None:
    water = mean_field("water")
    setup: Any = None
    settings = Settings(basis="cc-pvdz", device="cpu")
    done = Job(name="x", mol=water.mol, settings=settings, solution=read_mean_field(water))
    ghost = Job(name="x", mol=molecule("He 0 0 0; ghost-H 0 0 1"), settings=settings)
    own_basis = Settings(basis={"H": [[0, [1.0, 1.0]]]})
    own = Job(name="x", mol=molecule("H 0 0 0; H 0 0 1"), settings=own_basis)
    for job, why in ((done, "orbitals"), (ghost, "ghost"), (own, "a basis comes from a file")):
        found = time_whole_jobs(job, setup, ["pyscf"], 1, silent)
        assert why in found.why_not
        assert found.own == []
    assert time_whole_jobs(own, setup, ["pyscf"], 0, silent).why_not == "not asked for"


def test_a_job_that_fails_is_an_error() -> None:
    with pytest.raises(PeerError, match=r"the PySCF script failed: no memory; use --jobs 0"):
        whole._timed("the PySCF script", ["-c", "raise SystemExit('no memory')"], {}, 1)


# BLAS


def test_kernels_and_versions_of_a_library() -> None:
    row = {"internal_api": "openblas", "version": None, "architecture": "Prescott",
           "filepath": "/x/lib/libopenblas-r0-f650aae0.3.3.so"}  # fmt: skip
    assert described(row) == "OpenBLAS 0.3.3 (Prescott kernels)"
    row |= {"internal_api": "mkl", "version": "2024.2", "architecture": None}
    assert described(row) == "MKL 2024.2 (kernels unknown)"


def test_every_program_names_its_blas() -> None:
    import torch

    assert "torch's" in own_blas(torch.device("cpu"), 3)
    assert "cuBLAS" in own_blas(torch.device("cuda"), 3)
    assert own_blas(None, 3) == "none: NKI kernels"
    assert pyscf_blas(3).endswith(", 3 threads")
    libraries = '[["/usr/lib/libopenblas.so", "Haswell"], ["/usr/lib/libblas.so.3", null]]'
    assert read_blas(libraries) == (
        "libopenblas.so (Haswell kernels) and libblas.so.3 (kernels unknown)"
    )
    assert read_blas("") == read_blas("[]") == "unknown"


def test_variables_of_openblas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)
    assert environment() == {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_L2_SIZE": None}

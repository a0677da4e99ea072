"""``dfmp2 bench``: text, JSON, plot, and refused input."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from pyscf import lib

from dfmp2.bench import machine as bench_machine
from dfmp2.bench import own as bench_own
from dfmp2.bench import whole as bench_whole
from dfmp2.bench.pairs import Run
from dfmp2.bench.peers import PEERS, Pyscf
from tests.cli.common import AMMONIA, WATER, dfmp2, fact

SHORT = ("--basis", "sto-3g", "--pairs", 1, "--device", "cpu", "--quiet", "--jobs", 0)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use fixed start-up times and a fixed GEMM rate, because measuring them takes long."""
    found = bench_machine.StartUp(imports=1.5, compiled_first=2.5, compiled_later=0.25)
    monkeypatch.setattr(bench_machine, "start_up", lambda: found)
    monkeypatch.setattr(
        bench_own, "gemm_rates", lambda device, dtype: {"torch": 32.0, "NumPy": 64.0}
    )


@pytest.mark.usefixtures("started")
def test_text_has_device_ratio_stages_and_start_up() -> None:
    """The test of the command in the README measures the real start-up."""
    done = dfmp2("bench", WATER, *SHORT, "--peer", "pyscf")
    assert done.exit_code == 0, done.stderr
    text = done.stdout
    assert text.startswith("water: DF-MP2 part of dfmp2 ")
    assert fact(text, "ran on").endswith(f"{torch.get_num_threads()} threads (pytorch, cpu)")
    assert text.index("ran on") < text.index("peer/dfmp2")
    assert fact(text, "threads") == str(lib.num_threads())
    assert fact(text, "GEMM peak") == "64 GFLOP/s float64 (NumPy; torch 32)"
    assert "not timed: not asked for" in text
    assert "density-fitted" in fact(text, "SCF")
    assert "converged for timings only" in fact(text, "SCF")
    (row,) = [line for line in text.splitlines() if line.startswith("  pyscf ")]
    assert float(row.split()[4]) > 0
    assert "psi4" not in text
    assert "  pair energies " in text
    assert re.search(r"  of a pair block, its reduction takes \d+\.\d% \(clocked", text)
    assert "not in these times: imports " in text
    assert "exponents" not in text
    assert done.stderr == ""


@pytest.mark.usefixtures("started")
def test_json_and_plot(tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    done = dfmp2(
        "bench", WATER, AMMONIA, *SHORT, "--peer", "pyscf", "--peer", "gpu4pyscf",
        "--json", target, "--plot", tmp_path / "bench.PNG", "--frozen", "auto",
    )  # fmt: skip
    assert done.exit_code == 7  # the times of the others are written first
    assert "no comparison with gpu4pyscf (not installed)" in done.stderr
    assert (tmp_path / "bench.PNG").read_bytes().startswith(b"\x89PNG")
    data = json.loads(target.read_text())
    assert data["start_up_seconds"] == {
        "imports": 1.5,
        "compiled_first": 2.5,
        "compiled_later": 0.25,
    }
    assert [molecule["name"] for molecule in data["molecules"]] == ["water", "ammonia"]
    water = data["molecules"][0]
    assert water["ran_on"].endswith("(pytorch, cpu)")
    assert water["sizes"]["nocc"] == 4
    assert water["missing"] == {"gpu4pyscf": "not installed"}
    assert water["gemm_peak_gflops"] == {"float64": 64.0}
    peer = water["peers"]["pyscf"]
    (pair,) = peer["pairs"]
    assert peer["median_ratio"] == pair["peer"]["seconds"] / pair["dfmp2"]["seconds"]
    assert pair["peer"]["e_corr"] == pytest.approx(pair["dfmp2"]["e_corr"], abs=1e-8)
    assert {"name", "seconds", "gflops", "dtype", "of_peak"} == set(water["stages"][0])
    assert 0 < water["reduction_share"] < 1
    assert set(data["exponents"]) == {"dfmp2", "pyscf"}
    for name, value in data["exponents"].items():
        assert f"{name} {value:.2f}" in done.stdout
    assert fact(done.stdout, "gpu4pyscf") == "not installed"
    assert "imports 1.50 s" in done.stdout


@pytest.mark.usefixtures("started")
def test_json_on_stdout_has_no_other_text() -> None:
    done = dfmp2("bench", WATER, *SHORT, "--peer", "pyscf", "--json", "-")
    assert json.loads(done.stdout)["molecules"][0]["name"] == "water"


@pytest.mark.usefixtures("started")
def test_whole_jobs_and_blas_stand_beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The ratio of the DF-MP2 part alone flatters: the SCF takes most of the time."""
    monkeypatch.setattr(bench_whole, "_own", lambda job, setup: Run(2.0, -0.5))
    monkeypatch.setattr(bench_whole, "JOBS", {"pyscf": lambda setup: Run(5.0, -0.5)})
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    target = tmp_path / "bench.json"
    options = ("--jobs", 2, "--peer", "pyscf", "--json", target)
    text = dfmp2("bench", WATER, *SHORT[:-2], *options).stdout
    assert re.search(r"^  dfmp2 run +2\.000 ", text, re.M)
    assert re.search(r"^  PySCF script +5\.000 +5\.000-5\.000 +2\.50 ", text, re.M)
    variables = "OPENBLAS_CORETYPE Haswell, OPENBLAS_L2_SIZE not set"
    assert fact(text, "OpenBLAS variables") == variables
    assert "torch's" in fact(text, "BLAS of dfmp2")
    (water,) = json.loads(target.read_text())["molecules"]
    assert water["whole_jobs"]["peers"]["pyscf"]["ratios"] == [2.5, 2.5]
    assert len(water["whole_jobs"]["dfmp2"]) == 2
    assert set(water["blas"]) == {"dfmp2", "pyscf"}
    assert water["environment"]["OPENBLAS_CORETYPE"] == "Haswell"
    assert water["gemm_gflops"] == {"float64": {"torch": 32.0, "NumPy": 64.0}}
    assert water["gemm_peak_gflops"] == {"float64": 64.0}


@pytest.mark.usefixtures("started")
def test_a_wrong_peer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pyscf, "run", lambda self: Run(1e-9, -1.0))
    done = dfmp2("bench", WATER, *SHORT, "--peer", "pyscf")
    assert done.exit_code == 3
    assert done.stdout == ""
    assert "pyscf gives a correlation energy of -1.0000000000 Eh" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--backend", "simulator"), 7, "the time of a simulator is not that of a device"),
        (("--plot", "plot.pdf"), 2, "ends in .png or .svg"),
        (("--plot", "missing/plot.png"), 2, "make the folder 'missing'"),
        (("--json", "missing/bench.json"), 6, "cannot be written"),
        (("--peer", "molpro"), 2, "--peer"),
        (("--pairs", "0"), 2, "--pairs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refused_before_any_work(
    arguments: tuple[str, ...], code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyscf import scf

    def no_scf(*args: Any) -> None:
        raise AssertionError("an SCF was started")

    monkeypatch.setattr(scf.hf.RHF, "kernel", no_scf)
    done = dfmp2("bench", WATER, "--basis", "sto-3g", *arguments)
    assert done.exit_code == code
    assert done.stdout == ""
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4


def test_a_plot_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = dfmp2("bench", WATER, *SHORT, "--plot", "plot.png")
    assert done.exit_code == 2
    assert "pip install 'dfmp2[plot]'" in done.stderr


def test_every_option_has_help_and_every_peer_a_name() -> None:
    from dfmp2.cli import main

    command = main.get_command(click.Context(main), "bench")
    assert command is not None
    options = {p.name: p for p in command.params if isinstance(p, click.Option)}
    assert {"basis", "auxbasis", "frozen", "precision", "backend", "device", "threads"} < set(
        options
    )
    assert all(option.help for option in options.values())
    assert list(options["peers"].type.choices) == list(PEERS)
    assert "--conv-tol" not in dfmp2("bench", "--help").stdout

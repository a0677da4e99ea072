"""``dfmp2 kernels``: the status is that of the evidence, and estimates are labelled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dfmp2.cli import main
from dfmp2.kernels.registry import KERNELS, PLACES, rows


def _invoke(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["kernels", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_status_is_that_of_the_evidence() -> None:
    printed = _invoke().splitlines()
    assert printed[0].split() == ["kernel", *PLACES]
    for row, line in zip(rows(), printed[1:], strict=False):
        assert line.split()[0] == row.kernel
        for place in PLACES:
            assert row.status(place) in line
    assert "trn1: never run" in printed  # until there is evidence of a device


def test_status_json() -> None:
    data = json.loads(_invoke("--json"))
    assert [row["kernel"] for row in data] == list(KERNELS)
    for row in data:
        for place, evidence in row["evidence"].items():
            assert {"date", "version", "tolerance", "command"} <= set(evidence)
            assert row["status"][place] != "never run"


@pytest.mark.parametrize(
    "shape", ["small", *(pytest.param(s, marks=pytest.mark.slow) for s in ("medium", "large")),
              "5/19/84"],
)  # fmt: skip
def test_estimate_is_labelled(shape: str) -> None:
    printed = _invoke("--estimate", shape, "--generation", "trn1")
    assert printed.startswith("ESTIMATE")
    assert "not measured" in printed
    kernels = [line.split()[0] for line in printed.splitlines() if " trn1 " in line]
    assert kernels == [
        "gemm", "syrk", "trsm", "ao2mo", "mp2_energy", "pair_energy", "pair_energy_uhf",
    ]  # fmt: skip
    assert "compilation takes is unknown" in printed
    assert "ESTIMATE of pair_energy on all physical cores of one instance" in printed
    names = [line.split()[:2] for line in printed.splitlines() if line.startswith("trn1.")]
    assert names == [["trn1.2xlarge", "2"], ["trn1.32xlarge", "32"]]
    # the run has other launches than the estimate where its sizes are padded
    assert ("those of --estimate 5/20/84." in printed) == (shape == "5/19/84")
    assert ("those of --estimate 96/768/2304." in printed) == (shape == "large")


def test_estimate_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFMP2_NKI_INSTRUCTIONS", "6144")
    data = json.loads(_invoke("--estimate", "medium", "--generation", "trn1", "--json"))
    assert "not measured" in data["what"]
    (pair,) = [k for k in data["kernels"] if k["kernel"] == "pair_energy"]
    # 2080 pairs of 448 virtuals, 1536 auxiliaries: 4 x 12 x 448 matmul columns in 4 passes each,
    # at 2.8 GHz. The products determine the time, so the estimate is only slightly longer.
    products = 2080 * 4 * 12 * 448 * 4 / 2.8e9 * 1e3
    assert products < pair["estimated_device_ms"] < 1.1 * products
    assert pair["programs"] <= 2
    assert all(k["pessimistic_estimate_ms"] >= k["estimated_device_ms"] for k in data["kernels"])
    # An open shell has 2 x 2080 pairs of one spin and 64 x 64 of two. The latter need no
    # transposes, so they are a little faster.
    (uhf,) = [k for k in data["kernels"] if k["kernel"] == "pair_energy_uhf"]
    ratio = (2 * 2080 + 64 * 64) / 2080
    assert products * ratio < uhf["estimated_device_ms"] < ratio * pair["estimated_device_ms"]
    assert uhf["programs"] == 2
    assert data["groups_of_orbitals"] == {"number": 1, "size": 64}
    (small, large) = data["pair_energy_on_instances"]
    assert large["estimated_device_ms"] < small["estimated_device_ms"]


def test_a_split_b_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The groups change the number of programs and launches, so the plan shows them."""
    monkeypatch.setattr("dfmp2.kernels.pair_plan.OFFSET_BYTES", 2 * 384 * 112 * 4 + 1)
    printed = _invoke("--estimate", "small", "--generation", "trn1")
    assert "it into 8 groups of at most 2 orbitals." in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("pair_energy  ")]
    assert int(line.split()[4]) > 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DFMP2_NKI_INSTRUCTIONS", "70000"),
        ("DFMP2_NKI_PROFILE", "tracing"),
        ("DFMP2_SIMULATOR_RULES", "all"),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_wrong_settings_are_found_before_the_work(
    command: str, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first launch, the SCF would be lost."""

    def scf(*_: object) -> None:
        raise AssertionError("an SCF was started")

    monkeypatch.setattr("pyscf.scf.hf.SCF.kernel", scf)
    monkeypatch.setenv(variable, value)
    molecule = str(Path(__file__).parents[2] / "inputs" / "water.xyz")
    arguments = [command, molecule, "--basis", "sto-3g", "--backend", "simulator"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert f"{variable} is '{value}'" in result.stderr


@pytest.mark.parametrize(
    "shape", ["huge", "1/2", "0/1/1", "a/b/c", "-1/2/3", "1_0/2/3", "\uff11/2/3"]
)
def test_bad_shape(shape: str) -> None:
    result = CliRunner().invoke(main, ["kernels", f"--estimate={shape}"])
    assert result.exit_code == 2
    assert shape in result.stderr
    assert "NOCC/NVIR/NAUX" in result.stderr


@pytest.mark.parametrize("shape", ["201/1/1", "1/1/99999", f"1/{'9' * 5000}/1"])
def test_a_shape_that_would_take_hours(shape: str) -> None:
    result = CliRunner().invoke(main, ["kernels", "--estimate", shape])
    assert result.exit_code == 2
    assert "too large" in result.stderr
    assert "200/2000/8000" in result.stderr


def test_a_generation_without_an_estimate_is_an_error() -> None:
    result = CliRunner().invoke(main, ["kernels", "--generation", "trn1"])
    assert result.exit_code == 2
    assert "add --estimate" in result.stderr

"""What a geometry file states, in the table, in the JSON, in run files and on standard error."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.common import dfmp2, energy, fact, file_with
from tests.systems import converge, molecule

PSI4_WATER = "3 au\n0 1 water\nO 0 0 0.22167\nH 0 1.43090 -0.88666\nH 0 -1.43090 -0.88666\n"
HYDRIDE = "1\ncharge=-1.0 energy=-0.5\nH 0 0 0\n"


def test_energy_of_coordinates_in_bohr(tmp_path: Path) -> None:
    """Without the unit of line 1 the atoms would lie 1.9 times farther apart."""
    path = file_with(tmp_path, "water.xyz", PSI4_WATER)
    done = dfmp2("run", path, "--basis", "cc-pvdz", "--no-checkpoint")
    assert fact(done.stdout, "charge") == "0, spin 0 (comment line: 0 1)"
    # The coordinates have 5 decimals; the correlation energy of another program has 6.
    assert abs(energy(done.stdout, "E(MP2) correlation") + 0.203988) < 2e-6


def test_charge_reaches_energy_json_and_run_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = file_with(tmp_path, "h.xyz", HYDRIDE)
    command = ("run", path, "--basis", "cc-pvdz", "--json", "h.json", "--checkpoint", "h.h5")
    done = dfmp2(*command)
    ion = "-1 (comment line: charge=-1.0), spin 0 (the default)"
    assert fact(done.stdout, "charge") == ion
    mf = converge(molecule("H 0 0 0", "cc-pvdz", charge=-1))
    assert abs(energy(done.stdout, "E(HF)") - mf.e_tot) < 1e-9
    labels = json.loads((tmp_path / "h.json").read_text())["extras"]["dfmp2"]["labels"]
    assert labels["electrons"] == f"charge {ion}"
    assert fact(dfmp2("show", "h.h5").stdout, "charge") == ion
    assert fact(dfmp2("show", "h.json").stdout, "charge") == ion


def test_resumed_run_repeats_origin_and_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = file_with(tmp_path, "h.xyz", HYDRIDE)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dfmp2.workflow.jobs.run_scf", killed)
        common = ("--basis", "sto-3g", "--checkpoint", "h.h5", "--quiet")
        done = dfmp2("run", path, *common, "--charge", 1)
    warning = "--charge 1 replaces charge -1 of the file (comment line: charge=-1.0)"
    assert f"Warning: h: {warning}" in done.stderr
    assert fact(dfmp2("show", "h.h5").stdout, "charge") == "+1 (--charge), spin 0 (the default)"
    done = dfmp2("resume", "h.h5", "--quiet")
    assert fact(done.stdout, "charge") == "+1 (--charge), spin 0 (the default)"
    assert f"note: {warning}" in done.stdout


@pytest.mark.parametrize(
    "command",
    ["run", "validate", "resume", "plan", pytest.param("bench", marks=pytest.mark.slow)],
)
def test_quiet_hides_no_warning(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the option nor the filters of Python hide a warning, of the file or of the basis."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    path = file_with(tmp_path, "mg.xyz", "1\nthe dication of Mg\nMg 0 0 0\n")
    common = ("--basis", "lanl2dz", "--auxbasis", "def2-svp-ri", "--ecp", "none")
    quiet = () if command == "plan" else ("--quiet",)
    says = ["lanl2dz on Mg was made for an effective core potential"]
    if command == "resume":
        assert dfmp2("run", path, *common, "--checkpoint", "mg.h5", *quiet).exit_code == 0
        done = dfmp2("resume", "mg.h5", *quiet)
    else:
        extra = ("--pairs", "1", "--peer", "pyscf") if command == "bench" else ()
        done = dfmp2(command, path, *common, *extra, *quiet)
        says.append("Warning: mg: the comment line says 'dication', but states no charge")
    assert done.exit_code == 0, done.stderr
    for text in says:
        assert text in done.stderr


def test_file_name_that_is_not_utf8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"h\xff.xyz")
    (tmp_path / name).write_text(HYDRIDE)
    done = dfmp2("run", name, "--basis", "sto-3g", "--json", "-")
    assert json.loads(done.stdout)["molecule"]["name"] == "h_"
    (tmp_path / name).write_text("1\n\nQq 0 0 0\n")
    done = dfmp2("run", name, "--basis", "sto-3g")
    assert done.exit_code == 2
    assert "unknown element 'Qq'" in done.stderr

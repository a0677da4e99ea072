"""``dfmp2 gradient``, and ``dfmp2 run --properties``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.results.result import read_results
from tests.cli.common import PRINTED, dfmp2, energy, fact, file_with
from tests.systems import converge, molecule

LIH = "2\nlithium hydride; charge=0 spin=0\nLi 0 0 0.1\nH 0 0.2 1.7\n"

SAME = 1e-7
"""Eh/bohr and e bohr. Two SCF calculations of one molecule, converged to a gradient of 1e-7, have
densities that differ by about this."""


@pytest.fixture
def lih(tmp_path: Path) -> Path:
    return file_with(tmp_path, "lih.xyz", LIH)


def run(command: str, molecule: Path, *options: object) -> Any:
    return dfmp2(command, molecule, "--basis", "sto-3g", "--quiet", "--no-checkpoint", *options)


def rows(text: str) -> list[list[float]]:
    """The gradient of the table."""
    found = re.findall(r"^  \d+ +[A-Z][a-z]?((?: +-?\d+\.\d{10}){3})$", text, re.MULTILINE)
    return [[float(x) for x in row.split()] for row in found]


def test_gradient(lih: Path, tmp_path: Path) -> None:
    """Table and JSON hold the gradient of the class, and `show` prints the same table."""
    done = run("gradient", lih, "--json", tmp_path / "lih.json")
    mp = DFMP2(converge(molecule("Li 0 0 .1; H 0 .2 1.7", "sto-3g")))
    expected = mp.nuc_grad_method().kernel()
    assert np.array(rows(done.stdout)) == pytest.approx(expected, abs=SAME)
    assert energy(done.stdout, "E(MP2) total") == pytest.approx(mp.e_tot, abs=1e-9)
    dipole = [float(x) for x in fact(done.stdout, "dipole moment, x y z").split()[:3]]
    assert dipole == pytest.approx(mp.dip_moment("AU"), abs=1e-6)

    data = json.loads((tmp_path / "lih.json").read_text())
    assert data["driver"] == "gradient"
    assert data["model"]["method"] == "df-mp2"
    flat = data["return_result"]
    assert flat == pytest.approx(expected.ravel(), abs=SAME)
    assert data["properties"]["return_gradient"] == flat
    assert data["properties"]["return_energy"] == pytest.approx(mp.e_tot, abs=1e-9)
    assert data["properties"]["mp2_dipole_moment"] == pytest.approx(dipole, abs=1e-6)
    (result,) = read_results(str(tmp_path / "lih.json"))
    assert result.gradient is not None
    assert [x for row in result.gradient.de for x in row] == flat

    shown = dfmp2("show", tmp_path / "lih.json").stdout
    assert shown.replace(f"  read from {tmp_path / 'lih.json'}, not computed now\n", "") == (
        done.stdout
    )


def test_json_is_a_qcschema_result(lih: Path, tmp_path: Path) -> None:
    """Programs that read QCSchema validate it, and refuse a gradient of another shape."""
    pytest.importorskip("qcelemental")
    from qcelemental.models import AtomicResult

    run("gradient", lih, "--json", tmp_path / "lih.json")
    data = json.loads((tmp_path / "lih.json").read_text())
    read = AtomicResult(**data)
    assert read.return_result.shape == (2, 3)
    assert read.properties.mp2_dipole_moment.shape == (3,)


def test_method(lih: Path, tmp_path: Path) -> None:
    """Energy and gradient of JSON are those of one method, which its model names."""
    done = run("gradient", lih, "--method", "kappa-MP2(1.45)", "--kappa", 1.45, "--json",
               tmp_path / "lih.json")  # fmt: skip
    assert "  gradient of the total energy of kappa-MP2(1.45) (hartree/bohr)\n" in done.stdout
    data = json.loads((tmp_path / "lih.json").read_text())
    assert data["model"]["method"] == "df-kappa-mp2(1.45)"
    total = energy(done.stdout, "E(kappa-MP2(1.45)) total")
    assert data["properties"]["return_energy"] == pytest.approx(total, abs=PRINTED)
    assert "mp2_dipole_moment" not in data["properties"]


def test_unknown_method_is_found_before_the_scf(lih: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("dfmp2.workflow.jobs.run_scf")
    done = run("gradient", lih, "--method", "kappa-MP2(1.5)", "--kappa", 1.45)
    assert done.exit_code == 2
    assert "--method kappa-MP2(1.5) is unknown; choose one of MP2, SCS-MP2" in done.stderr
    assert "kappa-MP2(1.45)" in done.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data["return_result"].__setitem__(2, 0.1), "its return_result is not"),
        (lambda data: data["extras"]["dfmp2"]["gradient"]["de"][0].__setitem__(2, 0.1), "is not"),
        (lambda data: data["extras"]["dfmp2"]["gradient"]["de"].pop(), "not one of this molecule"),
        (lambda data: data.update(driver="energy"), "its driver is not"),
        (lambda data: data["properties"].update(return_energy=-7.0), "return_energy is -7.0"),
        (lambda data: data["extras"]["dfmp2"]["properties"].update(dipole=[0.0]), "lengths"),
    ],
)
def test_changed_json_is_refused(
    lih: Path, tmp_path: Path, change: Any, says: str, stored: dict[str, Any]
) -> None:
    data = json.loads(json.dumps(stored))
    change(data)
    file = file_with(tmp_path, "changed.json", json.dumps(data))
    done = dfmp2("show", file)
    assert done.exit_code == 6
    assert says in done.stderr


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """JSON of a gradient."""
    folder = tmp_path_factory.mktemp("stored")
    molecule = file_with(folder, "lih.xyz", LIH)
    run("gradient", molecule, "--json", folder / "lih.json")
    data: dict[str, Any] = json.loads((folder / "lih.json").read_text())
    return data


def test_properties(lih: Path, tmp_path: Path) -> None:
    done = run("run", lih, "--properties", "--json", tmp_path / "lih.json")
    mp = DFMP2(converge(molecule("Li 0 0 .1; H 0 .2 1.7", "sto-3g")))
    dipole = [float(x) for x in fact(done.stdout, "dipole moment, x y z").split()[:3]]
    assert dipole == pytest.approx(mp.dip_moment("AU"), abs=1e-6)
    debye = float(fact(done.stdout, "dipole moment, size").split()[4])
    assert debye == pytest.approx(np.linalg.norm(mp.dip_moment()), abs=2e-5)
    second = mp.quad_moment("AU")
    diagonal = [float(x) for x in fact(done.stdout, "quadrupole, xx yy zz").split()[:3]]
    assert diagonal == pytest.approx(np.diag(second), abs=1e-5)
    assert "(about the origin" not in done.stdout
    data = json.loads((tmp_path / "lih.json").read_text())
    assert data["driver"] == "energy"
    occupations = data["extras"]["dfmp2"]["properties"]["occupations"]
    assert occupations == pytest.approx(mp.natural_orbitals().occupations, abs=1e-6)
    (result,) = read_results(str(tmp_path / "lih.json"))
    assert result.gradient is None


def test_dipole_of_an_ion_names_its_origin(tmp_path: Path) -> None:
    ion = file_with(tmp_path, "ion.xyz", LIH.replace("charge=0 spin=0", "charge=1 spin=1"))
    done = run("run", ion, "--properties")
    assert "properties of MP2 (about the origin of the coordinates)" in done.stdout

"""``dfmp2 validate`` and ``dfmp2 run --validate``: agreement and disagreement with PySCF."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.common import AMMONIA, H2, WATER, dfmp2, energy, file_with
from tests.systems import INPUTS, references


def figure(text: str, name: str) -> float:
    found = re.search(rf"^  {re.escape(name)} +(-?[\d.]+e[-+]\d+)", text, re.MULTILINE)
    assert found, f"no line {name!r} in\n{text}"
    return float(found[1])


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a run. Tests must copy it."""
    target = tmp_path_factory.mktemp("stored") / "water.json"
    done = dfmp2("run", WATER, "--basis", "cc-pvdz", "--json", target, "--no-checkpoint")
    assert done.exit_code == 0
    return target


@pytest.fixture
def result(stored: Path, tmp_path: Path) -> Path:
    """A stored result that a test may change."""
    return Path(shutil.copy(stored, tmp_path))


@pytest.mark.parametrize("command", [("run", "--validate"), ("validate",)])
def test_agreement(command: tuple[str, ...]) -> None:
    done = dfmp2(command[0], WATER, "--basis", "cc-pvdz", *command[1:], "--frozen", "0,1")
    assert done.exit_code == 0, done.stderr
    assert "water: validation\n" in done.stdout
    assert abs(figure(done.stdout, "difference")) < 1e-10
    assert "agrees (tolerance 1e-08 Eh)" in done.stdout
    mine = energy(done.stdout, "E(MP2) correlation, dfmp2")
    assert abs(mine - energy(done.stdout, "E(MP2) correlation, PySCF")) < 2e-10


@pytest.mark.parametrize("name", ["water", "methane"])
def test_exact_mp2_agrees_with_another_program(name: str) -> None:
    """The expected fitting error is the difference of psi4's DF-MP2 and NWChem's MP2 energy."""
    fitted = references()["df_mp2"][f"{name}/cc-pvdz/cc-pvdz-ri/frozen0"]
    exact = references()["mp2_conventional"][f"{name}/cc-pvdz/conventional/frozen0"]
    done = dfmp2("validate", INPUTS / f"{name}.xyz", "--basis", "cc-pvdz", "--validate-exact")
    assert done.exit_code == 0
    # NWChem's SCF is uncertain by 3e-10; its correlation energy is first-order in the orbitals.
    unfitted = energy(done.stdout, "E(MP2) correlation, unfitted")
    assert abs(unfitted - exact["e_corr"]) < 2e-8
    error = fitted["e_corr"] - exact["e_corr"]
    assert abs(figure(done.stdout, "fitting error") - error) < 2e-8 + 0.005 * abs(error)


def test_fitting_error_never_sets_the_exit_code() -> None:
    done = dfmp2("run", WATER, "--basis", "cc-pvdz", "--validate-exact", "--tolerance", "1e-9")
    assert abs(figure(done.stdout, "fitting error")) > 1e-6
    assert done.exit_code == 0


def test_large_fitting_error_is_named(stored: Path) -> None:
    """An error of 7 mEh stood below the word "agrees", as if it belonged to a good set."""
    job = ("validate", WATER, "--basis", "cc-pvdz", "--validate-exact")
    done = dfmp2(*job, "--auxbasis", "demon")
    assert abs(figure(done.stdout, "fitting error")) > 5e-3
    assert "(of the auxiliary basis; LARGE: use another one)" in done.stdout
    assert "LARGE" not in dfmp2("validate", stored, "--validate-exact").stdout


def test_tolerance_sets_the_exit_code() -> None:
    """With float32 pair products the difference exceeds a tolerance of float64 roundoff."""
    common = ("run", WATER, "--basis", "cc-pvdz", "--precision", "fp32", "--no-checkpoint")
    done = dfmp2(*common, "--validate")
    assert done.exit_code == 0
    assert "agrees (tolerance 1e-06 Eh)" in done.stdout
    assert "(tolerance 1e-07 Eh)" in dfmp2(*common, "--validate", "--accuracy", "1e-7").stdout
    done = dfmp2(*common, "--validate", "--tolerance", "1e-13")
    assert done.exit_code == 3
    assert "DIFFERS (tolerance 1e-13 Eh)" in done.stdout
    assert "the energy differs from PySCF's: water by" in done.stderr
    assert energy(done.stdout, "E(MP2) total") < -76, "the table is printed all the same"


@pytest.mark.parametrize("basis", ["6-31g**", "sto-3g"])
def test_bases_without_an_ri_set_of_the_same_name(basis: str) -> None:
    done = dfmp2("run", "-", "--basis", basis, "--validate", stdin=H2)
    assert done.exit_code == 0, done.stderr
    assert "agrees" in done.stdout


def test_ecp_molecule_agrees() -> None:
    done = dfmp2("validate", INPUTS / "hydrogen_iodide.xyz", "--basis", "def2-svp")
    assert done.exit_code == 0, done.stderr
    assert "agrees" in done.stdout


def test_nothing_to_correlate_agrees(tmp_path: Path) -> None:
    path = file_with(tmp_path, "he.xyz", "1\nhelium\nHe 0 0 0\n")
    done = dfmp2("run", path, "--basis", "sto-3g", "--validate-exact")
    assert done.exit_code == 0, done.stderr
    assert energy(done.stdout, "E(MP2) correlation, PySCF") == 0.0


def test_stored_result(result: Path) -> None:
    done = dfmp2("validate", result)
    assert done.exit_code == 0, done.stderr
    assert "agrees" in done.stdout
    assert "PySCF's" not in done.stderr


def test_stored_result_of_every_kind(tmp_path: Path) -> None:
    """The result must store frozen orbitals, basis by element, fitted SCF, ghosts and charge."""
    ghost = file_with(
        tmp_path, "g.xyz", "4\nH3+; charge=1\nH 0 0 0\nH 0 0 0.87\nH 0.75 0 0.43\nGhost-H 0 0 3\n"
    )
    target = tmp_path / "all.json"
    done = dfmp2(
        "run", AMMONIA, ghost, "--basis", "N=cc-pvtz,default=cc-pvdz", "--frozen", "none",
        "--density-fit", "--auxbasis", "default=cc-pvdz-ri,N=cc-pvtz-ri", "--json", target,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    done = dfmp2("validate", target)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("agrees") == 2


def test_basis_with_a_stored_result_is_an_error(result: Path) -> None:
    done = dfmp2("validate", result, "--basis", "cc-pvtz")
    assert done.exit_code == 2
    assert "brings its own molecule and settings; leave --basis out" in done.stderr


def _total(content: dict[str, Any]) -> None:
    content["properties"]["mp2_total_energy"] -= 1e-6


def _result(content: dict[str, Any]) -> None:
    content["return_result"] -= 1e-6


def _correlation(content: dict[str, Any]) -> None:
    content["properties"]["mp2_correlation_energy"] -= 1e-6


def _pair(content: dict[str, Any]) -> None:
    """Change a pair energy, and all sums consistently."""
    content["extras"]["dfmp2"]["e_os_pairs"][2][2] -= 1e-6
    for name in ("mp2_correlation_energy", "mp2_opposite_spin_correlation_energy",
                 "mp2_total_energy", "return_energy"):  # fmt: skip
        content["properties"][name] -= 1e-6
    content["return_result"] -= 1e-6


def _hartree_fock(content: dict[str, Any]) -> None:
    """Change E(HF), and all sums consistently."""
    content["extras"]["dfmp2"]["e_hf"] -= 1e-6
    for name in ("scf_total_energy", "mp2_total_energy", "return_energy"):
        content["properties"][name] -= 1e-6
    content["return_result"] -= 1e-6


def _nan(content: dict[str, Any]) -> None:
    content["extras"]["dfmp2"]["e_os_pairs"][2][2] = float("nan")


@pytest.mark.parametrize("digest", [True, False])
@pytest.mark.parametrize(
    "tamper", [_total, _result, _correlation, _pair, _hartree_fock, _nan], ids=lambda f: f.__name__
)
def test_changed_energy_is_found(
    result: Path, tamper: Callable[[dict[str, Any]], None], digest: bool
) -> None:
    """By the sums or the digest (exit 6); in a file without digest, by the new computation (3)."""
    content = json.loads(result.read_text())
    tamper(content)
    if not digest:
        del content["extras"]["dfmp2"]["digest"]
    result.write_text(json.dumps(content))
    done = dfmp2("validate", result)
    consistent = tamper in (_pair, _hartree_fock)
    assert done.exit_code == (3 if consistent and not digest else 6)
    if consistent and digest:
        assert "does not match its digest" in done.stderr
    assert "Error: " in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4


def test_changed_molecule_is_found(result: Path) -> None:
    content = json.loads(result.read_text())
    content["molecule"]["geometry"][4] += 0.01
    result.write_text(json.dumps(content))
    for command in ("show", "validate"):  # two molecules in one file: either could be published
        done = dfmp2(command, result)
        assert done.exit_code == 6
        assert "its molecule is not the one of extras.dfmp2" in done.stderr
    content["extras"]["dfmp2"]["molecule"]["coordinates"][1][1] = content["molecule"]["geometry"][4]
    del content["extras"]["dfmp2"]["digest"]
    result.write_text(json.dumps(content))
    done = dfmp2("validate", result)
    assert done.exit_code == 3
    assert "DIFFERS" in done.stdout


def test_molecule_that_pyscf_refuses_is_found(result: Path) -> None:
    content = json.loads(result.read_text())
    content["extras"]["dfmp2"]["molecule"]["basis"] = {"O": "no-such-basis", "H": "sto-3g"}
    del content["extras"]["dfmp2"]["digest"]
    result.write_text(json.dumps(content))
    done = dfmp2("validate", result)
    assert done.exit_code == 6
    assert done.stderr.startswith(f"Error: {result}: its molecule water cannot be built again")
    assert len(done.stderr.splitlines()) <= 4


@pytest.mark.parametrize(
    "option", ["--charge 1", "--frozen 1", "--auxbasis cc-pvtz-ri", "--precision fp32",
               "--no-fused-energy", "--max-memory 100"],
)  # fmt: skip
def test_an_option_that_a_result_decides_is_an_error(result: Path, option: str) -> None:
    """The comparison was with the stored setting, and the option had no effect."""
    done = dfmp2("validate", result, *option.split())
    assert done.exit_code == 2
    name = option.split()[0].replace("no-", "")
    assert f"a result brings its own molecule and settings; leave {name} out" in done.stderr


@pytest.mark.parametrize("command", ["run", "plan", "bench"])
def test_a_result_is_not_computed_with_other_settings(command: str, result: Path) -> None:
    """`run` took the molecule of a result, but not its frozen orbitals."""
    done = dfmp2(command, result)
    assert done.exit_code == 2
    assert f"{result}: is a result" in done.stderr

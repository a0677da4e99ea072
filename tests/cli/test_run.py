"""``dfmp2 run``: options, input files, table and JSON."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from qcelemental.models import AtomicResult

import dfmp2 as package
from dfmp2 import DFMP2
from dfmp2.results.result import read_results
from tests.cli.common import AMMONIA, H2, WATER, dfmp2, energy, fact, file_with, in_own_process
from tests.systems import INPUTS, converge, mean_field, molecule, references

ROW = references()["df_mp2"]["water/cc-pvdz/cc-pvdz-ri/frozen0"]


def stored(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


# The table


def test_table() -> None:
    """Every line of the table, with energies from psi4."""
    done = dfmp2("run", WATER, "--basis", "cc-pvdz", "--device", "cpu")
    assert done.exit_code == 0
    text = done.stdout
    os, ss, hf = ROW["e_corr_os"], ROW["e_corr_ss"], ROW["e_hf"]
    expected = {
        "E(HF)": hf,
        "E(MP2) correlation": os + ss,
        "opposite spin": os,
        "same spin": ss,
        "E(MP2) total": hf + os + ss,
        "E(SCS-MP2) total": hf + 1.2 * os + ss / 3,
        "E(SOS-MP2) total": hf + 1.3 * os,
    }
    for name, value in expected.items():
        assert abs(energy(text, name) - value) < 1e-9, name
    version = package.__version__
    assert text.startswith(f"water: DF-MP2 by dfmp2 {version} (energies in hartree)\n")
    assert fact(text, "formula") == "H2O"
    assert fact(text, "basis") == "cc-pvdz"
    assert fact(text, "auxiliary basis") == "cc-pvdz-ri (the RI-MP2 set of the orbital basis)"
    assert fact(text, "ECP") == "none"
    assert fact(text, "SCF") == "RHF, exact integrals, conv_tol 1e-10"
    assert fact(text, "charge") == "0, spin 0 (comment line: charge=0, spin=0)"
    sizes = "24 AOs, 5 correlated occupied, 19 virtual, 84 auxiliary"
    assert fact(text, "sizes") == sizes
    assert fact(text, "frozen orbitals") == "none (the default)"
    assert fact(text, "metric") == "Cholesky"
    assert fact(text, "precision") == "fp64"
    assert fact(text, "pair energies") == "fused"
    assert f"{torch.get_num_threads()} threads (pytorch, cpu)" in fact(text, "ran on")
    assert fact(text, "GEMM").endswith(" (not measured: the run is small)")
    assert fact(text, "chosen because").startswith("backend auto: pytorch on cpu")
    memory = r"(\d+ MB|not measured) above the SCF's \(forecast \d+ MB, limit 4000 MB\)"
    assert re.fullmatch(memory, fact(text, "peak memory"))
    for stage in ("metric", "integrals", "AO->MO", "metric solve", "pair energies"):
        line = re.search(rf"^  {stage} +(\d+\.\d{{3}}) +(\d+\.\d|-)$", text, re.MULTILINE)
        assert line, stage
        assert (line[2] == "-") == (stage in ("metric", "integrals"))
    assert re.search(r"^  sum +\d+\.\d{3}$", text, re.MULTILINE)


def test_progress_goes_to_stderr_alone() -> None:
    done = dfmp2("run", WATER, "--basis", "cc-pvdz")
    for stage in ("SCF", "integrals and AO->MO", "metric solve", "pair energies"):
        assert f"water: {stage} done after" in done.stderr
    assert "done after" not in done.stdout
    assert dfmp2("run", WATER, "--basis", "cc-pvdz", "--quiet").stderr == ""


def test_verbose_lists_operations() -> None:
    text = dfmp2("run", WATER, "--basis", "cc-pvdz", "--verbose").stdout
    assert re.search(r"metric solve +trsm +float64 +1 +0 +\d", text)
    assert re.search(r"pair energies +pair_energy +float64 +1 +0 +\d", text)


def test_unfused_prints_the_same_digits() -> None:
    texts = [
        dfmp2("run", WATER, "--basis", "cc-pvdz", flag).stdout
        for flag in ("--fused-energy", "--no-fused-energy")
    ]
    assert [fact(t, "pair energies") for t in texts] == ["fused", "unfused"]
    for name in ("E(MP2) correlation", "same spin", "opposite spin", "E(MP2) total"):
        assert abs(energy(texts[0], name) - energy(texts[1], name)) < 1.5e-10


def test_as_a_separate_process(tmp_path: Path) -> None:
    """A real run: a relative path must be found, and the number of threads must be limited."""
    done = in_own_process(
        "run", os.path.relpath(WATER), "--basis", "cc-pvdz", "--validate", "--threads", 1,
        "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ", 1 threads (pytorch, cpu)" in fact(done.stdout, "ran on")
    assert abs(energy(done.stdout, "E(MP2) correlation") - ROW["e_corr"]) < 1e-9
    assert "agrees (tolerance 1e-08 Eh)" in done.stdout


# Options


def test_options_reach_the_calculation() -> None:
    text = dfmp2(
        "run", WATER, "--basis", "O=cc-pvtz,default=cc-pvdz", "--auxbasis", "cc-pvtz-ri",
        "--frozen", "0,2", "--density-fit", "--precision", "fp32", "--max-memory", 600,
        "--backend", "pytorch", "--device", "cpu", "--conv-tol", "1e-9",
    ).stdout  # fmt: skip
    assert fact(text, "basis") == "H: cc-pvdz, O: cc-pvtz"
    assert fact(text, "auxiliary basis") == "cc-pvtz-ri (asked for)"
    assert fact(text, "frozen orbitals") == "0, 2 (asked for)"
    assert fact(text, "SCF").startswith("RHF, density-fitted, ")
    assert fact(text, "SCF").endswith("conv_tol 1e-09")
    assert fact(text, "precision").startswith("fp32 pair GEMMs")
    assert "limit 600 MB" in fact(text, "peak memory")
    assert fact(text, "chosen because") == "backend pytorch: pytorch on cpu (asked for by name)"


@pytest.mark.parametrize(
    ("frozen", "says", "nfrozen"),
    [
        ("auto", "the lowest 1 (the chemical core)", 1),
        ("1", "the lowest 1 (asked for)", 1),
        ("none", "none (the default)", 0),
        ("1,", "orbital 1 (asked for)", 1),
    ],
)
def test_frozen(frozen: str, says: str, nfrozen: int) -> None:
    text = dfmp2("run", WATER, "--basis", "cc-pvdz", "--frozen", frozen).stdout
    assert fact(text, "frozen orbitals") == says
    assert f"{5 - nfrozen} correlated occupied" in fact(text, "sizes")


def test_charge_of_the_comment_line_and_of_the_option(tmp_path: Path) -> None:
    text = "1\nlithium; charge=+1 spin=0\nLi 0 0 0\n"
    path = file_with(tmp_path, "ion.xyz", text)
    done = dfmp2("run", path, "--basis", "cc-pvdz")
    assert fact(done.stdout, "charge") == "+1, spin 0 (comment line: charge=+1, spin=0)"
    done = dfmp2("run", path, "--basis", "cc-pvdz", "--charge", "-1")
    assert fact(done.stdout, "charge") == "-1 (--charge), spin 0 (comment line: spin=0)"
    assert "Warning: ion: --charge -1 replaces charge 1 of the file" in done.stderr
    assert "note: --charge -1 replaces charge 1 of the file" in done.stdout


def test_ecp_auto_and_none() -> None:
    hi = INPUTS / "hydrogen_iodide.xyz"
    done = dfmp2("run", hi, "--basis", "def2-svp", "--frozen", "auto")
    assert fact(done.stdout, "ECP") == "I: def2-svp"
    assert fact(done.stdout, "frozen orbitals") == "the lowest 4 (the chemical core)"
    assert "Warning: hydrogen_iodide: no RI-MP2 auxiliary set is known for I" in done.stderr
    assert "note: no RI-MP2 auxiliary set is known for I in def2-svp" in done.stdout
    row = references()["df_mp2"]["hydrogen_iodide/def2-svp/even-tempered/frozen0"]
    assert abs(energy(done.stdout, "E(HF)") - row["e_hf"]) < 1e-9


def test_missing_ecp_gives_a_warning(tmp_path: Path) -> None:
    path = file_with(tmp_path, "mg.xyz", "1\nmagnesium\nMg 0 0 0\n")
    common = ("run", path, "--basis", "lanl2dz", "--auxbasis", "def2-svp-ri")
    done = dfmp2(*common, "--ecp", "none")
    assert done.exit_code == 0
    assert fact(done.stdout, "ECP") == "none"
    assert "Warning: mg: lanl2dz on Mg was made for an effective core potential" in done.stderr
    done = dfmp2(*common)
    assert fact(done.stdout, "ECP") == "Mg: lanl2dz"
    assert "effective core potential" not in done.stderr


# Several molecules, and other inputs


def test_several_molecules(tmp_path: Path) -> None:
    target = tmp_path / "both.json"
    done = dfmp2("run", WATER, AMMONIA, "--basis", "cc-pvdz", "--json", target)
    assert done.exit_code == 0
    assert [t.split(":")[0] for t in re.findall(r"^\S+: DF-MP2", done.stdout, re.M)] == [
        "water", "ammonia",
    ]  # fmt: skip
    content = json.loads(target.read_text())
    assert [item["molecule"]["name"] for item in content] == ["water", "ammonia"]
    for item, name in zip(content, ("water", "ammonia"), strict=True):
        row = references()["df_mp2"][f"{name}/cc-pvdz/cc-pvdz-ri/frozen0"]
        assert abs(item["properties"]["mp2_correlation_energy"] - row["e_corr"]) < 1e-9


def test_after_a_failure_the_other_molecules_are_computed(tmp_path: Path) -> None:
    """Stretched N2 does not converge in 5 cycles; the helium atom after it does."""
    n2 = file_with(tmp_path, "n2.xyz", "2\nstretched\nN 0 0 0\nN 0 0 3.0\n")
    he = file_with(tmp_path, "he.xyz", "1\nhelium\nHe 0 0 0\n")
    target = tmp_path / "done.json"
    done = dfmp2("run", n2, he, "--basis", "cc-pvdz", "--max-cycle", 5, "--json", target)
    assert done.exit_code == 8
    assert "Error: n2: the SCF did not converge to 1e-10 Eh in 5 iterations" in done.stderr
    assert "1 of 2 molecules failed (n2)" in done.stderr
    assert stored(target)["molecule"]["name"] == "he"


def test_stdin() -> None:
    done = dfmp2("run", "-", "--basis", "cc-pvdz", stdin=H2)
    assert done.stdout.startswith("stdin: DF-MP2")
    mf = converge(molecule("H 0 0 0; H 0 0 0.74"))
    assert abs(energy(done.stdout, "E(MP2) total") - DFMP2(mf).run().e_tot) < 1e-9


def test_geometry_in_another_format(tmp_path: Path) -> None:
    """A Z-matrix, and lines of symbol and coordinates without a head."""
    zmat = file_with(tmp_path, "h2.zmat", "H\nH 1 0.74\n")
    raw = file_with(tmp_path, "h2.txt", "H 0 0 0\nH 0 0 0.74\n")
    expected = energy(dfmp2("run", "-", "--basis", "cc-pvdz", stdin=H2).stdout, "E(MP2) total")
    for path in (zmat, raw):
        done = dfmp2("run", path, "--basis", "cc-pvdz")
        assert done.exit_code == 0, done.stderr
        assert abs(energy(done.stdout, "E(MP2) total") - expected) < 1e-9


def test_ghost_atoms(tmp_path: Path) -> None:
    text = "2\ncounterpoise\nHe 0 0 0\nGhost-He 0 0 2.5\n"
    path = file_with(tmp_path, "he.xyz", text)
    target = tmp_path / "he.json"
    done = dfmp2("run", path, "--basis", "cc-pvdz", "--json", target)
    assert done.exit_code == 0, done.stderr
    assert "10 AOs, 1 correlated occupied" in fact(done.stdout, "sizes")
    record = AtomicResult(**stored(target)).molecule
    assert list(record.symbols) == ["He", "He"]
    assert list(record.real) == [True, False]


# Chkfiles


@pytest.fixture
def chkfile(tmp_path: Path) -> Path:
    """The chkfile of a loosely converged SCF. A repeated SCF would have another energy."""
    from pyscf import scf

    mf = scf.RHF(mean_field("water").mol)
    mf.verbose, mf.conv_tol, mf.conv_tol_grad = 0, 1e-6, 1e-3
    mf.chkfile = str(tmp_path / "water.chk")
    mf.kernel()
    return tmp_path / "water.chk"


def test_scf_of_a_chkfile_is_not_repeated(chkfile: Path) -> None:
    from pyscf import lib

    done = dfmp2("run", chkfile)
    assert done.exit_code == 0, done.stderr
    e_tot = float(lib.chkfile.load(str(chkfile), "scf/e_tot"))
    assert abs(energy(done.stdout, "E(HF)") - e_tot) < 1e-10
    assert fact(done.stdout, "SCF") == f"RHF, read from {chkfile}"
    tight = mean_field("water").e_tot
    assert abs(e_tot - tight) > 1e-9, "the chkfile does not differ from a tight SCF"
    assert fact(done.stdout, "basis") == "cc-pvdz"


@pytest.mark.parametrize(
    "option", ["--basis cc-pvdz", "--charge 2", "--spin 0", "--ecp none", "--density-fit",
               "--conv-tol 1e-10", "--max-cycle 9"],
)  # fmt: skip
def test_an_option_that_a_chkfile_decides_is_an_error(chkfile: Path, option: str) -> None:
    """`--charge 2` had no effect: the energy was that of the charge in the chkfile."""
    done = dfmp2("run", chkfile, *option.split())
    assert done.exit_code == 2
    name = option.split()[0]
    assert f"a chkfile brings its own molecule and SCF; leave {name} out" in done.stderr


def test_a_tolerance_without_a_comparison_is_an_error() -> None:
    """It looked as if the energy had been compared."""
    for arguments in (("run", WATER, "--basis", "cc-pvdz"), ("resume", "some.dfmp2.h5")):
        done = dfmp2(*arguments, "--tolerance", "1e-9")
        assert done.exit_code == 2
        assert "--tolerance is for --validate" in done.stderr


def _write_chkfile(path: Path, mf: Any) -> None:
    mf.verbose, mf.chkfile = 0, str(path)
    mf.kernel()


def test_unconverged_chkfile_is_refused(tmp_path: Path) -> None:
    from pyscf import scf

    mf = scf.RHF(mean_field("water").mol)
    mf.max_cycle = 2
    _write_chkfile(tmp_path / "early.chk", mf)
    assert not mf.converged
    done = dfmp2("run", tmp_path / "early.chk")
    assert done.exit_code == 4
    assert "do not solve the Hartree-Fock equations of the plain Hamiltonian" in done.stderr
    assert "An SCF that is not finished" in done.stderr


def test_kohn_sham_chkfile_is_refused(tmp_path: Path) -> None:
    from pyscf import dft

    mf = dft.RKS(mean_field("water").mol, xc="lda,vwn")
    mf.grids.level = 0
    _write_chkfile(tmp_path / "ks.chk", mf)
    assert mf.converged
    done = dfmp2("run", tmp_path / "ks.chk")
    assert done.exit_code == 4
    assert "converge a scf.RHF and pass its chkfile" in done.stderr


@pytest.mark.parametrize("kind", ["UHF", "ROHF"])
def test_an_open_shell_chkfile(kind: str, tmp_path: Path) -> None:
    """Without it, a chkfile of an open shell could be read as another kind of SCF."""
    from pyscf import gto, scf

    mol = gto.M(atom="Li 0 0 0; H 0 0 2", spin=2, basis="6-31g", verbose=0)
    _write_chkfile(tmp_path / "open.chk", getattr(scf, kind)(mol))
    done = dfmp2("run", tmp_path / "open.chk")
    assert done.exit_code == 0
    expected = DFMP2(getattr(scf, kind)(mol).run(conv_tol=1e-10)).run()
    assert abs(energy(done.stdout, "E(MP2) correlation") - expected.e_corr) < 2e-8
    assert ("singles" in done.stdout) == (kind == "ROHF")
    done = dfmp2("run", tmp_path / "open.chk", "--reference", "rhf")
    assert done.exit_code == 2
    assert "leave --reference out" in done.stderr


# JSON


def test_library_of_the_matrix_products(tmp_path: Path) -> None:
    """Without it, the library could be missing in a stored result, or be another than asked for."""
    hydrogen, file = file_with(tmp_path, "h2.xyz", H2), tmp_path / "h2.h5"
    options = ("--basis", "sto-3g", "--device", "cpu", "--checkpoint", file)
    named = fact(dfmp2("run", hydrogen, *options, "--blas", "numpy").stdout, "GEMM")
    assert named.startswith("NumPy's ")
    assert named.endswith(" (asked for)")
    assert fact(dfmp2("show", file).stdout, "GEMM") == named


def test_json_is_a_qcschema_result(tmp_path: Path) -> None:
    target = tmp_path / "water.json"
    done = dfmp2("run", WATER, "--basis", "cc-pvdz", "--json", target, "--frozen", 1)
    content = stored(target)
    record = AtomicResult(**content)
    assert record.success
    assert record.driver == "energy"
    assert (record.model.method, record.model.basis) == ("df-mp2", "cc-pvdz")
    p = record.properties
    assert p.scf_total_energy == content["extras"]["dfmp2"]["e_hf"]
    assert record.return_result == p.mp2_total_energy == p.return_energy
    assert p.mp2_total_energy == p.scf_total_energy + p.mp2_correlation_energy
    spins = p.mp2_same_spin_correlation_energy + p.mp2_opposite_spin_correlation_energy
    assert abs(spins - p.mp2_correlation_energy) < 1e-15
    assert abs(energy(done.stdout, "same spin") - p.mp2_same_spin_correlation_energy) < 1e-10
    assert (p.calcinfo_natom, p.calcinfo_nbasis) == (3, 24)
    mol = mean_field("water").mol
    np.testing.assert_allclose(record.molecule.geometry, mol.atom_coords(), atol=1e-8)
    assert record.keywords["frozen"] == [0]
    assert record.provenance.creator == "dfmp2"


def test_json_on_stdout_has_no_other_text() -> None:
    done = dfmp2("run", WATER, "--basis", "cc-pvdz", "--json", "-", "--validate")
    record = AtomicResult(**json.loads(done.stdout))
    assert abs(record.properties.mp2_correlation_energy - ROW["e_corr"]) < 1e-9


def test_json_replaces_a_file_and_leaves_no_temporary_one(tmp_path: Path) -> None:
    target = file_with(tmp_path, "water.json", "old")
    dfmp2("run", WATER, "--basis", "cc-pvdz", "--json", target)
    assert stored(target)["success"] is True
    assert [p.name for p in tmp_path.iterdir()] == ["water.json"]


def test_failed_run_does_not_change_an_old_file(tmp_path: Path) -> None:
    target = file_with(tmp_path, "water.json", "old")
    assert dfmp2("run", WATER, "--basis", "cc-pvdz", "--max-memory", 1, "--json",
                 target).exit_code == 5  # fmt: skip
    assert target.read_text() == "old"
    new = tmp_path / "new.json"
    assert dfmp2("run", WATER, "--basis", "nonsense", "--json", new).exit_code == 2
    assert not new.exists()


def test_json_follows_links_and_does_not_replace_devices(tmp_path: Path) -> None:
    real = file_with(tmp_path, "real.json", "old")
    link = tmp_path / "link.json"
    link.symlink_to(real)
    pipe = tmp_path / "null"
    pipe.symlink_to("/dev/null")
    for target in (link, pipe):
        assert dfmp2("run", "-", "--basis", "cc-pvdz", "--json", target, stdin=H2).exit_code == 0
        assert target.is_symlink()
    assert stored(real)["success"] is True
    assert Path("/dev/null").is_char_device()


def test_round_trip(tmp_path: Path) -> None:
    target = tmp_path / "water.json"
    dfmp2("run", WATER, "--basis", "cc-pvdz", "--json", target)
    (result,) = read_results(str(target))
    assert result.to_qcschema() == stored(target)
    mp = DFMP2(mean_field("water")).run()
    np.testing.assert_allclose(result.pair_energies, mp.pair_energies, rtol=0, atol=1e-9)


def test_forecast_stands_beside_the_time_of_the_second_run() -> None:
    """It is that of the first run, because the work is the same."""
    options = ("--basis", "sto-3g", "--device", "cpu", "--no-checkpoint")
    first, second = (dfmp2("run", WATER, *options).stdout for _ in range(2))
    assert "time of the SCF" not in first
    assert re.search(r" \(forecast [\d.]+ s\)$", fact(second, "time of the SCF"))
    row = r"^  {} +(\S+) +\S+(?: +(\S+))?$"
    for stage in ("AO->MO", "integrals", "pair energies"):
        before = re.search(row.format(stage), first, re.M)
        after = re.search(row.format(stage), second, re.M)
        assert before
        assert after
        assert before[2] is None
        assert after[2] == before[1]

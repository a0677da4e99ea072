"""Reuse of the integrals of a density-fitted SCF: same energies, and every case that is refused."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import InputError
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.integrals.scf_cderi import ScfIntegrals
from dfmp2.planning.plan import make_plan
from dfmp2.references.mean_field import read_mean_field
from dfmp2.results.sizes import Sizes
from tests.cli.common import WATER, dfmp2, energy, fact
from tests.systems import FORECAST_ERROR, ROOT, converge, fitted, mean_field, molecule

pytestmark = [
    pytest.mark.usefixtures("own_folder"),
    # An RI-MP2 set in the SCF, whose integrals are those of MP2.
    pytest.mark.filterwarnings("ignore:.*auxiliary basis .* of the SCF is not made"),
    pytest.mark.filterwarnings("ignore:the auxiliary set of the SCF errs"),
]

ROUNDING = 1e-10
"""Hartree. B differs only by rounding."""

H2O = "O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47"


def computed(mf: Any, auxbasis: Any) -> DFMP2:
    return DFMP2(mf, auxbasis=auxbasis).set(backend="pytorch", device="cpu").run()


def reused(mf: Any, auxbasis: Any, **attributes: Any) -> DFMP2:
    mp = DFMP2(mf, auxbasis=auxbasis).set(backend="pytorch", device="cpu", **attributes)
    return mp.run(integrals="scf")


# The same energies


@pytest.mark.parametrize("name", ["water", "ammonia", "ethylene"])
@pytest.mark.parametrize("auxbasis", ["cc-pvdz-jkfit", "cc-pvdz-ri"])
def test_energies_are_those_without_reuse(name: str, auxbasis: str) -> None:
    mf = fitted(name, auxbasis)
    exact, mp = computed(mf, auxbasis), reused(mf, auxbasis)
    np.testing.assert_allclose(
        mp.result.e_os_pairs, exact.result.e_os_pairs, rtol=0, atol=ROUNDING / 10
    )
    assert abs(mp.e_corr_os - exact.e_corr_os) < ROUNDING
    assert abs(mp.e_corr_ss - exact.e_corr_ss) < ROUNDING


@pytest.mark.parametrize("frozen", [1, [0, 3, 20]])
def test_frozen_orbitals_and_blocks(frozen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of vectors do not end at shells, and the last one is smaller."""
    monkeypatch.setattr("dfmp2.planning.plan.ERI_BLOCK", 8 * 24 * 24 * 37)
    mf = fitted()
    mp = reused(mf, "cc-pvdz-jkfit", frozen=frozen)
    assert mp.plan().aux_block == 37
    assert mp.result.sizes["naux"] == 116
    exact = DFMP2(mf, frozen=frozen, auxbasis="cc-pvdz-jkfit").set(device="cpu").run()
    assert abs(mp.e_corr - exact.e_corr) < ROUNDING


def test_cartesian_functions() -> None:
    mf = converge(molecule(H2O, cart=True), density_fit=True)
    auxbasis = mf.with_df.auxbasis
    assert abs(reused(mf, auxbasis).e_corr - computed(mf, auxbasis).e_corr) < ROUNDING


def test_sets_are_compared_by_shells_not_by_names() -> None:
    """The auxiliary basis of the SCF must also be accepted when it is given as shells."""
    from pyscf import gto

    mf = fitted()
    shells = {s: gto.basis.load("cc-pvdz-jkfit", s) for s in ("O", "H")}
    assert abs(reused(mf, shells).e_corr - computed(mf, "cc-pvdz-jkfit").e_corr) < ROUNDING


@pytest.mark.parametrize("custom", [True, False])
def test_integrals_on_disk(custom: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PySCF's temporary file, and one named by the user, in two layouts."""
    mf = fitted()
    in_memory = reused(mf, "cc-pvdz-jkfit")
    for layout in (False, True):
        if custom:
            mf.with_df._cderi_to_save = str(tmp_path / f"cderi{layout}.h5")
        else:
            mf.with_df._cderi_to_save = None
            mf.with_df.max_memory = 0
        mf.with_df._compatible_format = layout
        mf.with_df.reset().build()
        assert not isinstance(mf.with_df._cderi, np.ndarray)
        monkeypatch.setattr("dfmp2.planning.plan.ERI_BLOCK", 8 * 24 * 24 * 37)
        mp = reused(mf, "cc-pvdz-jkfit")
        assert abs(mp.e_corr - in_memory.e_corr) < ROUNDING
        assert "read from its file" in mp.result.labels["integrals"]
        if not custom:
            mf.with_df._cderi.close()
    assert "in memory" in in_memory.result.labels["integrals"]


def test_second_order_solver() -> None:
    mf = molecule(H2O).RHF().density_fit(auxbasis="cc-pvdz-jkfit").newton()
    mf.verbose, mf.conv_tol = 0, 1e-10
    mf.run()
    exact = computed(mf, "cc-pvdz-jkfit")
    assert abs(reused(mf, "cc-pvdz-jkfit").e_corr - exact.e_corr) < ROUNDING


def test_unfused_and_float32() -> None:
    mf = fitted()
    exact = computed(mf, "cc-pvdz-jkfit").e_corr
    assert abs(reused(mf, "cc-pvdz-jkfit", fused=False).e_corr - exact) < ROUNDING
    assert 0 < abs(reused(mf, "cc-pvdz-jkfit", precision="fp32").e_corr - exact) < 1e-6


def test_simulator_with_b_from_the_host() -> None:
    mf = fitted()
    mp = DFMP2(mf, auxbasis="cc-pvdz-jkfit").set(backend="simulator", device="bundled")
    mp.run(integrals="scf")
    assert abs(mp.e_corr - computed(mf, "cc-pvdz-jkfit").e_corr) < 1e-7
    rows = {(row.stage, row.where.backend, row.dtype) for row in mp.result.provenance.operations}
    assert rows == {("AO->MO", "pytorch", "float64"), ("pair energies", "nki", "float32")}
    label = mp.result.labels["precision"]
    assert label.startswith("AO->MO fp64 on the host (the SCF's integrals are there); pair")
    assert "metric solve" not in label


def test_simulator_is_not_used_if_it_is_not_accurate_enough() -> None:
    mp = DFMP2(fitted(), auxbasis="cc-pvdz-jkfit").set(backend="simulator", device="bundled")
    mp.run(integrals="scf", accuracy=1e-12)
    assert {row.where.backend for row in mp.result.provenance.operations} == {"pytorch"}


# Record in the result


def test_integrals_and_metric_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    mf = fitted()
    expected = computed(mf, "cc-pvdz-jkfit").e_corr
    source = ScfIntegrals(read_mean_field(mf), choose_auxbasis(mf.mol, "cc-pvdz-jkfit"))

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr("dfmp2.integrals.scf_cderi.ScfIntegrals", lambda *_: source)
    monkeypatch.setattr("dfmp2.integrals.libcint.ThreeCentreIntegrals.__init__", never)
    monkeypatch.setattr("dfmp2.tensors.build.metric_integrals", never)
    mp = reused(mf, "cc-pvdz-jkfit")
    assert abs(mp.e_corr - expected) < ROUNDING
    result = mp.result
    stages = {stage.name for stage in result.provenance.stages}
    assert stages == {"SCF's integrals", "AO->MO", "pair energies"}
    assert {row.operation for row in result.provenance.operations} == {"ao2mo", "pair_energy"}
    assert result.labels["integrals"] == "the SCF's, fitted with cc-pvdz-jkfit, in memory"
    assert result.labels["metric"] == "Cholesky, by the SCF"
    assert result.settings["integrals"] == "scf"


def test_integrals_are_not_reused_by_default() -> None:
    mp = computed(fitted(), "cc-pvdz-jkfit")
    assert mp.integrals == "auto"
    assert mp.result.labels["integrals"] == "computed by libcint on the CPU"
    assert "metric solve" in {s.name for s in mp.result.provenance.stages}


def test_forecast_without_metric() -> None:
    """The metric and its factor are not counted. The next packed block is counted."""
    sizes = Sizes(nao=10, nocc=2, nvir=8, naux=3000, aux_shell=1)
    plain, fitted_ = make_plan(sizes, 9e3), make_plan(sizes, 9e3, metric_done=True)
    assert fitted_.memory["metric and its factor"] == 0
    assert plain.memory["metric and its factor"] == 2 * 8 * 3000 * 3000 / 1e6
    assert fitted_.peak < plain.peak
    assert fitted_.flops["metric solve"] == 0
    one = make_plan(sizes, 9e3, aux_block=1, metric_done=True).memory["integral block"]
    assert one * 1e6 == pytest.approx(8 * (2 * 55 + 100 + 2 * 10 + 2 * 8))
    mp = DFMP2(fitted(), auxbasis="cc-pvdz-jkfit")
    assert mp.plan().memory["metric and its factor"] > 0
    assert mp.set(integrals="scf").plan().memory["metric and its factor"] == 0


MEASURE = """
import json
import numpy as np
from pyscf import scf
from dfmp2 import DFMP2
from dfmp2.molecules.build import build_mole
from dfmp2.molecules.files import read_geometry

mol = build_mole(read_geometry("inputs/benzene.xyz"), "cc-pvtz")
mf = scf.RHF(mol).density_fit(auxbasis="cc-pvtz-ri")
mf.verbose, mf.chkfile, mf.with_df.max_memory = 0, None, ON_DISK
mf.with_df.build()
w, v = np.linalg.eigh(mol.intor("int1e_ovlp"))
mf.mo_coeff, mf.mo_energy = v / np.sqrt(w), np.linspace(-20.0, 5.0, len(w))
mf.mo_occ = np.where(np.arange(len(w)) < mol.nelectron // 2, 2.0, 0.0)
mf.e_tot, mf.converged = 0.0, True
mp = DFMP2(mf, auxbasis="cc-pvtz-ri").set(device="cpu", integrals="scf")
mp.run(check_reference="off")
print(json.dumps([mp.result.memory, mp.result.labels["integrals"]]))
"""


@pytest.mark.parametrize(
    ("limit", "where"),
    [
        pytest.param("4000", "in memory", marks=pytest.mark.slow),
        ("0", "read from its file"),
    ],
)
def test_peak_is_within_the_forecast(limit: str, where: str) -> None:
    """In a separate process. Memory depends on shapes only, so the orbitals are arbitrary."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.replace("ON_DISK", limit)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    memory, origin = json.loads(done.stdout)
    assert where in origin
    if "peak" not in memory:
        pytest.skip("peak memory cannot be measured on this system")
    assert memory["peak"] <= memory["forecast"] + FORECAST_ERROR


# Refused


def _moved() -> Any:
    mf = fitted()
    moved = mf.mol.atom_coords() * 1.01
    mf.with_df.auxmol = mf.with_df.auxmol.set_geom_(moved, unit="Bohr", inplace=False)
    return mf


def _dropped() -> Any:
    mf = fitted()
    mf.with_df.reset()
    return mf


def _pickled() -> Any:
    mf = fitted()
    mf.with_df = pickle.loads(pickle.dumps(mf.with_df))
    return mf


def _fewer_vectors() -> Any:
    mf = fitted()
    mf.with_df._cderi = mf.with_df._cderi[:-3]
    return mf


def _other_integrals() -> Any:
    mf = fitted()
    mf.with_df._cderi = mf.with_df._cderi + 1e-6
    return mf


def _other_basis() -> Any:
    mf = fitted()
    mf.with_df._cderi = mf.with_df._cderi[:, :-1]
    return mf


def _changed_behind_the_first_shell() -> Any:
    mf = fitted()
    mf.with_df._cderi = mf.with_df._cderi.copy()
    mf.with_df._cderi[40:] *= 1 + 1e-6
    return mf


REFUSED = {
    "exact SCF": (lambda: mean_field("water"), "the SCF is not density-fitted"),
    "other set": (
        lambda: fitted("water", "cc-pvdz-ri"),
        "fitted with cc-pvdz-ri, MP2 with cc-pvdz-jkfit: 56 functions on O, not 70",
    ),
    "default set of MP2": (
        lambda: fitted("water", "cc-pvtz-jkfit"),
        "fitted with cc-pvtz-jkfit, MP2 with cc-pvdz-jkfit: .* functions on O",
    ),
    "moved": (_moved, "other atom positions .* run the SCF again"),
    "reset": (_dropped, r"holds no integrals .* run mf\.with_df\.build\(\)"),
    "pickled": (_pickled, "holds no integrals"),
    "fewer vectors": (_fewer_vectors, "have 113 auxiliary vectors of 116"),
    "other integrals": (_other_integrals, "are not the Cholesky-fitted integrals"),
    "other basis": (_other_basis, "are not the Cholesky-fitted integrals"),
    "later rows": (_changed_behind_the_first_shell, "are not the Cholesky-fitted integrals"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, says = REFUSED[case]
    with pytest.raises(InputError, match=says) as caught:
        reused(make(), "cc-pvdz-jkfit")
    assert str(caught.value).startswith("integrals scf: ")
    assert "\n" not in str(caught.value)
    assert "leave integrals at auto" in str(caught.value)


def test_default_auxiliary_basis_is_not_that_of_the_scf() -> None:
    """Reuse must not change the default auxiliary basis of MP2 without a request."""
    with pytest.raises(InputError, match="MP2 with cc-pvdz-ri: 70 functions on O, not 56"):
        reused(fitted(), None)


def test_other_exponents() -> None:
    from pyscf import gto

    changed = {s: gto.basis.load("cc-pvdz-jkfit", s) for s in ("O", "H")}
    changed["O"][0][1][0] *= 1 + 1e-6
    with pytest.raises(InputError, match="other exponents or coefficients on O"):
        reused(fitted(), changed)


def test_eigenvectors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Cholesky fails in the SCF, PySCF drops vectors with a threshold that MP2 does not use."""
    from pyscf.df import incore

    mf = fitted()
    mf.with_df._cderi = incore.cholesky_eri(
        mf.mol, auxmol=mf.with_df.auxmol, decompose_j2c="eig", lindep=0.05
    )
    dropped = len(mf.with_df._cderi)
    assert dropped < 116
    with pytest.raises(InputError, match=f"have {dropped} auxiliary vectors of 116"):
        reused(mf, "cc-pvdz-jkfit")
    mf.with_df._cderi = incore.cholesky_eri(
        mf.mol, auxmol=mf.with_df.auxmol, decompose_j2c="eig", lindep=0.0
    )
    with pytest.raises(InputError, match="not the Cholesky-fitted integrals"):
        reused(mf, "cc-pvdz-jkfit")


# Command line

COMMON = ("run", WATER, "--basis", "cc-pvdz", "--backend", "pytorch", "--device", "cpu", "--quiet")


@pytest.mark.parametrize(
    "sets",
    [
        ("--auxbasis", "cc-pvdz-jkfit"),
        ("--scf-auxbasis", "cc-pvdz-ri"),
        ("--scf-auxbasis", "cc-pvtz-jkfit", "--auxbasis", "default=cc-pvtz-jkfit"),
    ],
)
def test_command_line(sets: tuple[str, ...]) -> None:
    done = dfmp2(*COMMON, "--density-fit", *sets, "--integrals", "scf", "--validate")
    assert done.exit_code == 0, done.stderr
    name = sets[1]
    assert fact(done.stdout, "integrals") == f"the SCF's, fitted with {name}, in memory"
    assert fact(done.stdout, "SCF") == f"RHF, density-fitted, {name}, conv_tol 1e-10"
    plain = dfmp2(*COMMON, "--density-fit", *sets, "--no-checkpoint")
    assert fact(plain.stdout, "integrals") == "computed by libcint on the CPU"
    for what in ("E(MP2) correlation", "same spin"):
        assert abs(energy(plain.stdout, what) - energy(done.stdout, what)) < 1.5e-10


@pytest.mark.parametrize("command", ["run", "plan"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "the SCF is not density-fitted"),
        (("--density-fit",), "fitted with cc-pvdz-jkfit, MP2 with cc-pvdz-ri: 70 functi"),
        (("--density-fit", "--scf-auxbasis", "nonsense"), "auxiliary basis 'nonsense' is unknown"),
        (("--scf-auxbasis", "cc-pvdz-jkfit"), "density-fitted SCF; add --density-fit"),
    ],
)
def test_command_line_refuses_before_the_scf(
    command: str, options: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("the SCF ran")

    monkeypatch.setattr("dfmp2.workflow.jobs.run_scf", never)
    done = dfmp2(command, WATER, "--basis", "cc-pvdz", *options, "--integrals", "scf")
    assert done.exit_code == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 4


def test_plan_counts_no_metric() -> None:
    common = ("plan", WATER, "--basis", "cc-pvdz", "--density-fit", "--auxbasis", "cc-pvdz-jkfit")
    text = dfmp2(*common, "--integrals", "scf").stdout
    assert fact(text, "memory, metric and its factor") == "0.0 MB"
    assert fact(text, "work, metric solve") == "0.000 GFLOP"
    assert fact(dfmp2(*common).stdout, "memory, metric and its factor") != "0.0 MB"


def test_chkfile_holds_no_integrals(tmp_path: Path) -> None:
    mf = fitted()
    mf.chkfile = str(tmp_path / "water.chk")
    mf.run()
    done = dfmp2("run", mf.chkfile, "--auxbasis", "cc-pvdz-jkfit", "--integrals", "scf")
    assert done.exit_code == 2
    assert f"there are no integrals to reuse ({mf.chkfile} holds none)" in done.stderr


def test_scf_set_of_a_stored_result_is_used_again(tmp_path: Path) -> None:
    """Otherwise the stored energy would be compared with that of another SCF."""
    target = tmp_path / "water.json"
    done = dfmp2(*COMMON, "--density-fit", "--scf-auxbasis", "cc-pvtz-jkfit", "--json", target)
    assert done.exit_code == 0, done.stderr
    again = dfmp2("validate", target, "--quiet")
    assert again.exit_code == 0, again.stderr
    assert again.stdout.count("agrees") == 1

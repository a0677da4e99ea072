"""DFMP2 as PySCF users know it, and what it refuses."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import (
    DFMP2Error,
    DFMP2Warning,
    InputError,
    NotConvergedError,
    ResourceError,
    UnsupportedReferenceError,
)
from tests.systems import converge, mean_field, molecule, pyscf_mp2, references, rng

ENERGY = references()["df_mp2"]["water/cc-pvdz/cc-pvdz-ri/frozen0"]


def fresh(name: str = "water") -> Any:
    """A copy of a shared mean field, free to be changed."""
    return mean_field(name).copy()


# As PySCF's classes behave


def test_kernel_returns_energy_and_no_amplitudes() -> None:
    mp = DFMP2(mean_field("water"))
    e_corr, t2 = mp.kernel()
    assert e_corr == mp.e_corr
    assert t2 is None
    assert mp.t2 is None
    assert abs(e_corr - ENERGY["e_corr"]) < 1e-9


def test_energies_add_up() -> None:
    mp = DFMP2(mean_field("water")).run()
    os, ss = mp.e_corr_os, mp.e_corr_ss
    assert os < 0
    assert ss < 0
    assert mp.e_hf == mean_field("water").e_tot
    assert abs(mp.e_corr - (os + ss)) < 1e-15
    assert abs(mp.e_tot - (mp.e_hf + os + ss)) < 1e-12
    assert abs(mp.e_tot_scs - (mp.e_hf + 1.2 * os + ss / 3)) < 1e-12
    assert abs(mp.e_tot_sos - (mp.e_hf + 1.3 * os)) < 1e-12
    assert mp.pair_energies.shape == (5, 5)
    np.testing.assert_array_equal(mp.pair_energies, mp.pair_energies.T)
    assert all(isinstance(e, float) for e in (mp.e_corr, mp.e_tot, mp.e_tot_scs, os, ss))


def test_run_returns_self_and_sets_attributes() -> None:
    mp = DFMP2(mean_field("water"))
    assert mp.run(frozen=1, fused=False) is mp
    assert mp.result.frozen == (0,)
    assert mp.result.settings["fused"] is False


def test_set_and_call_chain() -> None:
    mp = DFMP2(mean_field("water"))
    assert mp.set(frozen=2, verbose=0, max_memory=500) is mp
    assert (mp.frozen, mp.verbose, mp.max_memory) == (2, 0, 500)
    assert mp(frozen=1).run().result.frozen == (0,)


def test_a_second_run_takes_changed_attributes() -> None:
    mp = DFMP2(mean_field("water")).run()
    full = mp.e_corr
    mp.frozen = 1
    assert mp.run().e_corr > full


@pytest.mark.parametrize("method", ["set", "run"])
def test_misspelt_attribute_is_an_error(method: str) -> None:
    with pytest.raises(InputError, match="no attribute 'froze'"):
        getattr(DFMP2(mean_field("water")), method)(froze=1)


def test_apply() -> None:
    mp = mean_field("water").apply(DFMP2, frozen="auto").run()
    assert mp.result.frozen == (0,)


@pytest.mark.parametrize(
    "name",
    [
        "e_hf",
        "e_corr",
        "e_corr_os",
        "e_corr_ss",
        "e_tot",
        "e_tot_scs",
        "e_tot_sos",
        "pair_energies",
    ],
)
def test_energies_before_the_run_say_what_to_do(name: str) -> None:
    with pytest.raises(AttributeError, match=r"call \.run\(\) or \.kernel\(\) first"):
        getattr(DFMP2(mean_field("water")), name)


def test_settings_come_from_the_mean_field() -> None:
    mf = fresh()
    mf.verbose, mf.max_memory = 3, 1234
    mf.stdout = io.StringIO()
    mp = DFMP2(mf)
    assert (mp.verbose, mp.max_memory, mp.mol) == (3, 1234, mf.mol)


@pytest.mark.parametrize(("verbose", "lines"), [(0, 0), (3, 2), (4, 4)])
def test_log(verbose: int, lines: int) -> None:
    mp = DFMP2(mean_field("water"))
    mp.verbose, mp.stdout = verbose, io.StringIO()
    mp.run()
    text = mp.stdout.getvalue()
    assert text.count("\n") == lines
    if lines:
        assert f"E_corr = {mp.e_corr:.15g}" in text
    if lines == 4:
        assert "auxiliary basis cc-pvdz-ri (the RI-MP2 set of the orbital basis)" in text


def test_result_says_where_it_ran() -> None:
    provenance = DFMP2(mean_field("water")).set(device="cpu").run().result.provenance
    stages = {"metric", "integrals", "AO->MO", "metric solve", "pair energies"}
    assert {stage.name for stage in provenance.stages} == stages
    assert {row.operation for row in provenance.operations} == {"ao2mo", "trsm", "pair_energy"}
    assert "(pytorch, cpu)" in provenance.device_line()


@pytest.mark.parametrize("name", ["water", "ethylene"])
def test_unfused_path_uses_gemms(name: str) -> None:
    mp = DFMP2(mean_field(name)).set(fused=False).run()
    operations = {row.operation for row in mp.result.provenance.operations}
    assert operations == {"ao2mo", "trsm", "syrk", "batched_gemm", "mp2_energy"}
    assert sum(r.calls for r in mp.result.provenance.operations if r.operation == "syrk") == len(
        mp.result.occupied
    )


def test_unfused_path_of_large_t_uses_gemm() -> None:
    mp = DFMP2(mean_field("glycine")).set(fused=False).run()
    assert "gemm" in {row.operation for row in mp.result.provenance.operations}
    assert "batched_gemm" not in {row.operation for row in mp.result.provenance.operations}


def test_float32_pair_products() -> None:
    """The pair products are float32, everything before them and the spot check float64."""
    exact = DFMP2(mean_field("glycine")).run()
    single = DFMP2(mean_field("glycine")).run(precision="fp32")
    rows = {(row.stage, row.dtype) for row in single.result.provenance.operations}
    assert rows == {
        ("AO->MO", "float64"),
        ("metric solve", "float64"),
        ("pair energies", "float32"),
        ("spot check", "float64"),
    }
    assert 0 < abs(single.e_corr - exact.e_corr) < 1e-6
    assert single.result.settings["precision"] == "fp32"


def test_unknown_precision() -> None:
    with pytest.raises(InputError, match="'bf16' is unknown; choose one of fp64, fp32, auto"):
        DFMP2(mean_field("water")).run(precision="bf16")


def test_memory_budget_too_small() -> None:
    with pytest.raises(ResourceError, match=r"max_memory is 1 MB, but this run needs at least"):
        DFMP2(mean_field("water")).run(max_memory=1)


# Mean fields that are accepted


@pytest.mark.parametrize("kind", ["density_fit", "newton", "density_fit_newton"])
def test_other_solvers(kind: str) -> None:
    mf = molecule("O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47").RHF()
    if "density_fit" in kind:
        mf = mf.density_fit()
    if "newton" in kind:
        mf = mf.newton()
    mf.verbose, mf.conv_tol = 0, 1e-11
    mf.run()
    mp = DFMP2(mf).run()
    assert abs(mp.e_corr - pyscf_mp2(mf, "cc-pvdz-ri").e_corr) < 1e-9
    assert mp.e_hf == mf.e_tot
    assert mp.result.settings["density_fit"] is ("density_fit" in kind)


def test_kohn_sham_only_on_request() -> None:
    from pyscf import dft

    mf = dft.RKS(mean_field("water").mol, xc="pbe")
    mf.verbose, mf.chkfile, mf.grids.level = 0, None, 0
    mf.kernel()
    with pytest.raises(UnsupportedReferenceError, match=r"mf\.to_hf\(\).*allow_ks=True"):
        DFMP2(mf).run()
    mp = DFMP2(mf).set(allow_ks=True).run()
    assert mp.result.reference == "RKS"
    assert abs(mp.e_corr - pyscf_mp2(mf, "cc-pvdz-ri").e_corr) < 1e-9


# Mean fields that are refused


def _uhf() -> Any:
    return mean_field("water").to_uhf()


def _rohf() -> Any:
    from pyscf import scf

    return scf.ROHF(molecule("O 0 0 0", spin=2)).set(verbose=0).run()


def _ghf() -> Any:
    return mean_field("water").to_ghf()


def _complex() -> Any:
    mf = fresh()
    mf.mo_coeff = mf.mo_coeff * np.exp(0.3j)
    return mf


def _fractional() -> Any:
    mf = fresh()
    mf.mo_occ = mf.mo_occ.copy()
    mf.mo_occ[4:6] = 1.5, 0.5
    return mf


def _unconverged() -> Any:
    mf = fresh()
    mf.converged = False
    return mf


def _without_orbitals() -> Any:
    from pyscf import scf

    return scf.RHF(mean_field("water").mol)


def _periodic() -> Any:
    from pyscf.pbc import gto, scf

    cell = gto.M(atom="He 0 0 0", a=np.eye(3) * 4, basis="sto-3g", verbose=0)
    return scf.RHF(cell)


def _open_shell_restricted() -> Any:
    from pyscf import scf

    return scf.hf.RHF(molecule("O 0 0 0", spin=2))


REFUSED = {
    "uhf": (_uhf, UnsupportedReferenceError, r"closed shells \(RHF\) only"),
    "rohf": (_rohf, UnsupportedReferenceError, r"ROHF with spin 2.*closed shells \(RHF\) only"),
    "spin": (_open_shell_restricted, UnsupportedReferenceError, "spin 2"),
    "ghf": (_ghf, UnsupportedReferenceError, "GHF"),
    "complex": (_complex, UnsupportedReferenceError, r"orbitals are complex.*mo_coeff\.real"),
    "fractional": (_fractional, UnsupportedReferenceError, "neither 0 nor 2; switch smearing off"),
    "unconverged": (_unconverged, NotConvergedError, r"not converged.*raise mf\.max_cycle"),
    "without orbitals": (_without_orbitals, InputError, r"no orbitals yet; run mf\.kernel\(\)"),
    "periodic": (_periodic, UnsupportedReferenceError, "periodic; dfmp2 treats molecules only"),
    "molecule": (lambda: mean_field("water").mol, UnsupportedReferenceError, "found Mole"),
    "nothing": (lambda: None, UnsupportedReferenceError, "found NoneType"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_mean_field(case: str) -> None:
    make, kind, says = REFUSED[case]
    with pytest.raises(kind, match=says) as caught:
        DFMP2(make()).run()
    assert isinstance(caught.value, DFMP2Error)
    unsupported = kind is UnsupportedReferenceError
    assert isinstance(caught.value, NotImplementedError) is unsupported
    assert caught.value.exit_code == (4 if kind is NotConvergedError else 2)


# Frozen orbitals


@pytest.mark.parametrize(
    ("frozen", "expected"),
    [
        (None, ()),
        (0, ()),
        ([], ()),
        (1, (0,)),
        (np.int64(2), (0, 1)),
        ([1], (1,)),
        ((2, 0, 2), (0, 2)),
        (np.array([0, 1]), (0, 1)),
        ([0, 23], (0, 23)),
        ("auto", (0,)),
    ],
)
def test_frozen_orbitals(frozen: Any, expected: tuple[int, ...]) -> None:
    mf = mean_field("water")
    mp = DFMP2(mf, frozen=frozen).run()
    assert mp.result.frozen == expected
    same = pyscf_mp2(mf, frozen=list(expected) or None)
    assert abs(mp.e_corr - same.e_corr) < 1e-12
    assert mp.result.sizes["nocc"] == 5 - sum(i < 5 for i in expected)
    assert mp.result.occupied == tuple(i for i in range(5) if i not in expected)


@pytest.mark.parametrize(
    ("frozen", "says"),
    [
        (5, "frozen=5 leaves nothing to correlate: there are 5 occupied"),
        (99, "leaves nothing to correlate"),
        (-1, "negative"),
        ([0, 1, 2, 3, 4], "holds all 5 occupied"),
        ([24], "frozen orbital 24 does not exist: there are 24, counted from 0"),
        ([-1], "frozen orbital -1 does not exist"),
        ("core", "'core' is not understood"),
        (1.0, "1.0 is not understood"),
        (True, "True is not understood"),
        ([0.7], "not understood"),
        (["0"], "not understood"),
    ],
)
def test_wrong_frozen(frozen: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        DFMP2(mean_field("water"), frozen=frozen).run()


@pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set is known for I")  # true, and tested
def test_frozen_auto_knows_what_an_ecp_replaced() -> None:
    """Iodine's core is 1s to 4p, 18 orbitals; the ECP stands for 28 electrons of it."""
    mf = mean_field("hydrogen_iodide")
    mp = DFMP2(mf, frozen="auto").run()
    row = references()["df_mp2"]["hydrogen_iodide/def2-svp/def2-svp-ri/frozen4"]
    assert mf.mol.nelectron == 54 - 28
    assert len(mp.result.frozen) == row["frozen"] == 18 - 28 // 2


def test_frozen_auto_of_a_cation_without_valence() -> None:
    """The core never holds more than the occupied orbitals."""
    mf = converge(molecule("Li 0 0 0", "cc-pvdz", charge=1))
    mp = DFMP2(mf, frozen="auto").run()
    assert len(mp.result.frozen) + mp.result.sizes["nocc"] == 1


# ECPs


def test_basis_made_for_an_ecp_without_it() -> None:
    mp = DFMP2(converge(molecule("Mg 0 0 0", "lanl2dz")), auxbasis="def2-svp-ri")
    with pytest.warns(DFMP2Warning, match=r"lanl2dz on Mg was made for .* \(set ecp='lanl2dz'\)"):
        mp.run()
    assert mp.result.labels["ecp"] == "none"
    assert any("lanl2dz on Mg" in note for note in mp.result.notes)


def test_no_warning_where_the_ecp_is_used() -> None:
    """Warnings are errors in this suite."""
    mf = converge(molecule("Mg 0 0 0", "lanl2dz", ecp="lanl2dz"))
    assert DFMP2(mf, auxbasis="def2-svp-ri").run().result.labels["ecp"] == "lanl2dz"
    assert DFMP2(mean_field("water")).run().result.labels["ecp"] == "none"


# Orbitals given by the user


def test_phases_may_flip() -> None:
    """Energies come from the Fock matrix then: equal within the SCF's own convergence."""
    mf = mean_field("water")
    flipped = mf.mo_coeff * np.where(rng().random(24) < 0.5, -1.0, 1.0)
    mp = DFMP2(mf, mo_coeff=flipped).run()
    assert abs(mp.e_corr - DFMP2(mf).run().e_corr) < 1e-9
    assert abs(mp.e_hf - mf.e_tot) < 1e-10


@pytest.mark.parametrize(("p", "q"), [(3, 4), (7, 9)], ids=["occupied", "virtual"])
def test_rotated_orbitals_are_refused(p: int, q: int) -> None:
    mf = mean_field("water")
    c = mf.mo_coeff.copy()
    c[:, [p, q]] = c[:, [p, q]] @ np.array([[0.8, -0.6], [0.6, 0.8]])
    with pytest.raises(InputError, match=f"not canonical: .* orbitals ({p} and {q}|{q} and {p})"):
        DFMP2(mf, mo_coeff=c).run()


def test_orbitals_of_another_molecule_are_refused() -> None:
    with pytest.raises(InputError, match=r"mo_coeff has shape \(29, 29\), but the molecule has 24"):
        DFMP2(mean_field("water"), mo_coeff=mean_field("ammonia").mo_coeff).run()


def test_other_occupations_are_another_reference() -> None:
    """H2O2+ in the neutral's orbitals is not canonical, whoever gives the occupations."""
    mf = mean_field("water")
    occ = mf.mo_occ.copy()
    occ[4] = 0
    with pytest.raises(InputError, match="not canonical"):
        DFMP2(mf, mo_occ=occ).run()


def test_no_gap() -> None:
    mf = fresh()
    mf.mo_energy = mf.mo_energy.copy()
    mf.mo_energy[5] = mf.mo_energy[4]
    with pytest.raises(InputError, match=r"virtual orbital 5 .* not above occupied orbital 4"):
        DFMP2(mf).run()


# Nothing to correlate


@pytest.mark.parametrize(
    ("atoms", "basis", "charge", "says"),
    [
        ("He 0 0 0", "sto-3g", 0, "no correlated virtual orbitals"),
        ("H 0 0 0", "cc-pvdz", 1, "no correlated occupied orbitals"),
    ],
)
def test_nothing_to_correlate_is_zero(atoms: str, basis: str, charge: int, says: str) -> None:
    mp = DFMP2(converge(molecule(atoms, basis, charge=charge))).run()
    assert (mp.e_corr, mp.e_corr_os, mp.e_corr_ss) == (0.0, 0.0, 0.0)
    assert mp.e_tot == mp.e_hf
    assert any(says in note for note in mp.result.notes)
    assert mp.result.provenance.device_line() == "nothing was computed"

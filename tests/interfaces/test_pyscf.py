"""The class DFMP2 and its behaviour as a PySCF class."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import DFMP2Warning, InputError, ResourceError
from tests.systems import converge, mean_field, molecule, references

ENERGY = references()["df_mp2"]["water/cc-pvdz/cc-pvdz-ri/frozen0"]


def fresh(name: str = "water") -> Any:
    """A copy of a shared mean field, which a test may change."""
    return mean_field(name).copy()


# Behaviour of PySCF's classes


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


def test_a_second_run_uses_changed_attributes() -> None:
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
def test_energies_before_the_run_are_an_error_with_advice(name: str) -> None:
    with pytest.raises(AttributeError, match=r"call \.run\(\) or \.kernel\(\) first"):
        getattr(DFMP2(mean_field("water")), name)


def test_settings_come_from_the_mean_field() -> None:
    mf = fresh()
    mf.verbose, mf.max_memory = 3, 1234
    mf.stdout = io.StringIO()
    mp = DFMP2(mf)
    assert (mp.verbose, mp.max_memory, mp.mol) == (3, 1234, mf.mol)


@pytest.mark.parametrize("verbose", [0, 3, 4])
def test_log(verbose: int) -> None:
    """PySCF's levels: 3 prints energies, 4 also options and what was chosen."""
    mp = DFMP2(mean_field("water"), frozen=1)
    mp.verbose, mp.stdout = verbose, io.StringIO()
    mp.run()
    text = mp.stdout.getvalue()
    assert (f"E_corr = {mp.e_corr:.15g}" in text) is (verbose >= 3)
    assert ("nocc = 4, nmo = 23, frozen = 1" in text) is (verbose >= 4)
    assert ("basis cc-pvdz-ri (the RI-MP2 set of the orbital basis)" in text) is (verbose >= 4)
    assert bool(text) is (verbose > 0)


def test_result_names_the_device() -> None:
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
    """The pair products are float32; earlier stages and the spot check are float64."""
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


def test_memory_budget_too_small() -> None:
    with pytest.raises(ResourceError, match=r"max_memory is 1 MB, but this run needs at least"):
        DFMP2(mean_field("water")).run(max_memory=1)


# ECPs


def test_basis_made_for_an_ecp_without_it() -> None:
    mp = DFMP2(converge(molecule("Mg 0 0 0", "lanl2dz")), auxbasis="def2-svp-ri")
    with pytest.warns(DFMP2Warning, match=r"lanl2dz on Mg was made for .* \(set ecp='lanl2dz'\)"):
        mp.run()
    assert mp.result.labels["ecp"] == "none"
    assert any("lanl2dz on Mg" in note for note in mp.result.notes)


def test_no_warning_where_the_ecp_is_used() -> None:
    """A warning would fail the test, because warnings are errors in this suite."""
    mf = converge(molecule("Mg 0 0 0", "lanl2dz", ecp="lanl2dz"))
    assert DFMP2(mf, auxbasis="def2-svp-ri").run().result.labels["ecp"] == "lanl2dz"
    assert DFMP2(mean_field("water")).run().result.labels["ecp"] == "none"


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

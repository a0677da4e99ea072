"""Placement of the stages on the device by estimated error, and the resulting energies."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.fitting.orthonormal import orthonormal_form
from dfmp2.precision.estimate import STAGES, place_stages
from tests.systems import SMALL, mean_field, molecule, reference_of

ACCURACY = 1e-6
"""Hartree: the default of `DFMP2.accuracy`."""

STAGE_OF = {
    "ao2mo": "AO->MO",
    "trsm": "metric solve",
    **dict.fromkeys(("pair_energy", "gemm", "batched_gemm", "syrk", "mp2_energy"), "pair energies"),
}

UNFUSED = {"syrk", "mp2_energy"}

pytestmark = pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set is known for I")


@cache
def system(name: str) -> Any:
    if name == "ethylene, diffuse":
        return mean_field("ethylene", "aug-cc-pvtz", density_fit=True)
    if name == "benzene, diffuse":
        return mean_field("benzene", "aug-cc-pvdz", density_fit=True)
    return mean_field(name)


@cache
def exact(name: str) -> tuple[float, float]:
    mp = DFMP2(system(name)).set(backend="pytorch", device="cpu").run()
    return mp.e_corr_os, mp.e_corr_ss


@cache
def simulated(name: str, fused: bool) -> DFMP2:
    return DFMP2(system(name)).set(backend="simulator", device="bundled", fused=fused).run()


def error(mp: DFMP2, name: str) -> float:
    e_os, e_ss = exact(name)
    return abs(mp.e_corr - e_os - e_ss)


def modes(mp: DFMP2) -> dict[str, str]:
    """Mode of each operation. Each must be in its stage and have one mode."""
    rows = mp.result.provenance.operations
    assert all(row.stage == STAGE_OF[row.operation] for row in rows)
    found = {row.operation: row.where.mode for row in rows}
    assert len(found) == len(rows)
    return found


INPUTS = [pytest.param(n, marks=[pytest.mark.slow] * (n == "benzene")) for n in SMALL]
"""In the default tests, glycine is the large molecule."""

FUSED = pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: Any) -> None:
    for variable in ("DFMP2_REQUIRE_NKI", "DFMP2_USE_SIMULATOR"):
        monkeypatch.delenv(variable, raising=False)


@FUSED
@pytest.mark.parametrize("name", INPUTS)
def test_inputs_on_the_simulator(name: str, fused: bool) -> None:
    """All stages of every input run in kernels. A wrong kernel would change the energy."""
    mp = simulated(name, fused)
    assert error(mp, name) <= (2e-7 if name == "water" else ACCURACY)
    operations = modes(mp)
    small = mp.result.sizes["nvir"] <= 64
    pairs = {"pair_energy"} if fused else {*UNFUSED, "batched_gemm" if small else "gemm"}
    assert set(operations) == {"ao2mo", "trsm"} | pairs
    assert set(operations.values()) == {"simulator"}
    assert {row.dtype for row in mp.result.provenance.operations} == {"float32"}
    assert "host" not in mp.result.labels["precision"]


def test_every_kernel_is_launched_by_the_application() -> None:
    """A kernel that no calculation launches would be tested in isolation only.

    Water has small blocks of T, glycine large ones.
    """
    from dfmp2.kernels.registry import KERNELS

    small, large = simulated("water", False), simulated("glycine", False)
    launched = {*modes(small), *modes(large), *modes(simulated("water", True))}
    assert launched == {
        "gemm", "batched_gemm", "syrk", "trsm", "ao2mo", "mp2_energy", "pair_energy",
    }  # fmt: skip
    assert launched == set(KERNELS)


DIFFUSE = pytest.mark.parametrize(
    "name", ["ethylene, diffuse", pytest.param("benzene, diffuse", marks=pytest.mark.slow)]
)


@DIFFUSE
@FUSED
def test_diffuse_functions_keep_the_transform_on_the_host(fused: bool, name: str) -> None:
    """In float32 it would be wrong by 1e-4 Eh for ethylene and 1.3e-3 Eh for benzene.

    The stages after it must stay in kernels.
    """
    mp = simulated(name, fused)
    assert error(mp, name) <= ACCURACY
    operations = modes(mp)
    assert operations.pop("ao2mo") == "cpu"
    assert set(operations.values()) == {"simulator"}
    assert "trsm" in operations
    label = mp.result.labels["precision"]
    assert label.startswith("AO->MO fp64 on the host (fp32 error ")
    assert "; metric solve fp32 (" in label
    rows = {row.operation: row for row in mp.result.provenance.operations}
    assert rows["ao2mo"].dtype == "float64"
    assert rows["ao2mo"].fallbacks == 0  # the plan places it on the host
    line = mp.result.provenance.device_line()
    assert "(pytorch, cpu)" in line
    assert "(nki, simulator)" in line
    assert "FELL BACK" not in line


@DIFFUSE
def test_float32_transform_of_diffuse_functions_is_wrong(name: str, monkeypatch: Any) -> None:
    """Without the placement the error is more than ten times the accuracy, so it is needed."""
    from dfmp2.precision.estimate import Placement

    everything = Placement(dict.fromkeys(STAGES, 0.0), {})
    monkeypatch.setattr("dfmp2.workflow.compute.place_stages", lambda *_: everything)
    mp = DFMP2(system(name)).set(backend="simulator", device="bundled").run()
    assert set(modes(mp).values()) == {"simulator"}
    assert error(mp, name) > (100 if "benzene" in name else 10) * ACCURACY


@pytest.mark.parametrize("name", INPUTS)
def test_estimates_bound_the_error(name: str) -> None:
    """The estimate is statistical, so the true error may be up to twice as large."""
    placed = placement(name, ACCURACY)
    assert placed.on_host == {}
    assert placed.error <= ACCURACY
    assert error(simulated(name, True), name) <= 2 * placed.error


def placement(name: str, accuracy: float) -> Any:
    mf = system(name)
    aux = orthonormal_form(choose_auxbasis(mf.mol), mf.mol, 10**6)
    return place_stages(reference_of(mf), aux, accuracy)


def test_earlier_stages_leave_the_device_first() -> None:
    """A stage in float64 after one in float32 would gain little accuracy."""
    estimates = placement("water", ACCURACY).estimates
    assert list(estimates) == list(STAGES)
    counts = []
    for accuracy in np.geomspace(1e-6, 1e-9, 10):
        placed = placement("water", float(accuracy))
        assert list(reversed(placed.on_host)) in [list(STAGES[:n]) for n in range(4)]
        assert placed.error <= accuracy
        # The float32 errors of a few products depend on the order of summation, by 1 %.
        assert placed.estimates == pytest.approx(estimates, rel=0.1)
        counts.append(len(placed.on_host))
        for stage in placed.on_host:
            assert f"{stage} fp64 on the host" in str(placed)
    assert counts == sorted(counts)
    assert set(counts) >= {0, 3}


def test_accuracy_that_no_device_stage_reaches(monkeypatch: Any) -> None:
    """All stages must run on the host in float64, otherwise the error exceeds the accuracy."""
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    mp = DFMP2(system("water")).set(backend="simulator", accuracy=1e-12).run()
    monkeypatch.delenv("DFMP2_REQUIRE_NKI")  # the reference is computed by torch
    assert error(mp, "water") <= 1e-12
    assert set(modes(mp).values()) == {"cpu"}
    assert "NeuronCore" not in mp.result.provenance.device_line()
    assert "simulator" not in mp.result.provenance.device_line()
    for stage in STAGES:
        assert f"{stage} fp64 on the host" in mp.result.labels["precision"]


def test_required_nki_allows_stages_on_the_host_for_precision(monkeypatch: Any) -> None:
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    placed = placement("water", ACCURACY)
    accuracy = placed.estimates["AO->MO"] / 2
    mp = DFMP2(system("water")).set(backend="simulator", accuracy=accuracy).run()
    assert modes(mp) == {"ao2mo": "cpu", "trsm": "simulator", "pair_energy": "simulator"}
    assert mp.result.labels["precision"].startswith("AO->MO fp64 on the host (fp32 error ")
    with pytest.raises(BackendUnavailable, match="DFMP2_REQUIRE_NKI"):
        DFMP2(system("water")).set(backend="pytorch").run()


@pytest.mark.parametrize("name", ["simulator", "auto", "nki"])
@pytest.mark.parametrize("precision", ["fp64", "fp32"])
def test_only_auto_is_possible_on_nki(monkeypatch: Any, name: str, precision: str) -> None:
    """fp32 promises float32 in the pair GEMMs and float64 elsewhere, which NKI does not keep."""
    monkeypatch.setenv("DFMP2_USE_SIMULATOR", "1")
    with pytest.raises(InputError, match=f"precision {precision}: .*--precision auto.*pytorch"):
        DFMP2(system("water")).set(backend=name, precision=precision).run()


@pytest.mark.parametrize("precision", ["auto", None])
def test_nki_meets_the_accuracy(precision: str | None) -> None:
    mp = DFMP2(system("water")).set(backend="simulator", precision=precision).run()
    assert error(mp, "water") <= 2e-7
    assert mp.result.settings["precision"] == "fp32"


def test_near_singular_metric_goes_to_the_host() -> None:
    """Its inverse has no float32 error bound. The pair energies must stay in a kernel."""
    mf = mean_field("water")
    from pyscf import gto

    shells = gto.basis.load("cc-pvdz-ri", "O")
    double = {"O": [*shells, *shells], "H": "cc-pvdz-ri"}  # each function of O twice
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = DFMP2(mf, auxbasis=double).set(backend="pytorch", device="cpu").run()
        mp = DFMP2(mf, auxbasis=double).set(backend="simulator").run()
    assert "dropped" in mp.result.labels["metric"] or "eigen" in mp.result.labels["metric"]
    rows = {(row.stage, row.operation): row.where.mode for row in mp.result.provenance.operations}
    assert rows == {
        ("AO->MO", "ao2mo"): "cpu",
        ("metric solve", "gemm"): "cpu",
        ("pair energies", "pair_energy"): "simulator",
    }
    assert abs(mp.e_corr - expected.e_corr) <= ACCURACY


def test_torch_needs_no_estimate() -> None:
    stages = DFMP2(mean_field("water")).set(backend="pytorch").run().result.provenance.stages
    assert "error estimate" not in [stage.name for stage in stages]


def test_estimate_grows_with_the_overlap_of_diffuse_functions() -> None:
    """Their overlap causes the error, so an estimate from the name of the basis would be wrong."""
    from tests.systems import converge

    errors = []
    for distance in (20.0, 6.0, 3.0):
        mf = converge(molecule(f"Ne 0 0 0; Ne 0 0 {distance}", "aug-cc-pvdz"))
        aux = choose_auxbasis(mf.mol)
        placed = place_stages(reference_of(mf), aux, ACCURACY)
        errors.append(placed.estimates["AO->MO"])
    # At 20 and 6 Å there is almost no overlap: these two differ only by rounding.
    assert errors[2] > max(errors[:2])

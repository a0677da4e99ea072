"""Gradients from float32 products: within their estimated error, and named as what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2.backends.selection import select
from dfmp2.errors import BackendUnavailable
from dfmp2.workflow.gradient import compute_gradient
from tests.systems import mean_field, molecule, prepared


def converged(atoms: str, basis: str, spin: int = 0) -> Any:
    from pyscf import scf

    mol = molecule(atoms, basis, spin=spin)
    return (scf.UHF if spin else scf.RHF)(mol).run(conv_tol=1e-11, conv_tol_grad=1e-8)


def estimate(label: str) -> float:
    return float(label.split("gradient ")[1].split()[0])


CASES: dict[str, Any] = {
    "water": lambda: (mean_field("water"), {}),
    "kappa, frozen core": lambda: (mean_field("water"), {"kappa": (1.45,), "frozen": 1}),
    "NH2": lambda: (converged("N 0 0 0; H 0 0 1.02; H 0 0.97 -0.3", "cc-pvdz", 1), {}),
    "BeH2": lambda: (converged("Be 0 0 0; H 0 0 1.3; H 0 0 -1.4", "cc-pvdz"), {}),
}
MORE: dict[str, Any] = {
    "stretched N2": lambda: (converged("N 0 0 0; N 0 0 1.5", "cc-pvtz"), {}),
    "neon dimer": lambda: (converged("Ne 0 0 0; Ne 0 0 3.1", "aug-cc-pvdz"), {}),
    "ethylene": lambda: (mean_field("ethylene"), {}),
    "benzene": lambda: (mean_field("benzene"), {}),
    "hydrogen iodide": lambda: (mean_field("hydrogen_iodide"), {}),
}


@pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set")  # of iodine
@pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(case, id=name) for name, case in CASES.items()),
        *(pytest.param(case, id=name, marks=pytest.mark.slow) for name, case in MORE.items()),
    ],
)
def test_errors_are_below_their_estimate(case: Any) -> None:
    """Without it `auto` could print wrong digits of a gradient without a word."""
    mf, options = case()
    method = "kappa-MP2(1.45)" if "kappa" in options else "SCS-MP2"
    exact = compute_gradient(prepared(mf, **options), method)
    rough = compute_gradient(prepared(mf, precision="auto", accuracy=1e-5, **options), method)
    label = rough.result.labels["precision"]
    assert label.startswith("pair products fp32")
    assert rough.result.settings["precision"] == "fp32"
    assert 0 < np.abs(rough.de - exact.de).max() < estimate(label)
    off = max(
        abs(rough.result.energies[name]["total"] - exact.result.energies[name]["total"])
        for name in exact.result.energies
    )
    assert 0 < off < float(label.split("energies ")[1].split()[0])


def test_a_stricter_accuracy_gives_float64() -> None:
    mf = mean_field("water")
    found = compute_gradient(prepared(mf, precision="auto", accuracy=1e-9))
    label = found.result.labels["precision"]
    assert label.startswith("fp64 (auto: with fp32, estimated error of the gradient")
    assert found.result.settings["precision"] == "fp64"
    # The same sums by threads, whose order may differ.
    np.testing.assert_allclose(found.de, compute_gradient(prepared(mf)).de, rtol=0, atol=1e-12)


def test_nki_kernels_make_the_pair_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it work of the host could pass for work of NKI kernels, or the other way round."""
    mf = converged("O 0 0 0; H 0 0.76 0.59; H 0 -0.76 0.59", "sto-3g")
    exact = compute_gradient(prepared(mf, auxbasis="cc-pvdz-ri"))
    selection = select("simulator", "bundled")
    options = {"auxbasis": "cc-pvdz-ri", "precision": "auto"}
    found = compute_gradient(prepared(mf, selection, **options))
    label = found.result.labels["precision"]
    assert label.startswith("pair products NKI, all else fp64")
    assert 0 < np.abs(found.de - exact.de).max() < estimate(label)
    modes = {
        (row.stage, row.operation): row.where.mode for row in found.result.provenance.operations
    }
    assert modes["pair energies and densities", "gemm"] == "simulator"
    assert modes["pair energies and densities", "amplitudes"] == "cpu"
    assert modes["AO->MO", "ao2mo"] == "cpu"
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", "1")
    with pytest.raises(BackendUnavailable, match="too rough"):
        compute_gradient(prepared(mf, selection, accuracy=1e-10, **options))

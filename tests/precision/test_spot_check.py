"""Float32 pair GEMMs: the printed estimate exceeds the true error, and `auto` acts on it."""

from __future__ import annotations

import re
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import dfmp2.workflow.compute
from dfmp2 import DFMP2
from dfmp2.errors import DFMP2Warning
from dfmp2.precision.estimate import rounded_up
from dfmp2.precision.spot_check import CAUTION, SpotCheck, expected_error
from dfmp2.tensors.held import InMemory
from tests.systems import mean_field, rng

SYSTEMS = ["water", "ammonia", "methane", "ethylene", "hydrogen_iodide", "glycine"]
SYSTEMS += [pytest.param("benzene", marks=pytest.mark.slow)]


def _estimate(label: str) -> float:
    found = re.search(r"estimated error (\S+) Eh from (\d+) pairs", label)
    assert found is not None, label
    assert int(found[2]) > 0
    return float(found[1])


@pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set:dfmp2.errors.DFMP2Warning")
@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_estimate_is_above_the_true_error(name: str, fused: bool) -> None:
    mf = mean_field(name)
    exact = DFMP2(mf).run(fused=fused)
    rough = DFMP2(mf).run(precision="auto", fused=fused)
    error = abs(rough.e_corr - exact.e_corr)
    estimate = _estimate(rough.result.labels["precision"])
    assert 0 < error < estimate < 1e-6
    assert error < expected_error(exact.result.sizes["nocc"])
    assert rough.result.settings["precision"] == "fp32"
    dtypes = {row.operation: row.dtype for row in rough.result.provenance.operations}
    assert dtypes["ao2mo"] == dtypes["trsm"] == "float64"


@pytest.mark.parametrize(
    ("error", "printed"),
    [
        (2.51e-8, "3e-08"), (2.0e-8, "2e-08"), (2.01e-8, "3e-08"), (9.1e-8, "1e-07"),
        (1.0, "1e+00"), (0.0, "0e+00"), (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_printed_errors_are_rounded_up(error: float, printed: str) -> None:
    assert rounded_up(error) == printed


def test_auto_uses_float64_if_the_float32_error_could_be_too_large() -> None:
    mp = DFMP2(mean_field("water")).run(precision="auto", accuracy=1e-9)
    assert mp.result.labels["precision"] == "fp64 (auto: fp32 could cost 2e-08 Eh)"
    assert {row.dtype for row in mp.result.provenance.operations} == {"float64"}
    # The order of summation may differ. T is a sum over 84 auxiliary functions, so the error of
    # 0.2 Eh is at most 0.2 * 2 * 84 * 2^-53 = 4e-15 Eh in float64. In float32 it would be 5e-9 Eh.
    exact = DFMP2(mean_field("water")).run()
    assert mp.e_corr == pytest.approx(exact.e_corr, abs=1e-13, rel=0)


def test_auto_computes_again_if_the_spot_check_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dfmp2.workflow.compute, "expected_error", lambda _: 0.0)
    mp = DFMP2(mean_field("water")).run(precision="auto", accuracy=1e-11)
    assert mp.result.labels["precision"].startswith("fp64 (auto: with fp32, estimated error")
    assert mp.result.settings["precision"] == "fp64"
    exact = DFMP2(mean_field("water")).run()
    assert mp.e_corr == pytest.approx(exact.e_corr, abs=1e-13, rel=0)


def test_requested_float32_is_kept_with_a_warning() -> None:
    """Float32 by name is used also where it misses the accuracy asked for, but not in silence."""
    mp = DFMP2(mean_field("water"))
    with pytest.warns(DFMP2Warning, match="precision fp32 misses the accuracy of 1e-12 Eh"):
        mp.run(precision="fp32", accuracy=1e-12)
    assert mp.result.settings["precision"] == "fp32"
    assert "misses the accuracy" in mp.result.notes[-1]
    assert _estimate(mp.result.labels["precision"]) > 1e-12
    assert not mp.run(accuracy=1e-6).result.notes


def test_a_pair_with_almost_no_energy_does_not_determine_the_estimate() -> None:
    """All pairs are in the sample, so the estimate must be their summed error times `CAUTION`.

    The large relative error of the one small pair must not be applied to all pairs.
    """
    nocc = 4
    exact = -rng().uniform(0.01, 0.02, (nocc, nocc))
    exact = (exact + exact.T) / 2
    exact[0, 3] = exact[3, 0] = -1e-12
    rough = exact * (1 + 1e-8)
    rough[0, 3] = rough[3, 0] = -3e-12
    backend: Any = SimpleNamespace(
        stage=lambda name: nullcontext(),
        pair_energy=lambda *_: (np.triu(exact) / 4, np.triu(exact) * 3 / 4),
    )
    spin: Any = SimpleNamespace(nocc=nocc, nvir=2, e_occ=np.zeros(nocc), e_vir=np.ones(2))
    reference: Any = SimpleNamespace(spins=(spin,), electron_pairs=nocc)
    check = SpotCheck(InMemory([np.zeros((nocc, 3, 2))], backend), reference, backend)
    lost = np.abs(rough - exact).sum()
    upper = np.triu(np.ones((nocc, nocc), dtype=bool))
    assert check.error(rough / 2, rough / 2, upper) == pytest.approx(CAUTION * lost, rel=1e-6)
    assert lost < 1e-8 * np.abs(exact).sum() + 5e-12

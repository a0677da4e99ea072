"""`--precision auto` on torch: the true error is below the printed estimate and below `accuracy`.

    pytest tests/precision/test_auto.py -m "slow or not slow"

If auto chooses float64, there is no error to compare. The orbitals are from a loosely converged
density-fitted SCF. Both precisions use the same orbitals, so their convergence does not matter.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from dfmp2 import DFMP2
from tests.systems import CLUSTERS, INPUTS, LARGE, SMALL, timing_orbitals

ACCURACY = 1e-6
"""Hartree: the default of `DFMP2.accuracy`."""

NOTHING = 1e-11
"""Hartree: difference of two float64 runs on the same orbitals, with another order of summation."""

AT_ONCE = {
    ("water", "aug-cc-pvdz"),
    ("water", "cc-pvtz"),
    ("ammonia", "aug-cc-pvdz"),
    ("hydrogen_iodide", "def2-svp"),
}
"""Cases of a few seconds, which are not marked slow."""

TOO_LARGE = {
    ("water16", "aug-cc-pvdz"),
    ("water16", "cc-pvtz"),
    ("water20", "aug-cc-pvdz"),
    ("water20", "cc-pvtz"),
}
"""Cases left out: with 650 basis functions and more they take a quarter of an hour each."""

CASES = [
    (name, basis)
    for name in (*SMALL, *LARGE, *CLUSTERS)
    for basis in (
        ("def2-svp", "def2-svpd", "def2-tzvp")  # PySCF has no cc set with an ECP for iodine
        if name == "hydrogen_iodide"
        else ("cc-pvdz", "aug-cc-pvdz", "cc-pvtz")
    )
    if (name, basis) not in TOO_LARGE
]


def _marked(case: tuple[str, str]) -> Any:
    marks = () if case in AT_ONCE else (pytest.mark.slow,)
    return pytest.param(*case, id="/".join(case), marks=marks)


@pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set is known for")  # expected
@pytest.mark.parametrize("blas", ["torch", "numpy"])
@pytest.mark.parametrize(("name", "basis"), [_marked(case) for case in CASES])
def test_error_is_below_the_estimate_and_the_accuracy(
    name: str, basis: str, blas: str, request: pytest.FixtureRequest
) -> None:
    """With each library of the matrix products, because each adds in another order."""
    mf = timing_orbitals(name, basis)  # not converged to what the check of the reference asks for
    options = {"backend": "pytorch", "device": "cpu", "check_reference": "off"}
    exact = DFMP2(mf).set(precision="fp64", **options).run()
    mp = DFMP2(mf).set(precision="auto", accuracy=ACCURACY, **options).run(blas=blas)
    error = abs(mp.e_corr - exact.e_corr)
    label = mp.result.labels["precision"]
    request.node.user_properties.append(("error", f"{error:.1e} Eh; {label}"))  # for --junitxml
    if mp.result.settings["precision"] == "fp64":
        assert label.startswith("fp64 (auto: ")
        assert error <= NOTHING
        return
    found = re.fullmatch(r"fp32 pair GEMMs, .*\(estimated error (\S+) Eh from \d+ pairs.*\)", label)
    assert found is not None, label
    estimate = float(found[1])
    assert error > 0, "float32 leaves no trace in the energy: was it used?"
    assert error <= estimate
    assert estimate <= ACCURACY


def test_every_input_is_covered() -> None:
    assert {name for name, _ in CASES} == {path.stem for path in INPUTS.glob("*.xyz")}
    assert set(CASES) >= AT_ONCE

"""The factor of the metric, with and without linear dependence."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.backends.torch import TorchBackend
from dfmp2.errors import InputError
from dfmp2.fitting.metric import LINEAR_DEPENDENCE, factor_metric
from tests.systems import duplicated_auxbasis, mean_field, pyscf_mp2, rng


def positive(n: int) -> np.ndarray:
    a = rng().uniform(-1, 1, (n, n))
    return a @ a.T + n * np.eye(n)


@pytest.mark.parametrize("n", [1, 2, 31])
def test_cholesky_factor(n: int) -> None:
    metric = positive(n)
    factored = factor_metric(metric.copy())
    assert (factored.kind, factored.dropped) == ("cholesky", 0)
    assert not np.triu(factored.factor, 1).any()
    np.testing.assert_allclose(factored.factor @ factored.factor.T, metric, rtol=1e-13)
    assert str(factored) == "Cholesky"


def test_duplicated_functions_are_dropped() -> None:
    metric = positive(6)
    doubled = np.block([[metric, metric[:, :2]], [metric[:2], metric[:2, :2]]])
    doubled[0, 0] -= 1e-13  # makes Cholesky fail with any rounding
    factored = factor_metric(doubled.copy())
    assert (factored.kind, factored.dropped) == ("eigen", 2)
    assert factored.factor.dtype == np.float64
    unit = factored.factor @ doubled @ factored.factor.T
    kept = np.diag([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])  # in ascending order of eigenvalues
    np.testing.assert_allclose(unit, kept, rtol=0, atol=1e-9)
    assert "2 vectors" in str(factored)


def test_threshold_is_that_of_pyscf() -> None:
    """Eigenvalues up to 1e-10 are dropped, larger ones kept. Cholesky keeps all."""
    v, _ = np.linalg.qr(rng().uniform(-1, 1, (5, 5)))
    w = np.array([-5e-11, 5e-11, 2e-10, 1.0, 2.0])
    metric = (v * w) @ v.T
    factored = factor_metric((metric + metric.T) / 2)
    assert (factored.kind, factored.dropped) == ("eigen", 2)
    assert factor_metric(np.diag([5e-11, 1.0])).kind == "cholesky"
    assert LINEAR_DEPENDENCE == 1e-10


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        (np.diag([1.0, -0.5]), "negative eigenvalue -0.5"),
        (np.array([[np.nan, 0.0], [0.0, 1.0]]), "not finite"),
        (np.array([[np.inf, 0.0], [0.0, 1.0]]), "not finite"),
    ],
    ids=["negative", "nan", "inf"],
)
def test_invalid_metric(metric: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        factor_metric(metric)


def test_linear_dependence_agrees_with_pyscf() -> None:
    """Duplicated functions must not change the energy, and PySCF gives the same."""
    mf = mean_field("water")
    auxbasis = duplicated_auxbasis(("O", "H"))
    mp = DFMP2(mf, auxbasis=auxbasis).run()
    plain = DFMP2(mf, auxbasis="cc-pvdz-ri").run()
    added = mp.result.sizes["naux"] - plain.result.sizes["naux"]
    assert added > 0
    assert mp.result.labels["metric"].startswith(f"eigen-decomposition, {added} vectors")
    # The factor has condition number ~1e5, the square root of that of the metric.
    assert abs(mp.e_corr - pyscf_mp2(mf, auxbasis).e_corr) < 1e-9
    assert abs(mp.e_corr - plain.e_corr) < 1e-9
    unfused = DFMP2(mf, auxbasis=auxbasis).set(fused=False).run()
    assert abs(mp.e_corr - unfused.e_corr) < 1e-12


def test_linear_dependence_allocates_one_b(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan counts one B. A second one would exceed the memory budget."""
    made: list[tuple[int, ...]] = []
    empty_b = TorchBackend.empty_b

    def counted(self: TorchBackend, *shape: int) -> Any:
        made.append(shape)
        return empty_b(self, *shape)

    monkeypatch.setattr(TorchBackend, "empty_b", counted)
    mp = DFMP2(mean_field("water"), auxbasis=duplicated_auxbasis(("O", "H")))
    assert "eigen" in mp.set(backend="pytorch", device="cpu").run().result.labels["metric"]
    assert len(made) == 1

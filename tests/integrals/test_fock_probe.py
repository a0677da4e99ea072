"""The random vectors see the same Fock matrix in every form of the integrals."""

from __future__ import annotations

import numpy as np
import pytest

from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.fitting.metric import Metric, factor_metric, metric_integrals
from dfmp2.integrals.fock_probe import FockProbe
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.references.mean_field import read_mean_field
from tests.systems import fitted, mean_field


def _eigen(metric: np.ndarray) -> Metric:
    w, v = np.linalg.eigh(metric)
    return Metric(np.ascontiguousarray((v / np.sqrt(w)).T), "eigen")


@pytest.mark.parametrize("form", ["packed", "tensor"])
@pytest.mark.parametrize("factored", [factor_metric, _eigen], ids=["cholesky", "eigen"])
def test_residual_of_the_same_fit_vanishes(form: str, factored: object) -> None:
    """The SCF is fitted with MP2's own set, so the Fock matrices are the same to rounding."""
    import torch

    mf = fitted("water", "cc-pvdz-ri")
    solution, aux = read_mean_field(mf), choose_auxbasis(mf.mol, "cc-pvdz-ri")
    probe = FockProbe(solution, solution.check.one_electron, aux.naux)
    source = ThreeCentreIntegrals(mf.mol, aux.mol, 10, probe=probe if form == "packed" else None)
    for block, eri in source:
        assert not probe.complete or form == "packed"
        if form == "tensor":
            probe.full(block.p0, torch.from_numpy(eri.copy()))
    assert probe.complete
    probe.fit(factored(metric_integrals(aux.mol)))  # type: ignore[operator]
    assert probe.worst() < 1e-5


def test_residual_of_another_fit_is_below_the_limit() -> None:
    """The fitting error must not start the exact check, which costs as much as an iteration."""
    mf = mean_field("water")
    solution, aux = read_mean_field(mf), choose_auxbasis(mf.mol, None)
    probe = FockProbe(solution, solution.check.one_electron, aux.naux)
    list(ThreeCentreIntegrals(mf.mol, aux.mol, 10, probe=probe))
    probe.fit(factor_metric(metric_integrals(aux.mol)))
    assert 1e-6 < probe.worst() < 1e-3

"""The random vectors see the same Fock matrix in every form of the integrals."""

from __future__ import annotations

import numpy as np
import pytest

from dfmp2.backends.torch import TorchBackend
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.fitting.metric import Metric, factor_metric, metric_integrals
from dfmp2.integrals.fock_probe import SHARP, FockProbe
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.references.mean_field import read_mean_field
from tests.systems import fitted, mean_field, molecule


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
    assert 1e-6 < probe.worst() < SHARP / 3


def test_vectors_beside_the_half_transforms_of_two_spins() -> None:
    """They are columns of the first product only, and must not reach B or the other spin."""
    import torch
    from pyscf import scf

    mf = scf.UHF(molecule("N 0 0 0; H 0 0.8 0.6; H 0 -0.8 0.6", "sto-3g", spin=1)).run()
    solution, aux = read_mean_field(mf), choose_auxbasis(mf.mol, "def2-svp-ri")
    backend, found, made = TorchBackend(), [], []
    for also in (False, True):
        probe = FockProbe(solution, solution.check.one_electron, aux.naux)
        source = ThreeCentreIntegrals(mf.mol, aux.mol, 10, probe=probe)
        targets = []
        for spin in solution.spins:
            occ, vir = (
                torch.from_numpy(spin.mo_coeff[:, some].copy())
                for some in (spin.occupied, ~spin.occupied)
            )
            b = backend.empty_b(occ.shape[1], aux.naux, vir.shape[1])
            targets.append((occ, vir, b))
        if not also:
            list(source)
            source = ThreeCentreIntegrals(mf.mol, aux.mol, 10)
        list(backend.ao2mo_in_threads(source, targets, 2, probe if also else None))
        assert probe.complete
        probe.fit(factor_metric(metric_integrals(aux.mol)))
        found.append(probe.worst())
        made.append([b for *_, b in targets])
    assert found[1] == pytest.approx(found[0], rel=1e-9)
    for without, beside in zip(*made, strict=True):
        assert float((without - beside).abs().max()) < 1e-12

"""From integrals to B[i,P,a]: both half transforms per block of P, then the metric.

    (P|ia) = sum_mn (mn|P) C_mi C_na            2 naux nao nocc (nao + nvir) flops
    B[i,P,a] = sum_Q (L^-1)_PQ (Q|ia)           naux^2 nocc nvir flops

(P|ia) is written straight into B's memory and solved in place: there is no second array of its
size. Everything here is float64: the metric's condition number multiplies any error made before
it.
"""

from __future__ import annotations

from collections.abc import Callable

from dfmp2.backends.base import Tensor
from dfmp2.backends.recorded import RecordedBackend
from dfmp2.backends.streams import Engine
from dfmp2.fitting import AuxBasis, Metric, factor_metric
from dfmp2.integrals import LIBCINT, IntegralSource, metric_integrals
from dfmp2.plan import Plan
from dfmp2.reference import Reference

__all__ = ["Progress", "fitted_integrals"]

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total)."""


def fitted_integrals(
    reference: Reference,
    aux: AuxBasis,
    plan: Plan,
    backend: RecordedBackend,
    progress: Progress,
    source: IntegralSource = LIBCINT,
) -> tuple[Tensor, str]:
    """Make B[i,P,a].

    Parameters
    ----------
    reference : Reference
    aux : AuxBasis
    plan : Plan
    backend : RecordedBackend
    progress : callable
    source : IntegralSource
        Who makes the integrals. Where they hold the metric already, nothing is left to solve.

    Returns
    -------
    b : tensor of the backend, shape (nocc, naux, nvir), float64
    metric : str
        How the metric was factored; `naux` of `b` is smaller where vectors were dropped.
    """
    b = _half_transformed(reference, aux, plan, backend, progress, source)
    if source.metric is not None:
        return b, source.metric
    with backend.stage("metric"):
        metric = factor_metric(metric_integrals(aux.mol))
    with backend.stage("metric solve"):
        b = _solve(metric, backend.adopt(b), backend, progress)
    return b, str(metric)


def _half_transformed(
    reference: Reference,
    aux: AuxBasis,
    plan: Plan,
    backend: RecordedBackend,
    progress: Progress,
    source: IntegralSource,
) -> Tensor:
    """(P|ia), stored as [i,P,a]; the integral blocks are freed on return."""
    if (engine := backend.engine()) is not None:
        return _half_transformed_beside(engine, reference, aux, plan, backend, progress, source)
    with backend.stage(source.stage):
        integrals = source.integrals(reference.mol, aux.mol, plan.aux_block)
        blocks = iter(integrals)
    with backend.stage("AO->MO"):
        b = backend.empty_b(reference.nocc, aux.naux, reference.nvir)
        c_occ, c_vir = backend.asarray(reference.c_occ), backend.asarray(reference.c_vir)
    for done in range(len(integrals.blocks)):
        with backend.stage(source.stage):
            block, eri = next(blocks)
        with backend.stage("AO->MO"):
            out = b[:, block.p0 : block.p1, :]
            backend.ao2mo(backend.asarray(eri), c_occ, c_vir, out)
        progress("integrals and AO->MO", done + 1, len(integrals.blocks))
    return b


def _half_transformed_beside(
    engine: Engine,
    reference: Reference,
    aux: AuxBasis,
    plan: Plan,
    backend: RecordedBackend,
    progress: Progress,
    source: IntegralSource,
) -> Tensor:
    """The same with a device that works beside the host: one stage, since the two overlap."""
    with backend.stage(f"{source.stage} and AO->MO"):
        integrals = source.integrals(reference.mol, aux.mol, plan.aux_block)
        b = backend.empty_b(reference.nocc, aux.naux, reference.nvir)
        c_occ, c_vir = backend.asarray(reference.c_occ), backend.asarray(reference.c_vir)
        total = len(integrals.blocks)

        def report(done: int) -> None:
            progress("integrals and AO->MO", done, total)

        backend.ao2mo_beside(engine, integrals, source.on_device, c_occ, c_vir, b, report)
    return b


def _solve(metric: Metric, b: Tensor, backend: RecordedBackend, progress: Progress) -> Tensor:
    nocc, _, nvir = b.shape
    if metric.kind == "cholesky":
        b = backend.trsm(metric.factor, b)
        progress("metric solve", 1, 1)
        return b
    factor = backend.asarray(metric.factor)
    fitted = backend.empty_b(nocc, metric.naux, nvir)
    for i in range(nocc):
        fitted[i] = backend.gemm(factor, b[i])
        progress("metric solve", i + 1, nocc)
    return fitted

"""The Coulomb metric (P|Q) of the auxiliary functions and its factor, always in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from dfmp2.errors import InputError

__all__ = ["LINEAR_DEPENDENCE", "Metric", "factor_metric", "metric_integrals"]

LINEAR_DEPENDENCE = 1e-10
"""Metric eigenvalues up to this are dropped when Cholesky fails: PySCF's value for DF-MP2.
Another threshold would give another energy than the reference."""


def metric_integrals(auxmol: Any) -> NDArray[np.float64]:
    """Coulomb metric (P|Q), shape (naux, naux), float64, hartree.

    Parameters
    ----------
    auxmol : pyscf.gto.Mole
        The atoms with the auxiliary functions.
    """
    metric: NDArray[np.float64] = auxmol.intor("int2c2e", hermi=1)
    return metric


@dataclass(frozen=True, eq=False)
class Metric:
    """The factored metric (P|Q).

    Attributes
    ----------
    factor : ndarray, float64
        kind "cholesky": lower triangular L[P,Q] with L L^T = (P|Q).
        kind "eigen": R[Q,P], rows v / sqrt(w), zero where an eigenvector is left out, so that B
        keeps its shape and is fitted where it lies.
    kind : str
        "cholesky" or "eigen".
    dropped : int
        Eigenvectors left out because of linear dependence (kind "eigen").
    """

    factor: NDArray[np.float64]
    kind: str
    dropped: int = 0

    def __str__(self) -> str:
        if self.kind == "cholesky":
            return "Cholesky"
        return (
            f"eigen-decomposition, {self.dropped} vectors with |w| <= {LINEAR_DEPENDENCE} dropped"
        )


def factor_metric(metric: NDArray[np.float64]) -> Metric:
    """Factor the metric in float64: Cholesky, and only where that fails eigenvectors.

    Parameters
    ----------
    metric : ndarray, shape (naux, naux), float64
        (P|Q), symmetric; overwritten where Cholesky fails.

    Returns
    -------
    Metric

    Raises
    ------
    InputError
        If the metric has an eigenvalue below -`LINEAR_DEPENDENCE`, or is not finite.
    """
    import torch

    if not np.isfinite(metric).all():
        raise InputError("the auxiliary metric (P|Q) is not finite; check the auxiliary basis")
    # torch factors it because the threads of SciPy's BLAS stay busy for a while after a call. The
    # metric solve and the pair GEMMs would wait for these cores.
    lower, failed = torch.linalg.cholesky_ex(torch.from_numpy(metric))
    if not failed:
        return Metric(lower.numpy(), "cholesky")
    del lower
    w, v = scipy.linalg.eigh(metric.T, overwrite_a=True, check_finite=False)
    if w[0] < -LINEAR_DEPENDENCE:
        raise InputError(
            f"the auxiliary metric (P|Q) has the negative eigenvalue {w[0]:.3g}: it is no metric; "
            "choose another auxiliary basis"
        )
    keep = w > LINEAR_DEPENDENCE
    scale = np.zeros_like(w)
    scale[keep] = 1 / np.sqrt(w[keep])
    v *= scale
    return Metric(np.ascontiguousarray(v.T), "eigen", int(np.sum(~keep)))

"""The Coulomb metric (P|Q) of the auxiliary functions, and its factor, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.molecules.plain import Mole

__all__ = ["LINEAR_DEPENDENCE", "Metric", "factor_metric", "metric_integrals"]

LINEAR_DEPENDENCE = 1e-10
"""Hartree. Eigenvalues of the metric up to this are dropped if Cholesky fails. PySCF's DF-MP2 has
the same threshold. Another one would give another energy."""


def metric_integrals(auxmol: Mole) -> NDArray[np.float64]:
    """Compute the Coulomb metric.

    Parameters
    ----------
    auxmol : pyscf.gto.Mole
        The atoms with the auxiliary functions.

    Returns
    -------
    ndarray, shape (naux, naux), float64, hartree
        (P|Q).
    """
    metric: NDArray[np.float64] = auxmol.intor("int2c2e", hermi=1)
    return metric


@dataclass(frozen=True, eq=False)
class Metric:
    """The factored metric (P|Q).

    Attributes
    ----------
    factor : ndarray, shape (naux, naux), float64
        For kind "cholesky": lower triangular L[P,Q] with L L^T = (P|Q), in hartree^(1/2).
        For kind "eigen": R[Q,P] with rows v / sqrt(w), in hartree^(-1/2). Rows of dropped
        eigenvectors are zero, so that B keeps its shape and is fitted in its own memory.
    kind : {"cholesky", "eigen"}
    dropped : int
        Number of eigenvectors that were dropped because of linear dependence (kind "eigen").
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
    """Factor the metric in float64 by Cholesky. If that fails, by its eigenvectors.

    Parameters
    ----------
    metric : ndarray, shape (naux, naux), float64, hartree
        (P|Q), symmetric. It is overwritten if Cholesky fails.

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
    # SciPy's Cholesky is not used: the threads of its BLAS stay busy for some time after a call.
    # The metric solve and the pair GEMMs would wait for these cores.
    lower, failed = torch.linalg.cholesky_ex(torch.from_numpy(metric))
    if not failed:
        return Metric(lower.numpy(), "cholesky")
    del lower
    w, v = scipy.linalg.eigh(metric.T, overwrite_a=True, check_finite=False)
    if w[0] < -LINEAR_DEPENDENCE:
        raise InputError(
            f"the auxiliary metric (P|Q) has the negative eigenvalue {w[0]:.3g}, probably because "
            "of almost equal auxiliary functions; choose another auxiliary basis"
        )
    keep = w > LINEAR_DEPENDENCE
    scale = np.zeros_like(w)
    scale[keep] = 1 / np.sqrt(w[keep])
    v *= scale
    return Metric(np.ascontiguousarray(v.T), "eigen", int(np.sum(~keep)))

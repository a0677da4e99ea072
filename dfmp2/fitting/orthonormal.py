"""Auxiliary functions that are orthonormal on each atom, for the AO->MO transform in float32.

Auxiliary sets have several exponents on one atom. Their functions overlap so much that the metric
is ill-conditioned. Its inverse multiplies every rounding error of the AO->MO transform. Here the
functions of one angular momentum on one atom are replaced by combinations that are orthonormal in
the Coulomb metric. libcint computes the integrals of the combinations in float64, so digits cancel
before the integrals are rounded. The functions span the same space, so the energies are the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from dfmp2.fitting.auxbasis import AuxBasis, make_auxmol
from dfmp2.molecules.plain import Mole

__all__ = ["orthonormal_form"]

Shell = Any
"""A shell in PySCF's internal format: [l, [exponent, coefficient, ...], ...]."""


def orthonormal_form(aux: AuxBasis, mol: Mole, block: int) -> AuxBasis:
    """Replace the auxiliary functions by functions that are orthonormal on each atom.

    Parameters
    ----------
    aux : AuxBasis
    mol : pyscf.gto.Mole
        The molecule with its orbital basis.
    block : int
        Functions per shell, at most, or those of one radial function. libcint cannot split a shell,
        and a block of integrals must fit in memory.

    Returns
    -------
    AuxBasis
        With the same `spec` and `names`. `aux` itself if its functions on one atom are linearly
        dependent.
    """
    try:
        basis = {symbol: _orthonormal(shells, block) for symbol, shells in aux.mol._basis.items()}
    except scipy.linalg.LinAlgError:
        return aux
    return replace(aux, mol=make_auxmol(mol, basis))


def _orthonormal(shells: list[Shell], block: int) -> list[Shell]:
    """Shells of orthonormal functions by angular momentum, in PySCF's internal format."""
    made = []
    for momentum in sorted({shell[0] for shell in shells}):
        exponents, functions = _functions([s for s in shells if s[0] == momentum])
        metric = functions.T @ _radial_metric(momentum, exponents) @ functions
        factor = scipy.linalg.cholesky(metric, lower=True)
        combined = scipy.linalg.solve_triangular(factor, functions.T, lower=True).T
        columns = max(1, block // (2 * momentum + 1))
        for first in range(0, combined.shape[1], columns):
            part = combined[:, first : first + columns]
            rows = [[float(e), *map(float, row)] for e, row in zip(exponents, part, strict=True)]
            made.append([momentum, *rows])
    return made


def _functions(shells: list[Shell]) -> tuple[list[float], NDArray[np.float64]]:
    """All exponents of the shells, and the coefficients of each function, one in a column."""
    columns = []
    for shell in shells:
        rows = shell[2:] if isinstance(shell[1], int) else shell[1:]
        for column in range(1, len(rows[0])):
            columns.append({float(row[0]): float(row[column]) for row in rows})
    exponents = sorted({e for column in columns for e in column}, reverse=True)
    return exponents, np.array([[column.get(e, 0.0) for column in columns] for e in exponents])


def _radial_metric(momentum: int, exponents: list[float]) -> NDArray[np.float64]:
    """Coulomb metric of normalised primitives of one angular momentum on one atom."""
    from pyscf import gto

    shells = [[momentum, [exponent, 1.0]] for exponent in exponents]
    atom = gto.M(atom="He 0 0 0", basis={"He": shells}, verbose=0)
    count, components = len(exponents), 2 * momentum + 1
    metric = atom.intor("int2c2e").reshape(count, components, count, components)
    radial: NDArray[np.float64] = metric[:, 0, :, 0]
    return radial

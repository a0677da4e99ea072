"""Density fitting: the auxiliary basis and why it was chosen, and the factor of its metric.

The default is the set that was optimised for RI-MP2 with the orbital basis, element by element.
A Coulomb/exchange set that a density-fitted SCF used is never taken over: it was optimised for
occupied densities and leaves larger errors in correlation energies.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.build import basis_entry

__all__ = [
    "LINEAR_DEPENDENCE",
    "AuxBasis",
    "Metric",
    "choose_auxbasis",
    "factor_metric",
    "make_auxmol",
]

LINEAR_DEPENDENCE = 1e-10
"""Metric eigenvalues up to this are dropped when Cholesky fails: PySCF's value for DF-MP2.
Another threshold would give another energy than the reference."""

AuxSpec = Any  # what PySCF takes as a basis: a name, or a dict of element -> name or shells


@dataclass(frozen=True, eq=False)
class AuxBasis:
    """An auxiliary basis on the atoms of a molecule.

    Attributes
    ----------
    mol : pyscf.gto.Mole
        The atoms with the auxiliary functions.
    spec : dict
        Element (as labelled in the molecule) to basis name or list of shells, as PySCF takes it.
    names : dict of str to str
        The same with a readable name for each element.
    reason : str
        Why this set was chosen.
    """

    mol: Any
    spec: dict[str, Any]
    names: dict[str, str]
    reason: str

    @property
    def naux(self) -> int:
        """Number of auxiliary functions."""
        return int(self.mol.nao_nr())

    def __str__(self) -> str:
        distinct = sorted(set(self.names.values()))
        if len(distinct) == 1:
            return distinct[0]
        return ", ".join(f"{symbol}: {name}" for symbol, name in sorted(self.names.items()))


def choose_auxbasis(mol: Any, auxbasis: AuxSpec = None) -> AuxBasis:
    """Choose the auxiliary basis for RI-MP2.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        The molecule with its orbital basis.
    auxbasis : str or dict, optional
        Take this set instead of the default.

    Returns
    -------
    AuxBasis

    Warns
    -----
    DFMP2Warning
        For each element without a fitted set: PySCF's even-tempered set is used for it.

    Raises
    ------
    InputError
        If the set asked for is unknown or lacks an element.
    """
    symbols = sorted({mol.atom_symbol(i) for i in range(mol.natm)})
    if auxbasis is not None:
        return _requested(mol, symbols, auxbasis)
    spec: dict[str, Any] = {}
    names: dict[str, str] = {}
    missing = []
    for symbol in symbols:
        orbital = _orbital_basis_name(mol, symbol)
        fitted = _fitted_set(mol, orbital, symbol)
        if fitted is None:
            missing.append((symbol, orbital or "a basis given as shells"))
        else:
            spec[symbol] = names[symbol] = fitted
    if missing:
        even_tempered = _even_tempered(mol)
        for symbol, orbital in missing:
            spec[symbol] = even_tempered[symbol]
            names[symbol] = "even-tempered"
            warnings.warn(
                f"no RI-MP2 auxiliary set is known for {symbol} in {orbital}; PySCF's "
                "even-tempered set is used, whose fitting error is not documented (auxbasis names "
                "another)",
                DFMP2Warning,
                stacklevel=3,
            )
    reason = "the RI-MP2 set of the orbital basis"
    if missing:
        reason += "; even-tempered for " + ", ".join(symbol for symbol, _ in missing)
    return AuxBasis(make_auxmol(mol, spec), spec, names, reason)


def _requested(mol: Any, symbols: list[str], auxbasis: AuxSpec) -> AuxBasis:
    from pyscf.lib.exceptions import BasisNotFoundError

    if isinstance(auxbasis, dict):
        spec = {s: basis_entry(auxbasis, s) for s in symbols}
        lacking = [s for s in symbols if spec[s] is None]
        if lacking:
            raise InputError(
                f"auxbasis has no entry for {', '.join(lacking)} and no 'default'; add one"
            )
    else:
        spec = dict.fromkeys(symbols, auxbasis)
    names = {s: v if isinstance(v, str) else "given as shells" for s, v in spec.items()}
    for symbol, value in spec.items():
        if isinstance(value, str) and not _has_element(value, symbol):
            raise InputError(
                f"auxiliary basis {value!r} is unknown to PySCF or has no functions for {symbol}; "
                "leave auxbasis out for the default, or name another set"
            )
    try:
        return AuxBasis(make_auxmol(mol, spec), spec, names, "asked for")
    except (BasisNotFoundError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"auxbasis {auxbasis!r} is no basis that PySCF reads: {error}") from error


def make_auxmol(mol: Any, spec: dict[str, Any]) -> Any:
    """The atoms of `mol` with other functions, without PySCF's remarks."""
    from pyscf.df import addons

    quiet = mol.copy(deep=False)
    quiet.verbose = 0
    return addons.make_auxmol(quiet, spec)


def _orbital_basis_name(mol: Any, symbol: str) -> str | None:
    basis = basis_entry(mol.basis, symbol)
    return basis if isinstance(basis, str) and "\n" not in basis else None


def _fitted_set(mol: Any, orbital: str | None, symbol: str) -> str | None:
    """Name of the RI-MP2 set of `orbital` for this element, or None."""
    from pyscf.df.addons import predefined_auxbasis
    from pyscf.gto.basis import _format_basis_name, _is_pople_basis

    if orbital is None:
        return None
    aliases = [orbital]
    plain = _format_basis_name(orbital)
    if _is_pople_basis(plain):
        # 6-31G** has no fitted set of its own under its name: take that of 6-31G.
        aliases.append(plain.split("g")[0] + "g")
    for alias in aliases:
        name = predefined_auxbasis(mol, alias, mp2fit=True)
        if name is not None and _has_element(name, symbol):
            return str(name)
    return None


def _has_element(basis: str, symbol: str) -> bool:
    from pyscf import gto
    from pyscf.data.elements import _std_symbol_without_ghost
    from pyscf.lib.exceptions import BasisNotFoundError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # PySCF's advice to install another package
            return bool(gto.basis.load(basis, _std_symbol_without_ghost(symbol)))
    except (BasisNotFoundError, KeyError):
        return False


def _even_tempered(mol: Any) -> dict[str, Any]:
    from pyscf.df.addons import aug_etb

    sets: dict[str, Any] = aug_etb(mol)
    return sets


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
    # Not by SciPy: its BLAS keeps its threads spinning for a while after a call, on the cores that
    # the metric solve and the pair GEMMs are waiting for.
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

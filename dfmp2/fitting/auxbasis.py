"""The auxiliary basis of RI-MP2, and why it was chosen.

The default is the set that was optimised for RI-MP2 with the orbital basis, element by element. The
Coulomb/exchange (JK) set of a density-fitted SCF is never the default. It was optimised for
occupied densities and leaves larger errors in correlation energies.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.advice import without_advice
from dfmp2.molecules.basis import basis_entry, basis_names, pure_symbol
from dfmp2.molecules.plain import Mole
from dfmp2.settings import BasisSpec

__all__ = ["AuxBasis", "choose_auxbasis", "make_auxmol"]


@dataclass(frozen=True, eq=False)
class AuxBasis:
    """An auxiliary basis on the atoms of a molecule.

    Attributes
    ----------
    mol : pyscf.gto.Mole
        The atoms with the auxiliary functions.
    spec : dict
        Basis name or list of shells by atom label, in a form that PySCF accepts.
    names : dict of str to str
        Name of the set by atom label, for printing.
    reason : str
        Why this set was chosen.
    remarks : tuple of str
        Warnings about the set. They are written to the result.
    """

    mol: Mole
    spec: dict[str, Any]
    names: dict[str, str]
    reason: str
    remarks: tuple[str, ...] = ()

    @property
    def naux(self) -> int:
        """Number of auxiliary functions."""
        return int(self.mol.nao_nr())

    @property
    def largest_shell(self) -> int:
        """Number of functions in the largest shell, the smallest possible block of P."""
        return int(np.diff(self.mol.ao_loc_nr()).max(initial=1))

    def __str__(self) -> str:
        distinct = sorted(set(self.names.values()))
        if len(distinct) == 1:
            return distinct[0]
        return ", ".join(f"{symbol}: {name}" for symbol, name in sorted(self.names.items()))


def choose_auxbasis(mol: Mole, auxbasis: BasisSpec = None) -> AuxBasis:
    """Choose the auxiliary basis for RI-MP2.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        The molecule with its orbital basis.
    auxbasis : str or dict, optional
        Use this set instead of the default.

    Returns
    -------
    AuxBasis

    Warns
    -----
    DFMP2Warning
        For each element without an RI-MP2 set. PySCF's even-tempered set is used for it.

    Raises
    ------
    InputError
        If `auxbasis` is unknown or lacks an element.
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
    remarks = []
    if missing:
        even_tempered = _even_tempered(mol)
        for symbol, orbital in missing:
            spec[symbol] = even_tempered[symbol]
            names[symbol] = "even-tempered"
            remarks.append(
                f"no RI-MP2 auxiliary set is known for {symbol} in {orbital}; PySCF's "
                "even-tempered set is used. Its fitting error is not documented. To use another "
                "set, name it with auxbasis"
            )
            warnings.warn(remarks[-1], DFMP2Warning, stacklevel=3)
    reason = "the RI-MP2 set of the orbital basis"
    if missing:
        reason += "; even-tempered for " + ", ".join(symbol for symbol, _ in missing)
    return AuxBasis(make_auxmol(mol, spec), spec, names, reason, tuple(remarks))


def _requested(mol: Mole, symbols: list[str], auxbasis: BasisSpec) -> AuxBasis:
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
    names = basis_names(spec)
    for symbol, value in spec.items():
        if isinstance(value, str) and not _has_element(value, symbol):
            raise InputError(
                f"auxiliary basis {value!r} is unknown to PySCF or has no functions for {symbol}; "
                "leave auxbasis out for the default, or name another set"
            )
    try:
        return AuxBasis(make_auxmol(mol, spec), spec, names, "asked for")
    except (BasisNotFoundError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"auxbasis {auxbasis!r}: PySCF cannot read it ({error}); leave auxbasis out for the "
            "default, or name another set"
        ) from error


def make_auxmol(mol: Mole, spec: dict[str, Any]) -> Mole:
    """Put other functions on the atoms of a molecule, without messages from PySCF.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    spec : dict
        Basis name or shells by atom label.

    Returns
    -------
    pyscf.gto.Mole
    """
    from pyscf.df import addons

    quiet = mol.copy(deep=False)
    quiet.verbose = 0
    return addons.make_auxmol(quiet, spec)


def _orbital_basis_name(mol: Mole, symbol: str) -> str | None:
    basis = basis_entry(mol.basis, symbol)
    return basis if isinstance(basis, str) and "\n" not in basis else None


def _fitted_set(mol: Mole, orbital: str | None, symbol: str) -> str | None:
    """Name of the RI-MP2 set of `orbital` for this element, or None."""
    from pyscf.df.addons import predefined_auxbasis
    from pyscf.gto.basis import _format_basis_name, _is_pople_basis

    if orbital is None:
        return None
    aliases = [orbital]
    plain = _format_basis_name(orbital)
    if _is_pople_basis(plain):
        # PySCF has an RI-MP2 set for 6-31G, but none under the name 6-31G**.
        aliases.append(plain.split("g")[0] + "g")
    for alias in aliases:
        name = predefined_auxbasis(mol, alias, mp2fit=True)
        if name is not None and _has_element(name, symbol):
            return str(name)
    return None


def _has_element(basis: str, symbol: str) -> bool:
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    try:
        with without_advice():
            return bool(gto.basis.load(basis, pure_symbol(symbol)))
    except (BasisNotFoundError, KeyError):
        return False


def _even_tempered(mol: Mole) -> dict[str, Any]:
    from pyscf.df.addons import aug_etb

    sets: dict[str, Any] = aug_etb(mol)
    return sets

"""Effective core potentials: which one belongs to a basis, and where one is missing."""

from __future__ import annotations

import re
import warnings

import numpy as np
import scipy.linalg

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.advice import without_advice
from dfmp2.molecules.basis import (
    BASIS_FAULTS,
    Basis,
    basis_entry,
    basis_names,
    plain_name,
    pure_symbol,
)
from dfmp2.molecules.basis_files import file_potential, is_basis_file
from dfmp2.molecules.plain import Mole, element_of
from dfmp2.settings import BasisSpec

__all__ = ["available_ecp", "choose_ecp", "warn_missing_ecp"]

ALL_ELECTRON = 0.9
"""Smallest part of the energy of a 1s electron in the field of the bare nucleus that the functions
of an all-electron set give. For elements above helium, STO-3G gives 0.98, and sets for effective
core potentials give 0.83 or less. Between them are a few contractions for relativistic
Hamiltonians, which describe the core badly without one."""

_FAMILIES = (
    (re.compile(r"(ccecp(?:he|reg|28|36)?)(?:aug)?ccpv.z$"), r"\1"),
    (re.compile(r"bfdv.z$"), "bfd"),
    (re.compile(r"(?:aug)?ccp(?:wc)?v(.)zpp$"), r"cc-pv\1z-pp"),
)
"""Sets whose potential PySCF keeps under another name."""


def available_ecp(basis: Basis, symbol: str) -> str | None:
    """The effective core potential of a basis for an element.

    Parameters
    ----------
    basis : str or list
        Name, file, or shells.
    symbol : str
        Atom label.

    Returns
    -------
    str or None
        Name or text for PySCF. None if the basis has none for this element.
    """
    from pyscf import gto

    if not isinstance(basis, str) or "\n" in basis:
        return None
    if is_basis_file(basis):
        return file_potential(basis, pure_symbol(symbol))
    plain = plain_name(basis)
    names = [pattern.sub(name, plain) for pattern, name in _FAMILIES if pattern.match(plain)]
    name = names[0] if names else basis
    try:
        with without_advice():
            found = gto.basis.load_ecp(name, pure_symbol(symbol))
    except BASIS_FAULTS:
        return None
    return name if found else None


def choose_ecp(basis: BasisSpec, symbols: list[str], ecp: BasisSpec) -> dict[str, str]:
    """The effective core potential of each atom label that has one.

    Parameters
    ----------
    basis : str or dict
    symbols : list of str
        Atom labels of the molecule.
    ecp : str or dict
        "auto", "none" or the name of a set; or these by element. "auto" holds for elements that
        are not named.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        If PySCF has no such potential.
    """
    real = [s for s in symbols if element_of(s)[1]]
    chosen: dict[str, str] = {}
    for symbol in real:
        asked = basis_entry(ecp, symbol) or "auto"
        if asked == "none":
            continue
        entry = basis_entry(basis, symbol) if asked == "auto" else asked
        found = available_ecp(entry, symbol)
        if found is not None:
            chosen[symbol] = found
        elif asked != "auto" and isinstance(ecp, dict) and basis_entry(_named(ecp), symbol):
            raise InputError(
                f"ECP {asked!r} is unknown to PySCF or has none for {symbol}; use --ecp auto"
            )
    if isinstance(ecp, str) and ecp not in ("auto", "none") and not chosen:
        raise InputError(
            f"ECP {ecp!r} is unknown to PySCF or has none for {', '.join(real)}; use --ecp auto"
        )
    return chosen


def _named(ecp: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in ecp.items() if str(key).lower() != "default"}


def warn_missing_ecp(mol: Mole) -> tuple[str, ...]:
    """Warn if a basis was made for an ECP that the molecule does not use.

    Parameters
    ----------
    mol : pyscf.gto.Mole

    Returns
    -------
    tuple of str
        One warning per element. They are also written to the result.

    Warns
    -----
    DFMP2Warning
        For each such element.
    """
    found = {}
    for atom in range(mol.natm):
        symbol = mol.atom_symbol(atom)
        if symbol in found or not element_of(symbol)[1]:
            continue
        basis = basis_entry(mol.basis, symbol)
        name = available_ecp(basis, symbol)
        if mol.atom_nelec_core(atom):
            own = _core_electrons(name, symbol)
            if own not in (None, mol.atom_nelec_core(atom)):
                found[symbol] = (
                    f"{basis_names(basis)} on {symbol} was made for an effective core potential of "
                    f"{own} electrons, but one of {mol.atom_nelec_core(atom)} is used"
                )
        elif {symbol, pure_symbol(symbol)} & (set(mol._ecp) | set(mol._pseudo)):
            continue  # a potential without core electrons
        elif name is not None and "\n" not in name:
            found[symbol] = (
                f"{basis} on {symbol} was made for an effective core potential, but none is used: "
                f"the energy is meaningless (set ecp={name!r})"
            )
        elif (part := _core_energy(mol, atom)) < ALL_ELECTRON:
            found[symbol] = (
                f"{basis_names(basis)} on {symbol} gives only {100 * part:.0f} % of the energy of "
                "a 1s electron: it was made for an effective core potential, or for a relativistic "
                "Hamiltonian, and the energy is meaningless without it"
            )
    for text in found.values():
        warnings.warn(text, DFMP2Warning, stacklevel=3)
    return tuple(found.values())


def _core_electrons(name: str | None, symbol: str) -> int | None:
    from pyscf import gto

    return None if name is None else int(gto.basis.load_ecp(name, pure_symbol(symbol))[0])


def _core_energy(mol: Mole, atom: int) -> float:
    """Energy of the lowest orbital at a bare nucleus, as a part of the exact one, -Z²/2 hartree."""
    from pyscf import gto

    charge = gto.charge(pure_symbol(mol.atom_symbol(atom)))
    if charge <= 2:
        return 1.0  # no core
    first, last = mol.aoslice_by_atom()[atom, :2]
    where, shells = mol.ao_loc_nr(), range(first, last)
    s = [k - where[first] for b in shells if not mol.bas_angular(b)
         for k in range(where[b], where[b + 1])]  # fmt: skip
    if not s:
        return 0.0
    part = (first, last, first, last)
    overlap, kinetic = (mol.intor(f"int1e_{name}", shls_slice=part) for name in ("ovlp", "kin"))
    with mol.with_rinv_at_nucleus(atom):
        inverse_r = mol.intor("int1e_rinv", shls_slice=part)
    block = np.ix_(s, s)
    values, vectors = np.linalg.eigh(overlap[block])
    kept = values > 1e-8
    x = vectors[:, kept] / np.sqrt(values[kept])
    energies = scipy.linalg.eigvalsh(x.T @ (kinetic - charge * inverse_r)[block] @ x)
    return float(energies[0] / (-0.5 * charge**2))

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
    is_fitting_set,
    plain_name,
    pure_symbol,
)
from dfmp2.molecules.basis_files import file_potential, is_basis_file
from dfmp2.molecules.plain import Mole, element_of, recorded_ecp
from dfmp2.settings import BasisSpec

__all__ = ["available_ecp", "choose_ecp", "warn_missing_ecp"]

ALL_ELECTRON = 0.9
"""Smallest part of the energy of a 1s electron in the field of the bare nucleus that the functions
of an all-electron set give. For elements above helium, STO-3G gives 0.98, and sets for effective
core potentials give 0.83 or less, except CRENBL on Li and Be (0.93)."""

COMPLETE = 0.95
"""With such a part the functions certainly describe a 1s electron."""

RELATIVISTIC = 0.012
"""Largest excess of the kinetic energy of this 1s electron over the exact one for its energy (by
the virial theorem). Contractions for a relativistic Hamiltonian are too compact: 0.02 to 0.6 from
titanium on (ANO-RCC, cc-pVnZ-DK). Others stay below 0.007 (STO-3G, 3-21G, 6-31G, 6-311G, def2,
cc-pVnZ, pc-n, DZP, TZP, Roos, Dyall, up to radon)."""

_RELATIVISTIC_NAMES = re.compile(r"ano(rcc|@|$)|x2c|sarc|.*(dk|dkh)\d?(@|$)|.*zora")
"""Names of such contractions. Up to neon, the energy hardly differs: 4 mEh for oxygen in ANO-RCC.
For chlorine it is 0.2 Eh."""

NEON = 10
"""Nuclear charge."""

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
        If PySCF has no such potential, or one is named for an element that is not there.
    """
    _check_elements(symbols, ecp)
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


def _check_elements(symbols: list[str], ecp: BasisSpec) -> None:
    """Refuse an entry that would do nothing. A ghost atom counts as its element."""
    if not isinstance(ecp, dict):
        return
    for key in ecp:
        named = str(key).lower() == "default"
        if not named and all(basis_entry({key: "used"}, s) is None for s in symbols):
            there = ", ".join(sorted({pure_symbol(s) for s in symbols}))
            raise InputError(
                f"an ECP is given for {key}, but the molecule has only {there}; leave {key} out of "
                "--ecp"
            )


def _named(ecp: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in ecp.items() if str(key).lower() != "default"}


def warn_missing_ecp(mol: Mole) -> tuple[str, ...]:
    """Warn if a basis was made for another Hamiltonian than that of the molecule, or for fitting.

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
        For each element whose basis was made for an effective core potential that is not used, for
        all electrons although a potential is used, for a relativistic Hamiltonian, or as an
        auxiliary set.
    """
    found: dict[str, str | None] = {}
    for atom in range(mol.natm):
        symbol = mol.atom_symbol(atom)
        if symbol not in found and element_of(symbol)[1]:
            found[symbol] = _fault(mol, atom)
    texts = tuple(filter(None, found.values()))
    for text in texts:
        warnings.warn(text, DFMP2Warning, stacklevel=3)
    return texts


def _fault(mol: Mole, atom: int) -> str | None:
    symbol = mol.atom_symbol(atom)
    basis = basis_entry(mol.basis, symbol)
    label, name = f"{basis_names(basis)} on {symbol}", available_ecp(basis, symbol)
    if is_fitting_set(basis):
        return (
            f"{label} is an auxiliary set, made for products of orbitals and not for orbitals; "
            "name an orbital basis, such as cc-pvdz"
        )
    part, excess = _core_orbital(mol, atom)
    relativistic = excess > RELATIVISTIC or _is_relativistic(basis, symbol)
    if removed := mol.atom_nelec_core(atom):
        own = _core_electrons(name, symbol)
        if own not in (None, removed):
            return (
                f"{label} was made for an effective core potential of {own} electrons, but one of "
                f"{removed} is used"
            )
        used = {symbol: basis_entry(mol._ecp, symbol)}
        if name is not None and recorded_ecp({symbol: name}, used)[symbol] != name:
            return (
                f"{label} was made for another effective core potential of {removed} electrons "
                "than the one that is used: they do not belong together, and the energy can err by "
                "0.1 Eh (leave out the ECP for that of the basis)"
            )
        if own is None and (part > COMPLETE or relativistic):
            return (
                f"{label} is an all-electron basis, but an effective core potential of {removed} "
                "electrons is used: the basis has functions for electrons that the potential "
                "replaces, and the energy is meaningless (set ecp='none', or use the basis of the "
                "potential)"
            )
        return None
    if {symbol, pure_symbol(symbol)} & (set(mol._ecp) | set(mol._pseudo)):
        return None  # a potential without core electrons
    if name is not None and "\n" not in name:
        return (
            f"{label} was made for an effective core potential, but none is used: the energy is "
            f"meaningless (set ecp={name!r})"
        )
    if relativistic:
        return (
            f"{label} was made for a relativistic Hamiltonian (X2C, DKH); without one the total "
            "energy is meaningless"
        )
    if part < ALL_ELECTRON:
        return (
            f"{label} gives only {100 * part:.0f} % of the energy of a 1s electron: it was made "
            "for an effective core potential, or for a relativistic Hamiltonian, and the energy is "
            "meaningless without it"
        )
    return None


def _is_relativistic(basis: Basis, symbol: str) -> bool:
    from pyscf import gto

    if not isinstance(basis, str) or "\n" in basis or basis.lower().startswith("unc"):
        return False
    named = _RELATIVISTIC_NAMES.match(plain_name(basis))
    return named is not None and gto.charge(pure_symbol(symbol)) > NEON


def _core_electrons(name: str | None, symbol: str) -> int | None:
    from pyscf import gto

    return None if name is None else int(gto.basis.load_ecp(name, pure_symbol(symbol))[0])


def _core_orbital(mol: Mole, atom: int) -> tuple[float, float]:
    """The lowest orbital at a bare nucleus: its energy as a part of the exact one, -Z²/2 hartree,
    and its kinetic energy over the negative of its energy, less 1."""
    from pyscf import gto

    charge = gto.charge(pure_symbol(mol.atom_symbol(atom)))
    if charge <= 2:
        return 1.0, 0.0  # no core
    first, last = mol.aoslice_by_atom()[atom, :2]
    where, shells = mol.ao_loc_nr(), range(first, last)
    s = [k - where[first] for b in shells if not mol.bas_angular(b)
         for k in range(where[b], where[b + 1])]  # fmt: skip
    if not s:
        return 0.0, 0.0
    part = (first, last, first, last)
    overlap, kinetic = (mol.intor(f"int1e_{name}", shls_slice=part) for name in ("ovlp", "kin"))
    with mol.with_rinv_at_nucleus(atom):
        inverse_r = mol.intor("int1e_rinv", shls_slice=part)
    block = np.ix_(s, s)
    values, vectors = np.linalg.eigh(overlap[block])
    kept = values > 1e-8
    x = vectors[:, kept] / np.sqrt(values[kept])
    energies, orbitals = scipy.linalg.eigh(x.T @ (kinetic - charge * inverse_r)[block] @ x)
    lowest = x @ orbitals[:, 0]
    ratio = lowest @ kinetic[block] @ lowest / abs(energies[0])
    return float(energies[0] / (-0.5 * charge**2)), float(ratio - 1)

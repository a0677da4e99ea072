"""The auxiliary basis of RI-MP2, and why it was chosen.

The default is the set that was optimised for RI-MP2 with the orbital basis, element by element. The
Coulomb/exchange (JK) set of a density-fitted SCF is never the default. It was optimised for
occupied densities and leaves larger errors in correlation energies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dfmp2.errors import InputError
from dfmp2.fitting.atomic import atomic_error
from dfmp2.fitting.generated import DEFAULT, GENERATED, generated_set
from dfmp2.molecules.basis import (
    BASIS_FAULTS,
    SHELLS,
    basis_entry,
    basis_names,
    function_count,
    is_fitting_set,
    load_basis,
    plain_name,
)
from dfmp2.molecules.plain import Mole, built_basis, element_of
from dfmp2.settings import BasisSpec

__all__ = [
    "AuxBasis",
    "choose_auxbasis",
    "is_orbital_set",
    "make_auxmol",
    "scf_auxbasis",
    "scf_misfits",
]

FEWEST = {"H": 1.1, "He": 1.1}
"""Fewest auxiliary functions per orbital function, by element. The RI-MP2 sets of their own basis
have at least 1.35 (He in aug-cc-pVQZ), and 1.9 for the other elements up to krypton."""

FEWEST_ELSEWHERE = 1.5
"""Water in cc-pVTZ errs by 1.1 mEh with cc-pvdz-ri (H has 1.0), and by 0.03 mEh with cc-pvtz-ri.
In aug-cc-pVTZ, cc-pvtz-ri is as good as the own set (H 1.3, O 1.65)."""

ASSIGNED_ERROR = 3e-4
"""Largest second-order error of a free atom with a set that PySCF assigns to a basis for which it
was not made, hartree. RI-MP2 sets of their own basis err by up to 1.9e-4 (Li and Br in def2), sets
that do not fit by 3.3e-4 (Li in 3-21G) to 0.024 (Br in 6-311G)."""

NAMED_ERROR = 1e-3
"""With more, a warning for a set that the user named, hartree. Usual JK sets stay below 5.5e-4."""

TOO_FEW = "has too few functions for this orbital basis"

RENAMED = "the functions that the molecule was built with (mol.basis now names others)"

SCF_ERROR = 5e-4
"""Largest error of the Coulomb and exchange energy of a free atom in an SCF, hartree. JK sets stay
below 3e-4 from H to Cl; weigend has 8e-4 (O), and cc-pvdz-jkfit 0.68 (Br)."""


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
        Reasons for warnings about the set. They are also written to the result.
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
    """Choose the auxiliary basis for RI-MP2. The caller turns its remarks into warnings.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        The molecule with its orbital basis.
    auxbasis : str or dict, optional
        Use this set instead of the default: a name, a file, shells, or a key of `GENERATED`.

    Returns
    -------
    AuxBasis
        It has a remark for each element without an RI-MP2 set that fits, which gets an
        even-tempered one, and if `auxbasis` is an orbital basis, or does not fit.

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
    missing: dict[str, list[str]] = {}
    remarks = []
    built = built_basis(mol)
    for symbol in symbols:
        orbital = basis_names(basis_entry(built, symbol))
        fitted = _fitted_set(mol, orbital, symbol)
        fault = fitted and not _is_own(fitted, orbital) and _misfit(mol, symbol, fitted)
        if fault:
            remarks.append(
                f"the auxiliary set {fitted} that PySCF assigns to {orbital} {fault} on {symbol}; "
                f"an {DEFAULT} set is made from the basis instead"
            )
            spec[symbol], names[symbol] = generated_set(DEFAULT, mol, symbol), DEFAULT
        elif fitted is None:
            renamed = orbital == SHELLS and isinstance(basis_entry(mol.basis, symbol), str)
            missing.setdefault(RENAMED if renamed else orbital, []).append(symbol)
            spec[symbol], names[symbol] = generated_set(DEFAULT, mol, symbol), DEFAULT
        else:
            spec[symbol] = names[symbol] = fitted
    remarks += [
        f"no RI-MP2 auxiliary set is known for {', '.join(without)} in "
        f"{'a basis ' * (orbital == SHELLS)}{orbital}; an {DEFAULT} set is made from it. Such sets "
        "erred by less than 2e-5 Eh in small molecules (the option --validate-exact measures it)"
        for orbital, without in missing.items()
    ]
    return AuxBasis(make_auxmol(mol, spec), spec, names, _reason(built, names), tuple(remarks))


def _is_own(name: str, orbital: str) -> bool:
    """Whether a set is the RI-MP2 set of this orbital basis."""
    return plain_name(name) == f"{plain_name(orbital)}ri"


def _misfit(mol: Mole, symbol: str, name: str) -> str | None:
    """Why a set does not fit the functions of an atom, or None."""
    shells = load_basis(name, symbol, auxiliary=True)[1]
    error = atomic_error(mol, symbol, shells)
    if error is not None and abs(error.mp2) > ASSIGNED_ERROR:
        return f"errs by {error.mp2:.1e} Eh in the atom"
    return TOO_FEW if _too_few(symbol, basis_entry(mol._basis, symbol), shells) else None


def _too_few(symbol: str, shells: Any, auxiliary: Any) -> bool:
    fewest = FEWEST.get(element_of(symbol)[0], FEWEST_ELSEWHERE)
    return function_count(auxiliary) < fewest * function_count(shells)


def _reason(basis: BasisSpec, names: dict[str, str]) -> str:
    """Why these sets are the default. The printed text claims no more than the names show."""
    own, assigned, generated = [], [], []
    for symbol, name in names.items():
        orbital = basis_names(basis_entry(basis, symbol))
        if name == DEFAULT:
            generated.append(symbol)
        elif _is_own(name, orbital):
            own.append(symbol)
        else:
            assigned.append(symbol)
    parts = []
    if own:
        parts.append("the RI-MP2 set of the orbital basis")
    if assigned:
        where = f" for {', '.join(assigned)}" if own else ""
        parts.append(f"an RI-MP2 set that PySCF assigns to this basis{where}")
    if generated:
        parts.append(f"made from the orbital basis for {', '.join(generated)}")
    return "; ".join(parts)


def _requested(mol: Mole, symbols: list[str], auxbasis: BasisSpec) -> AuxBasis:
    asked = {s: basis_entry(auxbasis, s) for s in symbols}
    lacking = [s for s in symbols if asked[s] is None]
    if lacking:
        raise InputError(
            f"auxbasis has no entry for {', '.join(lacking)} and no 'default'; add one"
        )
    spec = {symbol: _loaded(mol, value, symbol) for symbol, value in asked.items()}
    names = {s: basis_names(asked[s] if asked[s] in list(GENERATED) else spec[s]) for s in symbols}
    try:
        auxmol = make_auxmol(mol, spec)
    except BASIS_FAULTS as error:
        raise InputError(
            f"auxbasis {auxbasis!r}: PySCF cannot read it ({error}); leave auxbasis out for the "
            "default, or name another set"
        ) from error
    return AuxBasis(auxmol, spec, names, "asked for", _unsuitable(mol, auxmol, names))


def _unsuitable(mol: Mole, auxmol: Mole, names: dict[str, str]) -> tuple[str, ...]:
    """What is wrong with a set that the user named: each fault once, with its elements."""
    found: dict[str, list[str]] = {}
    for symbol, name in names.items():
        shells = auxmol._basis[symbol]
        orbital = basis_names(basis_entry(mol.basis, symbol))
        if is_orbital_set(name):
            fault = "is an orbital basis, and no auxiliary set"
        elif _too_few(symbol, basis_entry(mol._basis, symbol), shells):
            fault = TOO_FEW
        elif name in (DEFAULT, SHELLS) or _is_own(name, orbital) or not element_of(symbol)[1]:
            continue
        else:
            error = atomic_error(mol, symbol, shells)
            if error is None or abs(error.mp2) <= NAMED_ERROR:
                continue
            fault = f"errs by {error.mp2:.1e} Eh in the free atom"
        found.setdefault(f"auxiliary basis {name} {fault}", []).append(symbol)
    return tuple(
        f"{fault} (on {', '.join(symbols)}): the correlation energy can err by more than 1 mEh; "
        "leave auxbasis out for the default"
        for fault, symbols in found.items()
    )


def is_orbital_set(name: str) -> bool:
    """Whether a name is that of an orbital basis of PySCF."""
    from pyscf.gto.basis import ALIAS

    return plain_name(name) in ALIAS and not is_fitting_set(name)


def _loaded(mol: Mole, value: Any, symbol: str) -> Any:
    if not isinstance(value, str):
        return value
    if value in GENERATED:
        return generated_set(value, mol, symbol)
    try:
        return load_basis(value, symbol, auxiliary=True)[0]
    except InputError as error:
        raise InputError(f"auxiliary {error}; leave auxbasis out for the default") from error


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


def scf_auxbasis(mol: Mole) -> dict[str, Any] | None:
    """The auxiliary basis of a density-fitted SCF, where PySCF's JK set is missing or does not fit.

    PySCF's own choice for this case fails, or has too few functions for ghost atoms. Its set for
    other atoms has fewer functions: in water/pc-1, E(HF) erred by 4.3e-5 Eh, and by 6e-6 Eh here.

    Parameters
    ----------
    mol : pyscf.gto.Mole

    Returns
    -------
    dict or None
        JK set or even-tempered set by atom label. None if PySCF has a JK set that fits for all.
    """
    names = {
        symbol: _jk_set(mol, basis_names(basis_entry(mol.basis, symbol)), symbol)
        for symbol in sorted({mol.atom_symbol(i) for i in range(mol.natm)})
    }
    if all(names.values()):
        return None
    return {s: name or generated_set(DEFAULT, mol, s) for s, name in names.items()}


def _jk_set(mol: Mole, orbital: str, symbol: str) -> str | None:
    """Name of the JK set of `orbital` for this element, if it fits."""
    name = _fitted_set(mol, orbital, symbol, mp2=False)
    fits = name and not _scf_error(mol, symbol, load_basis(name, symbol, auxiliary=True)[1])
    return name if fits else None


def scf_misfits(mol: Mole, auxmol: Mole) -> dict[str, float]:
    """Errors of a set that does not fit for an SCF, by atom label, in hartree.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The atoms with the orbital basis, and with the auxiliary basis of the SCF.

    Returns
    -------
    dict of str to float
        Of the Coulomb and exchange energy of the free atom. Only those above `SCF_ERROR`.
    """
    symbols = sorted({mol.atom_symbol(i) for i in range(mol.natm)})
    errors = {s: _scf_error(mol, s, auxmol._basis[s]) for s in symbols if element_of(s)[1]}
    return {symbol: error for symbol, error in errors.items() if error}


def _scf_error(mol: Mole, symbol: str, shells: Any) -> float:
    """The error of a free atom, or 0 if it is below `SCF_ERROR` or not known."""
    error = atomic_error(mol, symbol, shells)
    return error.hf if error is not None and abs(error.hf) > SCF_ERROR else 0.0


def _fitted_set(mol: Mole, orbital: str, symbol: str, mp2: bool = True) -> str | None:
    """Name of the RI-MP2 (or JK) set of `orbital` for this element, or None."""
    from pyscf.df.addons import predefined_auxbasis
    from pyscf.gto.basis import _format_basis_name, _is_pople_basis

    aliases = [orbital]
    plain = _format_basis_name(orbital)
    if _is_pople_basis(plain):
        # PySCF has an RI-MP2 set for 6-31G, but none under the name 6-31G**.
        aliases.append(plain.split("g")[0] + "g")
    for alias in aliases:
        name = predefined_auxbasis(mol, alias, mp2fit=mp2)
        if name is not None and _has_element(name, symbol):
            return str(name)
    return None


def _has_element(basis: str, symbol: str) -> bool:
    try:
        return bool(load_basis(basis, symbol, auxiliary=True))
    except InputError:
        return False

"""Basis sets by element: what a user or PySCF says about each atom, and how it is printed."""

from __future__ import annotations

import warnings
from typing import Any

from dfmp2.errors import InputError
from dfmp2.settings import BasisSpec

__all__ = [
    "SHELLS",
    "available_ecp",
    "basis_entry",
    "basis_label",
    "basis_names",
    "check_basis",
    "parse_basis",
    "pure_symbol",
]

SHELLS = "given as shells"
"""Printed name of a basis that has no name."""


def parse_basis(text: str | None) -> BasisSpec:
    """A basis name, or ``default=NAME,O=NAME,...`` for a basis per element.

    Raises
    ------
    InputError
        For text of another form.
    """
    if text is None or "=" not in text:
        return text
    basis = {}
    for part in text.split(","):
        element, _, name = part.partition("=")
        if not element.strip() or not name.strip():
            raise InputError(
                f"basis {text!r} is not understood: write one name, or ELEMENT=NAME,default=NAME"
            )
        basis[element.strip()] = name.strip()
    return basis


def basis_entry(basis: BasisSpec, symbol: str) -> Any:
    """The entry of a basis for one atom: by its label, else by its element, else by "default".

    Parameters
    ----------
    basis : str or dict
        Keys are read as PySCF reads them: symbols in any case, or nuclear charges.
    symbol : str
        As labelled in the molecule, such as ``H1`` or ``Ghost-O``.

    Returns
    -------
    str, shells or None
        None where nothing applies.
    """
    if not isinstance(basis, dict):
        return basis
    from pyscf.data.elements import ELEMENTS

    def name(key: str | int) -> str:
        return (ELEMENTS[key] if isinstance(key, int) else key).upper()

    entries = {name(key): value for key, value in basis.items()}
    keys = (symbol, symbol.rstrip("0123456789"), pure_symbol(symbol), "default")
    return next((entries[key.upper()] for key in keys if key.upper() in entries), None)


def pure_symbol(symbol: str) -> str:
    """Element of an atom label of PySCF, ghost atoms included."""
    from pyscf.data.elements import _std_symbol_without_ghost

    return str(_std_symbol_without_ghost(symbol))


def check_basis(basis: BasisSpec, symbols: list[str], source: str) -> None:
    """Refuse a basis that PySCF does not have for every element.

    Parameters
    ----------
    basis : str or dict
    symbols : list of str
        Atom labels of the molecule.
    source : str
        Name of the molecule, for error messages.

    Raises
    ------
    InputError
        Naming the element.
    """
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    for symbol in symbols:
        name = basis_entry(basis, symbol)
        if name is None:
            raise InputError(f"{source}: the basis has no entry for {symbol} and no 'default'")
        if not isinstance(name, str):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # advice to install a package
                gto.basis.load(name, pure_symbol(symbol))
        except (BasisNotFoundError, KeyError) as error:
            known = "Unknown basis" not in str(error) and isinstance(error, BasisNotFoundError)
            what = f"has no functions for {pure_symbol(symbol)}" if known else "is unknown to PySCF"
            raise InputError(
                f"{source}: basis {name!r} {what}; name another basis, such as def2-svp"
            ) from error


def available_ecp(basis: Any, symbol: str) -> str | None:
    """Name of the effective core potential that belongs to a basis for an element, or None."""
    from pyscf import gto

    if not isinstance(basis, str) or "\n" in basis:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = gto.basis.load_ecp(basis, pure_symbol(symbol))
    except (RuntimeError, LookupError):  # BasisNotFoundError, or no entry in PySCF's table
        return None
    return basis if found else None


def basis_names(basis: Any) -> Any:
    """A basis with the shells left out: a name, or a dict of element -> name."""
    if isinstance(basis, dict):
        return {k: v if isinstance(v, str) else SHELLS for k, v in basis.items()}
    return basis if isinstance(basis, str) else SHELLS


def basis_label(basis: Any, by_element: bool = False) -> str:
    """A basis of PySCF in one line.

    Parameters
    ----------
    basis : str, dict or list
    by_element : bool
        Name the elements also where all have the same basis: an ECP may be on some alone.
    """
    names = basis_names(basis)
    if not isinstance(names, dict):
        return str(names)
    if not by_element and len(set(names.values())) == 1:
        return str(next(iter(names.values())))
    return ", ".join(f"{key}: {name}" for key, name in names.items())

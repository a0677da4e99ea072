"""Basis sets by element: reading, checking and printing them."""

from __future__ import annotations

from typing import Any

from dfmp2.errors import InputError
from dfmp2.molecules.advice import without_advice
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

Basis = Any
"""The basis of one element for PySCF: a name, or a list of shells. PySCF has no types."""

SHELLS = "given as shells"
"""Printed name of a basis that has no name."""


def parse_basis(text: str | None) -> BasisSpec:
    """Read the basis option of the command line.

    Parameters
    ----------
    text : str or None
        A name, or ``default=NAME,O=NAME,...`` for a basis per element.

    Returns
    -------
    str, dict or None

    Raises
    ------
    InputError
        If the text has another form.
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


def basis_entry(basis: BasisSpec, symbol: str) -> Basis:
    """The basis of one atom: by its label, else by its element, else by "default".

    Parameters
    ----------
    basis : str or dict
        The keys are symbols in upper or lower case, or nuclear charges, as in PySCF.
    symbol : str
        Atom label, such as ``H1`` or ``Ghost-O``.

    Returns
    -------
    str, list or None
        None if there is no entry for the atom.
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
    """Element of an atom label. For a ghost atom, the element of its functions.

    Parameters
    ----------
    symbol : str
        Atom label, such as ``H1`` or ``Ghost-O``.
    """
    from pyscf.data.elements import _std_symbol_without_ghost

    return str(_std_symbol_without_ghost(symbol))


def check_basis(basis: BasisSpec, symbols: list[str], source: str) -> None:
    """Raise an error if PySCF does not have the basis for every element.

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
        The message names the element.
    """
    from pyscf import gto
    from pyscf.lib.exceptions import BasisNotFoundError

    for symbol in symbols:
        name = basis_entry(basis, symbol)
        if name is None:
            raise InputError(
                f"{source}: the basis has no entry for {symbol} and no 'default'; add one of them"
            )
        if not isinstance(name, str):
            continue
        try:
            with without_advice():
                gto.basis.load(name, pure_symbol(symbol))
        except (BasisNotFoundError, KeyError) as error:
            known = "Unknown basis" not in str(error) and isinstance(error, BasisNotFoundError)
            what = f"has no functions for {pure_symbol(symbol)}" if known else "is unknown to PySCF"
            raise InputError(
                f"{source}: basis {name!r} {what}; name another basis, such as def2-svp"
            ) from error


def available_ecp(basis: Basis, symbol: str) -> str | None:
    """Name of the effective core potential of a basis for an element.

    Parameters
    ----------
    basis : str or list
    symbol : str
        Atom label.

    Returns
    -------
    str or None
        None if the basis has none for this element.
    """
    from pyscf import gto

    if not isinstance(basis, str) or "\n" in basis:
        return None
    try:
        with without_advice():
            found = gto.basis.load_ecp(basis, pure_symbol(symbol))
    except (RuntimeError, LookupError):  # BasisNotFoundError, or no entry in PySCF's table
        return None
    return basis if found else None


def basis_names(basis: BasisSpec) -> Any:
    """Names of a basis: a name, or a dict from element to name. `SHELLS` replaces shells.

    Parameters
    ----------
    basis : str, dict or list
    """
    if isinstance(basis, dict):
        return {k: v if isinstance(v, str) else SHELLS for k, v in basis.items()}
    return basis if isinstance(basis, str) else SHELLS


def basis_label(basis: BasisSpec, by_element: bool = False) -> str:
    """A basis or an ECP in one line of text.

    Parameters
    ----------
    basis : str, dict or list
    by_element : bool
        Name the elements, also if all have the same basis. An ECP may be on some elements only.
    """
    names = basis_names(basis)
    if not isinstance(names, dict):
        return str(names)
    if not by_element and len(set(names.values())) == 1:
        return str(next(iter(names.values())))
    return ", ".join(f"{key}: {name}" for key, name in names.items())

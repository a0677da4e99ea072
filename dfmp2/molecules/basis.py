"""Basis sets by element: reading, checking and printing them."""

from __future__ import annotations

import re
from typing import Any

from dfmp2.errors import InputError
from dfmp2.molecules.advice import without_advice
from dfmp2.molecules.basis_files import checked_basis, file_basis, is_basis_file, name_of_text
from dfmp2.settings import BasisSpec

__all__ = [
    "BASIS_FAULTS",
    "SHELLS",
    "Basis",
    "basis_entry",
    "basis_label",
    "basis_names",
    "choose_basis",
    "function_count",
    "is_fitting_set",
    "load_basis",
    "parse_basis",
    "plain_name",
    "pure_symbol",
]

Basis = Any
"""The basis of one element for PySCF: a name, or a list of shells. PySCF has no types."""

SHELLS = "given as shells"
"""Printed name of a basis that has no name."""

BASIS_FAULTS = (
    AssertionError, AttributeError, ImportError, IndexError, KeyError, OSError, RuntimeError,
    TypeError, ValueError,
)  # fmt: skip
"""What PySCF raises for a name that it cannot read. BasisNotFoundError is a RuntimeError."""

_FITTING = re.compile(r".*(ri|fit)$|weigend|demon|ahlrichs")

_KEY = re.compile(r"(?:ghost[-_:]?|x-)?([a-z]{1,2})\d*", re.IGNORECASE)


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
    for part in re.split(r",(?![^(]*\))", text):  # not at the comma of 6-31G(d,p)
        element, _, name = (word.strip() for word in part.partition("="))
        if not element or not name:
            raise InputError(
                f"basis {text!r} is not understood: write one name, or ELEMENT=NAME,default=NAME"
            )
        if not _is_key(element):
            raise InputError(f"basis {text!r}: {element!r} is no element, and not 'default'")
        if element in basis:
            raise InputError(f"basis {text!r} names {element} twice; leave one out")
        basis[element] = name
    return basis


def _is_key(text: str) -> bool:
    from pyscf.data.elements import ELEMENTS

    match = _KEY.fullmatch(text)
    return text == "default" or (match is not None and match[1].capitalize() in ELEMENTS[1:])


def function_count(shells: list[Any]) -> int:
    """Number of spherical functions of shells in PySCF's form."""
    return sum((2 * shell[0] + 1) * (len(shell[-1]) - 1) for shell in shells)


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
    bare = symbol.upper().removeprefix("GHOST-").removeprefix("X-")
    keys = (symbol, symbol.rstrip("0123456789"), bare, pure_symbol(symbol), "default")
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


def plain_name(basis: str) -> str:
    """A name as PySCF compares it: lower case, without hyphens and ``unc``."""
    from pyscf.gto.basis import _format_basis_name

    return str(_format_basis_name(basis).removeprefix("unc"))


def is_fitting_set(basis: Basis) -> bool:
    """Whether the name of a basis is that of an auxiliary set, such as ``cc-pvdz-ri``."""
    named = isinstance(basis, str) and "\n" not in basis
    return named and _FITTING.match(plain_name(basis)) is not None


def choose_basis(basis: BasisSpec, symbols: list[str], source: str) -> BasisSpec:
    """The basis of each atom label, found and read.

    Parameters
    ----------
    basis : str or dict
    symbols : list of str
        Atom labels of the molecule.
    source : str
        Name of the molecule, for error messages.

    Returns
    -------
    str or dict
        A name of PySCF's library for all, or by atom label a name, the text of a file, or shells.

    Raises
    ------
    InputError
        If there is no basis for an element. The message names the element.
    """
    found = {}
    for symbol in symbols:
        entry = basis_entry(basis, symbol)
        if entry is None:
            raise InputError(
                f"{source}: the basis has no entry for {symbol} and no 'default'; add one of them"
            )
        try:
            found[symbol] = load_basis(entry, symbol)[0] if isinstance(entry, str) else entry
        except InputError as error:
            raise InputError(f"{source}: {error}") from error
    return basis if isinstance(basis, str) and set(found.values()) == {basis} else found


def load_basis(basis: str, symbol: str, auxiliary: bool = False) -> tuple[str, list[Any]]:
    """Read a basis for one element.

    Parameters
    ----------
    basis : str
        Name in PySCF's library, path of a file in NWChem's format, or text in this format.
    symbol : str
        Atom label.
    auxiliary : bool
        Do not propose orbital sets in errors.

    Returns
    -------
    basis : str
        For PySCF. The content replaces the path of a file.
    shells : list
        In PySCF's form.

    Raises
    ------
    InputError
        If it is unknown, ambiguous, or lacks the element.
    """
    from pyscf import gto
    from pyscf.gto.basis import bse

    element = pure_symbol(symbol)
    if is_basis_file(basis):
        if plain_name(basis) in gto.basis.ALIAS:
            raise InputError(
                f"basis {basis!r} is a set of PySCF and a file in this folder; rename the file, or "
                f"write ./{basis} for it"
            )
        basis = file_basis(basis, element)
    elif "\n" in basis:
        basis = checked_basis(basis, name_of_text(basis) or "basis", element)
    if plain_name(basis).startswith("gth"):
        raise InputError(
            f"basis {basis!r} needs a pseudopotential that dfmp2 does not use; for molecules, use "
            "for example ccecp-cc-pvdz"
        )
    try:
        with without_advice():
            return basis, gto.format_basis({element: basis})[element]
    except BASIS_FAULTS as error:
        if "@" in basis:
            what = "has no such contraction; write it as in cc-pvtz@3s2p1d"
        elif plain_name(basis) in gto.basis.ALIAS:
            what = f"has no functions for {element}"
        else:
            what = "is unknown to PySCF"
        if bse.basis_set_exchange is None and "@" not in basis:
            what += " (more sets after pip install basis-set-exchange)"
        advice = "" if auxiliary else f"; name another basis{_example(element)}"
        raise InputError(f"basis {basis!r} {what}{advice}") from error


def _example(element: str) -> str:
    """A set that has the element, for advice: not the one that has just failed."""
    from pyscf import gto

    for name in ("def2-svp", "crenbl"):
        try:
            with without_advice():
                if gto.basis.load(name, element):
                    return f", such as {name}"
        except BASIS_FAULTS:
            continue
    return ""


def basis_names(basis: BasisSpec) -> Any:
    """Names of a basis: a name, or a dict from element to name. `SHELLS` replaces shells, and the
    name of a file its content.

    Parameters
    ----------
    basis : str, dict or list
    """
    if isinstance(basis, dict):
        return {key: basis_names(value) for key, value in basis.items()}
    if not isinstance(basis, str):
        return SHELLS
    return basis if "\n" not in basis else name_of_text(basis) or SHELLS


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

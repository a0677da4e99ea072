"""The description of a molecule in plain data, from which it can be built again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dfmp2.molecules.advice import without_advice
from dfmp2.molecules.basis import basis_entry
from dfmp2.settings import BasisSpec

__all__ = [
    "Mole",
    "PlainMolecule",
    "describe_molecule",
    "element_of",
    "formula",
    "recorded_basis",
    "recorded_ecp",
]

Mole = Any
"""A `pyscf.gto.Mole`. PySCF has no types."""

_LABEL = re.compile(r"(?P<ghost>ghost[-_:.]?|x[-_:.])?(?P<element>[a-z]{1,2})", re.IGNORECASE)


@dataclass(frozen=True)
class PlainMolecule:
    """A molecule with its basis sets in plain data.

    Attributes
    ----------
    name : str
        File name or label.
    symbols : tuple of str
        Atom labels of the molecule (``Ghost-H`` is a ghost atom).
    coordinates : tuple of tuple of float
        x, y and z of each atom, bohr.
    charge, spin : int
        Charge; number of unpaired electrons (2S).
    basis, auxbasis, ecp : dict
        Name or functions by atom label. A name stands for a set of the library. A set from a file
        or from a script is stored by its functions.
    cart : bool
        Whether the functions are Cartesian.
    """

    name: str
    symbols: tuple[str, ...]
    coordinates: tuple[tuple[float, float, float], ...]
    charge: int
    spin: int
    basis: dict[str, Any]
    auxbasis: dict[str, Any]
    ecp: dict[str, Any]
    cart: bool = False

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> PlainMolecule:
        """The inverse of `dataclasses.asdict`. Tuples may have become lists in JSON."""
        symbols = tuple(data["symbols"])
        coordinates = tuple((x, y, z) for x, y, z in data["coordinates"])
        return cls(**{**data, "symbols": symbols, "coordinates": coordinates})


def element_of(label: str) -> tuple[str, bool]:
    """Element of an atom label, and whether the atom is real (not a ghost atom)."""
    match = _LABEL.match(label)
    if match is None:
        return label, True
    return match["element"].capitalize(), match["ghost"] is None


def formula(labels: Iterable[str]) -> str:
    """Numbers of atoms in the order of Hill (C, H, then by the alphabet): ``CH4O + ghost H2``.

    Parameters
    ----------
    labels : iterable of str
        Atom labels of PySCF.
    """
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for element, real in map(element_of, labels):
        counts[0 if real else 1][element] += 1
    atoms, ghosts = (
        "".join(
            f"{element}{number if number > 1 else ''}"
            for element, number in sorted(found.items(), key=lambda item: _hill(item[0], found))
        )
        for found in counts
    )
    return " + ".join(part for part in (atoms, ghosts and f"ghost {ghosts}") if part)


def _hill(element: str, all_elements: Container[str]) -> tuple[int, str]:
    first = ("C", "H") if "C" in all_elements else ()
    return (first.index(element) if element in first else len(first), element)


def describe_molecule(name: str, mol: Mole, auxmol: Mole, auxbasis: BasisSpec) -> PlainMolecule:
    """Describe a molecule with its basis sets in plain data.

    Parameters
    ----------
    name : str
    mol, auxmol : pyscf.gto.Mole
        The atoms with the orbital and with the auxiliary functions.
    auxbasis : str or dict
        The auxiliary basis as it was named, in a form that PySCF accepts.

    Returns
    -------
    PlainMolecule
    """
    xyz = mol.atom_coords(unit="Bohr")
    return PlainMolecule(
        name=name,
        symbols=tuple(mol.atom_symbol(i) for i in range(mol.natm)),
        coordinates=tuple((float(x), float(y), float(z)) for x, y, z in xyz),
        charge=int(mol.charge),
        spin=int(mol.spin),
        basis=recorded_basis(mol.basis, mol._basis),
        auxbasis=recorded_basis(auxbasis, auxmol._basis),
        ecp=recorded_ecp(mol.ecp, mol._ecp),
        cart=bool(mol.cart),
    )


def recorded_basis(basis: BasisSpec, functions: dict[str, Any]) -> dict[str, Any]:
    """What must be stored of a basis, so that the same functions can be made again.

    A file can change after it was read, and so can a name of it. So only the name of a set of
    PySCF's library is stored as a name, and only if it gives the same functions.

    Parameters
    ----------
    basis : str, dict or list
        The basis as it was named, in a form that PySCF accepts.
    functions : dict
        Shells by atom label, as in ``mol._basis``.

    Returns
    -------
    dict
        Name, text of a basis file, or shells by atom label. Shells are lists of numbers, as in
        JSON.
    """
    from pyscf import gto

    return _recorded(basis, functions, gto.format_basis)


def built_basis(mol: Mole) -> BasisSpec:
    """The basis of a molecule as it was named, if its functions are those of the name.

    Who sets ``mol.basis`` after the molecule was built, or edits its functions, has other ones.

    Parameters
    ----------
    mol : pyscf.gto.Mole

    Returns
    -------
    str, dict or list
        ``mol.basis``, or a dict by atom label with shells in place of the names that are wrong.
    """
    recorded = recorded_basis(mol.basis, mol._basis)
    named = {symbol: basis_entry(mol.basis, symbol) for symbol in recorded}
    wrong = {
        symbol: recorded[symbol]
        for symbol, name in named.items()
        if isinstance(name, str) and recorded[symbol] != name and ("\n" in name or _is_name(name))
    }
    return {**named, **wrong} if wrong else mol.basis


def recorded_ecp(ecp: BasisSpec, functions: dict[str, Any]) -> dict[str, Any]:
    """What must be stored of effective core potentials. The parameters are as for a basis."""
    from pyscf import gto

    return _recorded(ecp, functions, gto.format_ecp)


def _recorded(
    named: BasisSpec, functions: dict[str, Any], load: Callable[[dict[str, str]], dict[str, Any]]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for symbol, own in functions.items():
        name, own = basis_entry(named, symbol), _lists(own)
        by_name = isinstance(name, str) and ("\n" in name or _is_name(name))
        found[symbol] = name if by_name and _loaded(load, symbol, name) == own else own
    return found


def _is_name(text: str) -> bool:
    """Whether a text can be the name of a set of the library: not a file."""
    files = (text, text.split("@")[0], text[3:])  # as PySCF reads NAME@SCHEME and unc-NAME
    return not any(Path(file).is_file() for file in files)


def _loaded(load: Callable[[dict[str, str]], dict[str, Any]], symbol: str, name: str) -> Any:
    with without_advice():
        try:
            return _lists(load({symbol: name}).get(symbol))
        except (LookupError, RuntimeError, TypeError, ValueError, AssertionError):
            return None


def _lists(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_lists(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value

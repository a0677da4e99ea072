"""The description of a molecule in plain data, from which it can be built again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfmp2.settings import BasisSpec

__all__ = ["Mole", "PlainMolecule", "describe_molecule", "element_of", "plain_basis"]

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
        Name or shells by element.
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


def describe_molecule(name: str, mol: Mole, auxbasis: BasisSpec) -> PlainMolecule:
    """Describe a molecule with its basis sets in plain data.

    Parameters
    ----------
    name : str
    mol : pyscf.gto.Mole
    auxbasis : str or dict
        Auxiliary basis in a form that PySCF accepts.

    Returns
    -------
    PlainMolecule
    """
    symbols = tuple(mol.atom_symbol(i) for i in range(mol.natm))
    xyz = mol.atom_coords(unit="Bohr")
    return PlainMolecule(
        name=name,
        symbols=symbols,
        coordinates=tuple((float(x), float(y), float(z)) for x, y, z in xyz),
        charge=int(mol.charge),
        spin=int(mol.spin),
        basis=plain_basis(mol.basis, symbols),
        auxbasis=plain_basis(auxbasis, symbols),
        ecp=plain_basis(mol.ecp, symbols) if mol.ecp else {},
        cart=bool(mol.cart),
    )


def plain_basis(basis: BasisSpec, symbols: Iterable[str]) -> dict[str, Any]:
    """A basis as a dict from element to its name or its shells.

    Parameters
    ----------
    basis : str, dict or list
        Basis in a form that PySCF accepts.
    symbols : iterable of str
        Atom labels of the molecule.

    Returns
    -------
    dict
        Shells are lists of numbers, as in JSON.
    """
    if not isinstance(basis, dict):
        basis = dict.fromkeys(sorted(set(symbols)), basis)
    return {key: value if isinstance(value, str) else _lists(value) for key, value in basis.items()}


def _lists(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_lists(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value

"""The description of a molecule in plain data, complete enough to build it again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["PlainMolecule", "describe_molecule", "element_of", "plain_basis"]

_LABEL = re.compile(r"(?P<ghost>ghost[-_:.]?|x[-_:.])?(?P<element>[a-z]{1,2})", re.IGNORECASE)


@dataclass(frozen=True)
class PlainMolecule:
    """The molecule and its bases, complete enough to build it again.

    Attributes
    ----------
    name : str
        File name or label.
    symbols : tuple of str
        As labelled in the molecule (``Ghost-H`` is a ghost atom).
    coordinates : tuple of tuple of float
        Bohr.
    charge, spin : int
        Charge; number of unpaired electrons (2S).
    basis, auxbasis, ecp : dict
        Element to basis as PySCF takes it: a name, or shells.
    cart : bool
        Cartesian functions.
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
        """Inverse of `dataclasses.asdict`, also after JSON made lists of tuples."""
        symbols = tuple(data["symbols"])
        coordinates = tuple((x, y, z) for x, y, z in data["coordinates"])
        return cls(**{**data, "symbols": symbols, "coordinates": coordinates})


def element_of(label: str) -> tuple[str, bool]:
    """Element of an atom label of PySCF, and whether the atom is real."""
    match = _LABEL.match(label)
    if match is None:
        return label, True
    return match["element"].capitalize(), match["ghost"] is None


def describe_molecule(name: str, mol: Any, auxbasis: Any) -> PlainMolecule:
    """The molecule with its basis sets as plain data.

    Parameters
    ----------
    name : str
    mol : pyscf.gto.Mole
    auxbasis : str or dict
        As PySCF takes it.
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


def plain_basis(basis: Any, symbols: Iterable[str]) -> dict[str, Any]:
    """A basis of PySCF as element -> name, or shells in lists of numbers."""
    if not isinstance(basis, dict):
        basis = dict.fromkeys(sorted(set(symbols)), basis)
    return {key: value if isinstance(value, str) else _lists(value) for key, value in basis.items()}


def _lists(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_lists(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value

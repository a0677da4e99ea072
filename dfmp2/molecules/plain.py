"""A molecule written down in plain data, complete enough to build it again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["MoleculeRecord", "basis_label", "element_of"]

_LABEL = re.compile(r"(?P<ghost>ghost[-_:.]?|x[-_:.])?(?P<element>[a-z]{1,2})", re.IGNORECASE)


@dataclass(frozen=True)
class MoleculeRecord:
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
    def from_plain(cls, data: dict[str, Any]) -> MoleculeRecord:
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


def basis_label(basis: Any, by_element: bool = False) -> str:
    """A basis of PySCF in one line.

    Parameters
    ----------
    basis : str, dict or list
    by_element : bool
        Name the elements also where all have the same basis: an ECP may be on some alone.
    """
    if isinstance(basis, str):
        return basis
    if not isinstance(basis, dict):
        return "given as shells"
    names = {k: v if isinstance(v, str) else "given as shells" for k, v in basis.items()}
    if not by_element and len(set(names.values())) == 1:
        return str(next(iter(names.values())))
    return ", ".join(f"{key}: {name}" for key, name in names.items())

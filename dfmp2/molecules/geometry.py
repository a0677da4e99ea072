"""What a geometry file says: its atoms, and what it states about the electrons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

__all__ = ["Atoms", "Doubt", "Geometry", "Stated"]

Atoms = tuple[tuple[str, tuple[float, float, float]], ...]
"""Atom labels of PySCF, and Cartesian coordinates in Å."""


@dataclass(frozen=True)
class Doubt:
    """A statement that could mean two things. It is an error unless the options decide it.

    Attributes
    ----------
    options : tuple of str
        Out of "charge" and "spin": what the user must give.
    message : str
    """

    options: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Stated:
    """Charge, spin and unit of length as a file states them.

    Attributes
    ----------
    charge, spin : int or None
        Charge; number of unpaired electrons (2S). None if the file does not state it.
    charge_from, spin_from : str
        Where it stands, for example "comment line: multiplicity=3".
    unit : str or None
        "angstrom" or "bohr".
    doubts : tuple of Doubt
    remarks : tuple of str
        Warnings about what stands there and is not read.
    """

    charge: int | None = None
    spin: int | None = None
    charge_from: str = ""
    spin_from: str = ""
    unit: str | None = None
    doubts: tuple[Doubt, ...] = ()
    remarks: tuple[str, ...] = ()

    def with_remarks(self, more: Iterable[str]) -> Stated:
        """The same with more remarks."""
        return replace(self, remarks=(*self.remarks, *more))


@dataclass(frozen=True)
class Geometry:
    """Atoms of one molecule.

    Attributes
    ----------
    atoms : tuple of (str, (float, float, float))
        Atom labels of PySCF, and Cartesian coordinates in Å.
    comment : str
        Comment line or title of the file.
    stated : Stated
    basis : str or None
        Orbital basis, if the file names one.
    """

    atoms: Atoms
    comment: str = ""
    stated: Stated = field(default_factory=Stated)
    basis: str | None = None

    @property
    def charge(self) -> int | None:
        """Charge that the file states."""
        return self.stated.charge

    @property
    def spin(self) -> int | None:
        """Number of unpaired electrons (2S) that the file states."""
        return self.stated.spin

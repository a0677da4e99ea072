"""What a result holds beside energies, as plain data: a gradient, moments, natural occupations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["GradientRecord", "Properties", "Vector"]

Vector = tuple[float, ...]


@dataclass(frozen=True)
class GradientRecord:
    """A nuclear gradient of the total energy.

    Attributes
    ----------
    method : str
        Key of `Result.energies` of its method.
    de : tuple of tuples of 3 floats
        Of each atom, hartree/bohr.
    de_mm : tuple of tuples of 3 floats, or None
        Of each point charge, hartree/bohr. None without point charges.
    """

    method: str
    de: tuple[Vector, ...]
    de_mm: tuple[Vector, ...] | None = None

    @property
    def largest(self) -> float:
        """Largest component of the gradient on the atoms, hartree/bohr."""
        return max((abs(x) for row in self.de for x in row), default=0.0)

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> GradientRecord:
        """The inverse of `dataclasses.asdict`. Tuples may have become lists in JSON."""
        de_mm = data["de_mm"]
        return cls(data["method"], _rows(data["de"]), None if de_mm is None else _rows(de_mm))


@dataclass(frozen=True)
class Properties:
    """One-electron properties of a correlated density.

    Attributes
    ----------
    method : str
        Key of `Result.energies` of the method that the density belongs to.
    dipole : tuple of 3 floats
        Of the relaxed density, e bohr, about the origin of the coordinates.
    quadrupole : tuple of 3 tuples of 3 floats
        Of the relaxed density, traceless, e bohr^2, about the origin of the coordinates:
        sum of q (3 x y - r^2 delta) / 2.
    occupations : tuple of float
        Natural occupations of the unrelaxed density of both spins, highest first.
    irreps : tuple of str or None
        Irreducible representations of the natural orbitals; None without symmetry.
    point_group : str
        Their group; "C1" without symmetry.
    """

    method: str
    dipole: Vector
    quadrupole: tuple[Vector, ...]
    occupations: Vector
    irreps: tuple[str, ...] | None
    point_group: str

    @classmethod
    def from_plain(cls, data: dict[str, Any]) -> Properties:
        """The inverse of `dataclasses.asdict`. Tuples may have become lists in JSON."""
        irreps = data["irreps"]
        return cls(
            method=data["method"],
            dipole=tuple(data["dipole"]),
            quadrupole=_rows(data["quadrupole"]),
            occupations=tuple(data["occupations"]),
            irreps=None if irreps is None else tuple(irreps),
            point_group=data["point_group"],
        )


def _rows(rows: Any) -> tuple[Vector, ...]:
    return tuple(tuple(row) for row in rows)

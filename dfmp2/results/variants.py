"""Energies that are weighted sums of the same opposite- and same-spin parts.

Each variant weights the two parts of plain or of regularised MP2. The energy of the single
excitations of an ROHF reference is added to each of them, and is never scaled or regularised.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "KAPPA",
    "VARIANTS",
    "Regularised",
    "Variant",
    "Weights",
    "kappa_name",
    "method_weights",
    "scaled_name",
]


@dataclass(frozen=True)
class Variant:
    """A spin-component-scaled MP2 method.

    Attributes
    ----------
    name : str
    opposite, same : float
        Weights of the opposite- and same-spin correlation energy.
    source : str
    remark : str
        What it was made for, if it is not for all uses.
    """

    name: str
    opposite: float
    same: float
    source: str
    remark: str = ""

    def energy(self, e_os: float, e_ss: float) -> float:
        """Correlation energy in hartree, without singles."""
        return self.opposite * e_os + self.same * e_ss


VARIANTS = (
    Variant("MP2", 1.0, 1.0, "C. Møller, M. S. Plesset, doi:10.1103/PhysRev.46.618"),
    Variant("SCS-MP2", 6 / 5, 1 / 3, "S. Grimme, doi:10.1063/1.1569242"),
    Variant("SOS-MP2", 1.3, 0.0, "Y. Jung et al., doi:10.1063/1.1809602"),
    Variant(
        "SCS-MI-MP2",
        0.40,
        1.29,
        "R. A. Distasio, M. Head-Gordon, doi:10.1080/00268970701283781",
        "for interaction energies at the basis-set limit",
    ),
    Variant(
        "SCSN-MP2",
        0.0,
        1.76,
        "J. G. Hill, J. A. Platts, doi:10.1021/ct6002737",
        "for stacked nucleic bases",
    ),
)
"""The methods that every calculation gives, in the order of the table."""

KAPPA = (
    "J. Lee, M. Head-Gordon, doi:10.1021/acs.jctc.8b00731 (kappa 1.45); J. Shee et al., "
    "doi:10.1021/acs.jpclett.1c03468"
)
"""Source of kappa-regularised MP2."""


@dataclass(frozen=True)
class Regularised:
    """Energies of kappa-regularised MP2.

    Attributes
    ----------
    kappa : float
        1/hartree.
    e_os, e_ss : float
        Opposite- and same-spin correlation energy, hartree.
    """

    kappa: float
    e_os: float
    e_ss: float


def kappa_name(kappa: float) -> str:
    """Name of kappa-regularised MP2 in tables and mappings."""
    return f"kappa-MP2({kappa:g})"


def scaled_name(scale: tuple[float, float]) -> str:
    """Name of MP2 with weights of the user's own for opposite and same spin."""
    return f"scaled-MP2({scale[0]:g},{scale[1]:g})"


@dataclass(frozen=True)
class Weights:
    """What defines the energy of a method: E = opposite e_os + same e_ss, perhaps regularised.

    Attributes
    ----------
    opposite, same : float
        Weights of the opposite- and same-spin correlation energy.
    kappa : float or None
        Regularisation parameter of both, 1/hartree.
    """

    opposite: float = 1.0
    same: float = 1.0
    kappa: float | None = None


def method_weights(
    kappas: tuple[float, ...] = (), scale: tuple[float, float] | None = None
) -> dict[str, Weights]:
    """The methods of a calculation by their names, the keys of `Result.energies`.

    Parameters
    ----------
    kappas : tuple of float
        Regularisation parameters of the calculation, 1/hartree.
    scale : tuple of float, optional
        The user's own weights of opposite and same spin.
    """
    found = {one.name: Weights(one.opposite, one.same) for one in VARIANTS}
    if scale is not None:
        found[scaled_name(scale)] = Weights(*scale)
    return found | {kappa_name(kappa): Weights(kappa=kappa) for kappa in kappas}

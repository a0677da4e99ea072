"""Spin-component-scaled energies: weighted sums of the opposite- and same-spin parts."""

from __future__ import annotations

__all__ = ["SCS", "SOS", "scs_energy", "sos_energy"]

SCS = (6 / 5, 1 / 3)
"""Weights of the opposite- and same-spin parts: Grimme, J. Chem. Phys. 118, 9095 (2003),
doi:10.1063/1.1569242."""

SOS = 1.3
"""Weight of the opposite-spin part alone: Jung, Lochan, Dutoi, Head-Gordon, J. Chem. Phys. 121,
9793 (2004), doi:10.1063/1.1809602."""


def scs_energy(e_os: float, e_ss: float) -> float:
    """Spin-component-scaled (SCS) MP2 correlation energy.

    Parameters
    ----------
    e_os, e_ss : float
        Opposite- and same-spin correlation energy, hartree.

    Returns
    -------
    float
        Hartree.
    """
    return SCS[0] * e_os + SCS[1] * e_ss


def sos_energy(e_os: float) -> float:
    """Scaled-opposite-spin (SOS) MP2 correlation energy.

    Parameters
    ----------
    e_os : float
        Opposite-spin correlation energy, hartree.

    Returns
    -------
    float
        Hartree.
    """
    return SOS * e_os

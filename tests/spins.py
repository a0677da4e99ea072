"""Open shells of the tests, and their MP2 energies from explicit denominators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["OPEN_SHELLS", "fitted_energies"]

OPEN_SHELLS = {
    "NH2": ("N 0 0 0.1420; H 0 0.8060 -0.4971; H 0 -0.8060 -0.4971", 0, 1),
    "O2": ("O 0 0 0; O 0 0 1.2075", 0, 2),
    "CH3": ("C 0 0 0; H 0 1.079 0; H 0.9344414 -0.5395 0; H -0.9344414 -0.5395 0", 0, 1),
    "H2O+": ("O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692", 1, 1),
    "NO2": ("N 0 0 0.3200; O 0 1.1020 -0.1400; O 0 -1.1020 -0.1400", 0, 1),
    "CH2": ("C 0 0 0.1027; H 0 0.9968 -0.3081; H 0 -0.9968 -0.3081", 0, 2),
    "F": ("F 0 0 0", 0, 1),
    "HO2": ("O 0.0550 0.7120 0; O 0.0550 -0.6130 0; H -0.8800 -0.8680 0", 0, 1),
    "CN": ("C 0 0 0; N 0 0 1.1718", 0, 1),
    "O2-": ("O 0 0 0; O 0 0 1.35", -1, 1),
    "Fe2+": ("Fe 0 0 0", 2, 4),
}
"""Atoms in Å, charge, and number of unpaired electrons of radicals, ions and triplets."""


def fitted_energies(
    mf: Any,
    auxbasis: Any,
    frozen: Sequence[Sequence[int]] = ((), ()),
    kappa: float | None = None,
) -> tuple[float, float]:
    """Opposite- and same-spin energy of a UHF, hartree, by four nested sums over spin orbitals.

    The integrals (ia|jb) are formed from (P|ia) and the inverse of the metric, and the same-spin
    energy from antisymmetrised ones; nothing is shared with the package.
    """
    from pyscf import df

    auxmol = df.make_auxmol(mf.mol, auxbasis)
    three = df.incore.aux_e2(mf.mol, auxmol, "int3c2e", aosym="s1")
    inverse = np.linalg.inv(auxmol.intor("int2c2e"))
    parts = []
    for spin in range(2):
        kept = np.ones(mf.mo_occ[spin].shape, dtype=bool)
        kept[list(frozen[spin])] = False
        occ, vir = (np.flatnonzero(kept & (mf.mo_occ[spin] > 0) == n) for n in (True, False))
        vir = np.array([a for a in vir if kept[a]], dtype=int)
        c = mf.mo_coeff[spin]
        ia = np.einsum("mnP,mi,na->iaP", three, c[:, occ], c[:, vir], optimize=True)
        parts.append((ia, mf.mo_energy[spin][occ], mf.mo_energy[spin][vir]))

    def energy(left: int, right: int) -> float:
        (ia, e_i, e_a), (jb, e_j, e_b) = parts[left], parts[right]
        v = np.einsum("iaP,PQ,jbQ->iajb", ia, inverse, jb, optimize=True)
        gap = e_a[None, :, None, None] + e_b - e_i[:, None, None, None] - e_j[None, None, :, None]
        factor = 1.0 if kappa is None else (1 - np.exp(-kappa * gap)) ** 2
        if left == right:
            v = v - v.swapaxes(1, 3)
            return float(-(v**2 * factor / gap).sum() / 4)
        return float(-(v**2 * factor / gap).sum())

    return energy(0, 1), energy(0, 0) + energy(1, 1)

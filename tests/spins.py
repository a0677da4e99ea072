"""MP2 energies of two spins from explicit denominators, independent of the package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["fitted_energies"]


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

"""Derivatives of (mn|P) and (P|Q) by libcint, contracted with densities as they are made.

Derivatives with respect to the centre of P follow from translational invariance, so that only
(grad m n|P) is computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfmp2.backends.protocol import Array
from dfmp2.integrals.blocks import AuxBlock, shell_blocks
from dfmp2.molecules.plain import Mole

__all__ = ["ThreeCentreDerivatives", "derivative_blocks", "two_centre_gradient"]

BUFFER = 2_000_000
"""Derivatives of a block, as numbers. Of smaller blocks more stays in the cache of a core."""

AT_ONCE = 8
"""Auxiliary functions in a block, at most, so that all threads have enough blocks."""


def derivative_blocks(
    mol: Mole, auxmol: Mole, shells: Sequence[int] | None = None
) -> list[AuxBlock]:
    """Blocks of auxiliary shells (all by default) for the work of one thread with derivatives."""
    size = min(AT_ONCE, BUFFER // (3 * int(mol.nao_nr()) ** 2))
    return shell_blocks(auxmol.ao_loc_nr(), max(1, size), shells)


class ThreeCentreDerivatives:
    """sum_P,mn Y[P,m,n] d(mn|P)/dR of blocks of P.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The orbital and the auxiliary basis on the same atoms.
    """

    def __init__(self, mol: Mole, auxmol: Mole) -> None:
        from pyscf.gto import mole, moleintor

        self._intor = moleintor.ascint3(mol._add_suffix("int3c2e_ip1"))
        self._env = mole.conc_env(
            mol._atm, mol._bas, mol._env, auxmol._atm, auxmol._bas, auxmol._env
        )
        self._nbas = mol.nbas
        self._loc = moleintor.make_loc(self._env[1], self._intor)
        atm, bas, env = self._env
        self._optimizer = moleintor.make_cintopt(atm, bas[: mol.nbas], env, self._intor)
        self._slices = mol.aoslice_by_atom()[:, 2:]
        widths = np.diff(auxmol.aoslice_by_atom()[:, 2:]).ravel()
        self._aux_atoms = np.repeat(np.arange(auxmol.natm), widths)

    def of(self, block: AuxBlock, density: Array) -> Array:
        """The derivatives of one block, computed in one thread.

        Parameters
        ----------
        block : AuxBlock
            Whole auxiliary shells.
        density : ndarray, shape (p1 - p0, nao, nao), float64
            Y of the block, symmetric in m and n.

        Returns
        -------
        ndarray, shape (natm, 3), float64, hartree/bohr
        """
        from pyscf import lib
        from pyscf.gto import moleintor

        lib.num_threads(1)  # of this thread
        nbas = self._nbas
        shells = (0, nbas, 0, nbas, nbas + block.shell0, nbas + block.shell1)
        memory = np.empty(3 * density.size)
        moleintor.getints3c(
            self._intor, *self._env, shells, 3, "s1", self._loc, self._optimizer, memory
        )
        # The derivative of m, which is its first index, is the last one here.
        derivatives = memory.reshape(3, *density.shape)
        sums = np.einsum("xpnm,pnm->xpm", derivatives, density)
        found = np.zeros((len(self._slices), 3))
        rows = sums.sum(axis=1)  # grad acts on the electron: the centre moves the other way
        for atom, (m0, m1) in enumerate(self._slices):
            found[atom] -= 2 * rows[:, m0:m1].sum(axis=1)
        np.add.at(found, self._aux_atoms[block.p0 : block.p1], 2 * sums.sum(axis=2).T)
        return found


def two_centre_gradient(auxmol: Mole, density: Array) -> Array:
    """sum_PQ y[P,Q] d(P|Q)/dR.

    Parameters
    ----------
    auxmol : pyscf.gto.Mole
    density : ndarray, shape (naux, naux), float64
        y, symmetric.

    Returns
    -------
    ndarray, shape (natm, 3), float64, hartree/bohr
    """
    found = np.zeros((auxmol.natm, 3))
    for atom, (shell0, shell1, p0, p1) in enumerate(auxmol.aoslice_by_atom()):
        if p1 == p0:
            continue
        rows = (shell0, shell1, 0, auxmol.nbas)
        derivatives = auxmol.intor("int2c2e_ip1", comp=3, shls_slice=rows)
        found[atom] = -2 * np.einsum("xpq,pq->x", derivatives, density[p0:p1])
    return found

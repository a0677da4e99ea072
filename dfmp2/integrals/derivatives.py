"""Derivatives of (mn|P) and (P|Q) by libcint, contracted with densities as they are made.

Derivatives with respect to the centre of P follow from translational invariance, so that only
(grad m n|P) is computed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import ceil

import numpy as np

from dfmp2.backends.protocol import Array
from dfmp2.integrals.blocks import AuxBlock, shell_blocks
from dfmp2.molecules.plain import Mole

__all__ = ["ThreeCentreDerivatives", "two_centre_gradient"]

PARTS = 4
"""Parts of a block per thread, so that the threads end together."""

BUFFER = 2_000_000
"""Numbers in the buffer of a thread, about: three derivatives of all (mn|P) of a few P."""


class ThreeCentreDerivatives:
    """sum_P,mn Y[P,m,n] d(mn|P)/dR of blocks of P, summed over the blocks.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The orbital and the auxiliary basis on the same atoms.

    Attributes
    ----------
    gradient : ndarray, shape (natm, 3), float64, hartree/bohr
        The sum of what was added.
    """

    def __init__(self, mol: Mole, auxmol: Mole) -> None:
        from pyscf.gto import mole, moleintor

        self._intor = moleintor.ascint3(mol._add_suffix("int3c2e_ip1"))
        self._env = mole.conc_env(
            mol._atm, mol._bas, mol._env, auxmol._atm, auxmol._bas, auxmol._env
        )
        self._nbas, self._nao = mol.nbas, int(mol.nao_nr())
        self._loc = moleintor.make_loc(self._env[1], self._intor)
        self._optimizer = moleintor.make_cintopt(*self._env, self._intor)
        self._aux_loc = auxmol.ao_loc_nr()
        self._slices = mol.aoslice_by_atom()[:, 2:]
        widths = np.diff(auxmol.aoslice_by_atom()[:, 2:]).ravel()
        self._aux_atoms = np.repeat(np.arange(auxmol.natm), widths)
        self.gradient = np.zeros((mol.natm, 3))

    def add(self, block: AuxBlock, density: Array) -> None:
        """Add the derivatives of one block.

        Parameters
        ----------
        block : AuxBlock
            Whole auxiliary shells.
        density : ndarray, shape (p1 - p0, nao, nao), float64
            Y of the block, symmetric in m and n.
        """
        from pyscf import lib

        threads = int(lib.num_threads())
        most = max(1, BUFFER // (3 * self._nao**2))
        size = max(1, min(most, ceil((block.p1 - block.p0) / (PARTS * threads))))
        parts = shell_blocks(self._aux_loc, size, range(block.shell0, block.shell1))
        with ThreadPoolExecutor(threads, "dfmp2-deriv", lambda: lib.num_threads(1)) as pool:
            for made in pool.map(
                lambda part: self._part(part, density[part.p0 - block.p0 : part.p1 - block.p0]),
                parts,
            ):
                self.gradient += made

    def _part(self, part: AuxBlock, density: Array) -> Array:
        from pyscf.gto import moleintor

        nbas = self._nbas
        shells = (0, nbas, 0, nbas, nbas + part.shell0, nbas + part.shell1)
        memory = np.empty(3 * density.size)
        moleintor.getints3c(
            self._intor, *self._env, shells, 3, "s1", self._loc, self._optimizer, memory
        )
        # The derivative of m, which is its first index, is the last one here.
        derivatives = memory.reshape(3, *density.shape)
        sums = np.einsum("xpnm,pnm->xpm", derivatives, density)
        found = np.zeros_like(self.gradient)
        rows = sums.sum(axis=1)  # grad acts on the electron: the centre moves the other way
        for atom, (m0, m1) in enumerate(self._slices):
            found[atom] -= 2 * rows[:, m0:m1].sum(axis=1)
        np.add.at(found, self._aux_atoms[part.p0 : part.p1], 2 * sums.sum(axis=2).T)
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

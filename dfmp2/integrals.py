"""Three-centre integrals (mn|P): where they can come from, and libcint's, in blocks of shells.

Only the packed lower triangle of mn is computed; libcint's optimiser screens negligible shell
pairs. Blocks follow auxiliary shells because libcint cannot split one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LIBCINT",
    "AuxBlock",
    "BlockedIntegrals",
    "IntegralSource",
    "ThreeCentreIntegrals",
    "largest_shell",
    "metric_integrals",
]


def metric_integrals(auxmol: Any) -> NDArray[np.float64]:
    """Coulomb metric (P|Q), shape (naux, naux), hartree."""
    metric: NDArray[np.float64] = auxmol.intor("int2c2e", hermi=1)
    return metric


def largest_shell(auxmol: Any) -> int:
    """Functions in the largest auxiliary shell."""
    return int(np.diff(auxmol.ao_loc_nr()).max(initial=1))


@dataclass(frozen=True)
class AuxBlock:
    """Auxiliary shells [shell0, shell1), which are the functions [p0, p1)."""

    shell0: int
    shell1: int
    p0: int
    p1: int


class BlockedIntegrals(Protocol):
    """Integrals [P,m,n], block after block."""

    blocks: list[AuxBlock]

    def __iter__(self) -> Iterator[tuple[AuxBlock, Any]]:
        """Yield each block with its integrals; the memory is used again for the next."""


class IntegralSource(Protocol):
    """Who makes the integrals; chosen before the work starts.

    Attributes
    ----------
    stage : str
        Name of the stage that their making is timed under.
    origin : str
        What the result says of them.
    metric : str or None
        How the metric was factored that they hold already: they are then (L^-1 (.|mn))_P.
    """

    stage: str
    origin: str
    metric: str | None

    def integrals(self, mol: Any, auxmol: Any, block: int) -> BlockedIntegrals:
        """All of them, at most `block` auxiliary functions at a time (or one shell)."""


class ThreeCentreIntegrals:
    """(mn|P) of a molecule and its auxiliary basis.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The orbital and the auxiliary basis on the same atoms.
    block : int
        Auxiliary functions per block, at most; one shell where a shell is larger.
    shells : list of int, optional
        Make only these auxiliary shells, one per block.
    """

    def __init__(self, mol: Any, auxmol: Any, block: int, shells: list[int] | None = None) -> None:
        from pyscf.gto import mole, moleintor

        self._intor = moleintor.ascint3(mol._add_suffix("int3c2e"))
        self._env = mole.conc_env(
            mol._atm, mol._bas, mol._env, auxmol._atm, auxmol._bas, auxmol._env
        )
        self._nbas = mol.nbas
        self._nao = int(mol.nao_nr())
        self._loc = moleintor.make_loc(self._env[1], self._intor)
        # Pair data of the orbital shells alone: the auxiliary ones form no pairs here, and would
        # take tens of MB.
        atm, bas, env = self._env
        self._optimizer = moleintor.make_cintopt(atm, bas[: mol.nbas], env, self._intor)
        loc = auxmol.ao_loc_nr()
        if shells is None:
            self.blocks = _shell_blocks(loc, block)
        else:
            self.blocks = [AuxBlock(s, s + 1, int(loc[s]), int(loc[s + 1])) for s in shells]
        largest = max((b.p1 - b.p0 for b in self.blocks), default=0)
        self._packed = np.empty(largest * (self._nao * (self._nao + 1) // 2))
        self._unpacked = np.empty(largest * self._nao * self._nao)

    def __iter__(self) -> Iterator[tuple[AuxBlock, NDArray[np.float64]]]:
        """Yield each block with its integrals [P,m,n]; the memory is used again for the next."""
        from pyscf import lib
        from pyscf.gto import moleintor

        nao, nbas = self._nao, self._nbas
        for block in self.blocks:
            shells = (0, nbas, 0, nbas, nbas + block.shell0, nbas + block.shell1)
            packed = moleintor.getints3c(
                self._intor, *self._env, shells, 1, "s2ij", self._loc, self._optimizer, self._packed
            )
            size = block.p1 - block.p0
            out = self._unpacked[: size * nao * nao].reshape(size, nao, nao)
            yield block, lib.unpack_tril(packed.T, out=out)


class _Libcint:
    """Integrals computed by libcint, as they are needed."""

    stage = "integrals"
    origin = "computed by libcint on the CPU"
    metric: str | None = None

    def integrals(self, mol: Any, auxmol: Any, block: int) -> ThreeCentreIntegrals:
        return ThreeCentreIntegrals(mol, auxmol, block)


LIBCINT: IntegralSource = _Libcint()


def _shell_blocks(loc: NDArray[np.int32], size: int) -> list[AuxBlock]:
    blocks = []
    shell0 = 0
    while shell0 < len(loc) - 1:
        within = int(np.searchsorted(loc, loc[shell0] + size, side="right")) - 1
        shell1 = max(within, shell0 + 1)
        blocks.append(AuxBlock(shell0, shell1, int(loc[shell0]), int(loc[shell1])))
        shell0 = shell1
    return blocks

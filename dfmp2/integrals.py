"""Three-centre integrals (mn|P) from libcint, in blocks of auxiliary shells.

Only the packed lower triangle of mn is computed; libcint's optimiser screens negligible shell
pairs. Blocks follow auxiliary shells because libcint cannot split one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AuxBlock", "ThreeCentreIntegrals", "largest_shell", "metric_integrals"]


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


class ThreeCentreIntegrals:
    """(mn|P) of a molecule and its auxiliary basis.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The orbital and the auxiliary basis on the same atoms.
    block : int
        Auxiliary functions per block, at most; one shell where a shell is larger.
    shells : list of int, optional
        Make only these auxiliary shells, in ascending order.
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
        self.blocks = _shell_blocks(loc, block, range(auxmol.nbas) if shells is None else shells)
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


def _shell_blocks(loc: NDArray[np.int32], size: int, shells: Sequence[int]) -> list[AuxBlock]:
    """Runs of consecutive shells of at most `size` functions, or of one shell."""
    runs: list[list[int]] = []
    for shell in shells:
        run = runs[-1] if runs else []
        if run and run[-1] + 1 == shell and loc[shell + 1] - loc[run[0]] <= size:
            run.append(shell)
        else:
            runs.append([shell])
    return [AuxBlock(run[0], run[-1] + 1, int(loc[run[0]]), int(loc[run[-1] + 1])) for run in runs]

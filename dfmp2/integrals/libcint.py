"""Three-centre integrals (mn|P): where they can come from, and libcint's, in blocks of shells.

Only the packed lower triangle of mn is computed; libcint's optimiser screens negligible shell
pairs. Blocks follow auxiliary shells because libcint cannot split one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from math import ceil
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LIBCINT",
    "AuxBlock",
    "BlockedIntegrals",
    "HostIntegrals",
    "IntegralSource",
    "Libcint",
    "Memory",
    "ThreeCentreIntegrals",
    "largest_shell",
    "metric_integrals",
    "shell_blocks",
]

PARTS = 8
"""Runs of shells per thread that a block is made in: whoever is done takes another."""


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


Memory = Callable[[int], NDArray[np.float64]]
"""Gives the flat memory for a block by its number; what lay there is not needed any more."""


class BlockedIntegrals(Protocol):
    """Integrals [P,m,n], block after block."""

    @property
    def blocks(self) -> list[AuxBlock]:
        """The blocks, in the order of P."""

    def __iter__(self) -> Iterator[tuple[AuxBlock, Any]]:
        """Yield each block with its integrals; the memory is used again for the next."""


class HostIntegrals(BlockedIntegrals, Protocol):
    """Integrals that are made on the host, and can be handed over packed."""

    def packed(self, memory: Memory) -> Iterator[tuple[AuxBlock, NDArray[np.float64]]]:
        """Yield each block with its lower triangles [P,mn], written into the memory named."""


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
    on_device : bool
        They are made on the device that transforms them, as its tensors.
    """

    stage: str
    origin: str
    metric: str | None
    on_device: bool

    def integrals(
        self, mol: Any, auxmol: Any, block: int, shells: Sequence[int] | None = None
    ) -> BlockedIntegrals:
        """Those of all or some auxiliary shells, at most `block` functions at a time."""


class ThreeCentreIntegrals:
    """(mn|P) of a molecule and its auxiliary basis.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The orbital and the auxiliary basis on the same atoms.
    block : int
        Auxiliary functions per block, at most; one shell where a shell is larger.
    shells : sequence of int, optional
        Make only these auxiliary shells, in ascending order.
    """

    def __init__(
        self, mol: Any, auxmol: Any, block: int, shells: Sequence[int] | None = None
    ) -> None:
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
        self._aux_loc = auxmol.ao_loc_nr()
        self.blocks = shell_blocks(self._aux_loc, block, shells)
        largest = max((b.p1 - b.p0 for b in self.blocks), default=0)
        self._triangle = self._nao * (self._nao + 1) // 2
        self._packed = np.empty(largest * self._triangle)
        self._unpacked = np.empty(largest * self._nao * self._nao)

    def __iter__(self) -> Iterator[tuple[AuxBlock, NDArray[np.float64]]]:
        """Yield each block with its integrals [P,m,n]; the memory is used again for the next."""
        nao = self._nao
        unpacked = self._unpacked.reshape(-1, nao, nao)
        for block, _ in self._made(lambda _: self._packed, unpacked):
            yield block, unpacked[: block.p1 - block.p0]

    def packed(self, memory: Memory) -> Iterator[tuple[AuxBlock, NDArray[np.float64]]]:
        """Yield each block with its lower triangles [P,mn], written into the memory named."""
        return self._made(memory, None)

    def _made(
        self, memory: Memory, unpacked: NDArray[np.float64] | None
    ) -> Iterator[tuple[AuxBlock, NDArray[np.float64]]]:
        """Packed blocks, whose squares lie in `unpacked`, if there is one.

        Each thread makes and unpacks shells of its own. PySCF's OpenMP threads would do that, too,
        but keep a core busy with waiting for some time afterwards, when others have work for it.
        """
        from pyscf import lib
        from pyscf.gto import moleintor

        nbas, loc = self._nbas, self._aux_loc
        threads = int(lib.num_threads())

        def make(part: AuxBlock, packed: NDArray[np.float64], first: int) -> None:
            shells = (0, nbas, 0, nbas, nbas + part.shell0, nbas + part.shell1)
            own = slice(part.p0 - first, part.p1 - first)
            moleintor.getints3c(
                self._intor, *self._env, shells, 1, "s2ij", self._loc, self._optimizer, packed[own]
            )
            if unpacked is not None:
                lib.unpack_tril(packed[own], out=unpacked[own])

        with ThreadPoolExecutor(threads, "dfmp2-integrals", lambda: lib.num_threads(1)) as pool:
            for number, block in enumerate(self.blocks):
                size = block.p1 - block.p0
                packed = memory(number)[: size * self._triangle].reshape(size, self._triangle)
                shells = range(block.shell0, block.shell1)
                parts = shell_blocks(loc, ceil(size / (PARTS * threads)), shells)
                list(pool.map(make, parts, repeat(packed), repeat(block.p0)))
                yield block, packed


class Libcint:
    """Integrals computed by libcint, as they are needed.

    Parameters
    ----------
    remark : str, optional
        Why not by another program.
    """

    stage = "integrals"
    metric: str | None = None
    on_device = False

    def __init__(self, remark: str = "") -> None:
        self.origin = "computed by libcint on the CPU" + (f" ({remark})" if remark else "")

    def integrals(
        self, mol: Any, auxmol: Any, block: int, shells: Sequence[int] | None = None
    ) -> ThreeCentreIntegrals:
        return ThreeCentreIntegrals(mol, auxmol, block, shells)


LIBCINT: IntegralSource = Libcint()


def shell_blocks(
    loc: NDArray[np.int32], size: int, shells: Sequence[int] | None = None
) -> list[AuxBlock]:
    """Runs of consecutive shells with at most `size` functions; one shell where it has more.

    Parameters
    ----------
    loc : ndarray, shape (nshell + 1,)
        First function of each shell, and their number.
    size : int
    shells : sequence of int, optional
        These shells alone, in ascending order.
    """
    runs: list[list[int]] = []
    for shell in range(len(loc) - 1) if shells is None else shells:
        run = runs[-1] if runs else []
        if run and run[-1] + 1 == shell and loc[shell + 1] - loc[run[0]] <= size:
            run.append(shell)
        else:
            runs.append([shell])
    return [AuxBlock(run[0], run[-1] + 1, int(loc[run[0]]), int(loc[run[-1] + 1])) for run in runs]

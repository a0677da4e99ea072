"""Blocks of three-centre integrals, and the interface of their sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, Tensor
from dfmp2.molecules.plain import Mole
from dfmp2.results.stages import Stage

__all__ = [
    "AuxBlock",
    "BlockedIntegrals",
    "HostIntegrals",
    "IntegralSource",
    "Memory",
    "Probe",
    "shell_blocks",
]


@dataclass(frozen=True)
class AuxBlock:
    """A block of auxiliary functions.

    Attributes
    ----------
    shell0, shell1 : int
        First shell, and the one after the last. -1 if the source has no shells.
    p0, p1 : int
        First function, and the one after the last.
    """

    shell0: int
    shell1: int
    p0: int
    p1: int


Memory = Callable[[int], Array]
"""Returns a reusable flat float64 buffer for block n."""


class BlockedIntegrals(Protocol):
    """Integrals [P,m,n] in hartree, block after block."""

    @property
    def blocks(self) -> list[AuxBlock]:
        """The blocks, in the order of P."""

    def __iter__(self) -> Iterator[tuple[AuxBlock, Tensor]]:
        """Yield each block with its integrals, shape (p1 - p0, nao, nao), float64.

        The next block may use the same memory.
        """


class HostIntegrals(BlockedIntegrals, Protocol):
    """Integrals on the host, also as packed lower triangles."""

    def packed(self, memory: Memory) -> Iterator[tuple[AuxBlock, Array]]:
        """Yield each block with its lower triangles, written to the buffer of the block.

        Their shape is (p1 - p0, nao (nao + 1) / 2), float64.
        """


class Probe(Protocol):
    """Looks at each block of integrals when it is made."""

    def packed(self, p0: int, triangles: Array) -> None:
        """Lower triangles [P,mn] on the host, from P = p0 on. Called by several threads."""

    def coulomb(self, p0: int, triangles: Array) -> None:
        """The same, where the first half transform also gives its products to the probe."""

    def full(self, p0: int, eri: Tensor) -> None:
        """[P,m,n] on the device, from P = p0 on."""


class IntegralSource(Protocol):
    """A source of integrals, chosen before the work starts.

    Attributes
    ----------
    stage : Stage
        Name of the timed stage of the integrals.
    origin : str
        Where the integrals come from, for the result.
    metric : str or None
        None for (mn|P). Otherwise the integrals are fitted already, (L^-1 (.|mn))_P, and this
        describes how the metric was factored.
    on_device : bool
        Whether the integrals are tensors of the device that transforms them.
    """

    stage: Stage
    origin: str
    metric: str | None
    on_device: bool

    def integrals(
        self,
        mol: Mole,
        auxmol: Mole,
        block: int,
        shells: Sequence[int] | None = None,
        probe: Probe | None = None,
    ) -> BlockedIntegrals:
        """The integrals in blocks.

        Parameters
        ----------
        mol, auxmol : pyscf.gto.Mole
            The atoms with the orbital and with the auxiliary functions.
        block : int
            Auxiliary functions per block, at most.
        shells : sequence of int, optional
            Auxiliary shells. All if not given.
        probe : Probe, optional
            Is given every block.
        """


def shell_blocks(
    loc: NDArray[np.int32], size: int, shells: Sequence[int] | None = None
) -> list[AuxBlock]:
    """Divide shells into blocks of consecutive shells.

    Parameters
    ----------
    loc : ndarray, shape (nshell + 1,), int32
        First function of each shell, and the number of functions.
    size : int
        Functions per block, at most. A shell with more functions is a block of its own.
    shells : sequence of int, optional
        Shells to divide, in ascending order. All if not given.

    Returns
    -------
    list of AuxBlock
    """
    runs: list[list[int]] = []
    for shell in range(len(loc) - 1) if shells is None else shells:
        run = runs[-1] if runs else []
        if run and run[-1] + 1 == shell and loc[shell + 1] - loc[run[0]] <= size:
            run.append(shell)
        else:
            runs.append([shell])
    return [AuxBlock(run[0], run[-1] + 1, int(loc[run[0]]), int(loc[run[-1] + 1])) for run in runs]

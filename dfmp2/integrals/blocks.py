"""Blocks of three-centre integrals, and what every source of them provides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Tensor
from dfmp2.results.stages import Stage

__all__ = [
    "AuxBlock",
    "BlockedIntegrals",
    "HostIntegrals",
    "IntegralSource",
    "Memory",
    "shell_blocks",
]


@dataclass(frozen=True)
class AuxBlock:
    """Auxiliary shells [shell0, shell1), which are the functions [p0, p1)."""

    shell0: int
    shell1: int
    p0: int
    p1: int


Memory = Callable[[int], NDArray[np.float64]]
"""Returns a reusable flat buffer for block n, float64."""


class BlockedIntegrals(Protocol):
    """Integrals [P,m,n], block after block."""

    @property
    def blocks(self) -> list[AuxBlock]:
        """The blocks, in the order of P."""

    def __iter__(self) -> Iterator[tuple[AuxBlock, Tensor]]:
        """Yield each block with its integrals; the memory is used again for the next."""


class HostIntegrals(BlockedIntegrals, Protocol):
    """Integrals that are made on the host, also as packed lower triangles."""

    def packed(self, memory: Memory) -> Iterator[tuple[AuxBlock, NDArray[np.float64]]]:
        """Yield each block with its lower triangles [P,mn], written into the buffer."""


class IntegralSource(Protocol):
    """A source of integrals, chosen before the work starts.

    Attributes
    ----------
    stage : Stage
        Stage that their making is timed under.
    origin : str
        Where they come from, for the result.
    metric : str or None
        None for (mn|P). Otherwise they are fitted already, (L^-1 (.|mn))_P, and this says how the
        metric was factored.
    on_device : bool
        They are made on the device that transforms them, as its tensors.
    """

    stage: Stage
    origin: str
    metric: str | None
    on_device: bool

    def integrals(
        self, mol: Any, auxmol: Any, block: int, shells: Sequence[int] | None = None
    ) -> BlockedIntegrals:
        """Those of all or some auxiliary shells, at most `block` functions at a time."""


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

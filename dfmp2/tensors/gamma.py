"""dE/dB[i,P,a], summed up block by block: in memory, or in a temporary file.

It has the shape and the order of B. It is always float64, whatever its contributions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, Backend, Tensor
from dfmp2.results.sizes import Sizes
from dfmp2.runfile.scratch import ScratchRows

__all__ = ["GammaInMemory", "GammaOnDisk", "HeldGamma"]


class HeldGamma(Protocol):
    """gamma[i,P,a] = dE/dB[i,P,a] of all spins. Orbitals of beta follow those of alpha."""

    def add(self, index: NDArray[np.intp], rows: Tensor, factor: float) -> None:
        """Add a multiple of [(i,a),P] to some orbitals of one spin."""

    def some(self, index: NDArray[np.intp]) -> Array:
        """Some orbitals of one spin: shape (n, naux, nvir), float64, hartree^(1/2), on the host."""

    def close(self) -> None:
        """Give its memory or its file back."""


class GammaInMemory:
    """One tensor for each spin.

    Parameters
    ----------
    sizes : Sizes
    backend : Backend
        Torch on the CPU or a GPU, which holds it.
    """

    def __init__(self, sizes: Sizes, backend: Backend) -> None:
        self._sizes, self._backend = sizes, backend
        made = (backend.empty_b(nocc, sizes.naux, nvir) for nocc, nvir in sizes.blocks)
        self._spins: list[Tensor] = [b.zero_() for b in made]

    def add(self, index: NDArray[np.intp], rows: Tensor, factor: float) -> None:
        """Add a multiple of [(i,a),P] to some orbitals of one spin."""
        spin, first = _spin(self._sizes, index)
        for i, part in zip(index - first, rows.view(len(index), -1, self._sizes.naux), strict=True):
            self._spins[spin][i].mT.add_(part, alpha=factor)

    def some(self, index: NDArray[np.intp]) -> Array:
        """Some orbitals of one spin."""
        spin, first = _spin(self._sizes, index)
        return self._backend.to_host(self._spins[spin].mT[index - first]).swapaxes(1, 2)

    def close(self) -> None:
        """Give its memory back."""
        self._spins.clear()


class GammaOnDisk:
    """Rows of a temporary file.

    Parameters
    ----------
    sizes : Sizes

    Raises
    ------
    CheckpointError
        If the disk is too small.
    """

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._rows = ScratchRows(sizes.nocc, sizes.naux * sizes.nvir)

    def add(self, index: NDArray[np.intp], rows: Tensor, factor: float) -> None:
        """Add a multiple of [(i,a),P] to some orbitals of one spin."""
        import torch

        parts = rows.view(len(index), -1, self._sizes.naux).cpu()
        memory = torch.empty(parts.shape[1:], dtype=torch.float64)
        for i, part in zip(index, parts, strict=True):
            self._rows.read(int(i), memory.numpy())
            memory.add_(part, alpha=factor)
            self._rows.write(int(i), memory.numpy())

    def some(self, index: NDArray[np.intp]) -> Array:
        """Some orbitals of one spin."""
        memory = np.empty((len(index), self._sizes.nvir_of(int(index[0])), self._sizes.naux))
        for place, i in enumerate(index):
            self._rows.read(int(i), memory[place])
        return memory.swapaxes(1, 2)

    def close(self) -> None:
        """Remove the file."""
        self._rows.close()


def _spin(sizes: Sizes, index: Sequence[int] | NDArray[np.intp]) -> tuple[int, int]:
    """The spin of some orbitals, and the number of its first orbital."""
    first = sizes.blocks[0][0]
    return (0, 0) if int(index[0]) < first or not sizes.spins else (1, first)

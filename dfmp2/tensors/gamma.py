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
        """Add a multiple of [(i,a),P] to some orbitals of one spin, in ascending order."""

    def some(self, index: NDArray[np.intp]) -> Array:
        """Some orbitals of one spin: shape (n, naux, nvir), float64, hartree^(1/2), on the host."""

    def put(self, index: NDArray[np.intp], values: Array) -> None:
        """Replace some orbitals of one spin, for what follows from gamma orbital by orbital."""

    def functions(self, spin: int, p0: int, p1: int) -> Array:
        """Some auxiliary functions of all orbitals of one spin: shape (n, nocc, nvir)."""

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
        own, parts = index - first, rows.view(len(index), -1, self._sizes.naux)
        if own[-1] - own[0] == len(own) - 1:  # ascending: one operation for orbitals in a row
            self._spins[spin][own[0] : own[-1] + 1].mT.add_(parts, alpha=factor)
            return
        for i, part in zip(own, parts, strict=True):
            self._spins[spin][i].mT.add_(part, alpha=factor)

    def some(self, index: NDArray[np.intp]) -> Array:
        """Some orbitals of one spin."""
        spin, first = _spin(self._sizes, index)
        return self._backend.to_host(self._spins[spin].mT[index - first]).swapaxes(1, 2)

    def put(self, index: NDArray[np.intp], values: Array) -> None:
        """Replace some orbitals of one spin."""
        spin, first = _spin(self._sizes, index)
        self._spins[spin][index - first] = self._backend.asarray(values)

    def functions(self, spin: int, p0: int, p1: int) -> Array:
        """Some auxiliary functions of all orbitals of one spin."""
        part = self._spins[spin][:, p0:p1].swapaxes(0, 1).contiguous()
        return self._backend.to_host(part)

    def close(self) -> None:
        """Give its memory back."""
        self._spins.clear()


class GammaOnDisk:
    """Rows of a temporary file, one for each orbital, as [P,a].

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
        parts = rows.view(len(index), -1, self._sizes.naux).cpu().numpy()
        memory = np.empty(parts.shape[:0:-1])
        for i, part in zip(index, parts, strict=True):
            self._rows.read(int(i), memory)
            memory += factor * part.T
            self._rows.write(int(i), memory)

    def some(self, index: NDArray[np.intp]) -> Array:
        """Some orbitals of one spin."""
        memory = np.empty((len(index), self._sizes.naux, self._sizes.nvir_of(int(index[0]))))
        for place, i in enumerate(index):
            self._rows.read(int(i), memory[place])
        return memory

    def put(self, index: NDArray[np.intp], values: Array) -> None:
        """Replace some orbitals of one spin."""
        for i, row in zip(index, values, strict=True):
            self._rows.write(int(i), np.ascontiguousarray(row))

    def functions(self, spin: int, p0: int, p1: int) -> Array:
        """Some auxiliary functions of all orbitals of one spin."""
        nocc, nvir = self._sizes.blocks[spin]
        first = self._sizes.blocks[0][0] if spin else 0
        memory = np.empty((p1 - p0, nocc, nvir))
        part = np.empty((p1 - p0, nvir))
        for i in range(nocc):
            self._rows.read(first + i, part, p0 * nvir)
            memory[:, i] = part
        return memory

    def close(self) -> None:
        """Remove the file."""
        self._rows.close()


def _spin(sizes: Sizes, index: Sequence[int] | NDArray[np.intp]) -> tuple[int, int]:
    """The spin of some orbitals, and the number of its first orbital."""
    first = sizes.blocks[0][0]
    return (0, 0) if int(index[0]) < first or not sizes.spins else (1, first)

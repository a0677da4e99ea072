"""B[i,P,a] in the memory of a backend, or in a run file that is read block by block.

Both return blocks of occupied orbitals with their B. From memory these are square blocks. From the
file one long block of i is combined with short blocks of j, which a thread reads ahead. Each
orbital is then read once for each block of i before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Backend, Tensor
from dfmp2.backends.recording import RecordingBackend, moved
from dfmp2.planning.plan import Plan
from dfmp2.results.sizes import Sizes
from dfmp2.runfile.rows import Rows

__all__ = ["HeldB", "InMemory", "OnDisk", "OrbitalBlocks"]


@dataclass(frozen=True, eq=False)
class OrbitalBlocks:
    """Two ranges of occupied orbitals and their B; the same range twice on the diagonal."""

    i: slice
    j: slice
    b_i: Tensor
    b_j: Tensor


class HeldB(Protocol):
    """B[i,P,a] of all spins, shape (nocc, naux, nvir). Orbitals of beta follow those of alpha."""

    def some(self, index: NDArray[np.intp], backend: RecordingBackend) -> Tensor:
        """A copy of the B of some orbitals of one spin in float64."""

    def view(self, index: NDArray[np.intp], backend: RecordingBackend) -> Tensor:
        """As `some` for orbitals in ascending order; a copy only where it must be."""

    def to_float32(self, backend: RecordingBackend) -> None:
        """Return float32 from now on."""

    def pair_blocks(
        self, missing: NDArray[np.bool_], plan: Plan, backend: RecordingBackend
    ) -> Iterator[OrbitalBlocks]:
        """Every block with a missing pair i <= j."""


class InMemory:
    """B as one tensor for each spin.

    Parameters
    ----------
    spins : sequence of Tensor, shape (nocc, naux, nvir)
    backend : Backend
        Whose tensors they are.
    """

    def __init__(self, spins: Sequence[Tensor], backend: Backend) -> None:
        self.spins, self._backend = list(spins), backend

    def some(self, index: NDArray[np.intp], backend: RecordingBackend) -> Tensor:
        """A copy of the B of some orbitals."""
        b, first = self._of(int(index[0]))
        return b[index - first]  # a copy: the index is an array

    def view(self, index: NDArray[np.intp], backend: RecordingBackend) -> Tensor:
        """The B of some orbitals, a part of the tensor if they follow each other."""
        rows = slice(int(index[0]), int(index[-1]) + 1)
        whole = len(index) == rows.stop - rows.start
        return self._part(rows) if whole else self.some(index, backend)

    def to_float32(self, backend: RecordingBackend) -> None:
        """Round B, in the same memory."""
        for number, b in enumerate(self.spins):
            self.spins[number] = backend.to_float32(b)

    def pair_blocks(
        self, missing: NDArray[np.bool_], plan: Plan, backend: RecordingBackend
    ) -> Iterator[OrbitalBlocks]:
        """Slices of B, on the backend of this stage."""
        for number, b in enumerate(self.spins):
            self.spins[number] = moved(b, self._backend, backend.current)
        self._backend = backend.current
        for i, partners in plan.pair_ranges(on_nki=self._backend.where.backend == "nki"):
            for j in partners:
                if missing[i, j].any():
                    yield OrbitalBlocks(i, j, self._part(i), self._part(j))

    def _part(self, rows: slice) -> Tensor:
        b, first = self._of(rows.start)
        return b[rows.start - first : rows.stop - first]

    def _of(self, i: int) -> tuple[Tensor, int]:
        """B of the spin of orbital i, and the number of its first orbital."""
        first = len(self.spins[0])
        if i < first or len(self.spins) == 1:
            return self.spins[0], 0
        return self.spins[1], first


class OnDisk:
    """B as the fitted rows of a run file."""

    def __init__(self, rows: Rows, sizes: Sizes) -> None:
        self._rows, self._sizes = rows, sizes
        self._rounded = False

    def some(self, index: NDArray[np.intp], backend: RecordingBackend) -> Tensor:
        """The B of some orbitals."""
        memory = self._shaped(self._memory(len(index)), int(index[0]), len(index))
        for place, i in enumerate(index):
            self._rows.get_fitted(int(i), memory[place : place + 1])
        return backend.asarray(memory.swapaxes(1, 2))

    def view(self, index: NDArray[np.intp], backend: RecordingBackend) -> Tensor:
        """The B of some orbitals."""
        return self.some(index, backend)

    def to_float32(self, backend: RecordingBackend) -> None:
        """Round each block when it is read."""
        self._rounded = True

    def pair_blocks(
        self, missing: NDArray[np.bool_], plan: Plan, backend: RecordingBackend
    ) -> Iterator[OrbitalBlocks]:
        """One block of i in memory, against itself and then against all j after it."""
        own, ahead = self._memory(plan.i_rows), [self._memory(plan.j_rows) for _ in range(2)]
        with ThreadPoolExecutor(1, "dfmp2-read") as reader:
            for i, partners in plan.pair_ranges():
                if not missing[i].any():
                    continue
                wanted = [j for j in partners[1:] if missing[i, j].any()]
                reading = [reader.submit(self._read, j, ahead[0]) for j in wanted[:1]]
                b_i = self._tensor(self._read(i, own), backend)
                if missing[i, i].any():
                    yield OrbitalBlocks(i, i, b_i, b_i)
                for k, j in enumerate(wanted):
                    b_j = self._tensor(reading.pop().result(), backend)
                    if k + 1 < len(wanted):
                        memory = ahead[(k + 1) % 2]
                        reading.append(reader.submit(self._read, wanted[k + 1], memory))
                    yield OrbitalBlocks(i, j, b_i, b_j)

    def _memory(self, rows: int) -> NDArray[np.float64]:
        return np.empty(rows * self._sizes.nvir * self._sizes.naux)

    def _shaped(self, memory: NDArray[np.float64], first: int, rows: int) -> NDArray[np.float64]:
        """Memory for rows of the spin of orbital `first`."""
        shape = (rows, self._sizes.nvir_of(first), self._sizes.naux)
        return memory[: prod(shape)].reshape(shape)

    def _read(self, rows: slice, memory: NDArray[np.float64]) -> NDArray[np.float64]:
        part = self._shaped(memory, rows.start, rows.stop - rows.start)
        self._rows.get_fitted(rows.start, part)
        return part

    def _tensor(self, rows: NDArray[np.float64], backend: RecordingBackend) -> Tensor:
        b = backend.asarray(rows.swapaxes(1, 2))
        return backend.to_float32(b) if self._rounded else b

"""The table of pair energies in memory, and in the run file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dfmp2.runfile.file import RunFile

__all__ = ["PairTable", "load_pairs", "store_pairs"]

Array = NDArray[np.float64]
Part = tuple[slice, slice, bool]
"""Rows i and columns j of a part of a block, and whether it is on the diagonal."""


class PairTable:
    """Energies of the pairs i <= j, and the session that computed each pair.

    Parameters
    ----------
    nocc : int
        Number of correlated occupied orbitals.
    kappas : int
        Number of regularised energies of each pair.

    Attributes
    ----------
    energies : ndarray, shape (2 + 2 kappas, nocc, nocc), float64, hartree
        Opposite- and same-spin energies, then both with the first kappa, and so on. Upper
        triangles.
    session : ndarray, shape (nocc, nocc), uint16
        Number of the session that computed a pair. 0 for missing pairs.
    stored : ndarray, shape (nocc, nocc), bool
        Pairs that are in the run file.
    """

    def __init__(self, nocc: int, kappas: int = 0) -> None:
        self.nocc = nocc
        self.energies = np.zeros((2 + 2 * kappas, nocc, nocc))
        self.session = np.zeros((nocc, nocc), dtype=np.uint16)
        self.stored = np.zeros((nocc, nocc), dtype=bool)
        self._upper = np.triu(np.ones((nocc, nocc), dtype=bool))

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Pairs i <= j that are not computed yet: bool, shape (nocc, nocc)."""
        missing: NDArray[np.bool_] = self._upper & (self.session == 0)
        return missing

    @property
    def known(self) -> int:
        """Number of pairs that are computed."""
        return int(np.count_nonzero(self.session))

    def parts(self, i: slice, j: slice) -> Iterator[Part]:
        """Divide a block into parts that together contain exactly its missing pairs.

        Parameters
        ----------
        i, j : slice
            Rows and columns of the block.

        Yields
        ------
        i, j : slice
            Rows and columns of a part, relative to the block.
        diagonal : bool
            Whether the part is on the diagonal, so that only i <= j are computed.
        """
        missing = self.missing[i, j]
        diagonal = i == j
        # Blocks are computed from the first row on, so the last rows may have no known pair. They
        # are one part: parts of one row cost NKI kernels a launch each.
        n, whole = len(missing), len(missing)
        while whole and missing[whole - 1, whole - 1 if diagonal else 0 :].all():
            whole -= 1
        for row, line in enumerate(missing[:whole]):
            one = slice(row, row + 1)
            if diagonal and line[row]:
                yield one, one, True
                line = line.copy()
                line[row] = False
            for run in _runs(line):
                yield one, run, False
        if whole < n:
            yield slice(whole, n), slice(whole if diagonal else 0, missing.shape[1]), diagonal

    def add(self, where: tuple[slice, slice], energies: Array, session: int) -> None:
        """Add the energies of the missing pairs of a block. Other elements are not used.

        Parameters
        ----------
        where : tuple of slice
            Rows i and columns j of the block.
        energies : ndarray, shape (2 + 2 kappas, ni, nj), float64, hartree
        session : int
            Number of the session that computed them.
        """
        new = self.missing[where]
        self.energies[(slice(None), *where)][:, new] = energies[:, new]
        self.session[where][new] = session

    def forget(self, gone: NDArray[np.bool_]) -> None:
        """Drop pairs, which then count as not computed.

        Parameters
        ----------
        gone : ndarray, shape (nocc, nocc), bool
        """
        self.session[gone], self.stored[gone] = 0, False
        self.energies[:, gone] = 0.0

    def symmetric(self) -> Array:
        """The energies for all i and j. The pair (j,i) has the energy of (i,j).

        Returns
        -------
        ndarray, shape (2 + 2 kappas, nocc, nocc), float64, hartree
        """
        return self.energies + np.triu(self.energies, 1).swapaxes(1, 2)


def load_pairs(file: RunFile, sessions: set[int]) -> tuple[PairTable, list[tuple[int, int]]]:
    """Read the pairs of a run file.

    Parameters
    ----------
    file : RunFile
    sessions : set of int
        Numbers of the sessions whose pairs count.

    Returns
    -------
    table : PairTable
        Pairs of these sessions that match their checksum.
    damaged : list of tuple of int
        Committed pairs (i, j) that do not match their checksum.
    """
    table = PairTable(file.shape.sizes.nocc, file.shape.kappas)
    energies = _energies(file)
    session, stored = file.read("pairs/session"), file.read("pairs/crc32")
    damaged = []
    for i, j in np.argwhere(stored != 0).tolist():  # a committed pair has a checksum
        number, own = int(session[i, j]), energies[:, i, j]
        if i > j or stored[i, j] != _checksum(i, j, number, own) or not np.isfinite(own).all():
            damaged.append((i, j))
        elif number in sessions:
            table.energies[:, i, j] = own
            table.session[i, j], table.stored[i, j] = number, True
    return table, damaged


def _energies(file: RunFile) -> Array:
    plain = np.array([file.read("pairs/e_os"), file.read("pairs/e_ss")])
    if not file.shape.kappas:
        return plain
    return np.concatenate([plain, file.read("pairs/regularised")])


def store_pairs(file: RunFile, table: PairTable) -> None:
    """Write the pairs of a table that are not in the file yet.

    An energy that is not a finite number is never written: the run computes that pair again when it
    is continued, perhaps in another precision.

    Parameters
    ----------
    file : RunFile
    table : PairTable
        Its attribute `stored` is updated.
    """
    new = (table.session != 0) & ~table.stored & np.isfinite(table.energies).all(axis=0)
    rows = np.flatnonzero(new.any(axis=1))
    if not len(rows):
        return
    block = slice(int(rows[0]), int(rows[-1]) + 1)  # whole rows are contiguous in the file
    checksums = file.read("pairs/crc32", block)
    for i, j in np.argwhere(new).tolist():
        number = int(table.session[i, j])
        checksums[i - block.start, j] = _checksum(i, j, number, table.energies[:, i, j])
    kept = (table.stored | new)[block]
    checksums[~kept] = 0  # dropped pairs must not look committed
    energies = np.where(kept, table.energies[:, block], 0)
    file.write("pairs/e_os", energies[0], block)
    file.write("pairs/e_ss", energies[1], block)
    if len(energies) > 2:
        file.write("pairs/regularised", energies[2:], np.s_[:, block])
    session = np.where(kept, table.session[block], 0).astype(table.session.dtype)
    file.write("pairs/session", session, block)
    file.write("pairs/crc32", checksums, block)
    table.stored |= new


def _checksum(i: int, j: int, session: int, energies: Array) -> int:
    return zlib.crc32(struct.pack(f"<qqq{len(energies)}d", i, j, session, *energies))


def _runs(line: NDArray[np.bool_]) -> Iterator[slice]:
    """Runs of successive True elements."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield slice(start, stop)

"""Rows of numbers in a temporary file, for an array that does not fit in memory.

The file has no name in its folder, so it disappears with the process, however that ends. Its pages
belong to the cache of the operating system and not to the memory of the process.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError
from dfmp2.units import BYTES_PER_DOUBLE

__all__ = ["ScratchRows"]

Array = NDArray[np.float64]


class ScratchRows:
    """Rows of float64 numbers, zero at first.

    Parameters
    ----------
    rows, columns : int

    Raises
    ------
    CheckpointError
        If the disk is too small, or its folder (PySCF's TMPDIR) cannot be written.
    """

    def __init__(self, rows: int, columns: int) -> None:
        from pyscf import lib

        self._folder, self._bytes = str(lib.param.TMPDIR), BYTES_PER_DOUBLE * columns
        self._size = rows * self._bytes
        with self._reported():
            self._file: BufferedRandom = os.fdopen(self._unnamed(), "w+b")
            if self._size and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, self._size)
            else:
                self._file.truncate(self._size)

    def _unnamed(self) -> int:
        number, path = tempfile.mkstemp(prefix="dfmp2-", dir=self._folder)
        Path(path).unlink()
        return number

    def read(self, row: int, out: Array, start: int = 0) -> None:
        """Read numbers of a row, from number `start` on, into contiguous memory."""
        with self._reported():
            # Several threads read at once, so none of them moves the position of the file.
            where, memory = row * self._bytes + BYTES_PER_DOUBLE * start, memoryview(out.data)
            left = memory.cast("B")
            while left:
                count = os.preadv(self._file.fileno(), [left], where)
                if not count:
                    raise OSError("the temporary file is too short")
                left, where = left[count:], where + count

    def write(self, row: int, values: Array) -> None:
        """Write the first numbers of a row from contiguous memory."""
        with self._reported():
            left, where = memoryview(values.data).cast("B"), row * self._bytes
            while left:
                count = os.pwrite(self._file.fileno(), left, where)
                left, where = left[count:], where + count

    def close(self) -> None:
        """Remove the file."""
        self._file.close()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"{self._folder}: cannot hold a temporary file of {self._size / 1e6:.0f} MB "
                f"({error.strerror or error}); set PYSCF_TMPDIR to a folder with more space, or "
                "raise max_memory (--max-memory)"
            ) from error

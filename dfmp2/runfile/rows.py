"""B in a run file: first (P|ia) by auxiliary functions, then B[i,P,a] row by row.

Rows are fitted in the order of i, so that what is fitted is always the rows before some k. Until
then row i + spare holds (P|ia), which the fit of row i reads and which only the fit of row
i + spare overwrites.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError
from dfmp2.fitting.metric import Metric
from dfmp2.runfile.file import RunFile

__all__ = ["Rows", "contiguous_rows"]

Array = NDArray[np.float64]


class Rows:
    """The rows of B in a run file.

    Parameters
    ----------
    file : RunFile
        Its state holds, under "b": "aux" (form of the auxiliary functions), "precision" (of B) and,
        once there is one, "metric".
    """

    def __init__(self, file: RunFile) -> None:
        self._file = file
        sizes = file.shape.sizes
        self._nocc, self._nvir, self._naux = sizes.nocc, sizes.nvir, sizes.naux
        self.spare = file.spare_rows
        self._reserved = False
        self._fitted: int | None = None

    # What is there

    def fitted(self) -> int:
        """Number k of rows that are fitted and whole: those before k.

        A damaged row ends the count, because later ones can only be made again together.
        """
        if self._fitted is None:
            self._fitted = self._count_fitted()
        return self._fitted

    def _count_fitted(self) -> int:
        committed = self._session("row") != 0
        total = self._nocc if committed.all() else int(np.argmin(committed))
        whole = 0
        if total and self.metric() is not None:
            memory = np.empty((1, self._nvir, self._naux))
            whole = next((i for i in range(total) if not self._read_row(i, memory)), total)
        if whole < total:
            sessions = self._file.read("b/row_session")
            sessions[whole:] = 0
            self._file.write("b/row_session", sessions)
            if whole + self.spare < total:  # the raw rows that belong to it were overwritten
                self._file.write("b/raw_session", np.zeros(self._naux, dtype=np.uint16))
        return whole

    def _session(self, name: str) -> NDArray[np.uint16]:
        """Who made the raw or fitted rows; 0 where the journal does not know that session.

        What it made is worth nothing without its record: in which form, in which precision.
        """
        numbers: NDArray[np.uint16] = self._file.read(f"b/{name}_session")
        numbers[~np.isin(numbers, [s["id"] for s in self._file.state["sessions"]])] = 0
        return numbers

    def raw(self) -> NDArray[np.bool_]:
        """Auxiliary functions P whose (P|ia) is there and whole for every row not yet fitted."""
        there: NDArray[np.bool_] = self._session("raw") != 0
        if not there.any():
            return there
        checksums = self._file.read("b/raw_crc32")
        for i in range(self.fitted(), self._nocc):
            row = self._raw_row(i)
            for p in np.flatnonzero(there):
                there[p] = _crc(row[p]) == checksums[i, p]
        return there

    def metric(self) -> Metric | None:
        """The stored factor of the metric; None where there is none, or it is damaged."""
        known = self._file.state.get("b", {}).get("metric")
        if known is None:
            return None
        factor = self._file.read("metric/factor")
        if _crc(factor) != known["crc32"]:
            return None
        return Metric(factor, known["kind"], known["dropped"])

    def sessions(self) -> set[int]:
        """Numbers of the sessions that made what is there."""
        made = [self._session(name) for name in ("raw", "row")]
        return {int(number) for number in np.unique(np.concatenate(made))} - {0}

    # (P|ia)

    def put_raw(self, first: int, p0: int, panel: Array, session: int) -> None:
        """Store (P|ia) of the rows from `first` on.

        Parameters
        ----------
        first : int
            Rows before it are fitted.
        p0 : int
            First auxiliary function.
        panel : ndarray, shape (nocc - first, nblock, nvir)
        session : int
        """
        self.reserve()
        panel = np.ascontiguousarray(panel)
        rows, nblock, nvir = panel.shape
        p1 = p0 + nblock
        checksums = np.array([[_crc(x) for x in row] for row in panel], dtype=np.uint32)
        where = slice(first + self.spare, first + self.spare + rows)
        columns = np.s_[where, p0 * nvir : p1 * nvir]
        self._file.write("b/rows", panel.reshape(rows, nblock * nvir), columns)
        self._file.write("b/raw_crc32", checksums, np.s_[first:, p0:p1])
        self._file.write("b/raw_session", np.full(nblock, session, np.uint16), np.s_[p0:p1])

    def get_raw(self, i: int, functions: NDArray[np.intp] | None = None) -> Array:
        """(P|ia) of one orbital as [P,a], for all or some auxiliary functions.

        Raises
        ------
        CheckpointError
            If it does not match its checksums.
        """
        row, checksums = self._raw_row(i), self._file.read("b/raw_crc32", i)
        if functions is not None:
            row, checksums = row[functions], checksums[functions]
        if any(_crc(x) != c for x, c in zip(row, checksums, strict=True)):
            raise self._damaged(f"(P|ia) of orbital {i}")
        return row

    def _raw_row(self, i: int) -> Array:
        row: Array = self._file.read("b/rows", i + self.spare)
        return row.reshape(self._naux, self._nvir)

    # B

    def put_metric(self, metric: Metric) -> None:
        """Store the factor that rows are fitted with; rows of two factors must not meet."""
        self.reserve()
        factor = np.ascontiguousarray(metric.factor)
        self._file.write("metric/factor", factor)
        self._file.state["b"]["metric"] = {
            "kind": metric.kind,
            "dropped": metric.dropped,
            "crc32": _crc(factor),
        }
        self._file.save()

    def put_fitted(self, first: int, rows: Array, session: int) -> None:
        """Store fitted rows.

        Parameters
        ----------
        first : int
            The number of rows fitted so far.
        rows : ndarray, shape (n, nvir, naux), C order
            At most `spare` rows, whose (P|ia) is in the file, or any number where none is needed.
        session : int
        """
        self.reserve()
        for start in range(0, len(rows), self.spare):
            part = rows[start : start + self.spare]
            i0, i1 = first + start, first + start + len(part)
            self._file.write("b/rows", part.reshape(len(part), -1), np.s_[i0:i1])
            checksums = np.array([_crc(row) for row in part], dtype=np.uint32)
            self._file.write("b/row_crc32", checksums, np.s_[i0:i1])
            self._file.write("b/row_session", np.full(len(part), session, np.uint16), np.s_[i0:i1])
            self._fitted = i1

    def get_fitted(self, first: int, out: Array) -> None:
        """Read fitted rows into `out`, shape (n, nvir, naux), C order.

        Raises
        ------
        CheckpointError
            If one does not match its checksum.
        """
        for k in range(len(out)):
            if not self._read_row(first + k, out[k : k + 1]):
                raise self._damaged(f"B of orbital {first + k}")

    def _read_row(self, i: int, out: Array) -> bool:
        flat = out.reshape(1, -1)
        self._file.read("b/rows", np.s_[i : i + 1], out=flat)
        return bool(_crc(flat) == int(self._file.read("b/row_crc32", i)))

    def _damaged(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self._file.path}: {what} is damaged (checksum); dfmp2 resume computes it again"
        )

    def reserve(self) -> None:
        """Take the disk space of B and its metric.

        Raises
        ------
        CheckpointError
            If the disk is too small for them.
        """
        if not self._reserved:
            self._file.reserve("metric/factor")
            self._file.reserve("b/rows")
            self._reserved = True


def contiguous_rows(b: Any) -> Array:
    """B[i,P,a] of the host as [i,a,P] in C order, without a copy where it lies so."""
    rows: Array = np.ascontiguousarray(np.swapaxes(b, 1, 2), dtype=np.float64)
    return rows


def _crc(values: Any) -> int:
    return zlib.crc32(values)  # the type stubs do not know that arrays are buffers

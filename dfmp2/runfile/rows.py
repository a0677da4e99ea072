"""B in a run file: first (P|ia) by blocks of P, then B[i,P,a] row by row.

The metric is solved for the rows in ascending order of i. So the fitted rows are always the rows
before some k. (P|ia) of orbital i is in row i + spare until row i is fitted. Only the fit of row
i + spare overwrites it, which comes later.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError, ValidationError
from dfmp2.fitting.metric import Metric
from dfmp2.runfile.file import RunFile

__all__ = ["Rows", "contiguous_rows"]

Array = NDArray[np.float64]


class Rows:
    """The rows of B in a run file.

    Parameters
    ----------
    file : RunFile
        ``file.state["b"]`` has "aux" (form of the auxiliary functions), "precision" (of B) and,
        if the metric is stored, "metric".

    Attributes
    ----------
    spare : int
        Number of rows beyond nocc.
    """

    def __init__(self, file: RunFile) -> None:
        self._file = file
        sizes = file.shape.sizes
        self._nocc, self._naux, self._nvir_of = sizes.nocc, sizes.naux, sizes.nvir_of
        self.spare = file.spare_rows
        self._reserved = False
        self._fitted: int | None = None

    # What is in the file

    def fitted(self) -> int:
        """Number k of fitted rows that match their checksums: the rows before k.

        If a row is damaged, it and all later rows are computed again.
        """
        if self._fitted is None:
            self._fitted = self._count_fitted()
        return self._fitted

    def _count_fitted(self) -> int:
        committed = self._session("row") != 0
        total = self._nocc if committed.all() else int(np.argmin(committed))
        whole = 0
        if total and self.metric() is not None:
            whole = next((i for i in range(total) if not self._read_row(i)), total)
        if whole < total:
            sessions = self._file.read("b/row_session")
            sessions[whole:] = 0
            self._file.write("b/row_session", sessions)
            if whole + self.spare < total:  # (P|ia) of these rows was overwritten
                self._file.write("b/raw_session", np.zeros(self._naux, dtype=np.uint16))
        return whole

    def _session(self, name: str) -> NDArray[np.uint16]:
        """Session numbers of the raw or fitted rows, 0 if the session is not in the journal.

        Without the session, the form and the precision of its values are unknown.
        """
        numbers: NDArray[np.uint16] = self._file.read(f"b/{name}_session")
        numbers[~np.isin(numbers, [s["id"] for s in self._file.state["sessions"]])] = 0
        return numbers

    def raw(self) -> NDArray[np.bool_]:
        """Auxiliary functions P with a valid (P|ia) for every row that is not fitted.

        Returns
        -------
        ndarray, shape (naux,), bool
        """
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
        """The stored factor of the metric. None if there is none, or if it is damaged."""
        known = self._file.state.get("b", {}).get("metric")
        if known is None:
            return None
        factor = self._file.read("metric/factor")
        if _crc(factor) != known["crc32"]:
            return None
        return Metric(factor, known["kind"], known["dropped"])

    def sessions(self) -> set[int]:
        """Numbers of the sessions that computed the stored rows."""
        made = [self._session(name) for name in ("raw", "row")]
        return {int(number) for number in np.unique(np.concatenate(made))} - {0}

    # (P|ia)

    def put_raw(self, first: int, p0: int, panel: Array, session: int) -> None:
        """Store (P|ia) of a block of P for the rows of one spin from `first` on.

        Parameters
        ----------
        first : int
            First row that is not fitted.
        p0 : int
            First auxiliary function of the block.
        panel : ndarray, shape (number of rows, nblock, nvir), float64, hartree
        session : int
            Number of the session that computed it.
        """
        _require_finite(panel, "(P|ia)")
        self.reserve()
        panel = np.ascontiguousarray(panel)
        rows, nblock, nvir = panel.shape
        p1 = p0 + nblock
        checksums = np.array([[_crc(x) for x in row] for row in panel], dtype=np.uint32)
        where = slice(first + self.spare, first + self.spare + rows)
        columns = np.s_[where, p0 * nvir : p1 * nvir]
        self._file.write("b/rows", panel.reshape(rows, nblock * nvir), columns)
        self._file.write("b/raw_crc32", checksums, np.s_[first : first + rows, p0:p1])
        self._file.write("b/raw_session", np.full(nblock, session, np.uint16), np.s_[p0:p1])

    def get_raw(self, i: int, functions: NDArray[np.intp] | None = None) -> Array:
        """Read (P|ia) of one orbital.

        Parameters
        ----------
        i : int
        functions : ndarray of int, optional
            Auxiliary functions. All if not given.

        Returns
        -------
        ndarray, shape (number of functions, nvir), float64, hartree

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
        nvir = self._nvir_of(i)
        row: Array = self._file.read("b/rows", np.s_[i + self.spare, : self._naux * nvir])
        return row.reshape(self._naux, nvir)

    # B

    def put_metric(self, metric: Metric) -> None:
        """Store the factor of the metric, so that all rows are fitted with the same factor.

        Parameters
        ----------
        metric : Metric
        """
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
            Number of rows that are fitted already.
        rows : ndarray of one spin, shape (n, nvir, naux), float64, C order, hartree^(1/2)
            At most `spare` rows, if (P|ia) of later rows is in the file. Otherwise any number.
        session : int
            Number of the session that computed them.
        """
        _require_finite(rows, "B")
        self.reserve()
        for start in range(0, len(rows), self.spare):
            part = rows[start : start + self.spare]
            i0, i1 = first + start, first + start + len(part)
            values = part.reshape(len(part), part.shape[1] * part.shape[2])
            self._file.write("b/rows", values, np.s_[i0:i1, : values.shape[1]])
            checksums = np.array([_crc(row) for row in part], dtype=np.uint32)
            self._file.write("b/row_crc32", checksums, np.s_[i0:i1])
            self._file.write("b/row_session", np.full(len(part), session, np.uint16), np.s_[i0:i1])
            self._fitted = i1

    def get_fitted(self, first: int, out: Array) -> None:
        """Read fitted rows.

        Parameters
        ----------
        first : int
            First row.
        out : ndarray, shape (n, nvir, naux), float64, C order
            Memory for n rows of one spin, hartree^(1/2).

        Raises
        ------
        CheckpointError
            If a row does not match its checksum.
        """
        for k in range(len(out)):
            if not self._read_row(first + k, out[k : k + 1]):
                raise self._damaged(f"B of orbital {first + k}")

    def _read_row(self, i: int, out: Array | None = None) -> bool:
        flat = np.empty((1, self._nvir_of(i) * self._naux)) if out is None else out.reshape(1, -1)
        self._file.read("b/rows", np.s_[i : i + 1, : flat.shape[1]], out=flat)
        return bool(_crc(flat) == int(self._file.read("b/row_crc32", i)))

    def _damaged(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self._file.path}: {what} is damaged (checksum); continuing the run computes it again"
        )

    def reserve(self) -> None:
        """Allocate the disk space of B and of the factor of the metric.

        Raises
        ------
        CheckpointError
            If the disk is too small.
        """
        if not self._reserved:
            self._file.reserve("metric/factor")
            self._file.reserve("b/rows")
            self._reserved = True


def contiguous_rows(b: Array) -> Array:
    """B[i,P,a] as [i,a,P] in C order. No copy is made if it has this order in memory.

    Parameters
    ----------
    b : ndarray, shape (nocc, naux, nvir)

    Returns
    -------
    ndarray, shape (nocc, nvir, naux), float64
    """
    rows: Array = np.ascontiguousarray(np.swapaxes(b, 1, 2), dtype=np.float64)
    return rows


def _require_finite(values: Array, what: str) -> None:
    if not np.isfinite(values).all():
        raise ValidationError(
            f"{what} has numbers that are not finite, so it is not written to the run file; use "
            "precision fp64 and backend pytorch (--precision, --backend), and report it if that "
            "does not help"
        )


def _crc(values: Any) -> int:  # NumPy's types do not declare that an array is a buffer
    return zlib.crc32(values)

"""The journal of a geometry optimisation: each finished geometry with its energy and gradient.

It is a text file with one line per entry: a checksum, and JSON. A line is added and brought to the
disk when a geometry is finished, so a kill at any instant leaves whole lines, and at most a part of
one after them. The coordinates of a geometry are written before it is computed: the same numbers
are used again after a kill, and its run file fits.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError
from dfmp2.results.properties import GradientRecord
from dfmp2.results.result import Result
from dfmp2.runfile.failures import InUseError
from dfmp2.runfile.identity import difference

__all__ = ["GeometryJournal", "Point", "replace_text"]

FORMAT = "dfmp2 geometry journal 1"

OTHER = "name another trajectory (--trajectory), or start over (--restart)"


@dataclass(frozen=True, eq=False)
class Point:
    """A finished geometry.

    Attributes
    ----------
    result : Result
    gradient : GradientRecord
        That of the result.
    """

    result: Result
    gradient: GradientRecord

    @classmethod
    def of(cls, result: Result, source: str) -> Point:
        """The point of a result, which must have a gradient; `source` is for the message."""
        if result.gradient is None:
            raise CheckpointError(f"{source}: has no gradient; {OTHER}")
        return cls(result, result.gradient)

    @property
    def energy(self) -> float:
        """Total energy of the method of the gradient, hartree."""
        return self.result.energies[self.gradient.method]["total"]

    @property
    def coordinates(self) -> NDArray[np.float64]:
        """Shape (natm, 3), bohr."""
        return np.array(self.result.molecule.coordinates, dtype=np.float64)


class GeometryJournal:
    """The finished geometries of an optimisation, on the disk; a context manager.

    Parameters
    ----------
    path : Path
        Made if it does not exist.
    fields : dict
        What the optimisation belongs to, as `dfmp2.runfile.identity.fields_of`.
    restart : bool
        Start over with an empty journal.

    Attributes
    ----------
    points : list of Point
        In the order in which they were computed.
    pending : ndarray, shape (natm, 3), float64, bohr, or None
        The geometry that was being computed when the process ended.

    Raises
    ------
    InUseError
        If another process writes to it.
    CheckpointError
        If it belongs to another input, is damaged, or cannot be used.
    """

    def __init__(self, path: Path, fields: dict[str, Any], restart: bool = False) -> None:
        self.path = path
        self.points: list[Point] = []
        self.pending: NDArray[np.float64] | None = None
        with contextlib.ExitStack() as failed:
            failed.callback(self.close)
            try:
                self._open(fields, restart)
            except OSError as error:
                raise _unusable(path, error) from error
            failed.pop_all()

    def _open(self, fields: dict[str, Any], restart: bool) -> None:
        head = {"format": FORMAT, "fields": fields}
        if restart and self.path.exists():
            self._file = self._locked()
            self._require_journal()
            self._file.truncate(0)
            self._append(head)
            return
        if not self.path.exists():
            replace_text(self.path, _line(head))
        self._file = self._locked()
        self._read(fields)

    def __enter__(self) -> GeometryJournal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and release its lock."""
        if (file := getattr(self, "_file", None)) is not None:
            file.close()

    def start(self, coordinates: NDArray[np.float64]) -> None:
        """Record a geometry that is computed next, bohr."""
        self._append({"started": coordinates.tolist()})
        self.pending = coordinates

    def add(self, result: Result) -> Point:
        """Record the result of the geometry that was started."""
        point = Point.of(result, str(self.path))
        self._append({"result": result.to_qcschema()})
        self.points.append(point)
        self.pending = None
        return point

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            self._file.seek(0, os.SEEK_END)
            self._file.write(_line(entry).encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unusable(self.path, error) from error

    def _locked(self) -> BinaryIO:
        file = self.path.open("r+b")
        try:
            import fcntl
        except ImportError:  # a system without these locks
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise InUseError(
                f"{self.path}: another process of dfmp2 continues this optimisation; wait for it, "
                "or name another trajectory (--trajectory)"
            ) from error
        except OSError:  # a file system without locks: run files say so, and can be left out
            pass
        return file

    def _read(self, fields: dict[str, Any]) -> None:
        self._require_journal()
        whole = 0
        lines = self._file.read().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            entry = _entry(line)
            if entry is None:
                if number == len(lines):  # a kill while it was written
                    break
                raise CheckpointError(f"{self.path}:{number}: is damaged; {OTHER}")
            whole += len(line)
            self._take(entry, number, fields)
        self._file.truncate(whole)

    def _take(self, entry: dict[str, Any], number: int, fields: dict[str, Any]) -> None:
        if number == 1:
            if (differs := difference(entry["fields"], fields)) is not None:
                raise CheckpointError(
                    f"{self.path}: is the journal of another optimisation: {differs}; {OTHER}"
                )
        elif "started" in entry:
            self.pending = np.array(entry["started"], dtype=np.float64)
        else:
            source = f"{self.path}:{number}"
            self.points.append(Point.of(Result.from_qcschema(entry["result"], source), source))
            self.pending = None

    def _require_journal(self) -> None:
        self._file.seek(0)
        first = _entry(self._file.readline())
        self._file.seek(0)
        if first is None or first.get("format") != FORMAT:
            raise CheckpointError(
                f"{self.path}: is no journal of an optimisation, or is damaged; move it away, or "
                "name another trajectory (--trajectory)"
            )


def replace_text(path: Path, text: str) -> None:
    """Replace a file as a whole, so that it is complete at any instant."""
    draft = path.with_name(f".dfmp2-{os.getpid()}-{zlib.crc32(os.fsencode(path.name))}.tmp")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def _line(entry: dict[str, Any]) -> str:
    text = json.dumps(entry, separators=(",", ":"), allow_nan=False)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def _entry(line: bytes) -> dict[str, Any] | None:
    """The entry of a whole line; None for a part of one, or a damaged one."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != f"{zlib.crc32(text):08x}".encode():
        return None
    entry = json.loads(text)
    return entry if isinstance(entry, dict) else None


def _unusable(path: Path, error: OSError) -> CheckpointError:
    if isinstance(error, CheckpointError):
        return error
    return CheckpointError(
        f"{path}: the journal of the optimisation cannot be used ({error.strerror or error}); "
        "finished geometries in it are not lost: check the disk, or name another trajectory "
        "(--trajectory)"
    )

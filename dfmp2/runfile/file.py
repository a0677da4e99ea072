"""Opening, locking, reading and writing a run file; every failure becomes a `CheckpointError`.

One process writes at a time: HDF5 locks the file (flock) while it is open for writing, and the
kernel releases that lock however the process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dfmp2.errors import CheckpointError
from dfmp2.runfile.failures import InUseError, reported
from dfmp2.runfile.journal import decode, encode
from dfmp2.runfile.layout import FORMAT, SCHEMA, Shape, allocate, bytes_on_disk, shape_of

__all__ = ["InUseError", "RunFile", "is_run_file"]

LIBVER = ("v108", "v108")
"""HDF5 1.8's format: its structures carry checksums. While the file is open for writing, a flag in
the superblock (byte 11, and its checksum) says so; a killed process leaves it behind, and in this
format, unlike in that of 1.10, it keeps nobody from opening the file again."""


class RunFile:
    """An open run file.

    Parameters
    ----------
    path : str
    writable : bool
        Take the lock; otherwise the file may be in use by another process.

    Attributes
    ----------
    path : str
    shape : Shape
    input : dict
        What was asked for, as given to `create`.
    state : dict
        The journal's text; `save` writes it.

    Raises
    ------
    CheckpointError
        If it cannot be read, is damaged, of a newer schema, or in use.
    """

    def __init__(self, path: str, writable: bool = True) -> None:
        self.path, self._writable = path, writable
        self._synced = time.monotonic()
        with self._reported("be opened"):
            # Without the lock (reading alone) the file of a run that goes on can be shown.
            self._h5 = h5py.File(path, "r+" if writable else "r", libver=LIBVER, locking=writable)
        try:
            with self._reported("be read"):
                self._check_format()
                self.shape: Shape = shape_of(self._h5)
                self.input: dict[str, Any] = json.loads(self._h5["input"][()].tobytes())
                self._number, self.state = self._journal()
        except CheckpointError:
            self.close()
            raise

    @classmethod
    def create(
        cls, path: str, shape: Shape, content: dict[str, Any], replace: bool = False
    ) -> RunFile:
        """Make a run file, complete or not at all.

        Parameters
        ----------
        path : str
        shape : Shape
        content : dict
            Plain data: what determines the numbers, and how to do the run again.
        replace : bool
            Take the place of a file of that name.

        Raises
        ------
        CheckpointError
            If there is such a file already, or it cannot be written.
        """
        text = json.dumps(content).encode()
        draft = f"{path}.{os.getpid()}.tmp"
        try:
            with reported(path, "be made"):
                _try_space(draft, shape, len(text))
                with h5py.File(draft, "w", libver=LIBVER) as file:
                    file.attrs["format"] = np.bytes_(FORMAT)  # str would go to HDF5's bare heap
                    file.attrs["schema_version"] = SCHEMA
                    file.attrs["input_crc32"] = zlib.crc32(text)
                    allocate(file, shape, len(text))
                    file["input"][:] = np.frombuffer(text, dtype=np.uint8)
                    size = file["journal"].shape[1]
                    first = encode({"sessions": []}, 1, size)
                    file["journal"][0, : len(first)] = first
                made = cls(draft)  # holds the lock before anyone can see the file
                made.sync()
                _publish(draft, path, replace)
        finally:
            with contextlib.suppress(OSError):  # where it could not be made, either
                Path(draft).unlink()
        made.path = path
        return made

    def _check_format(self) -> None:
        if not _has_format(self._h5):
            raise CheckpointError(f"{self.path}: is no run file of dfmp2")
        schema = int(self._h5.attrs["schema_version"])
        if schema > SCHEMA:
            raise CheckpointError(
                f"{self.path}: was written by a newer dfmp2 (schema {schema}, this one reads "
                f"{SCHEMA}); upgrade dfmp2"
            )
        if zlib.crc32(self._h5["input"][()]) != int(self._h5.attrs["input_crc32"]):
            raise CheckpointError(
                f"{self.path}: its input is damaged (checksum); compute again with --restart"
            )

    def _journal(self) -> tuple[int, dict[str, Any]]:
        halves = [decode(half) for half in self._h5["journal"][()]]
        found = [half for half in halves if half is not None]
        if not found:
            raise CheckpointError(
                f"{self.path}: both copies of its journal are damaged (checksum); compute again "
                "with --restart"
            )
        return max(found, key=lambda half: half[0])

    def read(self, name: str, where: Any = (), out: Any = None) -> Any:
        """Values of a dataset, or of a part of it; into `out` (contiguous) where it is given."""
        with self._reported("be read"):
            if out is None:
                return self._h5[name][where]
            self._h5[name].read_direct(out, source_sel=where)
            return out

    @property
    def spare_rows(self) -> int:
        """Rows of B beyond nocc that this file was made with; another version may make others."""
        with self._reported("be read"):
            return int(self._h5["b/rows"].shape[0]) - self.shape.sizes.nocc

    @property
    def accepted_sessions(self) -> set[int]:
        """Numbers of the sessions whose pairs count: those that were not found too rough."""
        return {s["id"] for s in self.state["sessions"] if not s["rejected"]}

    def write(self, name: str, values: Any, where: Any = ()) -> None:
        """Write values in place."""
        with self._reported("be written"):
            self._h5[name][where] = values

    def save(self) -> None:
        """Write `state` to the journal."""
        with self._reported("be written"):
            size = self._h5["journal"].shape[1]
            self._number += 1
            half = encode(self.state, self._number, size)
            self._h5["journal"][(self._number + 1) % 2, : len(half)] = half

    def flush(self) -> None:
        """Hand everything to the operating system: a kill loses nothing of it."""
        with self._reported("be written"):
            self._h5.flush()

    def sync(self) -> None:
        """`flush`, and wait for the disk: a crash of the machine loses nothing of it either."""
        self.flush()
        with self._reported("be written"):
            os.fsync(self._h5.id.get_vfd_handle())

    def reserve(self, name: str) -> None:
        """Take the disk space of a dataset now.

        Raises
        ------
        CheckpointError
            If the disk is too small for it.
        """
        with self._reported("be written"):
            dataset = self._h5[name].id
            if hasattr(os, "posix_fallocate") and dataset.get_storage_size():
                os.posix_fallocate(
                    self._h5.id.get_vfd_handle(), dataset.get_offset(), dataset.get_storage_size()
                )

    def close(self) -> None:
        """Close the file and release its lock."""
        # What could not be written was reported when it was tried.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._h5.close()

    def __enter__(self) -> RunFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reported(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return reported(self.path, doing)


def _has_format(file: Any) -> bool:
    found = file.attrs.get("format")
    return isinstance(found, bytes) and found == FORMAT.encode()


def is_run_file(path: str) -> bool:
    """Whether the file calls itself a run file; a damaged one may."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _has_format(file)
    except (OSError, RuntimeError, KeyError):
        return path.endswith(".dfmp2.h5") and Path(path).is_file()


def _try_space(draft: str, shape: Shape, text_bytes: int) -> None:
    """Fail here where there is no room: HDF5 itself would not survive a full disk."""
    small, large = bytes_on_disk(shape.sizes, shape.nmo, text_bytes)
    file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        os.ftruncate(file, small + large)  # holes, but within the limit on a file's size
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, small)
    finally:
        os.close(file)


def _publish(draft: str, path: str, replace: bool) -> None:
    if replace:
        Path(draft).replace(path)
    else:
        try:
            os.link(draft, path)  # fails where the name is taken, unlike a rename
        except FileExistsError:
            raise CheckpointError(
                f"{path}: another process made it just now; start again to continue it"
            ) from None
        except OSError:  # a file system without hard links
            Path(draft).replace(path)
    folder = os.open(Path(path).resolve().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Open, lock, read and write a run file. Every failure becomes a `CheckpointError`.

Only one process writes at a time. HDF5 locks the file (flock) while it is open for writing. The
operating system releases this lock when the process ends, also after a kill.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dfmp2.errors import CheckpointError, DFMP2Warning
from dfmp2.runfile.failures import OTHER_FILE, START_OVER, InUseError, reported
from dfmp2.runfile.journal import decode, encode
from dfmp2.runfile.layout import FORMAT, H5, SCHEMA, Shape, allocate, bytes_on_disk, shape_of

__all__ = ["InUseError", "RunFile", "is_regular", "is_run_file"]

LIBVER = ("v108", "v108")
"""The file format of HDF5 1.8, whose structures have checksums. HDF5 sets a flag in the superblock
(byte 11, and its checksum) while the file is open for writing, and a killed process does not clear
it. In the format of 1.10 the file could then not be opened again. In that of 1.8 it can."""


class RunFile:
    """An open run file.

    Parameters
    ----------
    path : str
    writable : bool
        Open for writing, with the lock. Without the lock another process may write to the file.

    Attributes
    ----------
    path : str
    shape : Shape
        Dimensions of the datasets.
    input : dict
        Plain data, as given to `create`.
    state : dict
        Content of the journal. `save` writes it.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is damaged, has a newer schema, or is in use.
    """

    def __init__(self, path: str, writable: bool = True) -> None:
        self.path, self._writable = path, writable
        self._named, self._lost = True, False
        self._synced = time.monotonic()
        with self._reported("be opened"):
            self._place = Path(path).absolute()  # the current folder may change
            if self._place.is_fifo():  # HDF5 would wait for ever
                raise CheckpointError(f"{path}: is a pipe; name a run file")
            # Reading takes no lock, so that the file of a running calculation can be shown.
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
        """Make a run file. It appears under its name only when it is complete.

        Parameters
        ----------
        path : str
        shape : Shape
        content : dict
            Plain data: all settings that determine the numbers, and those that repeat the run.
        replace : bool
            Replace a file of that name.

        Returns
        -------
        RunFile
            Open for writing.

        Raises
        ------
        CheckpointError
            If the file exists and may not be replaced, or if it cannot be written.
        """
        text = json.dumps(content).encode()
        draft = f"{path}.{os.getpid()}.tmp"
        try:
            with reported(path, "be made"):
                _try_space(draft, shape, len(text))
                with h5py.File(draft, "w", libver=LIBVER) as file:
                    # A str would be stored in a heap of HDF5 that has no checksum.
                    file.attrs["format"] = np.bytes_(FORMAT)
                    file.attrs["schema_version"] = shape.schema
                    file.attrs["input_crc32"] = zlib.crc32(text)
                    allocate(file, shape, len(text))
                    file["input"][:] = np.frombuffer(text, dtype=np.uint8)
                    size = file["journal"].shape[1]
                    first = encode({"sessions": []}, 1, size)
                    file["journal"][0, : len(first)] = first
                made = cls(draft)  # takes the lock before another process can find the file
                made._named = False
                made.sync()
                _publish(draft, path, replace)
        finally:
            with contextlib.suppress(OSError):  # it may not exist
                Path(draft).unlink()
        made.path, made._named, made._place = path, True, Path(path).absolute()
        return made

    def _check_format(self) -> None:
        if not _has_format(self._h5):
            raise CheckpointError(f"{self.path}: is not a run file of dfmp2; name another file")
        schema = int(self._h5.attrs["schema_version"])
        if schema > SCHEMA:
            raise CheckpointError(
                f"{self.path}: was written by a newer dfmp2 (schema {schema}, this one reads "
                f"{SCHEMA}); upgrade dfmp2"
            )
        if zlib.crc32(self._h5["input"][()]) != int(self._h5.attrs["input_crc32"]):
            raise CheckpointError(f"{self.path}: its input is damaged (checksum); {START_OVER}")

    def _journal(self) -> tuple[int, dict[str, Any]]:
        halves = [decode(half) for half in self._h5["journal"][()]]
        found = [half for half in halves if half is not None]
        if not found:
            raise CheckpointError(
                f"{self.path}: both copies of its journal are damaged (checksum); {START_OVER}"
            )
        return max(found, key=lambda half: half[0])

    def read(self, name: str, where: Any = (), out: Any = None) -> Any:
        """Read a dataset or a part of it.

        Parameters
        ----------
        name : str
            Name of the dataset, such as "pairs/e_os".
        where : index
            The part. All of it if not given.
        out : ndarray, optional
            Contiguous memory for the values.

        Returns
        -------
        ndarray
            `out` if it was given.
        """
        with self._reported("be read"):
            if out is None:
                return self._h5[name][where]
            self._h5[name].read_direct(out, source_sel=where)
            return out

    @property
    def spare_rows(self) -> int:
        """Number of rows of B beyond nocc in this file. Other versions may choose another."""
        with self._reported("be read"):
            return int(self._h5["b/rows"].shape[0]) - self.shape.sizes.nocc

    @property
    def accepted_sessions(self) -> set[int]:
        """Numbers of the sessions whose pairs count. Pairs of rejected sessions do not."""
        return {s["id"] for s in self.state["sessions"] if not s["rejected"]}

    def write(self, name: str, values: Any, where: Any = ()) -> None:
        """Write values to a dataset, or to its part `where`."""
        with self._reported("be written"):
            self._h5[name][where] = values

    def save(self) -> None:
        """Write `state` to the half of the journal that is not valid now.

        Raises
        ------
        CheckpointError
            If the journal is full, or the file cannot be written.
        """
        with self._reported("be written"):
            size = self._h5["journal"].shape[1]
            self._number += 1
            try:
                half = encode(self.state, self._number, size)
            except ValueError as error:
                raise CheckpointError(
                    f"{self.path}: too many sessions for its journal ({error}); {START_OVER}, or "
                    f"{OTHER_FILE}"
                ) from error
            self._h5["journal"][(self._number + 1) % 2, : len(half)] = half

    def flush(self) -> None:
        """Pass all values to the operating system. They then survive a kill."""
        with self._reported("be written"):
            self._h5.flush()

    def sync(self) -> None:
        """`flush`, and wait for the disk. All values then survive a crash of the machine, too."""
        self.flush()
        with self._reported("be written"):
            os.fsync(self._h5.id.get_vfd_handle())
        self._notice_loss()

    def _notice_loss(self) -> None:
        """Warn once if this file no longer has its name: it was deleted, or replaced by another.

        Warns
        -----
        DFMP2Warning
        """
        if self._lost or not self._named:
            return
        own = os.fstat(self._h5.id.get_vfd_handle())
        try:
            found = self._place.stat()
        except OSError:
            what = "was deleted or moved"
        else:
            if (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino):
                return
            what = "was replaced by another file"
        self._lost = True
        warnings.warn(
            f"{self.path}: {what} while this run goes on; the result will be printed, but an "
            "interrupted run cannot be continued",
            DFMP2Warning,
            stacklevel=2,
        )

    def reserve(self, name: str) -> None:
        """Allocate the disk space of a dataset now.

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
        # A write that failed has raised its error already.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            self._h5.close()

    def __enter__(self) -> RunFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reported(self, doing: str) -> contextlib.AbstractContextManager[None]:
        return reported(self.path, doing)


def _has_format(file: H5) -> bool:
    found = file.attrs.get("format")
    return isinstance(found, bytes) and found == FORMAT.encode()


def is_run_file(path: str) -> bool:
    """Whether a file is a run file, by its attribute `format`, or by its name if it is damaged."""
    if not is_regular(path):
        return False
    try:
        with h5py.File(path, "r", locking=False) as file:
            return _has_format(file)
    except (OSError, RuntimeError, LookupError, TypeError, ValueError):
        return path.endswith(".dfmp2.h5")


def is_regular(path: str) -> bool:
    """Whether there is a regular file at a path."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name that is too long, a folder that may not be read
        return False


def _try_space(draft: str, shape: Shape, text_bytes: int) -> None:
    """Raise an OSError if the disk is too small. HDF5 cannot recover from a full disk."""
    small, large = bytes_on_disk(shape, text_bytes)
    file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        os.ftruncate(file, small + large)  # takes no space, but checks the limit on file sizes
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, small)
    finally:
        os.close(file)


def _claim(path: str) -> None:
    """Make an empty file of this name. Only one of several processes can do so."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        raise _made_just_now(path) from None


def _made_just_now(path: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: another process began the same run at the same moment, and works on it now; wait "
        f"for it and start again, or {OTHER_FILE}"
    )


def _publish(draft: str, path: str, replace: bool) -> None:
    if replace:
        Path(draft).replace(path)
    else:
        try:
            os.link(draft, path)  # unlike a rename, this fails if the file exists
        except FileExistsError:
            raise _made_just_now(path) from None
        except OSError:  # a file system without hard links
            _claim(path)
            Path(draft).replace(path)
    folder = os.open(Path(path).resolve().parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

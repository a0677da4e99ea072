"""Errors of h5py and of the operating system as a `CheckpointError` that says what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dfmp2.errors import CheckpointError

__all__ = ["NO_FILE", "OTHER_FILE", "START_OVER", "InUseError", "reported"]

IN_USE = (errno.EAGAIN, errno.EACCES)
"""Error numbers of a lock that another process has."""

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Error numbers of a file system without locks, such as some mounts of NFS and Lustre."""

_NO_PLACE = (
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)
"""Error numbers of a path that no file can be made at."""


# Each names the attribute of the class DFMP2, if there is one, and the option.
OTHER_FILE = "name another file (checkpoint, --checkpoint)"
NO_FILE = "keep no run file (checkpoint None, --no-checkpoint)"
START_OVER = "move it away and start over (on the command line: --restart)"


class InUseError(CheckpointError):
    """Another process has the file open for writing, or this one by other means."""


@contextmanager
def reported(path: str, doing: str) -> Iterator[None]:
    """Turn errors of h5py and of the operating system into a `CheckpointError`.

    Parameters
    ----------
    path : str
        The run file.
    doing : str
        What failed, as in "cannot {doing}": "be opened", "be read", "be made" or "be written".

    Raises
    ------
    InUseError
        If another process has the lock.
    CheckpointError
        For any other error. The message gives the cause and what to do.
    """
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        number = error.errno or _errno_in(str(error))
        if number in NO_LOCKS and "lock" in str(error):
            raise CheckpointError(
                f"{path}: cannot {doing}: its file system has no locks ({os.strerror(number)}); "
                f"set HDF5_USE_FILE_LOCKING=FALSE if no other process uses the file, {OTHER_FILE}, "
                f"or {NO_FILE}"
            ) from error
        if number == errno.ENOENT and doing == "be opened":
            raise CheckpointError(
                f"{path}: no such run file (a run makes it just before its SCF); check the name, "
                "or start the run again"
            ) from error
        if number in IN_USE and doing == "be opened" and "lock" in str(error):
            raise InUseError(
                f"{path}: is in use by another process; wait for it, or {OTHER_FILE}"
            ) from error
        if any(text in str(error) for text in ("already open", "flag values don't match")):
            raise InUseError(
                f"{path}: is open in this Python process; close it (h5py.File), or {OTHER_FILE}"
            ) from error
        raise CheckpointError(f"{path}: cannot {doing} ({_cause(number, error)})") from error
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and (number := _errno_in(str(error))):
            raise CheckpointError(f"{path}: cannot {doing} ({_cause(number, error)})") from error
        raise CheckpointError(
            f"{path}: cannot {doing}, it is damaged or not a run file ({error}); {START_OVER}"
        ) from error


def _cause(number: int | None, error: BaseException) -> str:
    if number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return (
            f"{os.strerror(number)}; committed work is not lost: free disk space and start again, "
            f"or {NO_FILE}"
        )
    if number in _NO_PLACE:
        return f"{os.strerror(number)}; {OTHER_FILE}, or {NO_FILE}"
    if number:
        return f"{os.strerror(number)}; check the disk, or {OTHER_FILE}"
    if "signature not found" in str(error):
        return (
            "it is no HDF5 file, so it is no run file of dfmp2, or is damaged; give the file that "
            "dfmp2 run wrote (.dfmp2.h5), or a name that is free"
        )
    return f"{error}; it may be damaged: {START_OVER}"


def _errno_in(text: str) -> int | None:
    """The errno in a message of HDF5. h5py does not always set it as an attribute."""
    _, _, tail = text.partition("errno = ")
    digits = tail.split(",")[0].split(")")[0].strip()
    return int(digits) if digits.isdigit() else None

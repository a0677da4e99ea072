"""What can go wrong with a run file, as one line that says what to do."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from dfmp2.errors import CheckpointError

__all__ = ["InUseError", "reported"]

IN_USE = (errno.EAGAIN, errno.EACCES)

_NO_PLACE = (
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)


class InUseError(CheckpointError):
    """Another process writes the file."""


@contextmanager
def reported(path: str, doing: str) -> Iterator[None]:
    """Errors of h5py and of the operating system as one line that says what to do."""
    try:
        yield
    except CheckpointError:
        raise
    except OSError as error:
        number = error.errno or _errno_in(str(error))
        if number in IN_USE and doing == "be opened" and "lock" in str(error):
            raise InUseError(
                f"{path}: is in use by another process of dfmp2; wait for it, or name another "
                "file with --checkpoint"
            ) from error
        raise CheckpointError(f"{path}: cannot {doing} ({_cause(number, error)})") from error
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and (number := _errno_in(str(error))):
            raise CheckpointError(f"{path}: cannot {doing} ({_cause(number, error)})") from error
        raise CheckpointError(
            f"{path}: cannot {doing}, it is damaged or no run file ({error}); compute again with "
            "--restart"
        ) from error


def _cause(number: int | None, error: BaseException) -> str:
    if number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return (
            f"{os.strerror(number)}; nothing committed is lost: make room and start again, or use "
            "--no-checkpoint"
        )
    if number in _NO_PLACE:
        return f"{os.strerror(number)}; name another file with --checkpoint, or use --no-checkpoint"
    if number:
        return os.strerror(number)
    return f"{error}; it may be damaged: compute again with --restart"


def _errno_in(text: str) -> int | None:
    """The errno in HDF5's message, which h5py does not always pass on as such."""
    _, _, tail = text.partition("errno = ")
    digits = tail.split(",")[0].split(")")[0].strip()
    return int(digits) if digits.isdigit() else None

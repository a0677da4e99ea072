"""Errors of other programs (PySCF, h5py, torch, the system) as errors of dfmp2.

This is the only place that knows which exception has which exit code. Each stage of a calculation
is a block `translated(...)`.
"""

from __future__ import annotations

import errno
import os
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dfmp2.errors import (
    BackendUnavailable,
    DFMP2Error,
    InputError,
    InternalError,
    OutputError,
    ResourceError,
)

__all__ = ["OfTheCaller", "as_dfmp2_error", "translated"]

CAUSE = 300
"""Largest length of the message of another program. Some have many lines."""

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "unable to allocate")
"""What torch, CUDA and NumPy say, in lower case. Not all of them raise a MemoryError."""


_MARK = "of_the_caller_of_dfmp2"


class OfTheCaller:
    """A function of the caller, such as `progress`: its exceptions are never translated.

    Parameters
    ----------
    function : callable
    """

    def __init__(self, function: Callable[..., None]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> None:
        with self:
            self._function(*args)

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            setattr(error, _MARK, True)


@contextmanager
def translated(
    stage: str, wrong_input: str = "", passing: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn an exception of another program into an error of dfmp2. Also a decorator.

    Parameters
    ----------
    stage : str
        What is being done, as in "{stage} failed".
    wrong_input : str
        What to check, where an unknown exception of another program means wrong input.
    passing : tuple of exception types
        Exceptions that are left as they are, beside errors of dfmp2 and warnings.

    Raises
    ------
    DFMP2Error
        As `as_dfmp2_error`, with the exception as its cause.
    """
    kept: tuple[type[Exception], ...] = (DFMP2Error, Warning, *passing)
    try:
        yield
    except kept:
        raise
    except Exception as error:
        if getattr(error, _MARK, False):
            raise
        raise as_dfmp2_error(error, stage, wrong_input) from error


def as_dfmp2_error(error: Exception, stage: str, wrong_input: str = "") -> DFMP2Error:
    """The error of dfmp2 that an exception of another program stands for.

    Parameters
    ----------
    error : Exception
    stage, wrong_input : str
        As for `translated`.

    Returns
    -------
    DFMP2Error
        Of the class `InternalError` if the cause is not known.
    """
    kind = type(error).__name__
    cause = textwrap.shorten(f"{kind}: {error}" if str(error) else kind, CAUSE)
    number = error.errno if isinstance(error, OSError) else None
    says = str(error).lower()
    if (
        isinstance(error, MemoryError)
        or kind == "OutOfMemoryError"  # of torch, which need not be imported
        or number == errno.ENOMEM
        or (isinstance(error, RuntimeError) and any(text in says for text in NO_MEMORY))
    ):
        return ResourceError(
            f"{stage} failed, out of memory ({cause}); set a lower max_memory (--max-memory), end "
            "other programs, or use a smaller basis"
        )
    if isinstance(error, OSError):
        return _of_the_system(error, stage, InputError if wrong_input else OutputError)
    if isinstance(error, ImportError):
        return BackendUnavailable(
            f"{stage} failed, a package is missing or damaged ({cause}); install it again, see "
            "dfmp2 doctor"
        )
    if isinstance(error, UnicodeError):
        return InputError(f"{stage} failed, it is not UTF-8 text ({cause}); save it as UTF-8 text")
    if kind == "LinAlgError":  # of NumPy and SciPy
        return InputError(
            f"{stage} failed in its linear algebra ({cause}); functions of the basis are probably "
            "linearly dependent: check the geometry and the basis"
        )
    if kind == "BasisNotFoundError":  # of PySCF
        return InputError(
            f"{stage} failed ({cause}); name another set (basis, auxbasis, --scf-auxbasis)"
        )
    if wrong_input and not _raised_by_dfmp2(error):
        return InputError(f"{stage} failed ({cause}); {wrong_input}")
    return InternalError(
        f"{stage} failed ({cause}); this is probably a fault of dfmp2: please report it with the "
        "input and the traceback, which the command line prints with --verbose"
    )


def _of_the_system(error: OSError, stage: str, kind: type[DFMP2Error]) -> DFMP2Error:
    name = error.filename if error.filename is not None else ""
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    cause = ": ".join(str(part) for part in (name, error.strerror or error) if str(part))
    folder = os.environ.get("PYSCF_TMPDIR", "")
    if error.errno in NO_SPACE:
        return ResourceError(
            f"{stage} failed, the disk is full ({cause}); free disk space, or set PYSCF_TMPDIR to "
            "another folder for temporary files"
        )
    if folder and str(name).startswith(folder):
        return OutputError(
            f"{stage} failed ({cause}); temporary files go to the folder PYSCF_TMPDIR, {folder}: "
            "make it, or set PYSCF_TMPDIR to another one"
        )
    return kind(f"{stage} failed ({cause}); check that the path exists and may be used")


def _raised_by_dfmp2(error: Exception) -> bool:
    """Whether the exception was raised in a line of dfmp2, not in another program."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return str(module).split(".")[0] == "dfmp2"

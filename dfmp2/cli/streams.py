"""Standard output and standard error, which may be closed, full or the end of a broken pipe.

Results that cannot be printed are an error. Messages that cannot be printed are not: the exit code
and the files of a run still say what happened.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from dfmp2.errors import DFMP2Error, InternalError, OutputError

__all__ = ["echo", "print_error", "print_line", "standard_streams", "want_tracebacks"]

_VERBOSE = "dfmp2.verbose"


def echo(text: str, nl: bool = True) -> None:
    """Print to standard output.

    Parameters
    ----------
    text : str
        Characters that the output cannot encode are escaped.
    nl : bool
        End with a line break.

    Raises
    ------
    OutputError
        If the text cannot be written.
    """
    try:
        if sys.stdout is None:
            raise OSError(None, "it is closed")
        encoding = sys.stdout.encoding or "utf-8"
        click.echo(text.encode(encoding, "backslashreplace").decode(encoding), nl=nl)
    except (OSError, ValueError) as error:  # ValueError: closed by a caller in this process
        cause = getattr(error, "strerror", None) or error
        raise OutputError(
            f"standard output cannot be written ({cause}), so results are not shown; dfmp2 show "
            "prints those in run files and JSON files"
        ) from error


def print_line(text: str) -> None:
    """Print one line to standard error, if that is possible."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # AttributeError: it is None
        sys.stderr.write(text + "\n")


def want_tracebacks(context: click.Context, wanted: bool) -> None:
    """Note whether faults of dfmp2 are printed with their traceback (``--verbose``)."""
    context.meta[_VERBOSE] = wanted


def print_error(error: DFMP2Error, name: str = "") -> None:
    """Print an error, or only the traceback of a fault of dfmp2.

    Parameters
    ----------
    error : DFMP2Error
    name : str
        Molecule that it belongs to. Without a name, click prints the line itself.
    """
    context = click.get_current_context(silent=True)
    if isinstance(error, InternalError) and context is not None and context.meta.get(_VERBOSE):
        print_line("".join(traceback.format_exception(error)).rstrip())
    if name:
        print_line(f"Error: {name}: {error}")


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Let a command run although a standard stream is closed, and let the process end in silence.

    A file that is opened while a standard stream is closed would get its number. What a library
    prints would then be written into this file, so the number is occupied first.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    before = sys.stdin, sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        if sys.stdin is None:
            sys.stdin = stack.enter_context(Path(os.devnull).open(encoding="utf-8"))
        if sys.stderr is None:
            sys.stderr = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        try:
            yield
        finally:
            sys.stdin, sys.stdout, sys.stderr = before  # click may have replaced them
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    _settle(stream)


def _settle(stream: TextIO) -> None:
    """Discard what cannot be written. Python would print a traceback about it as it ends."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
    except ValueError:
        pass  # closed by a caller

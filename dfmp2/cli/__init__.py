"""The command line: ``dfmp2`` and ``python -m dfmp2``.

Arguments come in. Tables and JSON on stdout, messages on stderr, figures and an exit code go out.
Each command has a module of its own, which is imported when the command runs. So ``--help`` needs
neither torch nor PySCF. Only this module turns an error into a line and an exit code.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from dfmp2 import __version__
from dfmp2.cli.repeated import refuse_contradictions
from dfmp2.cli.streams import print_error, standard_streams, want_tracebacks
from dfmp2.errors import BackendUnavailable, DFMP2Error, OutputError
from dfmp2.foreign_errors import translated

__all__ = ["main"]

COMMANDS = {
    "run": "Compute RI-MP2 energies of molecules.",
    "gradient": "Compute nuclear gradients of molecules.",
    "optimize": "Optimise the geometry of a molecule.",
    "resume": "Continue a run from its run file.",
    "plan": "Show what a run needs, without doing it.",
    "show": "Print stored results and run files.",
    "validate": "Compare energies with PySCF's.",
    "doctor": "Check what this machine can do, with remedies.",
    "bench": "Time dfmp2 beside other programs.",
    "kernels": "Show what the NKI kernels were validated on.",
}

EPILOG = """\b
Exit codes:
  0  success                     4  SCF not converged
  2  wrong input or option       5  memory or disk too small
  3  validation failed
  6  result, run file or output file unusable
  7  backend, device or peer program unavailable
  8  some of several molecules failed, the others were computed
  70  a fault of dfmp2 itself: please report it with the output of --verbose
  130  interrupted (SIGINT, SIGTERM)
"""


class _Commands(click.Group):
    """Loads a command by its name. Reports an error as a line with its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"dfmp2.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            refuse_contradictions(command, rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **kwargs)
        with standard_streams():
            sys.exit(_exit_code(lambda: run(*args, standalone_mode=False, **kwargs)))

    def invoke(self, ctx: click.Context) -> Any:
        want_tracebacks(ctx, "--verbose" in ctx.args)
        try:
            with _alone(), _stoppable(), translated("this command", passing=CLICK):
                _require_folder()
                _require_docstrings()
                return super().invoke(ctx)
        except DFMP2Error as error:
            print_error(error)
            raise _Reported(str(error), error.exit_code) from error
        except KeyboardInterrupt as error:
            raise _Reported(
                "interrupted; run the same command again: it continues from its run file, if there "
                "is one",
                130,
            ) from error


CLICK = (click.ClickException, click.exceptions.Exit, click.Abort)
"""What click raises to print a message or to end a command."""


def _require_folder() -> None:
    """Refuse to work in a folder that was deleted. Libraries end the process there (oneMKL)."""
    try:
        Path.cwd()
    except OSError as error:
        raise OutputError(
            f"the current folder cannot be used ({error.strerror}); was it deleted? Change to "
            "another folder"
        ) from error


def _require_docstrings() -> None:
    """Refuse to work where Python removes docstrings: PySCF fails without them."""
    if sys.flags.optimize > 1:
        raise BackendUnavailable(
            "Python removes docstrings (-OO or PYTHONOPTIMIZE=2), and PySCF cannot be imported "
            "without them; unset PYTHONOPTIMIZE, or set it to 1"
        )


def _exit_code(command: Callable[[], int | None]) -> int:
    """Run a command and print what went wrong. click does so, but fails with its streams."""
    try:
        return command() or 0
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return error.exit_code
    except click.Abort:  # an interrupt before the command began
        return 130
    except (OSError, SystemExit):  # a help text that cannot be printed
        return OutputError.exit_code


THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables that ``--threads`` sets."""

_lock = threading.RLock()


@contextmanager
def _alone() -> Iterator[None]:
    """Leave a process as it was that runs commands in it, also in several threads.

    Commands exchange the warning filters. Two at a time would restore those of each other.
    """
    with _lock:
        before = {name: os.environ.get(name) for name in THREADS}
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM stop a run as Ctrl-C does, so that it commits to its run file first.

    Batch systems and cloud machines send SIGTERM before they end a process.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield  # only the main thread may set handlers; one that is not of Python cannot be restored
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Reported(click.ClickException):
    """One line on stderr, and an exit code."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(" ".join(message.split()))
        self.code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self.code


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="dfmp2")
def main() -> None:
    """Density-fitted (RI) MP2 energies of molecules. PySCF makes the SCF and the integrals.

    \b
    dfmp2 run inputs/water.xyz --basis cc-pvdz
    """

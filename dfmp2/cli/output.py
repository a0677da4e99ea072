"""The results of a command: tables on stdout, JSON where ``--json`` sends it."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dfmp2.cli.streams import echo, print_line
from dfmp2.errors import InputError, OutputError
from dfmp2.runfile.opening import SUFFIX

if TYPE_CHECKING:
    from dfmp2.interfaces.validation import Comparison
    from dfmp2.workflow.jobs import Done
    from dfmp2.workflow.time_forecast import TimeForecast

__all__ = ["JsonOutput", "compare_done", "report_done"]


class JsonOutput:
    """Where the tables and the JSON of a command go; a context manager.

    A table comes first, so that a JSON file that cannot be written costs no energy. A regular file
    is replaced after every result, so it is complete at any time. If stdout fails, the rest is
    computed without it, and the error is raised at the end.

    Parameters
    ----------
    target : str or None
        A path, "-" for stdout, or None for no JSON.
    inputs : iterable of str or None
        Files of the command, which the JSON must not replace.

    Raises
    ------
    InputError
        If the target is one of the inputs, or a run file or chkfile.
    OutputError
        If the file cannot be written. This is checked here, before any calculation.
    """

    def __init__(self, target: str | None, inputs: Iterable[str | None] = ()) -> None:
        self._target = target
        self._items: list[dict[str, Any]] = []
        self._stream = False
        self._lost: OutputError | None = None
        if target is None or target == "-":
            return
        self._path = Path(target)
        try:
            _refuse_input(self._path, [name for name in inputs if name])
            mode = self._path.stat().st_mode if self._path.exists() else None
            # A device or a pipe (/dev/stdout) is written to once, at the end, and never replaced.
            self._stream = mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
            if mode is not None and stat.S_ISFIFO(mode):
                return  # who reads a pipe would see its end if it were opened and closed now
            with self._path.open("a", encoding="utf-8"):
                pass
            if mode is None:
                self._path.unlink()
            if not self._stream:
                self._path = self._path.resolve()
                self._draft.touch()
                self._draft.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> JsonOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            self._close()
            if self._lost is not None:
                raise self._lost
        except OutputError as also:
            if error is None:
                raise
            print_line(f"Error: {also}")  # the first error is the one that is raised

    def echo(self, text: str) -> None:
        """Print a table, unless the JSON goes to stdout."""
        if self._target == "-" or self._lost is not None:
            return
        try:
            echo(text)
        except OutputError as error:
            self._lost = error

    def add(self, item: dict[str, Any]) -> None:
        """Add one finished result, and replace the file."""
        self._items.append(item)
        if self._target in (None, "-") or self._stream:
            return
        try:
            self._draft.write_text(self._text(), encoding="utf-8")
            self._draft.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._draft.unlink()
            raise self._unwritable(error) from error

    def _close(self) -> None:
        """Write to stdout, a device or a pipe, which take the JSON once."""
        if self._target == "-" and self._items:
            echo(self._text(), nl=False)
        elif self._stream and self._items:
            try:
                self._path.write_text(self._text(), encoding="utf-8")
            except OSError as error:
                raise self._unwritable(error) from error

    @property
    def _draft(self) -> Path:
        # A short name: the target's own may be as long as the file system allows.
        return self._path.with_name(
            f".dfmp2-{os.getpid()}-{zlib.crc32(os.fsencode(self._path.name))}.tmp"
        )

    def _text(self) -> str:
        content: Any = self._items[0] if len(self._items) == 1 else self._items
        return json.dumps(content, indent=1) + "\n"

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._target}: cannot be written ({error.strerror}); name another file for --json"
        )


def _refuse_input(target: Path, inputs: list[str]) -> None:
    import h5py

    for name in inputs:
        path = Path(name)
        same = target.exists() and path.exists() and target.samefile(path)
        if same or target.resolve() == path.resolve():  # a run file may not exist yet
            raise InputError(
                f"--json {target} would replace {name}, another file of this command; name another "
                "one"
            )
    if str(target).endswith(SUFFIX) or (target.is_file() and h5py.is_hdf5(os.fspath(target))):
        raise InputError(
            f"--json {target} is the name of a run file or chkfile; name another file, such as "
            f"{target.stem.split('.')[0]}.json"
        )


def report_done(
    done: Done, output: JsonOutput, verbose: bool, expected: TimeForecast | None = None
) -> None:
    """Print the table of a finished job and add it to the JSON.

    Parameters
    ----------
    done : Done
    output : JsonOutput
    verbose : bool
        Also list the operations.
    expected : TimeForecast, optional
        Printed beside the measured times.
    """
    from dfmp2.cli.table import operations_text, summary

    origin = done.result.read_from or ""
    output.echo(summary(done.result, origin, done.scf_seconds, None if origin else expected))
    if verbose:
        output.echo(operations_text(done.result))
    output.add(done.result.to_qcschema())


def compare_done(
    done: Done, tolerance: float | None, exact: bool, output: JsonOutput
) -> Comparison:
    """Compare a finished job with PySCF and print the comparison.

    Parameters
    ----------
    done : Done
    tolerance : float or None
        Largest acceptable difference in Eh; None for the default of the result's precision.
    exact : bool
        Also compute the MP2 energy without density fitting.
    output : JsonOutput
    """
    from dfmp2.cli.table import comparison_text
    from dfmp2.interfaces.validation import compare, default_tolerance

    limit = default_tolerance(done.result) if tolerance is None else tolerance
    comparison = compare(done.solution, done.result, limit, exact)
    output.echo(comparison_text(comparison))
    return comparison

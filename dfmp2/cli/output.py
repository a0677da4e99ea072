"""The results of a command: tables on stdout, JSON where ``--json`` sends it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfmp2.errors import OutputError

if TYPE_CHECKING:
    from dfmp2.interfaces.validation import Comparison
    from dfmp2.workflow.jobs import Done

__all__ = ["JsonOutput", "compare_done", "report_done"]


class JsonOutput:
    """The target of ``--json``.

    A regular file is replaced after every result, so it is complete at any time.

    Parameters
    ----------
    target : str or None
        A path, "-" for stdout, or None for no JSON.

    Raises
    ------
    OutputError
        If the file cannot be written. This is checked here, before any calculation.
    """

    def __init__(self, target: str | None) -> None:
        self._target = target
        self._items: list[dict[str, Any]] = []
        self._stream = False
        if target in (None, "-"):
            return
        self._path = Path(target)
        # A device or a pipe (/dev/stdout) is written to once, at the end, and never replaced.
        self._stream = self._path.exists() and not (self._path.is_file() or self._path.is_dir())
        try:
            existed = self._path.exists()
            with self._path.open("a", encoding="utf-8"):
                pass
            if not existed:
                self._path.unlink()
            if not self._stream:
                self._path = self._path.resolve()
                self._draft.touch()
                self._draft.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def echo(self, text: str) -> None:
        """Print a table, unless the JSON goes to stdout."""
        if self._target != "-":
            click.echo(text)

    def add(self, item: dict[str, Any]) -> None:
        """Add one finished result, and replace the file."""
        self._items.append(item)
        if self._target in (None, "-") or self._stream:
            return
        try:
            self._draft.write_text(self._text(), encoding="utf-8")
            self._draft.replace(self._path)
        except OSError as error:
            self._draft.unlink(missing_ok=True)
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Write to stdout, a device or a pipe, which take the JSON once."""
        if self._target == "-" and self._items:
            click.echo(self._text(), nl=False)
        elif self._stream and self._items:
            try:
                self._path.write_text(self._text(), encoding="utf-8")
            except OSError as error:
                raise self._unwritable(error) from error

    @property
    def _draft(self) -> Path:
        return self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")

    def _text(self) -> str:
        content: Any = self._items[0] if len(self._items) == 1 else self._items
        return json.dumps(content, indent=1) + "\n"

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._target}: cannot be written ({error.strerror}); name another file for --json"
        )


def report_done(done: Done, output: JsonOutput, verbose: bool) -> None:
    """Print the table of a finished job and add it to the JSON."""
    from dfmp2.cli.table import operations_text, summary

    output.add(done.result.to_qcschema())
    output.echo(summary(done.result, origin=done.result.read_from or ""))
    if verbose:
        output.echo(operations_text(done.result))


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

"""Where JSON goes: checked before the work, replaced as a whole after it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfmp2.errors import CheckpointError

if TYPE_CHECKING:
    from dfmp2.interfaces.validation import Comparison
    from dfmp2.workflow.jobs import Done

__all__ = ["JsonOutput", "compare_done", "report_done"]


class JsonOutput:
    """The target of ``--json``.

    Parameters
    ----------
    target : str or None
        A path, "-" for stdout, or None for nowhere.

    Raises
    ------
    CheckpointError
        If the file cannot be written: found here, before any work.
    """

    def __init__(self, target: str | None) -> None:
        self._target = target
        self._items: list[dict[str, Any]] = []
        self._stream = False
        if target in (None, "-"):
            return
        self._path = Path(target)
        # A device or a pipe (/dev/stdout) is written to at the end, never replaced.
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
            raise CheckpointError(
                f"{target}: cannot be written ({error.strerror}); name another file for --json"
            ) from error

    def echo(self, text: str) -> None:
        """Print a table, unless stdout carries the JSON."""
        if self._target != "-":
            click.echo(text)

    def add(self, item: dict[str, Any]) -> None:
        """Take one finished result; a file holds all results so far after every call."""
        self._items.append(item)
        if self._target in (None, "-") or self._stream:
            return
        try:
            self._draft.write_text(self._text(), encoding="utf-8")
            self._draft.replace(self._path)
        except OSError as error:
            self._draft.unlink(missing_ok=True)
            raise CheckpointError(
                f"{self._target}: cannot be written ({error.strerror})"
            ) from error

    def close(self) -> None:
        """Write to stdout, where that was asked for."""
        if self._target == "-" and self._items:
            click.echo(self._text(), nl=False)
        elif self._stream and self._items:
            with self._path.open("w", encoding="utf-8") as stream:
                stream.write(self._text())

    @property
    def _draft(self) -> Path:
        return self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")

    def _text(self) -> str:
        content: Any = self._items[0] if len(self._items) == 1 else self._items
        return json.dumps(content, indent=1) + "\n"


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
    """Compare a finished job with PySCF and print the comparison."""
    from dfmp2.cli.table import comparison_text
    from dfmp2.interfaces.validation import compare, default_tolerance

    limit = default_tolerance(done.result) if tolerance is None else tolerance
    comparison = compare(done.solution, done.result, limit, exact)
    output.echo(comparison_text(comparison))
    return comparison

"""Progress on stderr: a bar with the time left on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Reporter", "reporting"]


class Reporter:
    """Shows which molecule and stage is at work.

    Parameters
    ----------
    bar : rich.progress.Progress or None
        None writes plain lines.
    quiet : bool
        Show nothing.
    """

    def __init__(self, bar: Any, quiet: bool) -> None:
        self._bar, self._quiet = bar, quiet
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, float] = {}
        self._name = ""

    def start(self, name: str) -> None:
        """Begin a molecule: its SCF comes first."""
        self._name = name
        self._tasks.clear()
        self._started.clear()
        self("SCF", 0, 1)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """One step of a stage; the signature of `dfmp2.tensors.build.Progress`."""
        if self._quiet:
            return
        label = f"{self._name}: {stage}"
        start = self._started.setdefault(stage, time.perf_counter())
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(label, total=total)
            self._bar.update(self._tasks[stage], completed=done)
        elif done == total:
            print_line(f"{label} done after {time.perf_counter() - start:.1f} s")


def print_line(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(text + "\n")


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter]:
    """A `Reporter` for the terminal at hand."""
    if quiet or not sys.stderr.isatty():
        yield Reporter(None, quiet)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Reporter(bar, quiet)

"""Progress on stderr: on a terminal a bar with the remaining time, otherwise one line per stage."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dfmp2.cli.streams import print_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dfmp2.references.converge import ScfStep

__all__ = ["Reporter", "reporting"]


SHORT = 1.0
"""Seconds. The iterations of a shorter SCF are not listed."""


class Reporter:
    """Shows the current molecule and stage.

    Parameters
    ----------
    bar : rich.progress.Progress or None
        None for plain lines.
    quiet : bool
        Show nothing.
    """

    def __init__(self, bar: Progress | None, quiet: bool) -> None:
        self._bar, self._quiet = bar, quiet
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._name = ""

    def start(self, name: str) -> None:
        """Start the progress of a molecule with its SCF.

        Parameters
        ----------
        name : str
            Name of the molecule.
        """
        self._name = name
        self._tasks.clear()
        self._started.clear()
        self("SCF", 0, 1)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show a step of a stage. The signature is `dfmp2.tensors.problem.Progress`.

        Parameters
        ----------
        stage : str
        done, total : int
            Number of finished steps, and of all steps.
        """
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

    def iteration(self, step: ScfStep) -> None:
        """Show an iteration of the SCF: on a terminal each one, otherwise those that take long.

        Parameters
        ----------
        step : ScfStep
        """
        kind = "exact" if step.exact else "fitted"
        text = (
            f"{self._name}: SCF, {kind} iteration {step.number}: E = {step.energy:.8f} Eh, "
            f"gradient {step.gradient:.1e} Eh"
        )
        now = time.perf_counter()
        start = self._started.setdefault("SCF", now)
        if self._bar is not None:
            if "SCF" in self._tasks:
                self._bar.update(self._tasks["SCF"], description=text)
        elif step.exact and not self._quiet and now - start > SHORT:
            print_line(f"{text}, {now - start:.1f} s")


@contextmanager
def reporting(quiet: bool) -> Iterator[Reporter]:
    """Make a `Reporter`, with a bar if stderr is a terminal.

    Parameters
    ----------
    quiet : bool
        Show nothing.
    """
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

"""Code that several commands use: settings from options, reading of molecules, a loop over them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from dfmp2.cli.progress import Reporter, print_line, reporting
from dfmp2.errors import DFMP2Error, DFMP2Warning, InputError
from dfmp2.settings import Settings

if TYPE_CHECKING:
    from dfmp2.workflow.jobs import Job, PlannedJob
    from dfmp2.workflow.prepare import Choice, Forecast

__all__ = ["for_each", "forecasts", "plan_jobs", "read_molecules", "settings_of"]

J = TypeVar("J", bound="Job")


def settings_of(options: dict[str, Any]) -> Settings:
    """Turn the options of a command into settings.

    Parameters
    ----------
    options : dict
        Values by the names of the click options.

    Returns
    -------
    Settings

    Raises
    ------
    InputError
        If a value is not understood, or two options contradict each other.
    """
    from dfmp2.molecules.basis import parse_basis
    from dfmp2.references.frozen import parse_frozen

    keep = not options.get("no_checkpoint", False)
    checkpoint, molecules = options.get("checkpoint"), options["molecules"]
    if not keep and (checkpoint is not None or options["restart"]):
        raise InputError("--no-checkpoint contradicts --checkpoint and --restart; leave one out")
    if checkpoint is not None and len(molecules) > 1:
        raise InputError(
            f"--checkpoint {checkpoint} is one run file, but there are {len(molecules)} molecules; "
            "leave it out, so that each molecule has its own run file"
        )
    bases = {name: parse_basis(options.get(name)) for name in ("basis", "scf_auxbasis", "auxbasis")}
    frozen = parse_frozen(options["frozen"])
    return Settings.chosen({**options, **bases, "frozen": frozen, "keep": keep})


def read_molecules(molecules: tuple[str, ...], settings: Settings) -> list[Job]:
    """Read every molecule of a command.

    Parameters
    ----------
    molecules : tuple of str
        Arguments of the command.
    settings : Settings

    Returns
    -------
    list of Job

    Raises
    ------
    InputError
        If an argument cannot be used.
    """
    from dfmp2.workflow.jobs import read_jobs

    return [job for molecule in molecules for job in read_jobs(molecule, settings)]


def forecasts(
    jobs: Sequence[Job], choice: Choice | None, disk: bool = False
) -> list[tuple[Job, Forecast]]:
    """Forecast every job, and print its warnings.

    Parameters
    ----------
    jobs : sequence of Job
    choice : Choice or None
        The chosen backend. None if it is not available on this machine.
    disk : bool
        Whether the disk must be large enough for the run files.

    Returns
    -------
    list of tuple (Job, Forecast)

    Raises
    ------
    ResourceError
        If memory or disk is too small.
    """
    from dfmp2.workflow.jobs import forecast_job, require_disk

    found = []
    for job in jobs:
        with _warnings_printed(job.name):
            known = forecast_job(job, choice)
        if disk:
            require_disk(known.plan, job.settings)
        found.append((job, known))
    return found


def plan_jobs(jobs: Sequence[Job], choice: Choice, disk: bool = False) -> list[PlannedJob]:
    """Add the backend and the forecast to each job. The parameters are those of `forecasts`."""
    from dfmp2.workflow.jobs import PlannedJob

    return [PlannedJob.of(job, choice, known) for job, known in forecasts(jobs, choice, disk)]


@contextmanager
def _warnings_printed(name: str) -> Iterator[None]:
    """Print the warnings of dfmp2 on stderr at the end, one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DFMP2Warning)
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, DFMP2Warning):
                    print_line(f"Warning: {name}: {warning.message}")


def for_each(jobs: Sequence[J], quiet: bool, work: Callable[[J, Reporter], None]) -> None:
    """Do `work` for every job. If one fails, the others are still done.

    Parameters
    ----------
    jobs : sequence of Job
    quiet : bool
        Show no progress.
    work : callable
        Called as work(job, reporter).

    Raises
    ------
    DFMP2Error
        If a job failed, after all jobs. Its class is that of the first error.
    """
    failures: list[DFMP2Error] = []
    with reporting(quiet) as report:
        for job in jobs:
            started = time.perf_counter()
            with _warnings_printed(job.name):
                try:
                    report.start(job.name)
                    work(job, report)
                except DFMP2Error as error:
                    failures.append(error)
                    if len(jobs) > 1:
                        print_line(f"Error: {job.name}: {error}")
            if not quiet:
                print_line(f"{job.name}: {time.perf_counter() - started:.1f} s, SCF included")
    if len(failures) == 1 == len(jobs):
        raise failures[0]
    if failures:
        raise type(failures[0])(f"{len(failures)} of {len(jobs)} molecules failed; see above")

"""What the commands share: settings from options, reading molecules, taking them in turn."""

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
    """The settings that the options of a command stand for.

    Raises
    ------
    InputError
        For a value that is not understood, or options that contradict each other.
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
            "leave it out, and each gets its own"
        )
    bases = {name: parse_basis(options.get(name)) for name in ("basis", "scf_auxbasis", "auxbasis")}
    frozen = parse_frozen(options["frozen"])
    return Settings.chosen({**options, **bases, "frozen": frozen, "keep": keep})


def read_molecules(molecules: tuple[str, ...], settings: Settings) -> list[Job]:
    """Read every molecule of a command.

    Raises
    ------
    InputError
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
        The backend; None where it is not on this machine.
    disk : bool
        The disk must hold the run files, too.
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
    """The jobs with their backend and forecasts; parameters as of `forecasts`."""
    from dfmp2.workflow.jobs import PlannedJob

    return [PlannedJob.of(job, choice, known) for job, known in forecasts(jobs, choice, disk)]


@contextmanager
def _warnings_printed(name: str) -> Iterator[None]:
    """Print the warnings of dfmp2 as lines on stderr at the end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DFMP2Warning)
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, DFMP2Warning):
                    print_line(f"Warning: {name}: {warning.message}")


def for_each(jobs: Sequence[J], quiet: bool, work: Callable[[J, Reporter], None]) -> None:
    """Do `work` for every job; one that fails does not cost the others their results.

    Raises
    ------
    DFMP2Error
        The first error, after all jobs had their turn.
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

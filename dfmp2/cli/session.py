"""Code that several commands use: settings from options, reading of molecules, a loop over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dfmp2.cli.progress import Reporter, print_line, reporting
from dfmp2.errors import DFMP2Error, InputError
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
    by_element = {"basis", "scf_auxbasis", "auxbasis", "ecp"} & set(options)
    bases: dict[str, Any] = {name: parse_basis(options[name]) for name in by_element}
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
    from dfmp2.composite.many import in_turn
    from dfmp2.workflow.jobs import forecast_job, require_disk

    found: list[tuple[Job, Forecast]] = []

    def work(job: Job) -> None:
        known = forecast_job(job, choice)
        if disk:
            require_disk(known.plan, job.settings)
        found.append((job, known))

    for turn in in_turn(jobs, work):
        for text in turn.warnings:
            print_line(f"Warning: {turn.item.name}: {text}")
        if turn.error is not None:
            raise turn.error
    return found


def plan_jobs(jobs: Sequence[Job], choice: Choice, disk: bool = False) -> list[PlannedJob]:
    """Add the backend and the forecast to each job. The parameters are those of `forecasts`."""
    from dfmp2.workflow.jobs import PlannedJob

    return [PlannedJob.of(job, choice, known) for job, known in forecasts(jobs, choice, disk)]


def for_each(jobs: Sequence[J], quiet: bool, work: Callable[[J, Reporter], None]) -> None:
    """Do `work` for every job, with progress, warnings and errors on stderr.

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
    from dfmp2.composite.many import in_turn, raise_failures

    failures: list[DFMP2Error] = []
    with reporting(quiet) as report:

        def start_and_work(job: J) -> None:
            report.start(job.name)
            work(job, report)

        for turn in in_turn(jobs, start_and_work):
            name = turn.item.name
            if turn.error is not None:
                failures.append(turn.error)
                if len(jobs) > 1:
                    print_line(f"Error: {name}: {turn.error}")
            for text in turn.warnings:
                print_line(f"Warning: {name}: {text}")
            if not quiet:
                print_line(f"{name}: {turn.seconds:.1f} s, SCF included")
    raise_failures(failures, len(jobs))

"""What the commands share: settings from options, reading molecules, taking them in turn."""

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
    """The jobs with their backend and forecasts; parameters as of `forecasts`."""
    from dfmp2.workflow.jobs import PlannedJob

    return [PlannedJob.of(job, choice, known) for job, known in forecasts(jobs, choice, disk)]


def for_each(jobs: Sequence[J], quiet: bool, work: Callable[[J, Reporter], None]) -> None:
    """Do `work` for every job, with progress, warnings and errors on stderr.

    Raises
    ------
    DFMP2Error
        After all jobs had their turn, if one failed.
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

"""Code that several commands use: settings from options, reading of molecules, a loop over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dfmp2.cli.progress import Reporter, reporting
from dfmp2.cli.streams import print_error, print_line
from dfmp2.cli.warned import printing_warnings
from dfmp2.errors import CheckpointError, DFMP2Error, InputError
from dfmp2.foreign_errors import translated
from dfmp2.settings import Settings

if TYPE_CHECKING:
    from dfmp2.workflow.jobs import Job, PlannedJob
    from dfmp2.workflow.prepare import Choice

__all__ = [
    "RefusedJob",
    "files_of",
    "for_each",
    "plan_jobs",
    "read_molecules",
    "require_method",
    "require_used",
    "settings_of",
]


COMMANDLINE = ParameterSource.COMMANDLINE


@dataclass(frozen=True, eq=False)
class RefusedJob:
    """A molecule that cannot be computed, found before any SCF.

    Attributes
    ----------
    name : str
    error : DFMP2Error
    """

    name: str
    error: DFMP2Error


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
    from dfmp2.references.double_hybrids import double_hybrid
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
    algorithm = options.get("scf_algorithm", "fitted")
    if options.get("density_fit") and algorithm != "fitted" and "scf_algorithm" in _given():
        raise InputError(
            f"--density-fit contradicts --scf-algorithm {algorithm}, which has exact integrals; "
            "leave one out"
        )
    by_element = {"basis", "scf_auxbasis", "auxbasis", "ecp"} & set(options)
    bases: dict[str, Any] = {name: parse_basis(options[name]) for name in by_element}
    frozen, xc = parse_frozen(options["frozen"]), options.get("xc")
    if xc is not None:
        xc = double_hybrid(xc).name
    elif {"grid", "dispersion"} & _given():
        raise InputError("--grid and --no-dispersion are for the double hybrid of --xc; add --xc")
    chosen = {**options, **bases, "frozen": frozen, "keep": keep, "xc": xc}
    return Settings.chosen({**chosen, "scale": _scale(options)})


def _scale(options: dict[str, Any]) -> tuple[float, float] | None:
    """Weights of opposite and same spin. One that is not given is 1."""
    given = [options.get(name) for name in ("scale_os", "scale_ss")]
    if given == [None, None]:
        return None
    opposite, same = (1.0 if value is None else float(value) for value in given)
    return opposite, same


def require_method(method: str | None, settings: Settings) -> None:
    """Refuse a method that the calculation has no energy of, before its SCF.

    Raises
    ------
    InputError
    """
    from dfmp2.results.variants import method_weights

    known = method_weights(settings.kappa, settings.scale)
    if method is not None and method not in known:
        raise InputError(f"--method {method} is unknown; choose one of {', '.join(known)}")


def require_used(tolerance: float | None, validates: bool) -> None:
    """Refuse a tolerance without a comparison, which would look like a check.

    Raises
    ------
    InputError
    """
    if tolerance is not None and not validates:
        raise InputError("--tolerance is for --validate and --validate-exact; add one of them")


def files_of(options: dict[str, Any]) -> list[str | None]:
    """Files that the options of a command may name: molecules, run file, bases and potentials."""
    sets = [options.get(name) or "" for name in ("basis", "auxbasis", "scf_auxbasis", "ecp")]
    parts = [part.rpartition("=")[2].strip() for text in sets for part in text.split(",")]
    return [*options["molecules"], options.get("checkpoint"), *parts]


def read_molecules(
    molecules: tuple[str, ...], settings: Settings, results: bool = False
) -> list[Job]:
    """Read every molecule of a command.

    Parameters
    ----------
    molecules : tuple of str
        Arguments of the command.
    settings : Settings
    results : bool
        Whether the command takes results of dfmp2, too.

    Returns
    -------
    list of Job

    Raises
    ------
    InputError
        If an argument cannot be used.
    """
    from dfmp2.molecules.files import molecule_name, read_geometry
    from dfmp2.workflow.jobs import StoredJob
    from dfmp2.workflow.reading import read_jobs

    given = _given()
    jobs: list[Job] = []
    for molecule in molecules:
        advice = "check the geometry, the charge and the basis"
        with (
            printing_warnings(molecule_name(molecule)),
            translated(f"{molecule}: reading the molecule", advice),
        ):
            try:
                found = read_jobs(molecule, settings, given)
            except CheckpointError:
                if not results and molecule.lower().endswith(".json"):
                    read_geometry(molecule)  # says what is wrong with it as an input
                raise
        if not results and any(isinstance(job, StoredJob) for job in found):
            raise InputError(
                f"{molecule}: is a result, which dfmp2 show prints and dfmp2 validate compares; "
                "give the geometry or a chkfile"
            )
        jobs += found
    return jobs


def _given() -> frozenset[str]:
    """Names of the options that stand on the command line."""
    context = click.get_current_context()
    names = (str(parameter.name) for parameter in context.command.params)
    return frozenset(n for n in names if context.get_parameter_source(n) is COMMANDLINE)


def plan_jobs(
    jobs: Sequence[Job], choice: Choice, disk: bool = False, derivatives: bool = False
) -> list[PlannedJob | RefusedJob]:
    """Add the backend and the forecast to each job, and print the warnings of the forecast.

    Parameters
    ----------
    jobs : sequence of Job
    choice : Choice
        The chosen backend.
    disk : bool
        Whether the disk must be large enough for the run files.
    derivatives : bool
        Whether gradients or densities will be computed.

    Returns
    -------
    list of PlannedJob and RefusedJob
        For `for_each`, which reports those that are refused.
    """
    from dfmp2.composite.many import in_turn
    from dfmp2.workflow.derivatives import require_derivatives
    from dfmp2.workflow.jobs import PlannedJob, forecast_job, require_disk

    planned: list[PlannedJob | RefusedJob] = []

    def work(job: Job) -> None:
        known = forecast_job(job, choice)
        if derivatives:
            require_derivatives(job, known)
        if disk:
            require_disk(known.plan, job.settings)
        planned.append(PlannedJob.of(job, choice, known))

    for turn in in_turn(jobs, work):
        for text in turn.warnings:
            print_line(f"Warning: {turn.item.name}: {text}")
        if turn.error is not None:
            planned.append(RefusedJob(turn.item.name, turn.error))
    return planned


def for_each(
    jobs: Sequence[Job | RefusedJob], quiet: bool, work: Callable[[Any, Reporter], None]
) -> None:
    """Do `work` for every job, with progress, warnings and errors on stderr.

    Parameters
    ----------
    jobs : sequence of Job and RefusedJob
        Those that are refused are reported first.
    quiet : bool
        Show no progress.
    work : callable
        Called as work(job, reporter).

    Raises
    ------
    DFMP2Error
        The error of the job, if there is one job.
    SomeFailedError
        After all jobs, if one or more of several failed.
    """
    from dfmp2.composite.many import in_turn, raise_failures

    turns = []
    with reporting(quiet) as report:

        def start_and_work(job: Job | RefusedJob) -> None:
            if isinstance(job, RefusedJob):
                raise job.error
            report.start(job.name)
            work(job, report)

        for turn in in_turn(sorted(jobs, key=_is_accepted), start_and_work):
            turns.append(turn)
            name = turn.item.name
            for text in turn.warnings:
                print_line(f"Warning: {name}: {text}")
            if turn.error is not None:
                if len(jobs) > 1:
                    print_error(turn.error, name)
            elif not quiet:
                print_line(f"{name}: {turn.seconds:.1f} s, SCF included")
    raise_failures(turns)


def _is_accepted(job: Job | RefusedJob) -> bool:
    return not isinstance(job, RefusedJob)

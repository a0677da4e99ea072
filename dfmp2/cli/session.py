"""What ``run``, ``plan`` and ``validate`` share: reading molecules and taking them in turn."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dfmp2.cli.progress import Reporter, print_line, reporting
from dfmp2.errors import DFMP2Error, DFMP2Warning, InputError

if TYPE_CHECKING:
    from dfmp2.workflow.jobs import Calculation, Job
    from dfmp2.workflow.kept import Keep

__all__ = ["for_each", "keep_of", "read_jobs"]


def read_jobs(
    molecules: tuple[str, ...], options: dict[str, Any], keep: Keep | None = None
) -> tuple[list[Job], Calculation]:
    """Read every molecule and check what can be checked before any work.

    Parameters
    ----------
    molecules : tuple of str
        Arguments of the command.
    options : dict
        Values of `molecule_options` and `calculation_options`, by name.
    keep : Keep, optional
        The disk must hold the run files, too.
    """
    from dfmp2.workflow.jobs import Calculation, JobOptions, parse_basis, parse_frozen, prepare
    from dfmp2.workflow.kept import check_disk

    def chosen(names: tuple[str, ...]) -> dict[str, Any]:
        return {name: options[name] for name in names}

    job_options = JobOptions(
        basis=parse_basis(options["basis"]),
        scf_auxbasis=parse_basis(options.get("scf_auxbasis")),
        **chosen(("charge", "spin", "ecp", "reference", "density_fit", "conv_tol", "max_cycle")),
    )
    calculation = Calculation(
        auxbasis=parse_basis(options["auxbasis"]),
        frozen=parse_frozen(options["frozen"]),
        integrals=options.get("integrals", "auto"),
        **chosen(("max_memory", "backend", "device", "precision", "accuracy", "fused")),
    )
    jobs = [job for molecule in molecules for job in prepare(molecule, job_options)]
    for job in jobs:
        plan, _ = job.forecast(calculation)
        if keep is not None:
            check_disk(plan, keep)
    return jobs, calculation


def keep_of(
    molecules: tuple[str, ...],
    checkpoint: str | None,
    no_checkpoint: bool,
    restart: bool,
    checkpoint_interval: float = 30.0,
) -> Keep:
    """How the runs are kept, from the values of `checkpoint_options`."""
    from dfmp2.workflow.kept import Keep

    if no_checkpoint and (checkpoint is not None or restart):
        raise InputError("--no-checkpoint contradicts --checkpoint and --restart; leave one out")
    if checkpoint is not None and len(molecules) > 1:
        raise InputError(
            f"--checkpoint {checkpoint} is one run file, but there are {len(molecules)} molecules; "
            "leave it out, and each gets its own"
        )
    return Keep(checkpoint, not no_checkpoint, restart, checkpoint_interval)


def for_each(jobs: list[Job], quiet: bool, work: Callable[[Job, Reporter], None]) -> None:
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
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", DFMP2Warning)
                try:
                    report.start(job.name)
                    work(job, report)
                except DFMP2Error as error:
                    failures.append(error)
                    if len(jobs) > 1:
                        print_line(f"Error: {job.name}: {error}")
            for warning in caught:
                if issubclass(warning.category, DFMP2Warning):
                    print_line(f"Warning: {job.name}: {warning.message}")
            if not quiet:
                print_line(f"{job.name}: {time.perf_counter() - started:.1f} s, SCF included")
    if len(failures) == 1 == len(jobs):
        raise failures[0]
    if failures:
        raise type(failures[0])(f"{len(failures)} of {len(jobs)} molecules failed; see above")

"""``dfmp2 validate``: compare energies with PySCF."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import click

from dfmp2.cli.options import (
    calculation_options,
    molecule_options,
    traceback_option,
    validation_options,
)
from dfmp2.cli.process import prepare_process

if TYPE_CHECKING:
    from dfmp2.cli.progress import Reporter
    from dfmp2.workflow.jobs import PlannedJob, StoredJob

__all__ = ["validate"]


@click.command()
@molecule_options
@calculation_options
@validation_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@traceback_option
def validate(
    threads: int | None,
    validate_exact: bool,
    tolerance: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare energies with pyscf.mp.dfmp2; exit 3 if they differ.

    MOLECULE is an input of `dfmp2 run`, which both programs compute, or a JSON result of dfmp2. For
    a result, the SCF is converged again and the stored energy is compared with PySCF's.
    """
    prepare_process(threads)
    from dfmp2.cli.session import RefusedJob, for_each, plan_jobs, read_molecules, settings_of
    from dfmp2.cli.streams import echo
    from dfmp2.cli.table import comparison_text
    from dfmp2.interfaces.validation import (
        Comparison,
        compare,
        default_tolerance,
        require_agreement,
    )
    from dfmp2.workflow.jobs import StoredJob, compute_job
    from dfmp2.workflow.prepare import choose

    settings = settings_of(options)
    chosen = cache(lambda: choose(settings))  # a stored result needs no backend
    jobs: list[PlannedJob | StoredJob | RefusedJob] = [
        job if isinstance(job, StoredJob) else plan_jobs([job], chosen())[0]
        for job in read_molecules(options["molecules"], settings, results=True)
    ]
    comparisons: list[Comparison] = []

    def work(job: PlannedJob | StoredJob, report: Reporter) -> None:
        solution = job.converge(report.iteration)
        report("SCF", 1, 1)
        result = job.result if isinstance(job, StoredJob) else compute_job(job, solution, report)
        limit = default_tolerance(result) if tolerance is None else tolerance
        comparisons.append(compare(solution, result, limit, validate_exact))
        echo(comparison_text(comparisons[-1]))

    for_each(jobs, quiet, work)
    require_agreement(comparisons)

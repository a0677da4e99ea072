"""``dfmp2 validate``: energies beside PySCF's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dfmp2.cli.options import (
    calculation_options,
    molecule_options,
    set_threads,
    validation_options,
)

if TYPE_CHECKING:
    from dfmp2.cli.progress import Reporter
    from dfmp2.workflow.jobs import Job

__all__ = ["validate"]


@click.command()
@molecule_options
@calculation_options
@validation_options
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
def validate(
    molecules: tuple[str, ...],
    threads: int | None,
    validate_exact: bool,
    tolerance: float | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare energies with pyscf.mp.dfmp2; exit 3 where they differ.

    MOLECULE is what `dfmp2 run` takes, which is then computed by both programs, or a JSON result of
    dfmp2: its SCF is converged again and PySCF's energy compared with the stored one.
    """
    set_threads(threads)
    from dfmp2.cli.session import for_each, read_jobs
    from dfmp2.cli.table import comparison_text
    from dfmp2.interfaces.validation import (
        Comparison,
        compare,
        default_tolerance,
        require_agreement,
    )

    jobs, calculation = read_jobs(molecules, options)
    if any(job.stored is None for job in jobs):
        calculation.require_backend()
    comparisons: list[Comparison] = []

    def work(job: Job, report: Reporter) -> None:
        mf = job.converge()
        report("SCF", 1, 1)
        result = job.stored or job.compute(mf, calculation, report)
        limit = default_tolerance(result) if tolerance is None else tolerance
        comparisons.append(compare(mf, result, limit, validate_exact))
        click.echo(comparison_text(comparisons[-1]))

    for_each(jobs, quiet, work)
    require_agreement(comparisons)

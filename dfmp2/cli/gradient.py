"""``dfmp2 gradient``: nuclear gradients of one or more molecules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dfmp2.cli.options import (
    calculation_options,
    checkpoint_options,
    integrals_option,
    interval_option,
    method_option,
    molecule_options,
    output_options,
)
from dfmp2.cli.process import prepare_process

if TYPE_CHECKING:
    from dfmp2.cli.progress import Reporter
    from dfmp2.workflow.jobs import PlannedJob

__all__ = ["gradient"]


@click.command()
@molecule_options
@calculation_options
@method_option
@integrals_option
@checkpoint_options
@interval_option
@output_options
def gradient(
    threads: int | None,
    method: str | None,
    json_target: str | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Compute the gradient of the total energy with respect to the nuclei.

    MOLECULE and all options are those of `dfmp2 run`. The table also has the energies, the dipole
    and quadrupole moment of the relaxed density, and natural occupations. JSON has the driver
    gradient.
    """
    prepare_process(threads)
    from dfmp2.cli.output import JsonOutput, report_done
    from dfmp2.cli.session import (
        files_of,
        for_each,
        plan_jobs,
        read_molecules,
        require_method,
        settings_of,
    )
    from dfmp2.workflow.derivatives import gradient_task
    from dfmp2.workflow.jobs import run_job
    from dfmp2.workflow.prepare import choose

    output = JsonOutput(json_target, files_of(options))
    settings = settings_of(options)
    require_method(method, settings)
    jobs = read_molecules(options["molecules"], settings)
    planned = plan_jobs(jobs, choose(settings), disk=True, derivatives=True)

    def work(job: PlannedJob, report: Reporter) -> None:
        done = run_job(job, report, report.iteration, gradient_task(method))
        report_done(done, output, verbose)

    with output:
        for_each(planned, quiet, work)

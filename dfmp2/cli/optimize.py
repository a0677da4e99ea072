"""``dfmp2 optimize``: the geometry of lowest energy near a geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dfmp2 import defaults
from dfmp2.cli.options import (
    Integer,
    calculation_options,
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

__all__ = ["optimize"]

EXAMPLE = """\b
Example:
  $ dfmp2 optimize inputs/water.xyz --basis cc-pvdz --plot water.png
"""


@click.command(epilog=EXAMPLE)
@molecule_options
@calculation_options
@method_option
@integrals_option
@click.option(
    "--convergence",
    type=click.Choice(["gau_loose", "gau", "gau_tight", "gau_verytight"]),
    default=defaults.CONVERGENCE,
    show_default=True,
    help="Thresholds of energy, gradient and step, named as in geomeTRIC.",
)
@click.option(
    "--max-steps",
    type=Integer(1),
    default=defaults.MAX_STEPS,
    show_default=True,
    help="Largest number of steps.",
)
@click.option(
    "--trajectory",
    metavar="FILE.xyz",
    help="All geometries in XYZ format. Default: NAME-FINGERPRINT.opt.xyz in the current folder. "
    "The journal is beside it.",
)
@click.option("--no-checkpoint", is_flag=True, help="Keep no run file of the geometry at work.")
@click.option("--restart", is_flag=True, help="Start over, and forget finished geometries.")
@interval_option
@click.option(
    "--plot",
    "target",
    metavar="FILE.png|FILE.svg",
    help="Plot energy and largest gradient by step. Needs matplotlib.",
)
@output_options
def optimize(
    threads: int | None,
    method: str | None,
    convergence: str,
    max_steps: int,
    trajectory: str | None,
    target: str | None,
    json_target: str | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Optimise the geometry of one MOLECULE with geomeTRIC.

    Each geometry goes to the trajectory and, with energy and gradient, to a journal beside it.
    After a kill, run the same command again: finished geometries are read from the journal, and the
    one at work continues from its run file. Exit code 4 says that --max-steps were not enough; with
    a larger number, the same command goes on.
    """
    prepare_process(threads)
    from dfmp2.cli.optimization_report import check_outputs, print_geometry, report_optimization
    from dfmp2.cli.output import JsonOutput
    from dfmp2.cli.session import (
        files_of,
        for_each,
        plan_jobs,
        read_molecules,
        require_method,
        settings_of,
    )
    from dfmp2.errors import InputError
    from dfmp2.workflow.optimization import Reports, course_of, require_geometric
    from dfmp2.workflow.optimization import optimize as optimize_job
    from dfmp2.workflow.prepare import choose

    if len(options["molecules"]) > 1:
        raise InputError("optimize takes one molecule; run the command once for each")
    require_geometric()
    output = JsonOutput(json_target, files_of(options))
    settings = settings_of(options)
    require_method(method, settings)
    jobs = read_molecules(options["molecules"], settings)
    planned = plan_jobs(jobs, choose(settings), disk=True, derivatives=True)

    def work(job: PlannedJob, report: Reporter) -> None:
        course = course_of(job, method, convergence, max_steps, trajectory)
        check_outputs(course, target, [*files_of(options), json_target])
        reports = Reports(report, report.iteration, print_geometry(job.name, report, quiet))
        found = optimize_job(job, course, reports, options["restart"])
        report_optimization(found, course, output, target, verbose)

    with output:
        for_each(planned, quiet, work)

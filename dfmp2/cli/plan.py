"""``dfmp2 plan``: the memory, disk, blocks and work of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dfmp2.cli.options import (
    calculation_options,
    checkpoint_options,
    integrals_option,
    molecule_options,
    traceback_option,
)
from dfmp2.cli.process import prepare_process

if TYPE_CHECKING:
    from dfmp2.cli.progress import Reporter
    from dfmp2.workflow.jobs import Job

__all__ = ["plan"]


@click.command()
@molecule_options
@calculation_options
@integrals_option
@checkpoint_options
@click.option(
    "--measure",
    is_flag=True,
    help="Measure the rates of this machine on samples of the work, in less than 10 s per "
    "molecule, for the forecast of time. Default: the rates of earlier runs.",
)
@click.option("--gradient", is_flag=True, help="Plan `dfmp2 gradient` or `dfmp2 run --properties`.")
@traceback_option
def plan(threads: int | None, measure: bool, gradient: bool, **options: Any) -> None:
    """Show the memory, disk, blocks, work and time of `dfmp2 run` with the same options.

    Nothing is computed, not even the SCF. The backend may be missing on this machine. The memory is
    a forecast for DF-MP2, above the memory of the process at its start. If the memory limit is too
    small, the error names the smallest one that is enough. The time is a forecast for SCF and
    DF-MP2, from the rates of earlier runs on this machine or from new ones (--measure).
    """
    prepare_process(threads)
    from dfmp2.backends.compiled import compiled_before
    from dfmp2.cli.session import for_each, read_molecules, settings_of
    from dfmp2.cli.streams import echo
    from dfmp2.cli.table import plan_text, programs_text
    from dfmp2.errors import BackendUnavailable
    from dfmp2.planning.gradient import with_gradient
    from dfmp2.workflow.derivatives import require_derivatives
    from dfmp2.workflow.jobs import forecast_job, require_disk
    from dfmp2.workflow.prepare import choose
    from dfmp2.workflow.time_forecast import forecast_of_time

    settings = settings_of(options)
    jobs = read_molecules(options["molecules"], settings)
    choice, known = None, None
    try:
        choice = choose(settings)
        where = choice.selection.backend.where
        backend = f"{choice.selection.reason}: {where}"
        if choice.selection.is_nki:
            known = compiled_before(where.device)
    except BackendUnavailable as error:
        # The run may be planned for another machine.
        backend = f"not available here: {error}"
        known = set() if settings.backend == "nki" else None

    def work(job: Job, _: Reporter) -> None:
        needed = forecast_job(job, choice)
        if gradient:
            require_derivatives(job, needed)
            needed = replace(needed, plan=with_gradient(needed.plan))
        require_disk(needed.plan, job.settings)
        on_nki = known is not None
        aux, times = needed.aux, forecast_of_time(job, choice, needed, measure)
        named = f"{aux} ({aux.reason})"
        echo(plan_text(job.name, needed.plan, named, backend, on_nki, times))
        if known is not None:
            from dfmp2.workflow.programs import needed_programs

            echo(programs_text(needed_programs(needed.plan, settings), known))

    for_each(jobs, True, work)

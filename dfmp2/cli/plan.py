"""``dfmp2 plan``: what a run will need."""

from __future__ import annotations

from typing import Any

import click

from dfmp2.cli.options import (
    calculation_options,
    checkpoint_options,
    integrals_option,
    molecule_options,
    set_threads,
)

__all__ = ["plan"]


@click.command()
@molecule_options
@calculation_options
@integrals_option
@checkpoint_options
def plan(
    molecules: tuple[str, ...],
    threads: int | None,
    checkpoint: str | None,
    no_checkpoint: bool,
    restart: bool,
    **options: Any,
) -> None:
    """Show the memory, disk, blocks and work of `dfmp2 run` with the same options.

    Nothing is computed, not even the SCF, and the backend need not be there. The memory is a
    forecast for the DF-MP2 part, above what the process holds when it starts. A run that cannot
    fit is refused with the smallest budget that would do.
    """
    set_threads(threads)
    from dfmp2.backends.compiled import compiled_before
    from dfmp2.backends.selection import select
    from dfmp2.cli.session import keep_of, read_jobs
    from dfmp2.cli.table import plan_text, programs_text
    from dfmp2.errors import BackendUnavailable

    keep = keep_of(molecules, checkpoint, no_checkpoint, restart)
    jobs, calculation = read_jobs(molecules, options, keep)
    known: set[str] | None = None
    try:
        selection = select(calculation.backend, calculation.device)
        backend = f"{selection.reason}: {selection.backend.where}"
        if selection.is_nki:
            known = compiled_before(selection.backend.where.device)
    except BackendUnavailable as error:
        # A plan may be made on another machine than the run.
        backend = f"not available here: {error}"
        known = set() if calculation.backend == "nki" else None
    for job in jobs:
        plan, auxbasis = job.forecast(calculation)
        click.echo(plan_text(job.name, plan, auxbasis, backend))
        if known is not None:
            from dfmp2.workflow.programs import needed_programs

            click.echo(programs_text(needed_programs(plan, calculation.fused), known))

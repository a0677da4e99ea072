"""``dfmp2 plan``: what a run will need."""

from __future__ import annotations

from typing import Any

import click

from dfmp2.cli.options import calculation_options, molecule_options, set_threads

__all__ = ["plan"]


@click.command()
@molecule_options
@calculation_options
def plan(molecules: tuple[str, ...], threads: int | None, **options: Any) -> None:
    """Show the memory, the blocks and the work of `dfmp2 run` with the same options.

    Nothing is computed, not even the SCF. The memory is a forecast for the DF-MP2 part, above what
    the process holds when it starts.
    """
    set_threads(threads)
    from dfmp2.backends.select import select
    from dfmp2.cli.session import read_jobs
    from dfmp2.cli.table import plan_text, programs_text

    jobs, calculation = read_jobs(molecules, options)
    selection = select(calculation.backend, calculation.device)
    for job in jobs:
        plan, auxbasis = job.forecast(calculation)
        click.echo(plan_text(job.name, plan, auxbasis, selection))
        if selection.is_nki:
            from dfmp2.backends.ledger import compiled_before
            from dfmp2.backends.programs import needed_programs

            known = compiled_before(selection.backend.where.device)
            click.echo(programs_text(needed_programs(plan, calculation.fused), known))

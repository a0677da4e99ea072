"""``dfmp2 show``: stored results, printed again."""

from __future__ import annotations

import click

__all__ = ["show"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--verbose", is_flag=True, help="List every operation with its device and calls.")
def show(files: tuple[str, ...], verbose: bool) -> None:
    """Print the results in FILE again, a JSON file of `dfmp2 run --json`."""
    from dfmp2.cli.table import operations_text, summary
    from dfmp2.result import read_results

    for file in files:
        for result in read_results(file):
            click.echo(summary(result, origin=file))
            if verbose:
                click.echo(operations_text(result))

"""``dfmp2 show``: print and plot stored results and run files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dfmp2.cli.pair_figure import PairData

__all__ = ["show"]


@click.command()
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option(
    "--plot",
    "target",
    metavar="FILE.png|FILE.svg",
    help="Plot the pair energies and the time per stage of one result. Needs matplotlib.",
)
@click.option("--check", is_flag=True, help="Also compare B of a run file with its checksums.")
@click.option("--methods", is_flag=True, help="Print all methods with factors and sources.")
@click.option(
    "--verbose", is_flag=True, help="List versions, and operations with device and calls."
)
def show(
    files: tuple[str, ...], target: str | None, check: bool, methods: bool, verbose: bool
) -> None:
    """Print the content of FILE: a run file, or a JSON file of `dfmp2 run --json`.

    If a run is not finished, its progress is printed, also while the run is going on. Values that
    do not match their checksums are named. They are not printed.
    """
    from dfmp2.cli.status_table import status_text
    from dfmp2.cli.streams import echo
    from dfmp2.cli.table import operations_text, summary
    from dfmp2.errors import InputError
    from dfmp2.results.result import read_results
    from dfmp2.runfile.file import is_run_file
    from dfmp2.runfile.status import read_status

    if methods:
        from dfmp2.cli.methods_table import methods_text

        echo(methods_text())
    elif not files:
        raise click.UsageError("Missing argument 'FILE...'.")
    if target is not None:
        from dfmp2.cli.figure import check_target
        from dfmp2.cli.pair_figure import PairData, plot

        check_target(target)
    drawn: list[PairData] = []
    for file in files:
        if is_run_file(file):
            status = read_status(file, check)
            echo(status_text(status, verbose))
            if target is not None:
                drawn.append(PairData.of_run(status))
            continue
        for result in read_results(file):
            origin = file if result.has_digest else f"{file} (without digest)"
            echo(summary(result, origin=origin))
            if verbose:
                echo(operations_text(result))
            if target is not None:
                drawn.append(PairData.of_result(result))
    if target is not None:
        if len(drawn) != 1:
            raise InputError(
                f"--plot draws one result, but there are {len(drawn)}; name a file with one result"
            )
        plot(drawn[0], target)

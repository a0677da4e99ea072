"""``dfmp2 bench``: time dfmp2 beside other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dfmp2.cli.options import Integer, calculation_options, geometry_options, traceback_option
from dfmp2.cli.process import prepare_process

if TYPE_CHECKING:
    from dfmp2.bench.compare import Bench
    from dfmp2.cli.progress import Reporter
    from dfmp2.workflow.jobs import PlannedJob

__all__ = ["bench"]

PEERS = ("pyscf", "pyscf-native", "psi4", "gpu4pyscf")

SCF = {"density_fit": True, "conv_tol": 1e-8, "max_cycle": 100}


@click.command()
@geometry_options
@calculation_options
@click.option(
    "--pairs",
    type=Integer(1),
    default=5,
    show_default=True,
    help="Timed pairs of runs per peer, after one warm-up.",
)
@click.option(
    "--jobs",
    type=Integer(0),
    default=1,
    show_default=True,
    help="Timed whole jobs of each program, with imports and an SCF with exact integrals. 0 leaves "
    "them out: for large molecules they take much longer than all else.",
)
@click.option(
    "--peer",
    "peers",
    type=click.Choice(PEERS),
    multiple=True,
    help="Program to compare with. May be repeated. Default: all that are installed.",
)
@click.option("--json", "json_target", metavar="FILE|-", help="Write every timing as JSON.")
@click.option(
    "--plot",
    "plot_target",
    metavar="FILE.png|FILE.svg",
    help="Plot time against basis functions. Needs matplotlib.",
)
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@traceback_option
def bench(
    threads: int | None,
    pairs: int,
    jobs: int,
    peers: tuple[str, ...],
    json_target: str | None,
    plot_target: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Time dfmp2 beside other programs: the DF-MP2 part, and whole jobs.

    MOLECULE is an input of `dfmp2 run`. All programs use the same orbitals (Psi4: the same basis
    sets), the same auxiliary basis and the same number of threads. They run in turn, and each ratio
    compares two successive runs. The SCF is density-fitted and loosely converged, except that of a
    chkfile, which is not repeated. An open shell is a UHF, or what its chkfile holds. It is an
    error if two energies differ (exit 3). A whole job is `dfmp2 run`, and beside it a PySCF script
    and Psi4 with the same thresholds. A peer that is named and missing is an error (exit 7) after
    the others are timed; one that is not named is only listed.
    """
    prepare_process(threads)
    from dfmp2.bench.compare import bench as run_bench
    from dfmp2.bench.machine import start_up
    from dfmp2.bench.own import require_device
    from dfmp2.cli.bench_figure import plot
    from dfmp2.cli.bench_table import bench_data, bench_text, closing_text, report_data
    from dfmp2.cli.figure import check_target
    from dfmp2.cli.output import JsonOutput
    from dfmp2.cli.session import files_of, for_each, plan_jobs, read_molecules, settings_of
    from dfmp2.errors import PeerError
    from dfmp2.workflow.prepare import choose

    output = JsonOutput(json_target, [*files_of(options), plot_target])
    if plot_target is not None:
        check_target(plot_target)
    settings = settings_of({**options, **SCF})
    molecules = read_molecules(options["molecules"], settings)
    choice = choose(settings)
    require_device(choice)
    planned = plan_jobs(molecules, choice)
    found: list[Bench] = []

    def work(job: PlannedJob, report: Reporter) -> None:
        found.append(run_bench(job, peers or PEERS, pairs, report, jobs))
        output.echo(bench_text(found[-1]))

    with output:
        try:
            for_each(planned, quiet, work)
        finally:
            if found:
                started = start_up()
                output.echo(closing_text(found, started))
                output.add(report_data([bench_data(one) for one in found], found, started))
                if plot_target is not None:
                    plot(found, plot_target)
    missing = {name: why for one in found for name, why in one.missing.items() if name in peers}
    if missing:
        names = ", ".join(f"{name} ({why})" for name, why in missing.items())
        raise PeerError(f"no comparison with {names}; install it, or leave out its --peer")

"""``dfmp2 run``: energies of one or more molecules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dfmp2.cli.options import (
    calculation_options,
    checkpoint_options,
    integrals_option,
    interval_option,
    molecule_options,
    output_options,
    validation_options,
)
from dfmp2.cli.process import prepare_process

if TYPE_CHECKING:
    from dfmp2.cli.progress import Reporter
    from dfmp2.workflow.jobs import PlannedJob

__all__ = ["run"]

EXAMPLE = """\b
Example:
  $ dfmp2 run inputs/water.xyz --basis cc-pvdz
  water: DF-MP2 by dfmp2 0.1.0 (energies in hartree)
\b
    E(HF)                    -76.0267709017
    E(MP2) correlation        -0.2039902876
    ...
"""


@click.command(epilog=EXAMPLE)
@molecule_options
@calculation_options
@integrals_option
@click.option(
    "--validate", is_flag=True, help="Compare with pyscf.mp.dfmp2; exit 3 if they differ."
)
@validation_options
@click.option(
    "--properties",
    is_flag=True,
    help="Also dipole and quadrupole moment (relaxed density) and natural occupations.",
)
@checkpoint_options
@interval_option
@output_options
def run(
    threads: int | None,
    validate: bool,
    validate_exact: bool,
    tolerance: float | None,
    properties: bool,
    json_target: str | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Compute RI-MP2 energies of molecules.

    The reference is RHF, UHF or ROHF (--reference), or RKS or UKS of a double hybrid (--xc).

    MOLECULE is a geometry file (XYZ, SDF or MOL, QCSchema JSON, Z-matrix), "-" for XYZ on standard
    input, or a PySCF chkfile. The comment line of XYZ may state charge=... and multiplicity=...,
    or spin=..., the number of unpaired electrons. The SCF of a chkfile is not repeated. The table
    goes to stdout, progress and warnings to stderr.

    The work is kept in a run file. After a kill or a full disk, run the same command again, or
    `dfmp2 resume`, to compute what is left. `dfmp2 show` prints how far a run is. A finished run is
    printed from its file and not computed again, except with --restart.
    """
    prepare_process(threads)
    from dfmp2.cli.output import JsonOutput, compare_done, report_done
    from dfmp2.cli.session import (
        files_of,
        for_each,
        plan_jobs,
        read_molecules,
        require_used,
        settings_of,
    )
    from dfmp2.interfaces.validation import Comparison, require_agreement
    from dfmp2.workflow.derivatives import properties_task
    from dfmp2.workflow.jobs import run_job
    from dfmp2.workflow.prepare import choose
    from dfmp2.workflow.rates import keep_rates
    from dfmp2.workflow.time_forecast import time_from_earlier_runs

    require_used(tolerance, validate or validate_exact)
    output = JsonOutput(json_target, files_of(options))
    settings = settings_of(options)
    jobs = read_molecules(options["molecules"], settings)
    planned = plan_jobs(jobs, choose(settings), disk=True, derivatives=properties)
    comparisons: list[Comparison] = []

    def work(job: PlannedJob, report: Reporter) -> None:
        if properties:  # there are no rates of its stages
            done = run_job(job, report, report.iteration, properties_task)
            report_done(done, output, verbose)
        else:
            expected = time_from_earlier_runs(job, job.choice, job.known)
            done = run_job(job, report, report.iteration)
            report_done(done, output, verbose, expected)
            keep_rates(done, job)
        if validate or validate_exact:
            comparisons.append(compare_done(done, tolerance, validate_exact, output))

    with output:
        for_each(planned, quiet, work)
    require_agreement(comparisons)

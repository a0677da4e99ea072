"""``dfmp2 resume``: continue a run from its run file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dfmp2.cli.options import (
    interval_option,
    output_options,
    settings_options,
    validation_options,
)
from dfmp2.cli.process import prepare_process

__all__ = ["resume"]


EXAMPLE = """\b
Example:
  $ dfmp2 show benzene-1a2b3c4d.dfmp2.h5
  $ dfmp2 resume benzene-1a2b3c4d.dfmp2.h5 --max-memory 2000
"""


@click.command(epilog=EXAMPLE)
@click.argument("file", metavar="FILE")
@settings_options
@click.option(
    "--validate", is_flag=True, help="Compare with pyscf.mp.dfmp2; exit 3 if they differ."
)
@validation_options
@interval_option
@output_options
def resume(
    file: str,
    threads: int | None,
    validate: bool,
    validate_exact: bool,
    tolerance: float | None,
    json_target: str | None,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> None:
    """Continue a run from FILE, a run file of `dfmp2 run`.

    Converged orbitals, B and pair energies in the file are not computed again. The rest may be
    computed with another backend, precision or memory limit. Options that are not given keep the
    values of `dfmp2 run`, except `--threads` and `--checkpoint-interval`. `dfmp2 show` prints which
    device computed each part.
    """
    prepare_process(threads)
    from dfmp2.cli.output import JsonOutput, compare_done, report_done
    from dfmp2.cli.progress import reporting
    from dfmp2.cli.session import require_used
    from dfmp2.cli.warned import printing_warnings
    from dfmp2.interfaces.validation import require_agreement
    from dfmp2.workflow.resuming import resume_job

    require_used(tolerance, validate or validate_exact)
    changes = {name: value for name, value in options.items() if value is not None}
    with JsonOutput(json_target, [file]) as output:
        with reporting(quiet) as report, printing_warnings(Path(file).name):
            report.start(Path(file).name)
            done = resume_job(file, changes, report, report.iteration)
        report_done(done, output, verbose)
        if validate or validate_exact:
            require_agreement([compare_done(done, tolerance, validate_exact, output)])

"""``dfmp2 doctor``: check this machine and its software."""

from __future__ import annotations

import json

import click

from dfmp2.cli.options import machine_options, traceback_option
from dfmp2.cli.process import prepare_process
from dfmp2.cli.streams import echo
from dfmp2.errors import BackendUnavailable

__all__ = ["doctor"]


@click.command()
@machine_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@traceback_option
def doctor(backend: str | None, device: str | None, threads: int | None, as_json: bool) -> None:
    """Check this machine and its software; print one line per check, with a remedy.

    Exit status 0 means that a run would use the backend asked for: it was selected as in a run and
    did one operation correctly. Otherwise the exit status is 7. The NKI kernels compute no
    regularised energies: a run with --kappa does not use them.
    """
    prepare_process(threads)
    from dataclasses import asdict

    from dfmp2.backends.selection import get_backend
    from dfmp2.doctor import examine, usable

    findings = examine(backend, device)
    works = usable(findings)
    if as_json:
        asked = {"backend": backend or get_backend(), "device": device}
        found = [asdict(finding) for finding in findings]
        echo(json.dumps({"asked": asked, "usable": works, "findings": found}, indent=1))
    else:
        for finding in findings:
            echo(str(finding))
    if not works:
        worst = next(finding for finding in findings if finding.status == "fail")
        raise BackendUnavailable(f"{worst.check}: {worst.message}")

"""Check this machine and its software for a run with one backend.

The backend and device of a run come in. Findings with remedies go out. Two checks decide: the
backend is selected as in a run, and one operation is done with it, whose provenance says on which
device. Installed packages and settings alone prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dfmp2.doctor.finding import Asked, Finding
from dfmp2.doctor.host import (
    check_aws_simulator,
    check_blas,
    check_cuda,
    check_h5py,
    check_numba_cache,
    check_pyscf,
    check_simulator,
    check_threads,
)
from dfmp2.doctor.machine import (
    check_compile_cache,
    check_cores,
    check_driver,
    check_lnc,
    check_runtime,
)
from dfmp2.doctor.packages import (
    check_compiler,
    check_generation,
    check_nki,
    check_path,
    check_plugin_import,
    check_plugin_path,
    check_torch_neuronx,
)
from dfmp2.doctor.verdict import check_first_operation, check_selection

__all__ = ["CHECKS", "Finding", "examine", "usable"]

CHECKS: tuple[Callable[[Asked], Finding], ...] = (
    check_nki,
    check_torch_neuronx,
    check_generation,
    check_path,
    check_plugin_path,
    check_plugin_import,
    check_compiler,
    check_cores,
    check_driver,
    check_runtime,
    check_lnc,
    check_compile_cache,
    check_simulator,
    check_aws_simulator,
    check_cuda,
    check_threads,
    check_pyscf,
    check_blas,
    check_numba_cache,
    check_h5py,
)
"""The checks after the two decisive ones, in the order of the report."""


def examine(
    backend: str | None = None, device: str | None = None, root: Path = Path("/")
) -> list[Finding]:
    """Run all checks.

    Parameters
    ----------
    backend : str, optional
        One of `dfmp2.settings.BACKENDS`; the process-wide default when not given.
    device : str, optional
        As for `dfmp2.backends.selection.select`.
    root : Path
        Folder that holds the machine's files; another one in tests.

    Returns
    -------
    list of Finding
        First the selection and the first operation. If both are "ok", no other finding is "fail",
        because the backend works.

    Raises
    ------
    InputError
        If there is no backend or device of that name.
    """
    asked = _asked(backend, device, root)
    selected, selection = check_selection(asked)
    first = check_first_operation(asked, selection)
    rest = [check(asked) for check in CHECKS]
    if "fail" not in (selected.status, first.status):
        rest = [replace(f, status="warn") if f.status == "fail" else f for f in rest]
    return [selected, first, *rest]


def _asked(backend: str | None, device: str | None, root: Path) -> Asked:
    from dfmp2.backends.selection import get_backend, require_nki, simulated

    name = backend or get_backend()
    wanted = name == "nki" or (name == "auto" and require_nki())
    return Asked(name, device, wanted and not simulated(name), root)


def usable(findings: list[Finding]) -> bool:
    """Whether a run would use the backend asked for."""
    return all(finding.status != "fail" for finding in findings)

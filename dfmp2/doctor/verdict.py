"""The two checks that decide: what would be selected, and whether it really computes."""

from __future__ import annotations

import numpy as np

from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.selection import Selection, require_nki, select
from dfmp2.doctor.finding import Asked, Finding
from dfmp2.errors import BackendUnavailable, DFMP2Error
from dfmp2.results.provenance import Provenance

__all__ = ["check_first_operation", "check_selection"]

TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
"""Largest error of a product of numbers up to 1 with 72 terms."""


def check_selection(asked: Asked) -> tuple[Finding, Selection | None]:
    """Ask for the backend as a run would.

    Raises
    ------
    InputError
        If there is no backend or device of that name.
    """
    try:
        selection = select(asked.backend, asked.device)
    except BackendUnavailable as error:
        message, _, remedy = str(error).rpartition("; ")
        return Finding("backend", "fail", message or remedy, remedy, _matters(asked)), None
    return Finding("backend", "ok", selection.reason, backends=_matters(asked)), selection


def check_first_operation(asked: Asked, selection: Selection | None) -> Finding:
    """Multiply two small matrices as a run would, and look into the provenance for who did it.

    An installation can look complete and raise at every launch; under ``auto`` torch would then
    do the work.
    """
    name = "first operation"
    if selection is None:
        return Finding(name, "fail", "not tried: no backend", "", _matters(asked))
    provenance = Provenance()
    backend = RecordingBackend(selection.backend, provenance)
    rng = np.random.default_rng(3)
    a, b = rng.random((40, 72)), rng.random((72, 33))
    try:
        tensor = backend.gemm(backend.asarray(a), backend.asarray(b))
        product = selection.backend.to_host(tensor)
    except (DFMP2Error, RuntimeError) as error:
        rest = (
            "the launch has to work first; every run would raise"
            if require_nki() or asked.backend != "auto"
            else "as it is, torch would do every run's work"
        )
        return Finding(name, "fail", str(error), rest, _matters(asked))
    (row,) = provenance.operations
    off = float(np.abs(product - a @ b).max())
    if not off < TOLERANCE[row.dtype]:
        return Finding(name, "fail", f"{row.where}: a product is wrong by {off:.1e}",
                       "do not compute here", _matters(asked))  # fmt: skip
    return Finding(name, "ok", f"{row.operation} in {row.dtype} on {row.where}",
                   backends=_matters(asked))  # fmt: skip


def _matters(asked: Asked) -> tuple[str, ...]:
    return ("pytorch", "nki") if asked.backend == "auto" else (asked.backend,)

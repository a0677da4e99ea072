"""The two decisive checks: which backend a run would select, and whether it computes correctly."""

from __future__ import annotations

import numpy as np

from dfmp2.backends.protocol import Backend
from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.selection import Selection, require_nki, select
from dfmp2.doctor.finding import Asked, Finding
from dfmp2.errors import BackendUnavailable, DFMP2Error
from dfmp2.results.provenance import Provenance

__all__ = ["TOLERANCE", "check_first_operation", "check_selection", "product_error"]

TOLERANCE = {"float64": 1e-12, "float32": 1e-4}
"""Largest acceptable error of an element of the product: 72 terms, each at most 1."""


def check_selection(asked: Asked) -> tuple[Finding, Selection | None]:
    """Select the backend as a run would.

    Raises
    ------
    InputError
        If there is no backend or device of that name.
    """
    try:
        selection = select(asked.backend, asked.device)
    except BackendUnavailable as error:
        message, _, remedy = str(error).rpartition("; ")
        return Finding("backend", "fail", message or remedy, remedy, _backends(asked)), None
    return Finding("backend", "ok", selection.reason, backends=_backends(asked)), selection


def check_first_operation(asked: Asked, selection: Selection | None) -> Finding:
    """Multiply two small matrices as a run would; the provenance says where they were multiplied.

    An installation may look complete although every launch raises. Under ``auto`` torch would then
    compute instead of the device.
    """

    def finding(status: str, message: str, remedy: str = "") -> Finding:
        return Finding("first operation", status, message, remedy, _backends(asked))

    if selection is None:
        return finding("fail", "not tried: no backend")
    provenance = Provenance()
    try:
        off = product_error(RecordingBackend(selection.backend, provenance))
    except (DFMP2Error, RuntimeError) as error:
        if require_nki() or asked.backend != "auto":
            return finding("fail", str(error), "solve this first: every run would raise")
        return finding("fail", str(error), "solve this first: torch would do the work of every run")
    (row,) = provenance.operations
    if not off < TOLERANCE[row.dtype]:
        return finding(
            "fail",
            f"{row.where}: a product is wrong by {off:.1e}",
            "this backend gives wrong results on this machine; choose another",
        )
    return finding("ok", f"{row.operation} in {row.dtype} on {row.where}")


def product_error(backend: Backend | RecordingBackend) -> float:
    """Largest error of an element of a small matrix product that `backend` computes."""
    rng = np.random.default_rng(3)
    a, b = rng.random((40, 72)), rng.random((72, 33))
    product = backend.to_host(backend.gemm(backend.asarray(a), backend.asarray(b)))
    return float(np.abs(product - a @ b).max())


def _backends(asked: Asked) -> tuple[str, ...]:
    """Backends for which these findings matter."""
    return ("pytorch", "nki") if asked.backend == "auto" else (asked.backend,)

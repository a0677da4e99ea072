"""One DF-MP2 calculation: selection, placement of stages, B, pair energies, provenance.

Where a device is lost half-way and falling back was allowed before the work started, everything is
computed again by torch from the reference, which never left the host.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

from dfmp2.backends.base import Array
from dfmp2.backends.recorded import RecordedBackend
from dfmp2.backends.select import Selection, select
from dfmp2.energy import pair_energies
from dfmp2.errors import InputError, KernelError, NkiFallbackWarning
from dfmp2.fitting import AuxBasis
from dfmp2.plan import Plan
from dfmp2.precision import place_stages
from dfmp2.provenance import Provenance
from dfmp2.reference import Reference
from dfmp2.transform import Progress, fitted_integrals

__all__ = ["PRECISIONS", "Outcome", "Request", "choose", "compute"]

PRECISIONS = ("fp64", "fp32", "auto")


@dataclass(frozen=True)
class Request:
    """How to compute; the fields are attributes of `dfmp2.DFMP2`."""

    backend: str | None
    device: str | None
    precision: str | None
    accuracy: float
    fused: bool


@dataclass(frozen=True, eq=False)
class Outcome:
    """Pair energies (symmetric, hartree) and how they came about."""

    e_os: Array
    e_ss: Array
    metric: str
    precision: str
    precision_label: str
    provenance: Provenance


def choose(request: Request) -> tuple[Selection, str]:
    """The backend and the precision of a request, and that they fit together.

    Returns
    -------
    selection : Selection
    precision : str
        "fp64" or "fp32".

    Raises
    ------
    InputError
        For an unknown precision, or float64 asked of an NKI backend.
    BackendUnavailable
        If the backend cannot be used.
    """
    if request.precision not in (None, *PRECISIONS):
        raise InputError(
            f"precision {request.precision!r} is unknown; choose one of {', '.join(PRECISIONS)}"
        )
    selection = select(request.backend, request.device)
    if not selection.is_nki:
        return selection, "fp32" if request.precision == "fp32" else "fp64"
    if request.precision == "fp64":
        raise InputError(
            "precision fp64: Trainium and its simulators have no float64; use --precision auto, "
            "which keeps on the host what float32 would spoil, or --backend pytorch"
        )
    return selection, "fp32"


def compute(
    selection: Selection,
    precision: str,
    request: Request,
    reference: Reference,
    aux: AuxBasis,
    plan: Plan,
    progress: Progress,
) -> Outcome:
    """Compute the pair energies.

    Raises
    ------
    KernelError
        If a NKI kernel fails and torch may not take over.
    """
    provenance = Provenance(reason=selection.reason)
    try:
        return _compute(selection, precision, request, reference, aux, plan, progress, provenance)
    except KernelError as error:
        if not selection.may_fall_back or selection.host is None:
            raise type(error)(f"{error}; {_WITHOUT_NKI}") from error
        lost = str(error)  # the error itself would keep B alive
    warnings.warn(
        f"the device was lost, torch computes everything again ({lost}); set DFMP2_REQUIRE_NKI=1 "
        "to make this an error",
        NkiFallbackWarning,
        stacklevel=3,
    )
    again = Provenance(reason=selection.reason, failures=provenance.failures)
    again.failed("everything", lost)
    by_torch = replace(selection, backend=selection.host)
    exact = replace(request, precision="fp64")
    return _compute(by_torch, "fp64", exact, reference, aux, plan, progress, again)


_WITHOUT_NKI = "use --backend pytorch, or --backend auto without DFMP2_REQUIRE_NKI"


def _compute(
    selection: Selection,
    precision: str,
    request: Request,
    reference: Reference,
    aux: AuxBasis,
    plan: Plan,
    progress: Progress,
    provenance: Provenance,
) -> Outcome:
    label = _PRECISION_LABELS[request.precision or "fp64"] if not selection.is_nki else ""
    placement: dict[str, str] = {}
    if selection.is_nki:
        with provenance.stage("error estimate"):
            placed = place_stages(reference, aux, request.accuracy)
        placement, label = placed.on_host, str(placed)
    backend = RecordedBackend(
        selection.backend, provenance, selection.host, placement, selection.may_fall_back
    )
    b, metric = fitted_integrals(reference, aux, plan, backend, progress)
    if precision == "fp32" and not selection.is_nki:
        b = backend.to_float32(b)
    e_os, e_ss = pair_energies(b, reference, plan, backend, progress, request.fused)
    return Outcome(e_os, e_ss, str(metric), precision, label, provenance)


_PRECISION_LABELS = {
    "fp64": "fp64",
    "fp32": "fp32 pair GEMMs, all else fp64 (error not estimated: compare with --validate)",
    "auto": "fp64 (auto: meets every accuracy)",
}

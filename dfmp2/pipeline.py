"""One DF-MP2 calculation: selection, placement of stages, B, pair energies, provenance.

Where a device is lost half-way and falling back was allowed before the work started, everything is
computed again by torch from the reference, which never left the host.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

from dfmp2.backends.base import Array, Backend, Tensor
from dfmp2.backends.recorded import RecordedBackend
from dfmp2.backends.select import Selection, select
from dfmp2.conditioning import conditioned
from dfmp2.energy import pair_energies
from dfmp2.errors import InputError, KernelError, NkiFallbackWarning
from dfmp2.fitting import AuxBasis
from dfmp2.integrals import LIBCINT, IntegralSource
from dfmp2.plan import Plan
from dfmp2.precision import place_fitted, place_stages
from dfmp2.provenance import Provenance
from dfmp2.reference import Reference
from dfmp2.spotcheck import SpotCheck, expected_error
from dfmp2.transform import Progress, fitted_integrals

__all__ = ["PRECISIONS", "Outcome", "Pipeline", "Request", "choose"]

PRECISIONS = ("fp64", "fp32", "auto")


@dataclass(frozen=True)
class Request:
    """Who computes, and how precisely; the fields are attributes of `dfmp2.DFMP2`."""

    backend: str | None
    device: str | None
    precision: str | None


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
        "fp64", "fp32" or "auto".

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
        return selection, request.precision or "fp64"
    if request.precision == "fp64":
        raise InputError(
            "precision fp64: Trainium and its simulators have no float64; use --precision auto, "
            "which keeps on the host what float32 would spoil, or --backend pytorch"
        )
    return selection, "auto"


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The stages from a reference to its pair energies.

    Attributes
    ----------
    reference : Reference
    aux : AuxBasis
    plan : Plan
    accuracy : float
        Hartree that a reduced precision may cost.
    fused : bool
        Reduce T blocks where they are made.
    progress : callable
    source : IntegralSource
        Who makes the three-centre integrals.
    """

    reference: Reference
    aux: AuxBasis
    plan: Plan
    accuracy: float
    fused: bool
    progress: Progress
    source: IntegralSource = LIBCINT

    def run(self, selection: Selection, precision: str) -> Outcome:
        """Compute the pair energies.

        Raises
        ------
        KernelError
            If a NKI kernel fails and torch may not take over.
        """
        provenance = Provenance(reason=selection.reason)
        if not selection.is_nki:
            return self._by_torch(selection.backend, precision, provenance)
        try:
            return self._by_nki(selection, provenance)
        except KernelError as error:
            if not selection.may_fall_back or selection.host is None:
                raise type(error)(f"{error}; {_WITHOUT_NKI}") from error
            lost = str(error)  # the error itself would keep B alive
        warnings.warn(
            f"the device was lost, torch computes everything again ({lost}); set "
            "DFMP2_REQUIRE_NKI=1 to make this an error",
            NkiFallbackWarning,
            stacklevel=3,
        )
        again = Provenance(reason=selection.reason, failures=provenance.failures)
        again.failed("everything", lost)
        return self._by_torch(selection.host, "fp64", again)

    def _by_nki(self, selection: Selection, provenance: Provenance) -> Outcome:
        with provenance.stage("error estimate"):
            if self.source.metric is None:
                aux = conditioned(self.aux, self.reference.mol, self.plan.aux_block)
                placed = place_stages(self.reference, aux, self.accuracy)
            else:
                aux = self.aux
                placed = place_fitted(self.reference, self.accuracy)
        backend = RecordedBackend(
            selection.backend,
            provenance,
            selection.host,
            placed.on_host,
            selection.may_fall_back,
        )
        b, metric = replace(self, aux=aux)._fitted(backend)
        return self._outcome(backend, b, metric, "fp32", str(placed))

    def _by_torch(self, torch: Backend, precision: str, provenance: Provenance) -> Outcome:
        backend = RecordedBackend(torch, provenance)
        b, metric = self._fitted(backend)
        expected = expected_error(self.reference.nocc)
        if precision == "fp64" or (precision == "auto" and expected > self.accuracy):
            why = "" if precision == "fp64" else f" (auto: fp32 could cost {expected:.0e} Eh)"
            return self._outcome(backend, b, metric, "fp64", "fp64" + why)
        check = SpotCheck(b, self.reference, backend)
        outcome = self._outcome(backend, backend.to_float32(b), metric, "fp32", "")
        error = check.error(outcome.e_os, outcome.e_ss)
        found = f"estimated error {error:.0e} Eh from {check.pairs} pairs in fp64"
        if precision == "auto" and error > self.accuracy:
            del check, b
            b, metric = self._fitted(backend)
            return self._outcome(backend, b, metric, "fp64", f"fp64 (auto: with fp32, {found})")
        return replace(outcome, precision_label=f"fp32 pair GEMMs, all else fp64 ({found})")

    def _fitted(self, backend: RecordedBackend) -> tuple[Tensor, str]:
        return fitted_integrals(
            self.reference, self.aux, self.plan, backend, self.progress, self.source
        )

    def _outcome(
        self, backend: RecordedBackend, b: Tensor, metric: str, precision: str, label: str
    ) -> Outcome:
        e_os, e_ss = pair_energies(b, self.reference, self.plan, backend, self.progress, self.fused)
        return Outcome(e_os, e_ss, metric, precision, label, backend.provenance)


_WITHOUT_NKI = "use --backend pytorch, or --backend auto without DFMP2_REQUIRE_NKI"

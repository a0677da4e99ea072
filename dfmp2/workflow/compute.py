"""One DF-MP2 calculation: selection, placement of stages, B, pair energies, provenance.

Where a device is lost half-way and falling back was allowed before the work started, torch goes on
from the reference, which never left the host, and from what was committed to the run file.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np

from dfmp2.backends.protocol import Array, Backend
from dfmp2.backends.recording import RecordedBackend
from dfmp2.backends.selection import Selection, select
from dfmp2.errors import InputError, KernelError, NkiFallbackWarning
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.fitting.orthonormal import conditioned
from dfmp2.integrals.libcint import LIBCINT, IntegralSource
from dfmp2.methods.pair_energies import pair_energies
from dfmp2.planning.plan import Plan
from dfmp2.precision.estimate import place_fitted, place_stages, rounded_up
from dfmp2.precision.spot_check import SpotCheck, expected_error
from dfmp2.references.mean_field import Reference
from dfmp2.results.provenance import Provenance
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.tensors.build import Progress, Transform
from dfmp2.tensors.held import FittedB

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

    @classmethod
    def empty(cls, nocc: int, precision: str, reason: str) -> Outcome:
        """Of a molecule with nothing to correlate."""
        zero = np.zeros((nocc, nocc))
        return cls(zero, zero, "not needed", precision, precision, Provenance(reason=reason))


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
    checkpoint : Checkpoint
        What earlier sessions did, and where this one leaves its own.
    source : IntegralSource
        Who makes the three-centre integrals.
    """

    reference: Reference
    aux: AuxBasis
    plan: Plan
    accuracy: float
    fused: bool
    progress: Progress
    checkpoint: Checkpoint
    source: IntegralSource = LIBCINT

    def run(self, selection: Selection, precision: str) -> Outcome:
        """Compute the pair energies.

        Raises
        ------
        KernelError
            If a NKI kernel fails and torch may not take over.
        """
        provenance = self._session(selection.reason, selection.backend, precision)
        if not selection.is_nki:
            return self._by_torch(selection.backend, precision, provenance)
        try:
            return self._by_nki(selection, provenance)
        except KernelError as error:
            if not selection.may_fall_back or selection.host is None:
                raise type(error)(f"{error}; {_WITHOUT_NKI}") from error
            lost = str(error)  # the error itself would keep B alive
        warnings.warn(
            f"the device was lost, torch computes the rest ({lost}); set "
            "DFMP2_REQUIRE_NKI=1 to make this an error",
            NkiFallbackWarning,
            stacklevel=3,
        )
        self.checkpoint.forget_uncommitted()
        again = self._session(selection.reason, selection.host, "fp64")
        again.failures += provenance.failures
        again.failed("everything", lost)
        return self._by_torch(selection.host, "fp64", again)

    def _session(self, reason: str, backend: Backend, precision: str) -> Provenance:
        provenance = Provenance(reason=reason)
        self.checkpoint.begin(provenance, backend.where, precision, self.accuracy)
        return provenance

    def _by_nki(self, selection: Selection, provenance: Provenance) -> Outcome:
        with provenance.stage("error estimate"):
            if self.source.metric is None:
                aux = self._aux("conditioned")
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
        b_in = "fp64" if "metric solve" in placed.on_host else "fp32"
        self.checkpoint.begin_b("conditioned", b_in)
        self.checkpoint.computing("nki")
        b, metric = self._fitted(backend, aux)
        return self._outcome(backend, b, metric, "fp32", str(placed))

    def _by_torch(self, torch: Backend, precision: str, provenance: Provenance) -> Outcome:
        backend = RecordedBackend(torch, provenance)
        aux = self._aux("plain")
        self.checkpoint.begin_b("plain", "fp64")
        expected = expected_error(self.reference.nocc)
        too_rough = self.checkpoint.rejected("fp32", self.accuracy)
        if precision == "fp64" or (precision == "auto" and (too_rough or expected > self.accuracy)):
            cost = "was too rough before" if too_rough else f"could cost {expected:.0e} Eh"
            why = "" if precision == "fp64" else f" (auto: fp32 {cost})"
            self.checkpoint.computing("fp64")
            b, metric = self._fitted(backend, aux)
            return self._outcome(backend, b, metric, "fp64", "fp64" + why)
        self.checkpoint.computing("fp32")
        b, metric = self._fitted(backend, aux)
        check = SpotCheck(b, self.reference, backend)
        b.to_float32(backend)
        outcome = self._outcome(backend, b, metric, "fp32", "")
        error = check.error(outcome.e_os, outcome.e_ss, self.checkpoint.computed("fp32"))
        found = f"estimated error {rounded_up(error)} Eh from {check.pairs} pairs in fp64"
        if precision == "auto" and not error <= self.accuracy:  # true for NaN, too
            del check, b
            self.checkpoint.reject("fp32")
            again = self._session(provenance.reason, torch, precision)
            self.checkpoint.computing("fp64")
            backend = RecordedBackend(torch, again)
            b, metric = self._fitted(backend, aux)
            return self._outcome(backend, b, metric, "fp64", f"fp64 (auto: with fp32, {found})")
        label = self.checkpoint.label(f"fp32 pair GEMMs, all else fp64 ({found})")
        return replace(outcome, precision_label=label, provenance=self.checkpoint.merged())

    def _aux(self, form: str) -> AuxBasis:
        """The auxiliary functions: in the form of the B that is there, else in this one."""
        if (self.checkpoint.form or form) == "plain":
            return self.aux
        return conditioned(self.aux, self.reference.mol, self.plan.aux_block)

    def _fitted(self, backend: RecordedBackend, aux: AuxBasis) -> tuple[FittedB, str]:
        return Transform(
            self.reference, aux, self.plan, backend, self.progress, self.checkpoint, self.source
        ).fitted()

    def _outcome(
        self, backend: RecordedBackend, b: FittedB, metric: str, precision: str, label: str
    ) -> Outcome:
        checkpoint = self.checkpoint
        e_os, e_ss = pair_energies(
            b, self.reference, self.plan, backend, self.progress, self.fused, checkpoint
        )
        label = checkpoint.label(label)
        return Outcome(e_os, e_ss, metric, precision, label, checkpoint.merged())


_WITHOUT_NKI = "use --backend pytorch, or --backend auto without DFMP2_REQUIRE_NKI"

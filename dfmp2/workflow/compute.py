"""One calculation: place the stages, make B, compute the pair energies, check their precision.

If a device is lost and torch was allowed to take over before the work started, torch continues from
the reference, which stays on the host, and from the pairs in the run file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from dfmp2.backends.protocol import Array, Backend
from dfmp2.backends.recording import RecordingBackend
from dfmp2.errors import DFMP2Warning, KernelError, NkiFallbackWarning
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.fitting.orthonormal import orthonormal_form
from dfmp2.foreign_errors import translated
from dfmp2.integrals.fock_probe import FockProbe
from dfmp2.methods.pair_energies import pair_cases, pair_energies
from dfmp2.precision.estimate import place_fitted, place_stages, rounded_up
from dfmp2.precision.spot_check import SpotCheck, expected_error
from dfmp2.references.check import OFF, UNCHECKED, WITHOUT_FOCK
from dfmp2.results.provenance import Provenance
from dfmp2.results.result import Result
from dfmp2.results.stages import PairArithmetic, Precision, Stage
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.runfile.content import store_result
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.opening import scratch_run
from dfmp2.tensors.build import build_b
from dfmp2.tensors.held import HeldB
from dfmp2.tensors.problem import Problem, Progress, Work, silent
from dfmp2.workflow.continuation import finished_result
from dfmp2.workflow.labels import Outcome, nothing_to_correlate, result_of
from dfmp2.workflow.peak_memory import PeakMeter
from dfmp2.workflow.prepare import Prepared, choose_libraries
from dfmp2.workflow.reference_check import finish_check, recall_check, remarks, with_checks

__all__ = ["Pass", "compute"]

Pass = Callable[[HeldB, Problem, Work], Array]
"""One pass over the pairs that gives their energies, as of `pair_energies`."""

_WITHOUT_NKI = "use backend pytorch (--backend pytorch), or auto without DFMP2_REQUIRE_NKI"


@translated("DF-MP2")
def compute(
    prepared: Prepared,
    file: RunFile | None = None,
    resuming: bool = False,
    progress: Progress = silent,
    over_pairs: Pass | None = None,
) -> Result:
    """Compute the energies, or the part of them that a run file does not hold.

    Parameters
    ----------
    prepared : Prepared
    file : RunFile, optional
        Run file of this input, open for writing. It holds the result afterwards.
    resuming : bool
        The backend and the precision may differ from those of the pairs in the file.
    progress : callable
        Called as progress(stage, steps done, steps in all).
    over_pairs : callable, optional
        Makes more than energies from B. It is called even if a run file holds these.

    Returns
    -------
    Result
        Its `read_from` is the run file of a result that was not computed now.

    Raises
    ------
    CheckpointError
        If the file cannot be used.
    KernelError
        If an NKI kernel fails and torch may not take over.
    BackendUnavailable
        If NKI is required and torch computed what is in the file.
    """
    plan, reference = prepared.plan, prepared.reference
    with ExitStack() as stack:
        held = file
        if file is None and not plan.in_memory:
            held = stack.enter_context(scratch_run(plan.sizes))
        settings = prepared.settings
        checkpoint = Checkpoint(
            held, reference.nocc, settings.checkpoint_interval, len(settings.kappa)
        )
        recall_check(prepared.solution.check, file)
        if file is not None and over_pairs is None:
            stored = finished_result(prepared, file, checkpoint, resuming)
            if stored is not None:
                return with_checks(stored, prepared.solution)
        backend = prepared.choice.selection.backend
        backend.warm_up(pair_cases(reference), prepared.choice.dtypes)
        if not reference.empty:
            choose_libraries(prepared.choice, settings, plan)
        gpu = None
        if plan.device_memory:
            from dfmp2.backends.cuda import GpuPeak

            gpu = GpuPeak(prepared.choice.torch_device)
        meter, notes = PeakMeter(), list(prepared.notes)
        if not reference.empty:
            own = over_pairs or pair_energies
            outcome = _Calculation(prepared, checkpoint, progress, file, own).run()
        else:
            notes.append(nothing_to_correlate(reference))
            frozen = zip(prepared.solution.spins, reference.frozen, strict=True)
            if not all(spin.occupied[list(own)].all() for spin, own in frozen):
                warnings.warn(notes[-1], DFMP2Warning, stacklevel=3)  # every virtual orbital
            if prepared.solution.check.exact is not None:
                prepared.solution.check.finish(WITHOUT_FOCK)
            outcome = _empty(prepared)
        if prepared.solution.check.made == OFF:
            notes.append(UNCHECKED)
        notes += prepared.solution.check.remarks
        notes += outcome.notes
        notes += remarks(reference, float(outcome.energies[:2].sum()))
        memory = {"forecast": plan.peak, "max_memory": plan.max_memory}
        if (peak := meter.peak()) is not None:
            memory["peak"] = peak
        if gpu is not None:
            memory |= {"gpu_forecast": plan.device_peak, "gpu_peak": gpu.peak()}
        result = result_of(prepared, outcome, memory, (*notes, *checkpoint.notes))
        if file is not None:
            store_result(file, result)
        return result


def _empty(prepared: Prepared) -> Outcome:
    """The outcome of a molecule with nothing to correlate."""
    choice, nocc = prepared.choice, prepared.reference.nocc
    zero = np.zeros((2 + 2 * len(prepared.settings.kappa), nocc, nocc))
    provenance = Provenance(reason=choice.selection.reason)
    label = choice.precision.value
    return Outcome(zero, "not needed", choice.precision, label, provenance)


def _too_rough(found: str, accuracy: float) -> tuple[str]:
    text = (
        f"precision fp32 misses the accuracy of {accuracy:g} Eh ({found}); use precision auto "
        "(--precision auto) or fp64"
    )
    warnings.warn(text, DFMP2Warning, stacklevel=5)
    return (text,)


@dataclass(frozen=True, eq=False)
class _Calculation:
    prepared: Prepared
    checkpoint: Checkpoint
    progress: Progress
    file: RunFile | None = None
    over_pairs: Pass = pair_energies

    def run(self) -> Outcome:
        """The pair energies by the backend that was chosen, or by torch where it is lost."""
        selection, precision = self.prepared.choice.selection, self.prepared.choice.precision
        provenance = self._session(selection.backend, precision)
        if not selection.is_nki:
            return self._by_torch(selection.backend, precision, provenance)
        try:
            return self._by_nki(provenance)
        except KernelError as error:
            if not selection.may_fall_back or selection.host is None:
                raise type(error)(f"{error}; {_WITHOUT_NKI}") from error
            lost = str(error)  # the error itself would keep B in memory
        warnings.warn(
            f"the device was lost, torch computes the rest ({lost}); set "
            "DFMP2_REQUIRE_NKI=1 to make this an error",
            NkiFallbackWarning,
            stacklevel=4,
        )
        self.checkpoint.forget_uncommitted()
        again = self._session(selection.host, Precision.FP64)
        again.failures += provenance.failures
        again.failed("everything", lost)
        return self._by_torch(selection.host, Precision.FP64, again)

    def _session(self, backend: Backend, precision: Precision) -> Provenance:
        selection = self.prepared.choice.selection
        provenance = Provenance(reason=selection.reason)
        if selection.on_cpu is not None:
            provenance.gemm += selection.on_cpu.libraries
        accuracy = self.prepared.settings.accuracy
        self.checkpoint.begin(provenance, backend.where, precision, accuracy)
        return provenance

    def _by_nki(self, provenance: Provenance) -> Outcome:
        prepared, selection = self.prepared, self.prepared.choice.selection
        reference, accuracy = prepared.reference, prepared.settings.accuracy
        with provenance.stage(Stage.ESTIMATE):
            if prepared.source.metric is None:
                aux = self._aux("conditioned")
                placed = place_stages(reference, aux, accuracy)
            else:
                aux = prepared.aux
                placed = place_fitted(reference, accuracy)
        backend = RecordingBackend(
            selection.backend,
            provenance,
            selection.host,
            placed.on_host,
            selection.may_fall_back,
        )
        b_in = Precision.FP64 if Stage.SOLVE in placed.on_host else Precision.FP32
        self.checkpoint.begin_b("conditioned", b_in)
        b, metric = self._build(backend, aux, PairArithmetic.NKI)
        return self._outcome(backend, b, metric, Precision.FP32, str(placed))

    def _by_torch(self, torch: Backend, precision: Precision, provenance: Provenance) -> Outcome:
        checkpoint, accuracy = self.checkpoint, self.prepared.settings.accuracy
        reference = self.prepared.reference
        backend, aux = RecordingBackend(torch, provenance), self._aux("plain")
        checkpoint.begin_b("plain", Precision.FP64)
        expected = expected_error(reference.electron_pairs)
        too_rough = checkpoint.rejected(PairArithmetic.FP32, accuracy)
        if precision is Precision.FP64 or (
            precision is Precision.AUTO and (too_rough or expected > accuracy)
        ):
            cost = "was too rough before" if too_rough else f"could cost {expected:.0e} Eh"
            why = "" if precision is Precision.FP64 else f" (auto: fp32 {cost})"
            b, metric = self._build(backend, aux, PairArithmetic.FP64)
            return self._outcome(backend, b, metric, Precision.FP64, "fp64" + why)
        b, metric = self._build(backend, aux, PairArithmetic.FP32)
        check = SpotCheck(b, reference, backend)
        b.to_float32(backend)
        outcome = self._outcome(backend, b, metric, Precision.FP32, "")
        e_os, e_ss = outcome.energies[:2]
        error = check.error(e_os, e_ss, checkpoint.computed(PairArithmetic.FP32))
        found = f"estimated error {rounded_up(error)} Eh from {check.pairs} pairs in fp64"
        if precision is Precision.AUTO and not error <= accuracy:  # true for NaN, too
            del check, b
            checkpoint.reject(PairArithmetic.FP32)
            backend = RecordingBackend(torch, self._session(torch, precision))
            b, metric = self._build(backend, aux, PairArithmetic.FP64)
            label = f"fp64 (auto: with fp32, {found})"
            return self._outcome(backend, b, metric, Precision.FP64, label)
        label = checkpoint.label(f"fp32 pair GEMMs, all else fp64 ({found})")
        outcome = replace(outcome, precision_label=label, provenance=checkpoint.merged())
        return outcome if error <= accuracy else replace(outcome, notes=_too_rough(found, accuracy))

    def _aux(self, form: str) -> AuxBasis:
        """The auxiliary functions in the form of the B in the run file, else in this form."""
        prepared = self.prepared
        if (self.checkpoint.form or form) == "plain":
            return prepared.aux
        return orthonormal_form(prepared.aux, prepared.reference.mol, prepared.plan.aux_block)

    def _build(
        self, backend: RecordingBackend, aux: AuxBasis, arithmetic: PairArithmetic
    ) -> tuple[HeldB, str]:
        self.checkpoint.computing(arithmetic)
        solution = self.prepared.solution
        one_electron = solution.check.one_electron
        probe = None
        if one_electron is not None:
            probe = FockProbe(solution, one_electron, aux.naux)
        work = replace(self._work(backend), probe=probe)
        made = build_b(replace(self.prepared, aux=aux), work)
        finish_check(solution.check, probe, self.file)
        return made

    def _work(self, backend: RecordingBackend) -> Work:
        return Work(backend, self.checkpoint, self.progress)

    def _outcome(
        self, backend: RecordingBackend, b: HeldB, metric: str, precision: Precision, label: str
    ) -> Outcome:
        energies = self.over_pairs(b, self.prepared, self._work(backend))
        label = self.checkpoint.label(label)
        if self.checkpoint.pairs_in is not PairArithmetic.FP64:
            precision = Precision.FP32
        return Outcome(energies, metric, precision, label, self.checkpoint.merged())

"""In which precision, and where, the products of the pair densities of a gradient are made.

`auto` takes float32 products if the estimate of the gradient's error allows it, and float64 ones
otherwise, as NKI kernels do: where they are not exact enough, torch repeats the work. B, W, all
sums and all derivatives of integrals are float64, by torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dfmp2.backends.protocol import Array
from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.selection import Selection, require_nki
from dfmp2.errors import BackendUnavailable
from dfmp2.methods.pair_densities import PairDensities, keep_energies, pair_densities
from dfmp2.precision.estimate import rounded_up
from dfmp2.precision.gradient_error import gradient_error
from dfmp2.precision.spot_check import expected_error
from dfmp2.results.stages import PairArithmetic, Precision
from dfmp2.results.variants import Weights
from dfmp2.tensors.held import HeldB
from dfmp2.tensors.problem import Problem, Work
from dfmp2.workflow.prepare import Choice

__all__ = ["PairProducts"]


@dataclass(frozen=True)
class PairProducts:
    """How the pair densities of a calculation are made.

    Attributes
    ----------
    asked : Choice
        The backend and the precision of the calculation.
    """

    asked: Choice

    @property
    def host(self) -> Choice:
        """What makes all else: torch, in float64."""
        selection = self.asked.selection
        if selection.is_nki and selection.host is not None:
            reason = f"{selection.reason}, for products of pair densities; all else by torch"
            selection = Selection(selection.host, reason)
        return Choice(selection, Precision.FP64)

    def densities(
        self, b: HeldB, problem: Problem, work: Work, weights: Weights
    ) -> tuple[PairDensities, Array]:
        """The pair densities, and the energies as they are kept in the table of pairs.

        Raises
        ------
        BackendUnavailable
            If NKI is required, and its float32 products are not exact enough.
        """
        checkpoint, accuracy = work.checkpoint, problem.settings.accuracy
        on_nki, why = self.asked.selection.is_nki, ""
        if self.asked.precision is not Precision.FP64:
            arithmetic = PairArithmetic.NKI if on_nki else PairArithmetic.FP32
            rough = self._on_device(work)
            found = pair_densities(b, problem, rough, weights, single=True)
            error = gradient_error(b, found, problem, work, weights)
            of_energies = expected_error(problem.reference.electron_pairs)
            text = (
                f"estimated error of the gradient {rounded_up(error)} Eh/bohr, of energies "
                f"{rounded_up(of_energies)} Eh"
            )
            if max(error, of_energies) <= accuracy:
                by = "NKI" if on_nki else "fp32"
                checkpoint.computing(arithmetic)
                checkpoint.own_label = f"pair products {by}, all else fp64 ({text})"
                return found, keep_energies(found, work)
            found.gamma.close()
            if on_nki and require_nki():
                raise BackendUnavailable(
                    f"DFMP2_REQUIRE_NKI is set, but float32 products are too rough here: {text}, "
                    f"accuracy {accuracy:g}; raise accuracy (--accuracy), or unset it"
                )
            why = f" (auto: with {'NKI' if on_nki else 'fp32'}, {text})"
        found = pair_densities(b, problem, work, weights)
        checkpoint.own_label = f"fp64{why}"
        return found, keep_energies(found, work)

    def _on_device(self, work: Work) -> Work:
        selection = self.asked.selection
        if not selection.is_nki:
            return work
        provenance, fall_back = work.backend.provenance, selection.may_fall_back
        device = RecordingBackend(
            selection.backend, provenance, selection.host, may_fall_back=fall_back
        )
        return replace(work, backend=device)

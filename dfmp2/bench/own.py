"""The timed runs of dfmp2, and the rates of its stages beside the GEMM rate of the machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from dfmp2.bench.machine import gemm_rate
from dfmp2.bench.pairs import Run
from dfmp2.errors import BackendUnavailable
from dfmp2.interfaces.validation import default_tolerance
from dfmp2.references.solution import ScfSolution
from dfmp2.results.provenance import Provenance
from dfmp2.results.result import Result
from dfmp2.results.stages import Precision, Stage
from dfmp2.tensors.problem import silent
from dfmp2.workflow.jobs import PlannedJob, compute_job
from dfmp2.workflow.prepare import Choice

__all__ = ["Own", "StageRate", "require_device"]


@dataclass(frozen=True)
class StageRate:
    """One stage of dfmp2: medians over the timed runs.

    Attributes
    ----------
    seconds, gflops : float
    dtype : str
        Of most of its flops; empty where none are counted.
    of_peak : float or None
        Rate over the GEMM peak in that dtype.
    """

    name: str
    seconds: float
    gflops: float
    dtype: str
    of_peak: float | None


class Own:
    """Runs of dfmp2 on one molecule, each with its result."""

    def __init__(self, job: PlannedJob, solution: ScfSolution) -> None:
        self._job, self._solution = job, solution
        self._device = job.choice.torch_device
        dtypes = ["float64"]
        if job.choice.precision is not Precision.FP64:
            dtypes.append("float32")
        self.results: list[Result] = []
        self._rates: dict[str, list[float]] = {dtype: [] for dtype in dtypes}

    def measure_gemm(self) -> None:
        """Measure the GEMM rate, once before each run."""
        if self._device is not None:
            for dtype, rates in self._rates.items():
                rates.append(gemm_rate(self._device, dtype))

    def run(self) -> Run:
        """Time the DF-MP2 part once."""
        start = time.perf_counter()
        result = compute_job(self._job, self._solution, silent)
        seconds = time.perf_counter() - start
        self.results.append(result)
        error = 0.0 if result.settings["precision"] == "fp64" else default_tolerance(result)
        return Run(seconds, result.e_corr, result.memory.get("peak"), error)

    def peak(self) -> float | None:
        """Largest peak memory of all runs in MB; the warm-up counts, later runs reuse its heap."""
        peaks = [result.memory["peak"] for result in self.results if "peak" in result.memory]
        return max(peaks, default=None)

    def gemm_peak(self) -> dict[str, float]:
        """GFLOP/s by dtype, the warm-up left out."""
        return {dtype: median(rates[1:]) for dtype, rates in self._rates.items() if rates[1:]}

    def stages(self) -> list[StageRate]:
        """Medians over all runs but the first, which is a warm-up."""
        peak = self.gemm_peak()
        timed = [result.provenance for result in self.results[1:]]
        found = []
        for name in dict.fromkeys(stage.name for p in timed for stage in p.stages):
            rows = [stage for p in timed for stage in p.stages if stage.name == name]
            rate, dtype = median(row.gflops for row in rows), _dtype(timed[-1], name)
            of_peak = rate / peak[dtype] if dtype in peak else None
            found.append(StageRate(name, median(row.seconds for row in rows), rate, dtype, of_peak))
        return found

    def reduction(self) -> float | None:
        """Share of the reduction in a pair block's time on the CPU; None elsewhere.

        Fused blocks only: without fusion the two are operations of their own.
        """
        stage = next((row for row in self.stages() if row.name == Stage.PAIRS), None)
        last = self.results[-1]
        on_cpu = getattr(self._device, "type", None) == "cpu"
        if stage is None or not on_cpu or not last.settings["fused"]:
            return None
        from dfmp2.bench.reduction import reduction_share

        return reduction_share(last.sizes["nvir"], last.sizes["naux"], stage.dtype)


def require_device(choice: Choice) -> None:
    """Refuse a backend whose seconds are not those of a device.

    Raises
    ------
    BackendUnavailable
        If the backend is a simulator.
    """
    where = choice.selection.backend.where
    if where.mode == "simulator":
        raise BackendUnavailable(
            f"{where}: a simulator's seconds are no device's seconds; "
            "use --backend pytorch, or nki on a Neuron device"
        )


def _dtype(provenance: Provenance, stage: str) -> str:
    rows = [row for row in provenance.operations if row.stage == stage and row.flops]
    return max(rows, key=lambda row: row.flops).dtype if rows else ""

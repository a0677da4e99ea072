"""The runs of dfmp2 that are timed, and what its stages reach of the machine's GEMM rate."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from dfmp2.bench.machine import gemm_rate
from dfmp2.bench.pairs import Run
from dfmp2.errors import BackendUnavailable
from dfmp2.interfaces.validation import default_tolerance
from dfmp2.results.provenance import Provenance
from dfmp2.results.result import Result
from dfmp2.workflow.jobs import Calculation, Job

__all__ = ["Own", "Stage", "device_of"]

PAIR_STAGE = "pair energies"


@dataclass(frozen=True)
class Stage:
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
    """dfmp2 on one mean field; keeps the result of every run."""

    def __init__(self, job: Job, mf: Any, calculation: Calculation) -> None:
        self._job, self._mf, self._calculation = job, mf, calculation
        self._device = device_of(calculation)
        dtypes = ["float64"]
        if calculation.precision in ("fp32", "auto"):
            dtypes.append("float32")
        self.results: list[Result] = []
        self._rates: dict[str, list[float]] = {dtype: [] for dtype in dtypes}

    def measure_gemm(self) -> None:
        """Measure what the stages' rates are compared with; once before each run."""
        if self._device is not None:
            for dtype, rates in self._rates.items():
                rates.append(gemm_rate(self._device, dtype))

    def run(self) -> Run:
        """Time the DF-MP2 part once."""
        start = time.perf_counter()
        result = self._job.compute(self._mf, self._calculation, _silent)
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

    def stages(self) -> list[Stage]:
        """Medians over all runs but the first, which is a warm-up."""
        peak = self.gemm_peak()
        timed = [result.provenance for result in self.results[1:]]
        found = []
        for name in dict.fromkeys(stage.name for p in timed for stage in p.stages):
            rows = [stage for p in timed for stage in p.stages if stage.name == name]
            rate, dtype = median(row.gflops for row in rows), _dtype(timed[-1], name)
            of_peak = rate / peak[dtype] if dtype in peak else None
            found.append(Stage(name, median(row.seconds for row in rows), rate, dtype, of_peak))
        return found

    def reduction(self) -> float | None:
        """Share of the reduction in a pair block's time on the CPU; None where that has no sense.

        Fused blocks only: without fusion the two are operations of their own.
        """
        stage = next((row for row in self.stages() if row.name == PAIR_STAGE), None)
        last = self.results[-1]
        on_cpu = getattr(self._device, "type", None) == "cpu"
        if stage is None or not on_cpu or not last.settings["fused"]:
            return None
        from dfmp2.bench.reduction import reduction_share

        return reduction_share(last.sizes["nvir"], last.sizes["naux"], stage.dtype)


def device_of(calculation: Calculation) -> Any:
    """The device that torch computes on; None where NKI computes on one of its own.

    Raises
    ------
    InputError, BackendUnavailable
        As from `dfmp2.workflow.compute.choose`, and if the backend is a simulator.
    """
    backend = calculation.require_backend().backend
    if backend.where.mode == "simulator":
        raise BackendUnavailable(
            f"{backend.where}: a simulator's seconds are no device's seconds; "
            "use --backend pytorch, or nki on a Neuron device"
        )
    return getattr(backend, "device", None)


def _dtype(provenance: Provenance, stage: str) -> str:
    rows = [row for row in provenance.operations if row.stage == stage and row.flops]
    return max(rows, key=lambda row: row.flops).dtype if rows else ""


def _silent(stage: str, done: int, total: int) -> None:
    pass

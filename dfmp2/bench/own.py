"""Timed runs of dfmp2, and the rates of its stages compared with the GEMM rate of the machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from dfmp2.bench.machine import gemm_rates
from dfmp2.bench.pairs import Run
from dfmp2.errors import BackendUnavailable
from dfmp2.interfaces.validation import default_tolerance
from dfmp2.references.solution import ScfSolution
from dfmp2.results.provenance import Provenance
from dfmp2.results.result import Result
from dfmp2.results.stages import Stage
from dfmp2.tensors.problem import silent
from dfmp2.workflow.jobs import PlannedJob, compute_job
from dfmp2.workflow.prepare import Choice

__all__ = ["Own", "StageRate", "require_device"]


@dataclass(frozen=True)
class StageRate:
    """One stage of dfmp2: medians over the timed runs.

    Attributes
    ----------
    name : str
    seconds : float
        Wall time.
    gflops : float
        GFLOP/s.
    dtype : str
        The dtype of most of its flops. Empty if no flops are counted.
    of_peak : float or None
        GFLOP/s divided by that of a square GEMM in this dtype, by the fastest library.
    """

    name: str
    seconds: float
    gflops: float
    dtype: str
    of_peak: float | None


class Own:
    """Runs of dfmp2 on one molecule.

    Parameters
    ----------
    job : PlannedJob
    solution : ScfSolution

    Attributes
    ----------
    results : list of Result
        One for each run.
    """

    def __init__(self, job: PlannedJob, solution: ScfSolution) -> None:
        self._job, self._solution = job, solution
        self._device = job.choice.torch_device
        self.results: list[Result] = []
        self._rates: dict[str, list[dict[str, float]]] = {dtype: [] for dtype in job.choice.dtypes}

    def measure_gemm(self) -> None:
        """Measure the GEMM rate. This is done once before each run."""
        if self._device is not None:
            for dtype, rates in self._rates.items():
                rates.append(gemm_rates(self._device, dtype))

    def run(self) -> Run:
        """Time the DF-MP2 part once."""
        start = time.perf_counter()
        result = compute_job(self._job, self._solution, silent)
        seconds = time.perf_counter() - start
        self.results.append(result)
        error = 0.0 if result.settings["precision"] == "fp64" else default_tolerance(result)
        # Other programs do not scale it, and leave the single excitations of an ROHF out.
        e_corr = result.energies["MP2"]["correlation"] - result.e_singles
        return Run(seconds, e_corr, result.memory.get("peak"), error)

    def peak(self) -> float | None:
        """Largest peak memory in MB, with the warm-up, because later runs reuse its heap."""
        peaks = [result.memory["peak"] for result in self.results if "peak" in result.memory]
        return max(peaks, default=None)

    def gemm_rates(self) -> dict[str, dict[str, float]]:
        """GFLOP/s of a square GEMM by dtype and library: medians without the warm-up."""
        return {
            dtype: {name: median(rate[name] for rate in rates[1:]) for name in rates[0]}
            for dtype, rates in self._rates.items()
            if rates[1:]
        }

    def gemm_peak(self) -> dict[str, float]:
        """The best of `gemm_rates` by dtype."""
        return {dtype: max(rates.values()) for dtype, rates in self.gemm_rates().items()}

    def stages(self) -> list[StageRate]:
        """Medians over all runs without the first, which is a warm-up."""
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
        """Share of the reduction in the time of a pair block on the CPU.

        Returns
        -------
        float or None
            None on other devices, for open shells (their blocks differ in size), and for unfused
            pair energies (their two steps are timed apart).
        """
        stage = next((row for row in self.stages() if row.name == Stage.PAIRS), None)
        last = self.results[-1]
        on_cpu = getattr(self._device, "type", None) == "cpu"
        if stage is None or not on_cpu or last.open_shell or not last.settings["fused"]:
            return None
        from dfmp2.bench.reduction import reduction_share

        return reduction_share(last.sizes["nvir"], last.sizes["naux"], stage.dtype)


def require_device(choice: Choice) -> None:
    """Raise an error if the backend is a simulator.

    Parameters
    ----------
    choice : Choice

    Raises
    ------
    BackendUnavailable
        If the backend is a simulator. Its times do not apply to any device.
    """
    where = choice.selection.backend.where
    if where.mode == "simulator":
        raise BackendUnavailable(
            f"{where}: the time of a simulator is not that of a device; use --backend pytorch, or "
            "nki on a Neuron device"
        )


def _dtype(provenance: Provenance, stage: str) -> str:
    rows = [row for row in provenance.operations if row.stage == stage and row.flops]
    return max(rows, key=lambda row: row.flops).dtype if rows else ""

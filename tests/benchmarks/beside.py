"""Alternating runs of dfmp2 and another program for one case, and the printed figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from dfmp2.bench.compare import make_setup
from dfmp2.bench.own import Own
from dfmp2.bench.pairs import Pairs, Run
from dfmp2.bench.peers import Pyscf
from dfmp2.references.solution import ScfSolution
from dfmp2.results.stages import Precision
from dfmp2.units import BYTES_PER_DOUBLE, BYTES_PER_MB
from dfmp2.workflow.jobs import PlannedJob

ROUNDS = 5


@dataclass(frozen=True)
class Case:
    """A molecule, and the smallest accepted ratios of times.

    PySCF's wheel is slow on processors whose full speed needs 512-bit instructions: the float64
    ratios are 3.6 to 4.4 on an Intel Xeon and about 2 on an AMD EPYC. The thresholds are below
    both. `PAIR_STAGE` and `REDUCTION` of test_beside_pyscf.py compare dfmp2 with the GEMM rate of
    the machine, and so detect a slower pair stage.
    """

    name: str
    basis: str
    fp64: float
    auto: float

    def __str__(self) -> str:
        return f"{self.name}/{self.basis}"


CASES = (
    Case("benzene", "cc-pvtz", 1.3, 1.5),
    Case("water10", "cc-pvdz", 1.5, 2.2),
    Case("water10", "cc-pvtz", 1.5, 2.3),
    Case("water20", "cc-pvdz", 1.7, 2.7),
)


@dataclass(frozen=True)
class Found:
    """Runs of one case, without the first round, which is a warm-up."""

    own: dict[str, Own]
    beside: dict[str, Pairs]
    peer_peak: float | None

    def sizes(self) -> dict[str, int]:
        return self.own["fp64"].results[-1].sizes

    def b_size(self) -> float:
        """MB of B[i,P,a]."""
        sizes = self.sizes()
        return BYTES_PER_DOUBLE * sizes["nocc"] * sizes["naux"] * sizes["nvir"] / BYTES_PER_MB

    def peak(self) -> float | None:
        """Largest peak memory of dfmp2 in both precisions, MB."""
        peaks = [own.peak() for own in self.own.values()]
        return max((peak for peak in peaks if peak is not None), default=None)


def measure(
    job: PlannedJob,
    solution: ScfSolution,
    rounds: int,
    benchmark: Any = None,
    program: Any = Pyscf,
    fp64_tolerance: float = 1e-9,
) -> Found:
    """Time dfmp2 in both precisions, and another program between them."""
    own = {}
    for name in (Precision.FP64, Precision.AUTO):
        settings = replace(job.settings, precision=name.value)
        choice = replace(job.choice, precision=name)
        own[name.value] = Own(replace(job, settings=settings, choice=choice), solution)
    peer = program(make_setup(job, solution))
    pairs = {name: Pairs(peer.name, peer.version) for name in own}
    peaks: list[float] = []

    def beside() -> tuple[tuple[Run], dict[str, Any]]:
        own["auto"].measure_gemm()
        reduced = own["auto"].run()
        theirs = peer.run()
        pairs["auto"].add(reduced, theirs, peer.tolerance)
        peaks.extend([theirs.peak] if theirs.peak is not None else [])
        own["fp64"].measure_gemm()
        return (theirs,), {}

    def run_dfmp2(theirs: Run) -> None:
        pairs["fp64"].add(own["fp64"].run(), theirs, fp64_tolerance)

    if benchmark is None:
        for _ in range(rounds + 1):
            run_dfmp2(*beside()[0])
    else:
        benchmark.pedantic(run_dfmp2, setup=beside, rounds=rounds, warmup_rounds=1)
    for one in pairs.values():
        del one.own[0], one.theirs[0]
    return Found(own, pairs, max(peaks, default=None))


def rows(case: Case, found: Found) -> list[str]:
    """The figures of tests/benchmarks/README.md, and times of the stages."""
    sizes, peak = found.sizes(), found.peak()
    device = found.own["fp64"].results[-1].provenance.device_line()
    numbers = " / ".join(str(sizes[key]) for key in ("nao", "nocc", "nvir", "naux"))
    lines = [f"{case}: nao / nocc / nvir / naux {numbers}; {device}"]
    for precision, pairs in found.beside.items():
        ratios, own = pairs.ratios, found.own[precision]
        lines.append(
            f"  {precision}: {pairs.peer} {median(run.seconds for run in pairs.theirs):.2f} s, "
            f"dfmp2 {median(run.seconds for run in pairs.own):.2f} s, "
            f"ratio {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}), "
            f"{len(ratios)} pairs; {own.results[-1].labels['precision']}"
        )
        peaks = ", ".join(f"{dtype} {rate:.0f}" for dtype, rate in own.gemm_peak().items())
        stages = ", ".join(
            f"{stage.name} {stage.seconds:.3f} s"
            + (f" ({stage.gflops:.0f}, {stage.of_peak:.0%})" if stage.of_peak else "")
            for stage in own.stages()
        )
        lines.append(f"    {stages}; GEMM peak {peaks} GFLOP/s")
    if peak is not None and found.peer_peak is not None:
        lines.append(
            f"  memory: PySCF {found.peer_peak:.0f} MB, dfmp2 {peak:.0f} MB, of which B "
            f"{found.b_size():.0f} MB"
        )
    return lines

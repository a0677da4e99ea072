"""Results of `dfmp2 bench` as text and as plain data."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from dfmp2.bench.compare import Bench
from dfmp2.bench.machine import StartUp
from dfmp2.bench.pairs import Run
from dfmp2.bench.scaling import exponents
from dfmp2.cli.columns import aligned, columns
from dfmp2.cli.table import sizes_line

__all__ = ["bench_data", "bench_text", "closing_text", "report_data"]

PROGRAMS = ("program", "median s", "min-max s", "peer/dfmp2", "min-max", "peak MB")
WHOLE = {"pyscf": "PySCF script", "psi4": "psi4"}
"""Names of the whole jobs."""

STAGES = ("stage of dfmp2", "median s", "GFLOP/s", "of peak", "dtype")


def bench_text(found: Bench) -> str:
    """The table of one molecule."""
    result = found.result
    pairs = len(found.beside[0].own) if found.beside else len(found.own)
    facts = [
        ("ran on", result.provenance.device_line()),
        ("basis", result.labels["basis"]),
        ("auxiliary basis", f"{result.labels['auxbasis']} ({result.labels['auxbasis_reason']})"),
        ("sizes", sizes_line(result.sizes)),
        ("SCF", found.scf),
        ("frozen orbitals", result.labels["frozen"]),
        ("precision", result.labels["precision"]),
        ("threads", str(found.threads)),
        ("GEMM peak", _peaks(found)),
        ("OpenBLAS variables", _variables(found)),
        *((f"BLAS of {program}", blas) for program, blas in found.blas.items()),
    ]
    title = f"{result.molecule.name}: DF-MP2 part of dfmp2 {result.versions['dfmp2']} beside others"
    lines = [f"{title}, {pairs} interleaved pairs after a warm-up"]
    programs = [("dfmp2", *_times(found.own), "", "", _memory(found.peak))]
    for one in found.beside:
        ratios = one.ratios
        span = f"{min(ratios):.2f}-{max(ratios):.2f}"
        cells = (*_times(one.theirs), f"{median(ratios):.2f}", span, _memory(one.peak))
        programs.append((f"{one.peer} {one.version}", *cells))
    stages = [
        (
            stage.name,
            f"{stage.seconds:.3f}",
            f"{stage.gflops:.1f}" if stage.dtype else "-",
            "-" if stage.of_peak is None else f"{stage.of_peak:.0%}",
            stage.dtype,
        )
        for stage in found.stages
    ]
    lines += [*aligned(facts), "", *columns(PROGRAMS, programs, right=PROGRAMS[1:])]
    lines += aligned(list(found.missing.items()))
    lines += ["", *_whole(found)]
    lines += ["", *columns(STAGES, stages, right=STAGES[1:4])]
    if found.reduction is not None:
        lines.append(
            f"  of a pair block, its reduction takes {found.reduction:.1%} (clocked per thread on "
            "blocks of this size, after the runs)"
        )
    return "\n".join(lines) + "\n"


def closing_text(found: list[Bench], started: StartUp) -> str:
    """Lines for all molecules: scaling exponents, and the times of imports and compilation."""
    compiled = f"{started.compiled_first:.2f} s (first process ever)"
    loaded = f"{started.compiled_later:.2f} s (later ones)"
    imports = f"not in these times: imports {started.imports:.2f} s"
    lines = [f"{imports}, compiled reduction {compiled}, {loaded}"]
    fitted = {name: value for name, value in exponents(found).items() if value is not None}
    if fitted:
        values = ", ".join(f"{name} {value:.2f}" for name, value in fitted.items())
        lines.append(f"exponents of time against AOs, {len(found)} molecules: {values}")
    return "\n".join(lines) + "\n"


def bench_data(found: Bench) -> dict[str, Any]:
    """One molecule as plain data: times in seconds, memory in MB, energies in hartree.

    gemm_gflops : rate of a square GEMM by dtype and library; gemm_peak_gflops is the best by dtype
    blas : BLAS, kernels and threads by program
    environment : variables that change the kernels of OpenBLAS, null where they are not set
    dfmp2, peers : runs of the DF-MP2 part, and the ratios of pairs of runs
    whole_jobs : the same for whole processes with SCF and imports, or why_not
    missing : peers that did not run, and why
    stages, reduction_share : stages of dfmp2, whose of_peak refers to gemm_peak_gflops
    """
    result = found.result
    return {
        "name": result.molecule.name,
        "ran_on": result.provenance.device_line(),
        "chosen_because": result.provenance.reason,
        "sizes": result.sizes,
        "labels": {**result.labels, "scf": found.scf},
        "threads": found.threads,
        "versions": result.versions,
        "gemm_peak_gflops": {dtype: max(r.values()) for dtype, r in found.gemm_rates.items()},
        "gemm_gflops": found.gemm_rates,
        "blas": found.blas,
        "environment": found.environment,
        "whole_jobs": _whole_data(found),
        "dfmp2": {
            "runs": [asdict(run) for run in found.own],
            "median_seconds": median(run.seconds for run in found.own),
            "peak_mb": found.peak,
        },
        "peers": {
            one.peer: {
                "version": one.version,
                "pairs": [
                    {"dfmp2": asdict(own), "peer": asdict(theirs)}
                    for own, theirs in zip(one.own, one.theirs, strict=True)
                ],
                "ratios": one.ratios,
                "median_ratio": median(one.ratios),
                "median_seconds": median(run.seconds for run in one.theirs),
                "peak_mb": one.peak,
            }
            for one in found.beside
        },
        "missing": found.missing,
        "stages": [asdict(stage) for stage in found.stages],
        "reduction_share": found.reduction,
    }


def report_data(
    molecules: list[dict[str, Any]], found: list[Bench], started: StartUp
) -> dict[str, Any]:
    """The whole comparison as plain data."""
    return {
        "what": "wall time of the DF-MP2 part, and of whole jobs with SCF and imports; ratios are "
        "peer/dfmp2 of two runs in succession",
        "molecules": molecules,
        "exponents": exponents(found),
        "start_up_seconds": asdict(started),
    }


def _times(runs: list[Run]) -> tuple[str, str]:
    seconds = [run.seconds for run in runs]
    return f"{median(seconds):.3f}", f"{min(seconds):.3f}-{max(seconds):.3f}"


def _memory(peak: float | None) -> str:
    return "-" if peak is None else f"{peak:.0f}"


def _peaks(found: Bench) -> str:
    """The rate of the fastest library for each dtype, and those of the others."""
    if not found.gemm_rates:
        return "not measured: torch does not use this device"
    lines = []
    for dtype, rates in found.gemm_rates.items():
        (best, rate), *others = sorted(rates.items(), key=lambda item: -item[1])
        rest = "".join(f"; {name} {other:.0f}" for name, other in others)
        lines.append(f"{rate:.0f} GFLOP/s {dtype} ({best}{rest})")
    return ", ".join(lines)


def _variables(found: Bench) -> str:
    values = found.environment.items()
    return ", ".join(f"{name} {value or 'not set'}" for name, value in values)


def _whole(found: Bench) -> list[str]:
    """The table of whole jobs."""
    whole = found.whole
    if not whole.own:
        return [f"  whole jobs (imports, SCF, DF-MP2) were not timed: {whole.why_not}"]
    rows = [("dfmp2 run", *_times(whole.own), "", "")]
    for one in whole.beside:
        span = f"{min(one.ratios):.2f}-{max(one.ratios):.2f}"
        rows.append((WHOLE[one.peer], *_times(one.theirs), f"{median(one.ratios):.2f}", span))
    head = ("whole job, SCF included", *PROGRAMS[1:5])
    return columns(head, rows, right=head[1:])


def _whole_data(found: Bench) -> dict[str, Any]:
    whole = found.whole
    return {
        "why_not": whole.why_not,
        "dfmp2": [asdict(run) for run in whole.own],
        "peers": {
            one.peer: {
                "runs": [asdict(run) for run in one.theirs],
                "ratios": one.ratios,
                "median_ratio": median(one.ratios),
            }
            for one in whole.beside
        },
    }

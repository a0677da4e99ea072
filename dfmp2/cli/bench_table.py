"""Timings as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from statistics import median
from typing import Any

from dfmp2.bench.compare import Bench
from dfmp2.bench.machine import StartUp
from dfmp2.bench.pairs import Run
from dfmp2.bench.scaling import exponents

__all__ = ["bench_data", "bench_text", "closing_text", "report_data"]


def bench_text(found: Bench) -> str:
    """The table of one molecule."""
    result, sizes = found.result, found.result.sizes
    pairs = len(found.beside[0].own) if found.beside else len(found.own)
    facts = [
        ("ran on", result.provenance.device_line()),
        ("basis", result.labels["basis"]),
        ("auxiliary basis", f"{result.labels['auxbasis']} ({result.labels['auxbasis_reason']})"),
        (
            "sizes",
            (
                f"{sizes['nao']} AOs, {sizes['nocc']} correlated occupied, "
                f"{sizes['nvir']} virtual, {sizes['naux']} auxiliary"
            ),
        ),
        ("SCF", found.scf),
        ("frozen orbitals", result.labels["frozen"]),
        ("precision", result.labels["precision"]),
        ("threads", str(found.threads)),
        ("GEMM peak", _peaks(found)),
    ]
    title = f"{result.molecule.name}: DF-MP2 part of dfmp2 {result.versions['dfmp2']} beside others"
    lines = [f"{title}, {pairs} interleaved pairs after a warm-up"]
    lines += [f"  {name:<15}  {value}" for name, value in facts]
    head = ("program", "median s", "min-max s", "peer/dfmp2", "min-max", "peak MB")
    lines += ["", _line(head), _line(("dfmp2", *_times(found.own), "", "", _memory(found.peak)))]
    for one in found.beside:
        ratios = one.ratios
        span = f"{min(ratios):.2f}-{max(ratios):.2f}"
        cells = (*_times(one.theirs), f"{median(ratios):.2f}", span, _memory(one.peak))
        lines.append(_line((f"{one.peer} {one.version}", *cells)))
    lines += [f"  {name:<20}{reason}" for name, reason in found.missing.items()]
    lines += ["", f"  {'stage of dfmp2':<20}{'median s':>10}{'GFLOP/s':>10}{'of peak':>10}  dtype"]
    for stage in found.stages:
        rate = f"{stage.gflops:.1f}" if stage.dtype else "-"
        share = "-" if stage.of_peak is None else f"{stage.of_peak:.0%}"
        row = f"  {stage.name:<20}{stage.seconds:>10.3f}{rate:>10}{share:>10}  {stage.dtype}"
        lines.append(row.rstrip())
    if found.reduction is not None:
        lines.append(
            f"  of a pair block, its reduction takes {found.reduction:.1%} (clocked per thread on "
            "blocks of this size, after the runs)"
        )
    return "\n".join(lines) + "\n"


def closing_text(found: list[Bench], started: StartUp) -> str:
    """What holds for all molecules: exponents, and what the timings leave out."""
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
    """One molecule as plain data; times in seconds, memory in MB, energies in hartree."""
    result = found.result
    return {
        "name": result.molecule.name,
        "ran_on": result.provenance.device_line(),
        "chosen_because": result.provenance.reason,
        "sizes": result.sizes,
        "labels": {**result.labels, "scf": found.scf},
        "threads": found.threads,
        "versions": result.versions,
        "gemm_peak_gflops": found.gemm_peak,
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
        "what": "wall time of the DF-MP2 part; ratios are peer/dfmp2 of two runs in succession",
        "molecules": molecules,
        "exponents": exponents(found),
        "start_up_seconds": asdict(started),
    }


def _line(cells: tuple[str, ...]) -> str:
    widths = (10, 16, 12, 12, 10)
    rest = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths, strict=True))
    return f"  {cells[0]:<20}{''.join(rest)}".rstrip()


def _times(runs: list[Run]) -> tuple[str, str]:
    seconds = [run.seconds for run in runs]
    return f"{median(seconds):.3f}", f"{min(seconds):.3f}-{max(seconds):.3f}"


def _memory(peak: float | None) -> str:
    return "-" if peak is None else f"{peak:.0f}"


def _peaks(found: Bench) -> str:
    if not found.gemm_peak:
        return "not measured: not torch's device"
    return ", ".join(f"{rate:.0f} GFLOP/s {dtype}" for dtype, rate in found.gemm_peak.items())

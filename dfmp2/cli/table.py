"""Results, plans and comparisons as plain text with one fact per line, readable by grep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dfmp2.cli.columns import aligned, columns
from dfmp2.cli.derivatives_table import derivatives_lines
from dfmp2.interfaces.validation import Comparison
from dfmp2.molecules.plain import formula
from dfmp2.planning.plan import Plan
from dfmp2.references.check import CHEAP, OFF, UNCHECKED
from dfmp2.results.result import Result

if TYPE_CHECKING:
    from dfmp2.workflow.time_forecast import TimeForecast

__all__ = [
    "charge_text",
    "comparison_text",
    "duration",
    "operations_text",
    "plan_text",
    "programs_text",
    "sizes_line",
    "summary",
]


def sizes_line(sizes: Mapping[str, int], npair: int | None = None) -> str:
    """Dimensions of a run, with the number of pairs if given.

    Parameters
    ----------
    sizes : mapping of str to int
        nao, nocc, nvir, naux; or those of both spins.
    npair : int, optional
    """
    pairs = "" if npair is None else f", {npair} pairs"
    if "nocc_a" in sizes:
        nocc, nvir = (f"{sizes[f'{n}_a']} + {sizes[f'{n}_b']}" for n in ("nocc", "nvir"))
        spins = f"{nocc} correlated occupied (alpha + beta), {nvir} virtual"
    else:
        spins = f"{sizes['nocc']} correlated occupied, {sizes['nvir']} virtual"
    return f"{sizes['nao']} AOs, {spins}, {sizes['naux']} auxiliary{pairs}"


def summary(
    result: Result,
    origin: str = "",
    scf_seconds: float | None = None,
    expected: TimeForecast | None = None,
) -> str:
    """The table of one result.

    Parameters
    ----------
    result : Result
    origin : str
        File that a stored result was read from, which is printed; empty for a new result.
    scf_seconds : float, optional
        Wall time of the SCF, if it was done now.
    expected : TimeForecast, optional
        Forecast of the times, which is printed beside them.
    """
    labels = result.labels
    energies = _energies(result)
    spin_square = [("<S^2>", f"{result.spin_square:.4f}")] if result.open_shell else []
    made = labels.get("reference_check", CHEAP)
    gemm = result.provenance.gemm_line()
    checked = [] if made in (CHEAP, OFF) else [("reference check", made)]
    unchecked = ["", f"  {UNCHECKED}"] if made == OFF else []
    facts = [
        ("formula", formula(result.molecule.symbols)),
        ("basis", labels["basis"]),
        ("auxiliary basis", f"{labels['auxbasis']} ({labels['auxbasis_reason']})"),
        ("ECP", labels["ecp"]),
        ("SCF", labels["scf"]),
        *[(name, labels[name]) for name in ("functional", "dispersion") if name in labels],
        *spin_square,
        *([("SCF iterations", _iterations(result.scf))] if result.scf else []),
        *_scf_time(scf_seconds, expected),
        *checked,
        ("charge", charge_text(labels.get("electrons", ""), result.molecule.charge)),
        ("sizes", sizes_line(result.sizes)),
        ("frozen orbitals", labels["frozen"]),
        ("integrals", labels.get("integrals", "not recorded")),
        ("metric", labels["metric"]),
        ("precision", labels["precision"]),
        ("pair energies", "fused" if result.settings["fused"] else "unfused"),
        ("ran on", result.provenance.device_line()),
        *([("GEMM", gemm)] if gemm else []),
        ("chosen because", result.provenance.reason),
        ("peak memory", _memory(result)),
    ]
    version = result.versions.get("dfmp2", "?")
    method = result.double_hybrid or "DF-MP2"
    lines = [f"{result.molecule.name}: {method} by dfmp2 {version} (energies in hartree)"]
    if origin:
        lines.append(f"  read from {origin}, not computed now")
    lines += ["", *aligned([(name, f"{value:20.10f}") for name, value in energies])]
    lines += derivatives_lines(result)
    lines += [*unchecked, "", *aligned(facts), ""]
    lines += _stages(result, {} if expected is None else expected.stages)
    lines += [f"  note: {note}" for note in result.notes if note != UNCHECKED]
    return "\n".join(lines) + "\n"


def _scf_time(seconds: float | None, expected: TimeForecast | None) -> list[tuple[str, str]]:
    """The time of the SCF beside its forecast, if there is one."""
    if seconds is None or expected is None or expected.scf is None:
        return []
    text = f"{duration(seconds)} (forecast {duration(expected.scf.total)})"
    return [("time of the SCF", text)]


def _stages(result: Result, expected: Mapping[str, float]) -> list[str]:
    """Table of the stages with their times, and the forecasts of those that have one."""
    stages = result.provenance.stages
    rows = [(s.name, f"{s.seconds:.3f}", f"{s.gflops:.1f}" if s.flops else "-") for s in stages]
    rows.append(("sum", f"{sum(stage.seconds for stage in stages):.3f}", ""))
    head: tuple[str, ...] = ("stage", "seconds", "GFLOP/s")
    if not expected:
        return columns(head, rows, right=head[1:])
    forecasts = [f"{expected[s.name]:.3f}" if s.name in expected else "-" for s in stages]
    forecasts.append("-" if "-" in forecasts else f"{sum(expected.values()):.3f}")
    beside = [(*row, forecast) for row, forecast in zip(rows, forecasts, strict=True)]
    head = (*head, "forecast s")
    return columns(head, beside, right=head[1:])


def duration(seconds: float) -> str:
    """A time with its unit, to three digits."""
    if seconds < 100:
        return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds:.3f} s"
    return f"{seconds:.0f} s" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _energies(result: Result) -> list[tuple[str, float]]:
    """Names of the lines with energies, and hartree."""
    if result.double_hybrid is not None:
        parts = result.parts
        dispersion = [("E(dispersion)", result.e_dispersion)] if result.e_dispersion else []
        return [
            ("E(KS part)", result.e_hf),
            ("E(PT2) weighted", result.e_corr),
            ("  opposite spin", parts["pt2_opposite_spin"]),
            ("  same spin", parts["pt2_same_spin"]),
            *dispersion,
            (f"E({result.double_hybrid}) total", result.e_tot),
        ]
    hf = "E(KS reference)" if result.reference.endswith("KS") else "E(HF)"
    singles = [("  singles", result.e_singles)] if result.reference == "ROHF" else []
    return [
        (hf, result.e_hf),
        ("E(MP2) correlation", result.energies["MP2"]["correlation"]),
        ("  opposite spin", result.e_corr_os),
        ("  same spin", result.e_corr_ss),
        *singles,
        *((f"E({name}) total", energy["total"]) for name, energy in result.energies.items()),
    ]


def charge_text(stated: str, charge: int) -> str:
    """Charge and spin with their origin, if it is recorded; else the charge alone."""
    return stated.removeprefix("charge ") or (f"{charge:+d}" if charge else "0")


def _iterations(scf: dict[str, Any]) -> str:
    """What an SCF took: its algorithm, its two-electron matrices, and its time."""
    counts = {"exact": scf["exact_builds"], "fitted": scf["fitted_iterations"]}
    found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{scf['algorithm']}, {found or 'none'}, {scf['seconds']:.1f} s"


def _memory(result: Result) -> str:
    memory = result.memory
    peak = f"{memory['peak']:.0f} MB" if "peak" in memory else "not measured"
    line = (
        f"{peak} above the SCF's (forecast {memory['forecast']:.0f} MB, "
        f"limit {memory['max_memory']:.0f} MB)"
    )
    if "gpu_peak" in memory:
        line += (
            f"; on the GPU {memory['gpu_peak']:.0f} MB (forecast {memory['gpu_forecast']:.0f} MB)"
        )
    return line


def operations_text(result: Result) -> str:
    """Table of the operations of a result and the device that each ran on."""
    head = ("stage", "operation", "dtype", "calls", "fallbacks", "seconds", "device")
    rows = [
        (
            row.stage,
            row.operation,
            row.dtype,
            str(row.calls),
            str(row.fallbacks),
            f"{row.seconds:.3f}",
            str(row.where),
        )
        for row in result.provenance.operations
    ]
    return "\n".join(columns(head, rows, right=("calls", "fallbacks", "seconds"))) + "\n"


def programs_text(needed: dict[str, int], known: set[str]) -> str:
    """The compiled programs that a run needs if all its stages run on the device.

    Parameters
    ----------
    needed : dict of str to int
        Number of launches by program.
    known : set of str
        Programs that were launched on this machine before.
    """
    lines = [f"  {len(needed)} programs, {sum(needed.values())} launches with all stages on NKI:"]
    for program, launches in needed.items():
        state = "launched here before" if program in known else "not launched here yet"
        lines.append(f"    {launches:5d} x {program}: {state}")
    return "\n".join(lines) + "\n"


def plan_text(
    name: str, plan: Plan, auxbasis: str, backend: str, on_nki: bool, times: TimeForecast
) -> str:
    """The table of one plan; `on_nki` says that NKI kernels compute the pair energies."""
    rows = [
        ("auxiliary basis", auxbasis),
        ("sizes", sizes_line(plan.sizes.named(), plan.sizes.npair)),
        ("backend", backend),
        ("integral blocks", f"{plan.aux_block} auxiliary functions each"),
        *_b_rows(plan, plan.nki_block if on_nki else plan.occ_block),
        *_gradient_rows(plan),
    ]
    on_gpu = {"peak (forecast)": plan.device_peak} if plan.device_memory else {}
    megabytes = {
        "memory": {**plan.memory, "peak (forecast)": plan.peak, "limit": plan.max_memory},
        "GPU memory": {**plan.device_memory, **on_gpu},
        "disk": plan.disk,
    }
    for where, sizes in megabytes.items():
        rows += [(f"{where}, {item}", f"{size:10.1f} MB") for item, size in sizes.items()]
    rows += [
        (f"work, {stage}", f"{count / 1e9:10.3f} GFLOP") for stage, count in plan.flops.items()
    ]
    rows += _time_rows(times)
    if plan.gradient is not None:
        rows.append(("time of the gradient", "no forecast; the times above are for energies alone"))
    return "\n".join([f"{name}: plan of the DF-MP2 part", *aligned(rows)]) + "\n"


def _time_rows(times: TimeForecast) -> list[tuple[str, str]]:
    """The forecast of the time, one row per stage."""
    rows = [("time (forecast)", times.origin)]
    if times.scf is not None:
        rows += [(f"time, SCF: {part}", duration(s)) for part, s in times.scf.parts.items()]
        rows.append(("time, SCF in all", f"{duration(times.scf.total)} ({times.scf.assumed})"))
    rows += [(f"time, {stage}", duration(s)) for stage, s in times.stages.items()]
    if times.stages:
        without = f", without {', '.join(times.unknown)}" if times.unknown else ""
        total = f"{duration(sum(times.stages.values()))}{without}"
        rows.append(("time, DF-MP2 part in all", total))
    return rows


def _gradient_rows(plan: Plan) -> list[tuple[str, str]]:
    """What the pair densities of a gradient need; no rows for energies."""
    if (found := plan.gradient) is None:
        return []
    place = "in memory" if found.in_memory else f"in a temporary file of {found.disk:.1f} MB"
    return [
        ("gamma[i,P,a] of the gradient", place),
        ("pair blocks of the gradient", f"{found.block} x {found.block} occupied orbitals"),
    ]


def _b_rows(plan: Plan, block: int) -> list[tuple[str, str]]:
    if plan.in_memory:
        return [
            ("B[i,P,a]", "in memory"),
            ("pair blocks", f"{block} x {block} occupied orbitals"),
        ]
    return [
        (
            "B[i,P,a]",
            (
                f"in the run file, read {plan.reads:.1f} times by the pair energies (in memory "
                f"from --max-memory {plan.least_in_memory:.0f})"
            ),
        ),
        ("pair blocks", f"{plan.i_rows} x {plan.j_rows} occupied orbitals, the next read ahead"),
    ]


def comparison_text(comparison: Comparison) -> str:
    """Table of a result and PySCF's."""
    energy = "E(MP2) correlation" if comparison.reference == "HF" else "E(PT2) weighted"
    verdict = "agrees" if comparison.agrees else "DIFFERS"
    rows = [
        (f"{energy}, dfmp2", f"{comparison.e_corr:20.10f}"),
        (f"{energy}, PySCF", f"{comparison.e_corr_pyscf:20.10f}"),
        (
            "difference",
            f"{comparison.difference:20.2e}  {verdict} (tolerance {comparison.tolerance:g} Eh)",
        ),
    ]
    if comparison.hf_difference:
        name = f"difference in E({comparison.reference})"
        rows.append((name, f"{comparison.hf_difference:20.2e}"))
    if comparison.e_corr_exact is not None:
        remark = "; LARGE: use another one" if comparison.badly_fitted else ""
        rows += [
            (f"{energy}, unfitted", f"{comparison.e_corr_exact:20.10f}"),
            (
                "fitting error",
                f"{comparison.fitting_error:20.2e}  (of the auxiliary basis{remark})",
            ),
        ]
    return "\n".join([f"{comparison.name}: validation", *aligned(rows)]) + "\n"

"""Alternating runs of the DF-MP2 parts of dfmp2 and of `pyscf.mp.dfmp2` in one process.

    pytest tests/benchmarks -m benchmark_peer

prints the figures of tests/benchmarks/README.md. As in `dfmp2 bench`, both use the same mean
field, auxiliary basis and number of threads. Each run of PySCF is between two runs of dfmp2, one in
each precision, and gives a ratio with both, because the speed of a shared machine changes over
time. The result is the median over rounds, without the first one. Imports and the compilation at
the first call are not included; `test_start_up` prints them.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

from dfmp2.bench.compare import orbitals
from dfmp2.bench.machine import start_up
from tests.benchmarks.beside import CASES, ROUNDS, Case, Found, measure, rows
from tests.systems import planned

BESIDE_B = 200.0
"""MB that dfmp2 may use in addition to B[i,P,a]."""

pytestmark = pytest.mark.benchmark_peer

PAIR_STAGE = 0.75
"""Smallest share of the GEMM rate of the same process, for (H2O)10/cc-pVTZ. Measured on the Xeon:
0.87 on an idle machine, 0.81 with other work on it. A share of a rate varies less than a time."""

REDUCTION = 0.08
"""Largest share of the time of a pair block, for (H2O)10/cc-pVTZ. Measured: 0.014 in float64 and
0.030 in float32, so only a reduction more than twice as slow fails."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_faster_than_pyscf_in_less_memory(case: Case, benchmark: Any, report: list[str]) -> None:
    job = planned(case.name, case.basis)
    found = measure(job, orbitals(job), ROUNDS, benchmark)
    report += rows(case, found)
    benchmark.extra_info.update({name: pairs.ratios for name, pairs in found.beside.items()})
    check(case, found, report)


def check(case: Case, found: Found, report: list[str]) -> None:
    peak = found.peak()
    if peak is not None and found.peer_peak is not None:
        # Memory does not depend on other work on the machine, so the threshold needs no margin.
        assert peak <= found.b_size() + BESIDE_B
        if str(case) == "water10/cc-pvtz":
            assert peak <= found.peer_peak / 5
    if str(case) == "water10/cc-pvtz":
        (stage,) = [s for s in found.own["fp64"].stages() if s.name == "pair energies"]
        shares = {name: own.reduction() or 0.0 for name, own in found.own.items()}
        report.append("  reduction: " + ", ".join(f"{n} {s:.1%}" for n, s in shares.items()))
        assert stage.of_peak is not None
        assert stage.of_peak >= PAIR_STAGE
        assert max(shares.values()) <= REDUCTION
    assert median(found.beside["fp64"].ratios) >= case.fp64
    assert median(found.beside["auto"].ratios) >= case.auto


def test_start_up(report: list[str]) -> None:
    """Print the times that the timings do not include: imports and compilation of the reduction."""
    found = start_up()
    report.append(
        f"start-up: imports {found.imports:.2f} s, compilation {found.compiled_first:.2f} s "
        f"(first process ever), {found.compiled_later:.2f} s (later)"
    )
    assert found.compiled_later < found.compiled_first, "the compiled code was not kept on disk"

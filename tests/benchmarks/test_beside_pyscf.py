"""The DF-MP2 part of dfmp2 and of `pyscf.mp.dfmp2`, in one process, in turn.

    pytest tests/benchmarks -m benchmark_peer

As `dfmp2 bench` does it: same mean field, same auxiliary basis, one warm-up pair that is not
counted, and the median over pairs, because the speed of a shared machine drifts. Imports and the
first call's compilation are outside and listed by `test_start_up`.
"""

from __future__ import annotations

from statistics import median
from typing import Any

import pytest

from dfmp2.bench import make_setup, orbitals
from dfmp2.bench_machine import start_up
from dfmp2.bench_own import Own
from dfmp2.bench_pairs import Pairs, Run
from dfmp2.bench_peers import Pyscf
from dfmp2.job import Calculation, JobOptions, prepare
from tests.systems import INPUTS

PAIRS = 5

pytestmark = pytest.mark.benchmark_peer


@pytest.mark.parametrize(
    ("name", "basis"),
    [("benzene", "cc-pvtz"), ("water10", "cc-pvdz"), ("water10", "cc-pvtz")],
    ids=lambda value: value,
)
def test_not_slower_than_pyscf(name: str, basis: str, benchmark: Any, report: list[str]) -> None:
    (job,) = prepare(str(INPUTS / f"{name}.xyz"), JobOptions(basis=basis))
    calculation, mf = Calculation(), orbitals(job)
    own, peer = Own(job, mf, calculation), Pyscf(make_setup(mf, calculation))
    theirs: list[Run] = []
    found = Pairs("pyscf")

    def run_dfmp2() -> None:
        found.add(own.run(), theirs[-1], 1e-9)

    benchmark.pedantic(
        run_dfmp2, setup=lambda: theirs.append(peer.run()), rounds=PAIRS, warmup_rounds=1
    )
    ratios = found.ratios[1:]
    stages = ", ".join(
        f"{stage.name} {stage.seconds:.3f} s"
        + (f" ({stage.gflops:.0f} GFLOP/s)" * bool(stage.dtype))
        for stage in own.stages()
    )
    benchmark.extra_info.update(
        ratios=ratios,
        dfmp2_seconds=[run.seconds for run in found.own[1:]],
        pyscf_seconds=[run.seconds for run in found.theirs[1:]],
    )
    report.append(
        f"{name}/{basis}: PySCF {median(run.seconds for run in found.theirs[1:]):.2f} s, "
        f"dfmp2 {median(run.seconds for run in found.own[1:]):.2f} s, "
        f"ratio {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}); {stages}"
    )
    assert median(ratios) >= 1.0


def test_start_up(report: list[str]) -> None:
    """What the timings leave out: imports, and compiling the reduction on the first run ever."""
    found = start_up()
    report.append(
        f"start-up: imports {found.imports:.2f} s, compilation {found.compiled_first:.2f} s "
        f"(first process ever), {found.compiled_later:.2f} s (later)"
    )
    assert found.compiled_later < found.compiled_first, "the compiled code was not kept on disk"

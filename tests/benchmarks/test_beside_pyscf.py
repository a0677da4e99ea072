"""The DF-MP2 part of dfmp2 and of `pyscf.mp.dfmp2`, in one process, in turn.

    pytest tests/benchmarks -m benchmark_peer

Both start from the same mean field with the same auxiliary basis. One warm-up pair is not counted;
the ratio is the median over pairs, because the speed of a shared machine drifts. Imports and the
first call's compilation are outside and listed by `test_start_up`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

INPUTS = Path(__file__).parents[2] / "inputs"
PAIRS = 5

pytestmark = pytest.mark.benchmark_peer


def mean_field(name: str, basis: str) -> Any:
    """Orbitals good enough to time with: loosely converged, density-fitted."""
    from pyscf import gto, scf

    mol = gto.M(atom=str(INPUTS / f"{name}.xyz"), basis=basis, verbose=0)
    return scf.RHF(mol).density_fit().run(conv_tol=1e-6)


def pyscf_seconds(mf: Any) -> tuple[float, float]:
    """Wall time and correlation energy of PySCF, with the RI-MP2 auxiliary set."""
    from pyscf import df
    from pyscf.mp import dfmp2

    start = time.perf_counter()
    mp2 = dfmp2.DFMP2(mf)
    mp2.with_df = df.DF(mf.mol, auxbasis=df.make_auxbasis(mf.mol, mp2fit=True))
    mp2.verbose = 0
    mp2.kernel(with_t2=False)
    return time.perf_counter() - start, float(mp2.e_corr)


@pytest.mark.parametrize(
    ("name", "basis"),
    [("benzene", "cc-pvtz"), ("water10", "cc-pvdz"), ("water10", "cc-pvtz")],
    ids=lambda value: value,
)
def test_not_slower_than_pyscf(name: str, basis: str, benchmark: Any, report: list[str]) -> None:
    from dfmp2 import DFMP2

    mf = mean_field(name, basis)
    peer: list[float] = []
    stages: dict[str, list[tuple[float, float]]] = {}
    energies: list[float] = []

    def run_pyscf() -> None:
        seconds, e_corr = pyscf_seconds(mf)
        peer.append(seconds)
        energies.append(e_corr)

    def run_dfmp2() -> None:
        mp2 = DFMP2(mf).run(verbose=0)
        assert mp2.e_corr == pytest.approx(energies[-1], abs=1e-9, rel=0)
        for stage in mp2.result.provenance.stages:
            stages.setdefault(stage.name, []).append((stage.seconds, stage.gflops))

    benchmark.pedantic(run_dfmp2, setup=run_pyscf, rounds=PAIRS, warmup_rounds=1)
    ours = benchmark.stats.stats.data
    ratios = [theirs / own for theirs, own in zip(peer[-PAIRS:], ours, strict=True)]
    parts = ", ".join(
        f"{stage} {median(s for s, _ in rows[1:]):.3f} s"
        + (f" ({median(g for _, g in rows[1:]):.0f} GFLOP/s)" if rows[0][1] else "")
        for stage, rows in stages.items()
    )
    benchmark.extra_info.update(pyscf_seconds=peer[-PAIRS:], ratios=ratios, stages=stages)
    report.append(
        f"{name}/{basis}: PySCF {median(peer[-PAIRS:]):.2f} s, dfmp2 {median(ours):.2f} s, "
        f"ratio {median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f}); {parts}"
    )
    assert median(ratios) >= 1.0


def test_start_up(tmp_path: Path, report: list[str]) -> None:
    """What the timings leave out: imports, and compiling the reduction on the first run ever."""
    script = (
        "import time; t = time.perf_counter(); import dfmp2.mp2, torch; "
        "from dfmp2.backends.torch import TorchBackend; a = time.perf_counter(); "
        "TorchBackend().warm_up(); print(a - t, time.perf_counter() - a)"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    for run in ("first run ever", "later runs"):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        imports, warm_up = map(float, done.stdout.split())
        report.append(f"start-up, {run}: imports {imports:.2f} s, compilation {warm_up:.2f} s")
    assert any(tmp_path.rglob("*.nbi")), "the compiled reduction was not kept on disk"

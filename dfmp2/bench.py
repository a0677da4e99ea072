"""dfmp2 timed beside other programs, the DF-MP2 part alone.

All start from one mean field with one auxiliary basis and as many threads; see
`dfmp2.bench_pairs` for how they take turns. Imports and compilation are left out;
`dfmp2.bench_machine.start_up` measures them.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from dfmp2.bench_machine import gemm_rate
from dfmp2.bench_pairs import Pairs, Run, interleave
from dfmp2.bench_peers import Setup, find_peers
from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.job import Calculation, Job
from dfmp2.provenance import Provenance
from dfmp2.result import Result
from dfmp2.validate import default_tolerance

__all__ = [
    "Bench",
    "Own",
    "Stage",
    "bench",
    "device_of",
    "make_setup",
    "orbitals",
]

CONV_TOL, GRADIENT_TOL = 1e-8, 1e-5
"""Hartree. Correlation energies of two such SCFs agree to about 1e-7: good enough to time with."""

SCF_REMARK = "orbitals to time with, not to publish"


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


@dataclass(frozen=True, eq=False)
class Bench:
    """What was found for one molecule.

    Attributes
    ----------
    result : Result
        Of dfmp2's last run.
    own : list of Run
        Every timed run of dfmp2.
    beside : list of Pairs
        By peer.
    missing : dict of str to str
        Peers that did not run, and why.
    stages : list of Stage
    gemm_peak : dict of str to float
        GFLOP/s of a square GEMM by dtype: median of what was measured before each run.
    threads : int
    scf : str
    """

    result: Result
    own: list[Run]
    beside: list[Pairs]
    missing: dict[str, str]
    stages: list[Stage]
    gemm_peak: dict[str, float]
    threads: int
    scf: str


class Own:
    """dfmp2 on one mean field; keeps the result of every run, and the GEMM rate right before it."""

    def __init__(self, job: Job, mf: Any, calculation: Calculation) -> None:
        self._job, self._mf, self._calculation = job, mf, calculation
        self._device = device_of(calculation)
        dtypes = ["float64"]
        if calculation.precision in ("fp32", "auto"):
            dtypes.append("float32")
        self.results: list[Result] = []
        self._rates: dict[str, list[float]] = {dtype: [] for dtype in dtypes}

    def run(self) -> Run:
        """Time the DF-MP2 part once."""
        if self._device is not None:
            for dtype, rates in self._rates.items():
                rates.append(gemm_rate(self._device, dtype))
        start = time.perf_counter()
        result = self._job.compute(self._mf, self._calculation, _silent)
        seconds = time.perf_counter() - start
        self.results.append(result)
        error = 0.0 if result.settings["precision"] == "fp64" else default_tolerance(result)
        return Run(seconds, result.e_corr, result.memory.get("peak"), error)

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


def bench(
    job: Job,
    calculation: Calculation,
    peers: Sequence[str],
    pairs: int,
    progress: Callable[[str, int, int], None],
) -> Bench:
    """Time dfmp2 on one molecule beside `peers`.

    Parameters
    ----------
    job : Job
    calculation : Calculation
    peers : sequence of str
        Keys of `dfmp2.bench_peers.PEERS`.
    pairs : int
        Timed pairs per peer.
    progress : callable
        Called with stage, steps done, steps in all.

    Returns
    -------
    Bench

    Raises
    ------
    InputError
        If there is nothing to correlate.
    BackendUnavailable
        If the backend is a simulator.
    ValidationError
        If a peer's energy differs from that of dfmp2.
    """
    from pyscf import lib

    device_of(calculation)
    mf = orbitals(job)
    progress("SCF", 1, 1)
    if calculation.max_memory is not None:
        mf.max_memory = calculation.max_memory
    setup = make_setup(mf, calculation)
    if not setup.nocc or not setup.nvir:
        raise InputError(f"{job.name}: no correlated orbitals, so there is nothing to time")
    with _torch_threads(int(lib.num_threads())):
        own = Own(job, mf, calculation)
        ready, missing = find_peers(peers, setup)
        runs, beside = interleave(own.run, ready, pairs, progress)
        last = own.results[-1]
        remark = "" if job.mean_field is not None else f" ({SCF_REMARK})"
        return Bench(
            result=last,
            own=runs,
            beside=beside,
            missing=missing,
            stages=own.stages(),
            gemm_peak=own.gemm_peak(),
            threads=setup.threads,
            scf=last.labels["scf"] + remark,
        )


def make_setup(mf: Any, calculation: Calculation) -> Setup:
    """What peers are given: orbitals, auxiliary basis, frozen orbitals and threads of dfmp2."""
    from pyscf import lib

    from dfmp2.fitting import choose_auxbasis
    from dfmp2.reference import make_reference

    reference = make_reference(mf, calculation.frozen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the runs themselves will say it
        aux = choose_auxbasis(mf.mol, calculation.auxbasis)
    return Setup(
        mf=mf,
        aux=aux,
        frozen=reference.frozen,
        nocc=reference.nocc,
        nvir=reference.nvir,
        threads=int(lib.num_threads()),
    )


def orbitals(job: Job) -> Any:
    """The mean field to time on: the job's own, or a loosely converged density-fitted one."""
    from dfmp2.scf import run_scf

    if job.mean_field is not None:
        return job.mean_field
    return run_scf(job.mol, True, CONV_TOL, job.options.max_cycle, gradient_tol=GRADIENT_TOL)


def device_of(calculation: Calculation) -> Any:
    """The device that torch computes on; None where NKI computes on one of its own.

    Raises
    ------
    BackendUnavailable
        If the backend's provenance would name a simulator.
    """
    from dfmp2.backends.select import select

    backend = select(calculation.backend, calculation.device).backend
    if backend.where.mode == "simulator":
        raise BackendUnavailable(
            f"{backend.where}: a simulator's seconds are no device's seconds; "
            "use --backend pytorch, or nki on a Neuron device"
        )
    return getattr(backend, "device", None)


def _dtype(provenance: Provenance, stage: str) -> str:
    rows = [row for row in provenance.operations if row.stage == stage and row.flops]
    return max(rows, key=lambda row: row.flops).dtype if rows else ""


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """The same threads for torch as for PySCF."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _silent(stage: str, done: int, total: int) -> None:
    pass

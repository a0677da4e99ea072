"""Time the DF-MP2 part of dfmp2 beside that of other programs, and whole jobs.

All programs get the same orbitals, the same auxiliary basis and the same number of threads.
`dfmp2.bench.pairs` runs them in turn. Imports and compilation are not in the times;
`dfmp2.bench.machine.start_up` measures them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from dfmp2.bench.blas import environment, own_blas
from dfmp2.bench.own import Own, StageRate, require_device
from dfmp2.bench.pairs import Pairs, Run, interleave
from dfmp2.bench.peers import Setup, find_peers
from dfmp2.bench.whole import WholeJobs, time_whole_jobs
from dfmp2.errors import InputError
from dfmp2.references.scf import run_scf
from dfmp2.references.solution import ScfSolution
from dfmp2.results.result import Result
from dfmp2.workflow.jobs import Job, PlannedJob

__all__ = ["Bench", "bench", "make_setup", "orbitals"]

CONV_TOL, GRADIENT_TOL = 1e-8, 1e-5
"""Hartree. Thresholds of the SCF. Correlation energies of two such SCFs agree to about 1e-7, which
is enough for timings."""

SCF_REMARK = "converged for timings only"


@dataclass(frozen=True, eq=False)
class Bench:
    """The timings of one molecule.

    Attributes
    ----------
    result : Result
        Result of the last run of dfmp2.
    own : list of Run
        Timed runs of dfmp2.
    beside : list of Pairs
        Pairs of runs, one item for each peer.
    missing : dict of str to str
        Peers that did not run, and why.
    stages : list of StageRate
    gemm_rates : dict of str to dict of str to float
        GFLOP/s of a square GEMM by dtype and library: medians of the measurements before each run.
    blas : dict of str to str
        BLAS libraries, kernels and threads by program.
    environment : dict of str to str or None
        Variables of the environment that change the kernels of OpenBLAS.
    whole : WholeJobs
        Jobs with SCF and imports.
    threads : int
        Number of CPU threads.
    scf : str
        Description of the SCF.
    peak : float or None
        Largest peak memory of dfmp2 in MB, with the warm-up.
    reduction : float or None
        Share of the reduction in the time of a fused pair block on the CPU.
    """

    result: Result
    own: list[Run]
    beside: list[Pairs]
    missing: dict[str, str]
    stages: list[StageRate]
    gemm_rates: dict[str, dict[str, float]]
    blas: dict[str, str]
    environment: dict[str, str | None]
    whole: WholeJobs
    threads: int
    scf: str
    peak: float | None
    reduction: float | None = None


def bench(
    job: PlannedJob,
    peers: Sequence[str],
    pairs: int,
    progress: Callable[[str, int, int], None],
    jobs: int = 0,
) -> Bench:
    """Time dfmp2 on one molecule beside `peers`.

    Parameters
    ----------
    job : PlannedJob
    peers : sequence of str
        Keys of `dfmp2.bench.peers.PEERS`.
    pairs : int
        Timed pairs per peer.
    progress : callable
        Called as progress(stage, finished steps, all steps).
    jobs : int
        Timed whole jobs of each program.

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
    require_device(job.choice)
    solution = orbitals(job)
    progress("SCF", 1, 1)
    setup = make_setup(job, solution)
    if setup.empty:
        raise InputError(f"{job.name}: no correlated orbitals, so there is nothing to time")
    with _torch_threads(setup.threads):
        own = Own(job, solution)
        ready, missing = find_peers(peers, setup)

        def run_once() -> Run:
            own.measure_gemm()
            return own.run()

        runs, beside = interleave(run_once, ready, pairs, progress)
        whole = time_whole_jobs(job, setup, [peer.name for peer in ready], jobs, progress)
        last = own.results[-1]
        mine = last.provenance.gemm_line() or own_blas(job.choice.torch_device, setup.threads)
        remark = "" if job.solution is not None else f" ({SCF_REMARK})"
        return Bench(
            result=last,
            own=runs,
            beside=beside,
            missing=missing,
            stages=own.stages(),
            gemm_rates=own.gemm_rates(),
            blas={"dfmp2": mine, **{peer.name: peer.blas for peer in ready}},
            environment=environment(),
            whole=whole,
            threads=setup.threads,
            scf=last.labels["scf"] + remark,
            peak=own.peak(),
            reduction=own.reduction(),
        )


def make_setup(job: PlannedJob, solution: ScfSolution) -> Setup:
    """Collect the input of the peers: orbitals, auxiliary basis, frozen orbitals and threads.

    Parameters
    ----------
    job : PlannedJob
    solution : ScfSolution

    Returns
    -------
    Setup
    """
    from pyscf import lib

    prepared = job.prepared(solution)
    return Setup(
        solution=solution,
        aux=prepared.aux,
        frozen=prepared.reference.frozen,
        empty=prepared.reference.empty,
        threads=int(lib.num_threads()),
        max_memory=prepared.plan.max_memory,
    )


def orbitals(job: Job) -> ScfSolution:
    """The orbitals for the timings: those of the job, or loosely converged density-fitted ones.

    The integrals of the SCF are released. PySCF subtracts them from its memory, and would use
    smaller blocks.

    Parameters
    ----------
    job : Job

    Returns
    -------
    ScfSolution
    """
    if job.solution is not None:
        return job.solution
    settings = replace(job.settings, density_fit=True, conv_tol=CONV_TOL)
    solution = run_scf(job.mol, settings, GRADIENT_TOL)
    solution.with_df.reset()
    return solution


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    """Use as many threads in torch as in PySCF."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

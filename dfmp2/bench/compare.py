"""dfmp2 timed beside other programs, the DF-MP2 part alone.

All start from one mean field with one auxiliary basis and as many threads; see
`dfmp2.bench.pairs` for how they take turns. Imports and compilation are left out;
`dfmp2.bench.machine.start_up` measures them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dfmp2.bench.own import Own, Stage, device_of
from dfmp2.bench.pairs import Pairs, Run, interleave
from dfmp2.bench.peers import Setup, find_peers
from dfmp2.errors import InputError
from dfmp2.results.result import Result
from dfmp2.workflow.jobs import Calculation, Job

__all__ = ["Bench", "bench", "make_setup", "orbitals"]

CONV_TOL, GRADIENT_TOL = 1e-8, 1e-5
"""Hartree. Correlation energies of two such SCFs agree to about 1e-7: good enough to time with."""

SCF_REMARK = "orbitals to time with, not to publish"


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
    peak : float or None
        Largest peak memory of dfmp2 in MB, the warm-up included.
    reduction : float or None
        Share of the reduction in the time of a fused pair block on the CPU, measured after the
        runs.
    """

    result: Result
    own: list[Run]
    beside: list[Pairs]
    missing: dict[str, str]
    stages: list[Stage]
    gemm_peak: dict[str, float]
    threads: int
    scf: str
    peak: float | None
    reduction: float | None = None


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
        Keys of `dfmp2.bench.peers.PEERS`.
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

        def run_once() -> Run:
            own.measure_gemm()
            return own.run()

        runs, beside = interleave(run_once, ready, pairs, progress)
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
            peak=own.peak(),
            reduction=own.reduction(),
        )


def make_setup(mf: Any, calculation: Calculation) -> Setup:
    """What peers are given: orbitals, auxiliary basis, frozen orbitals and threads of dfmp2."""
    from pyscf import lib

    from dfmp2.fitting.auxbasis import choose_auxbasis
    from dfmp2.references.mean_field import make_reference

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
    """The mean field to time on: the job's own, or a loosely converged density-fitted one.

    The SCF's integrals are let go: PySCF counts them against its memory, and would take smaller
    blocks for as long as they are held.
    """
    from dfmp2.references.scf import run_scf

    if job.mean_field is not None:
        return job.mean_field
    mf = run_scf(job.mol, True, CONV_TOL, job.options.max_cycle, gradient_tol=GRADIENT_TOL)
    mf.with_df.reset()
    return mf


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

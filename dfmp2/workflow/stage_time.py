"""Rates of the stages of DF-MP2, measured on a sample of the work of one molecule.

The operations are those of the backend, with the dimensions of the molecule and random numbers. The
integrals are those of the molecule for some of its auxiliary functions, made and checked as in a
run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import cycle
from math import ceil, sqrt
from statistics import median
from typing import cast

import numpy as np
import torch

from dfmp2.backends.protocol import Backend, PairBlock, Tensor
from dfmp2.backends.torch import TorchBackend
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.integrals.blocks import AuxBlock, shell_blocks
from dfmp2.integrals.fock_probe import FockProbe
from dfmp2.integrals.libcint import LIBCINT, ThreeCentreIntegrals
from dfmp2.molecules.plain import Mole
from dfmp2.planning.plan import Plan
from dfmp2.planning.time import Timing
from dfmp2.references.solution import ScfSolution
from dfmp2.results.stages import Stage
from dfmp2.tensors.build import blocks_of_threads
from dfmp2.workflow.prepare import Forecast

__all__ = ["measure_stages"]

SECONDS = 0.3
"""Shortest measurement of an operation."""

INTEGRALS = 1.2
"""Seconds for the integrals. If all take less, all are made."""

FLOPS = 1e10
"""Most floating-point operations in one call of an operation."""

FACTORED = 2000
"""Auxiliary functions whose metric is factored here."""

SEED = 20_251_128


def measure_stages(
    mol: Mole, known: Forecast, backend: Backend, single: bool
) -> dict[str, list[Timing]]:
    """Measure every rate of the DF-MP2 part, in about three seconds.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    known : Forecast
    backend : Backend
        On a CPU.
    single : bool
        Also measure the pair energies in float32.

    Returns
    -------
    dict of str to list of Timing
        By the names of the rates of `dfmp2.planning.time.steps`.
    """
    backend.warm_up()
    aux, plan = known.aux, known.plan
    found = {f"{Stage.PAIRS.value}, float64": _pairs(plan, backend, single=False)}
    if single:
        found[f"{Stage.PAIRS.value}, float32"] = _pairs(plan, backend, single=True)
    if plan.flops[Stage.SOLVE.value]:
        probe = _probe(mol, aux.naux) if plan.sizes.checked else None
        if plan.in_memory and isinstance(backend, TorchBackend):
            made, transformed = _in_threads(mol, aux, plan, backend, probe)
        else:
            made, transformed = _integrals(mol, aux, plan, probe), _ao2mo(plan, backend)
        found |= {Stage.INTEGRALS.value: made, Stage.AO2MO.value: transformed}
        found[Stage.METRIC.value] = _metric(aux)
        found[Stage.SOLVE.value] = _solve(plan, backend)
    return {name: [timing] for name, timing in found.items()}


def _repeated(work: float, operation: Callable[[], None]) -> Timing:
    """Median time of an operation, after one that is not counted."""
    operation()
    found: list[float] = []
    while sum(found) < SECONDS or (len(found) < 3 and sum(found) < 3 * SECONDS):
        start = time.perf_counter()
        operation()
        found.append(time.perf_counter() - start)
    return Timing(work, median(found))


def _ao2mo(plan: Plan, backend: Backend) -> Timing:
    s = plan.sizes
    random = np.random.default_rng(SEED)
    block = min(plan.aux_block, s.naux)
    eri = backend.asarray(np.tile(random.standard_normal((s.nao, s.nao)), (block, 1, 1)))
    c_occ = backend.asarray(random.standard_normal((s.nao, s.nocc)))
    c_vir = backend.asarray(random.standard_normal((s.nao, s.nvir)))
    b = backend.empty_b(s.nocc, s.naux if plan.in_memory else block, s.nvir)
    starts = cycle(range(0, b.shape[1] - block + 1, block))

    def operation() -> None:  # each block of a run is written to its place in B
        first = next(starts)
        backend.ao2mo(eri, c_occ, c_vir, b[:, first : first + block])

    return _repeated(plan.flops[Stage.AO2MO.value] * block / s.naux, operation)


def _metric(aux: AuxBasis) -> Timing:
    """The metric of the first auxiliary functions, up to `FACTORED`."""
    loc = aux.mol.ao_loc_nr()
    shells = int(np.searchsorted(loc, FACTORED, side="right")) - 1
    start = time.perf_counter()
    metric = aux.mol.intor("int2c2e", hermi=1, shls_slice=(0, shells, 0, shells))
    torch.linalg.cholesky_ex(torch.from_numpy(metric))
    return Timing(float(loc[shells]) ** 3 / 3, time.perf_counter() - start)


def _solve(plan: Plan, backend: Backend) -> Timing:
    s = plan.sizes
    one = plan.flops[Stage.SOLVE.value] / s.nocc
    rows = max(1, min(s.nocc, int(FLOPS / 2 / one)))
    b = _random_b(backend, rows, plan)
    factor = np.eye(s.naux)  # repeated solves keep the size of the numbers
    return _repeated(rows * one, lambda: _ignored(backend.trsm(factor, b)))


def _pairs(plan: Plan, backend: Backend, single: bool) -> Timing:
    """A block of pairs i, j of two different ranges of orbitals."""
    from pyscf import lib

    s = plan.sizes
    one = plan.flops[Stage.PAIRS.value] / s.npair
    for_all = ceil(sqrt(2 * int(lib.num_threads())))  # two pairs for each thread
    rows = max(1, min(ceil(s.nocc / 2), max(for_all, round(sqrt(FLOPS / one)))))
    b = _random_b(backend, 2 * rows, plan)
    b = backend.to_float32(b) if single else b
    e_occ, e_vir = np.linspace(-1.0, -0.5, rows), np.linspace(0.1, 3.0, s.nvir)
    block = PairBlock(b[:rows], b[rows:], e_occ, e_occ, e_vir, e_vir)
    return _repeated(block.npair * one, lambda: _ignored(backend.pair_energy(block)))


def _ignored(_: object) -> None:
    pass


def _random_b(backend: Backend, rows: int, plan: Plan) -> Tensor:
    b = backend.empty_b(rows, plan.sizes.naux, plan.sizes.nvir)
    values = np.random.default_rng(SEED).standard_normal((plan.sizes.naux, plan.sizes.nvir)) / 10
    for i in range(rows):
        b[i] = backend.asarray(values)
    return b


def _in_threads(
    mol: Mole, aux: AuxBasis, plan: Plan, backend: TorchBackend, probe: FockProbe | None
) -> list[Timing]:
    """Integrals and half transforms of evenly spread blocks, by the threads of a run.

    The times are those of the threads: at the end of a short sample, one of them waits longer for
    the others than in a run.
    """
    s, random = plan.sizes, np.random.default_rng(SEED)
    size, workers = blocks_of_threads(plan, backend.threads)
    targets = []
    for nocc, nvir in s.blocks:
        c_occ, c_vir = (random.standard_normal((s.nao, n)) for n in (nocc, nvir))
        b = backend.empty_b(nocc, s.naux, nvir)
        targets.append((backend.asarray(c_occ), backend.asarray(c_vir), b))

    def timed(blocks: list[AuxBlock]) -> list[Timing]:
        shells = [shell for block in blocks for shell in range(block.shell0, block.shell1)]
        start = time.perf_counter()
        integrals = cast(
            "ThreeCentreIntegrals", LIBCINT.integrals(mol, aux.mol, size, shells, probe)
        )
        once = time.perf_counter() - start
        spent = list(backend.ao2mo_in_threads(integrals, targets, workers, probe))
        share = sum(block.p1 - block.p0 for block in integrals.blocks) / s.naux
        made, transformed = (sum(one[k] for one in spent) / workers for k in (1, 2))
        return [
            Timing(share * s.naux * s.nao * (s.nao + 1) / 2, made + once * share),
            Timing(share * plan.flops[Stage.AO2MO.value], transformed),
        ]

    return _spread(shell_blocks(aux.mol.ao_loc_nr(), size), 2 * workers, timed)


def _integrals(mol: Mole, aux: AuxBasis, plan: Plan, probe: FockProbe | None) -> Timing:
    """Evenly spread blocks of the run."""
    loc, nao = aux.mol.ao_loc_nr(), plan.sizes.nao

    def made(blocks: list[AuxBlock]) -> list[Timing]:
        shells = [shell for block in blocks for shell in range(block.shell0, block.shell1)]
        start = time.perf_counter()
        integrals = LIBCINT.integrals(mol, aux.mol, plan.aux_block, shells, probe)
        ready = time.perf_counter()
        functions = sum(block.p1 - block.p0 for block, _ in integrals)
        seconds = time.perf_counter() - ready
        seconds += (ready - start) * functions / aux.naux  # once in a run
        return [Timing(0.5 * functions * nao * (nao + 1), seconds)]

    return _spread(shell_blocks(loc, plan.aux_block), 1, made)[0]


def _spread(
    blocks: list[AuxBlock], least: int, timed: Callable[[list[AuxBlock]], list[Timing]]
) -> list[Timing]:
    """Times of evenly spread blocks, of all if that takes no longer than `INTEGRALS`."""
    middle = blocks[len(blocks) // 2 :][:least]
    timed(middle)  # compiles, and accesses memory for the first time
    each = sum(one.seconds for one in timed(middle)) / len(middle)
    count = min(max(2 * least, int(INTEGRALS / each)), len(blocks))
    places = np.linspace(0, len(blocks) - 1, count).round()
    return timed([blocks[int(place)] for place in sorted({*places})])


def _probe(mol: Mole, naux: int) -> FockProbe:
    nao, occupied = int(mol.nao_nr()), int(mol.nelec[0])
    orbitals = ScfSolution(
        mol=mol,
        kind="RHF",
        e_tot=0.0,
        mo_coeff=np.eye(nao),
        mo_energy=np.linspace(-1.0, 1.0, nao),
        mo_occ=np.where(np.arange(nao) < occupied, 2.0, 0.0),
        conv_tol=0.0,
    )
    return FockProbe(orbitals, np.zeros((nao, nao)), naux)

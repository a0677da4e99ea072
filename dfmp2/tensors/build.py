"""From integrals to B[i,P,a]: both half transforms per block of P, then the metric.

    (P|ia) = sum_mn (mn|P) C_mi C_na            2 naux nao nocc (nao + nvir) flops
    B[i,P,a] = sum_Q (L^-1)_PQ (Q|ia)           naux^2 nocc nvir flops

In memory (P|ia) is written into the memory of B and solved in place, so there is no second array of
that size. Where B does not fit, each block of P goes to the run file, and the metric is solved for
a few orbitals at a time. Rows of B that the run file holds already are not made again. The host
works in float64, because the condition number of the metric multiplies any earlier error.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, Backend, Engine, Target, Tensor
from dfmp2.backends.recording import moved
from dfmp2.backends.torch import AUX_AT_ONCE, TorchBackend
from dfmp2.errors import CheckpointError
from dfmp2.fitting.metric import Metric, factor_metric, metric_integrals
from dfmp2.integrals.blocks import AuxBlock, BlockedIntegrals
from dfmp2.integrals.libcint import Libcint, ThreeCentreIntegrals
from dfmp2.planning.plan import Plan, ranges
from dfmp2.references.reference import SpinBlock
from dfmp2.results.stages import Stage
from dfmp2.runfile.rows import Rows, contiguous_rows
from dfmp2.tensors.held import HeldB, InMemory, OnDisk
from dfmp2.tensors.problem import Problem, Work
from dfmp2.tensors.streamed import HalfTransform, device_blocks, host_blocks

__all__ = ["blocks_of_threads", "build_b"]


def build_b(problem: Problem, work: Work) -> tuple[HeldB, str]:
    """Make B, or the part of it that the run file does not hold.

    Parameters
    ----------
    problem : Problem
    work : Work

    Returns
    -------
    b : HeldB
        float64, of all spins.
    metric : str
        How the metric was factored.
    """
    return _Build(problem, work).held()


def blocks_of_threads(plan: Plan, threads: int) -> tuple[int, int]:
    """Blocks in which CPU threads make and transform integrals, each on its own.

    Parameters
    ----------
    plan : Plan
        Its block of integrals bounds the memory of all threads.
    threads : int
        Threads of the backend.

    Returns
    -------
    size : int
        Auxiliary functions per block, at most.
    workers : int
        Threads that take part.
    """
    size = max(1, min(AUX_AT_ONCE, plan.aux_block // threads))
    return size, max(1, min(threads, plan.aux_block // max(size, plan.sizes.aux_shell)))


@dataclass(frozen=True, eq=False)
class _Part:
    """The orbitals of one spin.

    Attributes
    ----------
    spin : SpinBlock
    first : int
        Number of its first occupied orbital among those of both spins.
    done : int
        Its fitted orbitals in the run file. The others are left to be made.
    """

    spin: SpinBlock
    first: int
    done: int

    @property
    def left(self) -> int:
        """Occupied orbitals to be made."""
        return self.spin.nocc - self.done if self.spin.nvir else 0


class _Build:
    def __init__(self, problem: Problem, work: Work) -> None:
        self._source, self._plan, self._aux = problem.source, problem.plan, problem.aux
        self._reference, self._mol = problem.reference, problem.reference.mol
        self._backend, self._checkpoint = work.backend, work.checkpoint
        self._progress, self._probe = work.progress, work.probe
        self._seconds = self._flops = 0.0  # of the half transforms and the metric solve
        self._done = 0  # orbitals that are fitted in the run file

    def held(self) -> tuple[HeldB, str]:
        rows = self._checkpoint.rows
        if rows is not None and rows.sessions():
            with self._backend.stage(Stage.READ_B):
                self._done = rows.fitted()
        if self._source.metric is not None and self._done < self._reference.nocc:
            return self._from_fitted_integrals(self._source.metric)
        return self._in_memory() if self._plan.in_memory else self._on_disk()

    def _parts(self) -> list[_Part]:
        parts, first = [], 0
        for spin in self._reference.spins:
            parts.append(_Part(spin, first, min(max(self._done - first, 0), spin.nocc)))
            first += spin.nocc
        return parts

    @property
    def _stage(self) -> Stage:
        """Name of the timed stage; one stage with the integrals when the two overlap."""
        if self._backend.engine() is None:
            return Stage.AO2MO
        return self._source.stage.with_ao2mo

    def _from_fitted_integrals(self, metric: str) -> tuple[HeldB, str]:
        """B from integrals that hold the metric already. It is not kept, because they are."""
        self._done = 0
        spins, backend = self._empty()
        self._transform(spins, np.zeros(self._aux.naux, dtype=bool), None)
        return InMemory(spins, backend), metric

    def _empty(self) -> tuple[list[Tensor], Backend]:
        """Memory for B on the backend of the half transforms."""
        naux = self._aux.naux
        with self._backend.stage(self._stage):
            spins = [self._backend.empty_b(s.nocc, naux, s.nvir) for s in self._reference.spins]
            return spins, self._backend.current

    def _in_memory(self) -> tuple[HeldB, str]:
        backend, nocc = self._backend, self._reference.nocc
        if self._done == nocc:
            metric = self._metric()
            with backend.stage(Stage.READ_B, like=Stage.SOLVE):
                naux = self._aux.naux
                spins = [backend.empty_b(s.nocc, naux, s.nvir) for s in self._reference.spins]
                self._load(spins)
                return InMemory(spins, backend.current), str(metric)
        spins, home = self._empty()
        there = self._load_raw(spins)
        self._transform(spins, there, self._checkpoint.rows)
        metric = self._metric()
        with self._counted(Stage.SOLVE, (nocc - self._done) / nocc):
            for number, part in enumerate(self._parts()):
                b = moved(spins[number], home, backend.current)
                if part.left:
                    rest = b[part.done :] if part.done else b
                    solved = self._solve(metric, rest)
                    if not part.done:
                        b = solved
                    elif solved is not rest:
                        b[part.done :] = solved
                spins[number] = b
            home = backend.current
        self._progress(Stage.SOLVE.value, 1, 1)
        if self._done:
            with backend.stage(Stage.READ_B, like=Stage.SOLVE):
                self._load(spins)
        self._keep(spins, metric)
        return InMemory(spins, home), str(metric)

    @contextmanager
    def _counted(self, stage: Stage, share: float) -> Iterator[None]:
        """A stage whose time and operations count for the forecast of what follows from B."""
        start = time.perf_counter()
        with self._backend.stage(stage):
            yield
        self._seconds += time.perf_counter() - start
        self._flops += share * self._plan.flops[stage.value]

    def _transform(self, spins: list[Tensor], there: NDArray[np.bool_], rows: Rows | None) -> None:
        """Both half transforms into B; (P|ia) is written to the run file when that is due."""
        if (engine := self._backend.engine()) is not None:
            self._transform_beside(engine, spins, there)
            return
        checkpoint, backend = self._checkpoint, self._backend
        targets = self._targets(spins)
        unkept: list[AuxBlock] = []
        with closing(self._transformed(targets, there)) as blocks:
            for block in blocks:
                unkept.append(block)
                if rows is not None and checkpoint.keeps_b():
                    with backend.stage(Stage.WRITE_B, like=Stage.AO2MO):
                        checkpoint.enter()
                        for one in unkept:
                            self._put_raw(rows, one, [b[:, one.p0 : one.p1] for *_, b in targets])
                        checkpoint.commit()
                    unkept.clear()

    def _transformed(self, targets: list[Target], there: NDArray[np.bool_]) -> Generator[AuxBlock]:
        """Both half transforms into B; yields each block when it is there."""
        backend = self._backend
        with backend.stage(Stage.AO2MO):
            home = backend.current
        if isinstance(self._source, Libcint) and isinstance(home, TorchBackend):
            yield from self._in_threads(home, targets, there)
            return
        for block, eri in self._integrals(there):
            with self._counted(Stage.AO2MO, self._share(block)):
                tensor = backend.asarray(eri)
                for c_occ, c_vir, b in targets:
                    backend.ao2mo(tensor, c_occ, c_vir, b[:, block.p0 : block.p1])
            yield block

    def _in_threads(
        self, home: TorchBackend, targets: list[Target], there: NDArray[np.bool_]
    ) -> Generator[AuxBlock]:
        """Each thread makes and transforms a few auxiliary functions, without waiting for others.

        The stages of both steps share the wall time as the threads do.
        """
        backend, stage = self._backend, self._source.stage
        size, workers = blocks_of_threads(self._plan, home.threads)
        with backend.stage(stage):
            integrals = cast("ThreeCentreIntegrals", self._blocks(there, size))
        total, start = len(integrals.blocks), time.perf_counter()
        working = home.ao2mo_in_threads(integrals, targets, workers, self._probe)
        with closing(working):
            for count, (number, made, transformed) in enumerate(working, start=1):
                block = integrals.blocks[number]
                seconds = time.perf_counter() - start
                own = seconds * transformed / max(made + transformed, 1e-9)
                flops = self._share(block) * self._plan.flops[Stage.AO2MO.value]
                backend.provenance.spend(stage, seconds - own)
                backend.provenance.spend(Stage.AO2MO, own)
                with backend.stage(Stage.AO2MO):
                    backend.record("ao2mo", targets[0][-1].dtype, own, flops)
                self._seconds += own
                self._flops += flops
                yield block
                self._progress(Stage.INTEGRALS_AND_AO2MO.value, count, total)
                start = time.perf_counter()

    def _targets(self, spins: list[Tensor]) -> list[Target]:
        """Coefficients and B of the orbitals that are left, for each spin that has some."""
        found = []
        with self._backend.stage(self._stage):
            for part, b in zip(self._parts(), spins, strict=True):
                if part.left:
                    c_occ = np.ascontiguousarray(part.spin.c_occ[:, part.done :])
                    c_occ, c_vir = (self._backend.asarray(c) for c in (c_occ, part.spin.c_vir))
                    found.append((c_occ, c_vir, b[part.done :] if part.done else b))
        return found

    def _put_raw(self, rows: Rows, block: AuxBlock, panels: list[Tensor]) -> None:
        left = [part for part in self._parts() if part.left]
        for part, panel in zip(left, panels, strict=True):
            values = self._backend.to_host(panel)
            rows.put_raw(part.first + part.done, block.p0, values, self._checkpoint.session)

    def _share(self, block: AuxBlock) -> float:
        """Share of the half transforms that one block is, for the orbitals that are left."""
        return (block.p1 - block.p0) / self._aux.naux * (1 - self._done / self._reference.nocc)

    def _transform_beside(
        self, engine: Engine, spins: list[Tensor], there: NDArray[np.bool_]
    ) -> None:
        """The half transforms on a device that works beside the host."""
        backend = self._backend
        targets = self._targets(spins)
        with backend.stage(self._stage):
            integrals = self._blocks(there, self._plan.aux_block)
            total = len(integrals.blocks)

            def report(blocks: int) -> None:
                self._progress(Stage.INTEGRALS_AND_AO2MO.value, blocks, total)

            work = HalfTransform(backend.current.ao2mo, targets)
            transformed: Any = device_blocks if self._source.on_device else host_blocks
            seconds = transformed(integrals, engine, work, report)
            for block, taken in zip(integrals.blocks, seconds, strict=True):
                flops = self._share(block) * self._plan.flops[Stage.AO2MO.value]
                backend.record("ao2mo", spins[0].dtype, taken, flops)

    def _on_disk(self) -> tuple[HeldB, str]:
        backend, checkpoint = self._backend, self._checkpoint
        rows, nocc, naux = checkpoint.rows, self._reference.nocc, self._aux.naux
        if rows is None:
            raise CheckpointError(
                "B does not fit in memory, and there is no run file to hold it; name one "
                "with checkpoint (--checkpoint), or raise max_memory (--max-memory)"
            )
        checkpoint.enter()
        if self._done < nocc:
            with backend.stage(Stage.READ_B):
                there = rows.raw()
            none = [np.empty((s.nocc, 0)) for s in self._reference.spins]  # only for its rows
            targets = self._targets(none)
            for block, eri in self._integrals(there):
                with backend.stage(Stage.AO2MO):
                    panels, tensor = [], backend.asarray(eri)
                    for c_occ, c_vir, b in targets:
                        panel = backend.empty_b(len(b), block.p1 - block.p0, c_vir.shape[1])
                        backend.ao2mo(tensor, c_occ, c_vir, panel)
                        panels.append(panel)
                with backend.stage(Stage.WRITE_B, like=Stage.AO2MO):
                    self._put_raw(rows, block, panels)
                    checkpoint.commit()
        metric = self._metric()
        if self._done < nocc and rows.metric() is None:
            rows.put_metric(metric)
        at_once = min(self._plan.solve_rows, rows.spare)
        for part in self._parts():
            for some in ranges(part.first + part.done, part.first + part.spin.nocc, at_once):
                with backend.stage(Stage.READ_B):
                    raw = np.empty((some.stop - some.start, part.spin.nvir, naux))
                    for i in range(some.start, some.stop):
                        raw[i - some.start] = rows.get_raw(i).T
                with backend.stage(Stage.SOLVE):
                    b = backend.asarray(raw.swapaxes(1, 2))
                    b = self._solve(metric, b) if part.left else b
                with backend.stage(Stage.WRITE_B, like=Stage.SOLVE):
                    values = contiguous_rows(backend.to_host(b))
                    rows.put_fitted(some.start, values, checkpoint.session)
                    checkpoint.commit()
                self._progress(Stage.SOLVE.value, some.stop, nocc)
        return OnDisk(rows, self._plan.sizes), str(metric)

    def _integrals(self, there: NDArray[np.bool_]) -> Iterator[tuple[AuxBlock, Array]]:
        """(mn|P) of the auxiliary shells that are not there, timed, with progress."""
        with self._backend.stage(self._source.stage):
            integrals = self._blocks(there, self._plan.aux_block)
            blocks = iter(integrals)
        for done in range(len(integrals.blocks)):
            with self._backend.stage(self._source.stage):
                made = next(blocks)
            yield made
            self._progress(Stage.INTEGRALS_AND_AO2MO.value, done + 1, len(integrals.blocks))

    def _blocks(self, there: NDArray[np.bool_], size: int) -> BlockedIntegrals:
        loc = self._aux.mol.ao_loc_nr()
        shells = [s for s in range(len(loc) - 1) if not there[loc[s] : loc[s + 1]].all()]
        mol, auxmol = self._mol, self._aux.mol
        return self._source.integrals(mol, auxmol, size, shells, self._probe)

    def _metric(self) -> Metric:
        """The factor that the rows in the file were fitted with, or a new one."""
        rows = self._checkpoint.rows
        with self._backend.stage(Stage.METRIC):
            stored = rows.metric() if rows is not None else None
            metric = stored or factor_metric(metric_integrals(self._aux.mol))
            if self._probe is not None:
                self._probe.fit(metric)
            return metric

    def _solve(self, metric: Metric, b: Tensor) -> Tensor:
        """B in the memory of (P|ia), or in other memory where a library needs it."""
        if metric.kind == "cholesky":
            return self._backend.trsm(metric.factor, b)
        factor = self._backend.asarray(metric.factor)
        for i in range(len(b)):
            b[i] = self._backend.gemm(factor, b[i])
        return b

    def _load_raw(self, spins: list[Tensor]) -> NDArray[np.bool_]:
        """Read the (P|ia) that is in the file; returns for which P."""
        rows = self._checkpoint.rows
        there: NDArray[np.bool_] = np.zeros(self._aux.naux, dtype=bool)
        if rows is None or not rows.sessions():
            return there
        with self._backend.stage(Stage.READ_B, like=Stage.AO2MO):
            there = rows.raw()
            if there.any():
                where = np.flatnonzero(there)
                for part, b in zip(self._parts(), spins, strict=True):
                    for i in range(part.done, part.spin.nocc if part.left else 0):
                        values = np.ascontiguousarray(rows.get_raw(part.first + i, where))
                        b[i, where] = self._backend.asarray(values)
        return there

    def _load(self, spins: list[Tensor]) -> None:
        """Read the fitted rows."""
        rows = self._checkpoint.rows
        if rows is None:
            return
        for part, b in zip(self._parts(), spins, strict=True):
            for i in range(part.done):
                memory = np.empty((1, b.shape[2], b.shape[1]))
                rows.get_fitted(part.first + i, memory)
                b[i] = self._backend.asarray(np.ascontiguousarray(memory[0].T))

    def _keep(self, spins: list[Tensor], metric: Metric) -> None:
        """Write the rows that were made to the run file, if much work follows from them."""
        checkpoint, rows = self._checkpoint, self._checkpoint.rows
        rate = self._flops / max(self._seconds, 1e-9)
        left = self._plan.flops[Stage.PAIRS.value] / max(rate, 1.0)
        if rows is None or not checkpoint.keeps_b(left):
            return
        with self._backend.stage(Stage.WRITE_B, like=Stage.SOLVE):
            checkpoint.enter()
            if rows.metric() is None:
                rows.put_metric(metric)
            for part, b in zip(self._parts(), spins, strict=True):
                for some in ranges(part.done, part.spin.nocc, rows.spare):
                    values = contiguous_rows(self._backend.to_host(b[some]))
                    rows.put_fitted(part.first + some.start, values, checkpoint.session)
            checkpoint.commit()

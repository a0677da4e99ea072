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
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, Backend, Engine, Tensor
from dfmp2.backends.recording import moved
from dfmp2.backends.torch import AUX_AT_ONCE, TorchBackend
from dfmp2.errors import CheckpointError
from dfmp2.fitting.metric import Metric, factor_metric, metric_integrals
from dfmp2.integrals.blocks import AuxBlock, BlockedIntegrals
from dfmp2.integrals.libcint import Libcint, ThreeCentreIntegrals
from dfmp2.results.stages import Stage
from dfmp2.runfile.rows import Rows, contiguous_rows
from dfmp2.tensors.held import HeldB, InMemory, OnDisk
from dfmp2.tensors.problem import Problem, Work
from dfmp2.tensors.streamed import HalfTransform, device_blocks, host_blocks

__all__ = ["build_b"]


def build_b(problem: Problem, work: Work) -> tuple[HeldB, str]:
    """Make B, or the part of it that the run file does not hold.

    Parameters
    ----------
    problem : Problem
    work : Work

    Returns
    -------
    b : HeldB
        float64, shape (nocc, naux, nvir).
    metric : str
        How the metric was factored.
    """
    return _Build(problem, work).held()


class _Build:
    def __init__(self, problem: Problem, work: Work) -> None:
        self._source, self._plan, self._aux = problem.source, problem.plan, problem.aux
        self._mol, self._spin = problem.reference.mol, problem.reference.closed
        self._backend, self._checkpoint = work.backend, work.checkpoint
        self._progress, self._probe = work.progress, work.probe
        self._seconds = self._flops = 0.0  # of the half transforms and the metric solve

    def held(self) -> tuple[HeldB, str]:
        rows = self._checkpoint.rows
        done = 0
        if rows is not None and rows.sessions():
            with self._backend.stage(Stage.READ_B):
                done = rows.fitted()
        if self._source.metric is not None and done < self._spin.nocc:
            return self._from_fitted_integrals(self._source.metric)
        return self._in_memory(done) if self._plan.in_memory else self._on_disk(done)

    @property
    def _stage(self) -> Stage:
        """Name of the timed stage; one stage with the integrals when the two overlap."""
        if self._backend.engine() is None:
            return Stage.AO2MO
        return self._source.stage.with_ao2mo

    def _from_fitted_integrals(self, metric: str) -> tuple[HeldB, str]:
        """B from integrals that hold the metric already. It is not kept, because they are."""
        b, backend = self._empty(self._spin.nocc)
        self._transform(b, 0, np.zeros(self._aux.naux, dtype=bool), None)
        return InMemory(b, backend), metric

    def _empty(self, nocc: int) -> tuple[Tensor, Backend]:
        """Memory for B on the backend of the half transforms."""
        with self._backend.stage(self._stage):
            b = self._backend.empty_b(nocc, self._aux.naux, self._spin.nvir)
            return b, self._backend.current

    def _in_memory(self, done: int) -> tuple[HeldB, str]:
        nocc, nvir, backend = self._spin.nocc, self._spin.nvir, self._backend
        if done == nocc:
            metric = self._metric()
            with backend.stage(Stage.READ_B, like=Stage.SOLVE):
                b = backend.empty_b(nocc, self._aux.naux, nvir)
                self._load(b, done)
                return InMemory(b, backend.current), str(metric)
        b, home = self._empty(nocc)
        part = b[done:] if done else b
        there = self._load_raw(part, done)
        self._transform(part, done, there, self._checkpoint.rows)
        metric = self._metric()
        with self._counted(Stage.SOLVE, (nocc - done) / nocc):
            b, home = moved(b, home, backend.current), backend.current
            part = b[done:] if done else b
            solved = self._solve(metric, part)
            if not done:
                b = solved
            elif solved is not part:
                b[done:] = solved
        self._progress(Stage.SOLVE.value, 1, 1)
        if done:
            with backend.stage(Stage.READ_B, like=Stage.SOLVE):
                self._load(b, done)
        self._keep(b, done, metric)
        return InMemory(b, home), str(metric)

    @contextmanager
    def _counted(self, stage: Stage, share: float) -> Iterator[None]:
        """A stage whose time and operations count for the forecast of what follows from B."""
        start = time.perf_counter()
        with self._backend.stage(stage):
            yield
        self._seconds += time.perf_counter() - start
        self._flops += share * self._plan.flops[stage.value]

    def _transform(
        self, part: Tensor, done: int, there: NDArray[np.bool_], rows: Rows | None
    ) -> None:
        """Both half transforms into `part`; (P|ia) is written to the run file when that is due."""
        if (engine := self._backend.engine()) is not None:
            self._transform_beside(engine, part, done, there)
            return
        checkpoint, backend = self._checkpoint, self._backend
        unkept: list[AuxBlock] = []
        with closing(self._transformed(part, done, there)) as blocks:
            for block in blocks:
                unkept.append(block)
                if rows is not None and checkpoint.keeps_b():
                    with backend.stage(Stage.WRITE_B, like=Stage.AO2MO):
                        checkpoint.enter()
                        for one in unkept:
                            panel = backend.to_host(part[:, one.p0 : one.p1])
                            rows.put_raw(done, one.p0, panel, checkpoint.session)
                        checkpoint.commit()
                    unkept.clear()

    def _transformed(
        self, part: Tensor, done: int, there: NDArray[np.bool_]
    ) -> Generator[AuxBlock]:
        """Both half transforms into `part`; yields each block when it is there."""
        backend = self._backend
        with backend.stage(Stage.AO2MO):
            home = backend.current
        if isinstance(self._source, Libcint) and isinstance(home, TorchBackend):
            yield from self._in_threads(home, part, done, there)
            return
        c_occ, c_vir = self._coefficients(done)
        for block, eri in self._integrals(there):
            with self._counted(Stage.AO2MO, self._share(block, done)):
                out = part[:, block.p0 : block.p1]
                backend.ao2mo(backend.asarray(eri), c_occ, c_vir, out)
            yield block

    def _in_threads(
        self, home: TorchBackend, part: Tensor, done: int, there: NDArray[np.bool_]
    ) -> Generator[AuxBlock]:
        """Each thread makes and transforms a few auxiliary functions, without waiting for others.

        The stages of both steps share the wall time as the threads do.
        """
        backend, stage = self._backend, self._source.stage
        c_occ, c_vir = self._coefficients(done)
        threads, most = home.threads, self._plan.aux_block
        size = max(1, min(AUX_AT_ONCE, most // threads))
        with backend.stage(stage):
            integrals = cast("ThreeCentreIntegrals", self._blocks(there, size))
        workers = max(1, min(threads, most // max(size, self._aux.largest_shell)))
        total, start = len(integrals.blocks), time.perf_counter()
        working = home.ao2mo_in_threads(integrals, (c_occ, c_vir), part, workers)
        with closing(working):
            for count, (number, made, transformed) in enumerate(working, start=1):
                block = integrals.blocks[number]
                seconds = time.perf_counter() - start
                own = seconds * transformed / max(made + transformed, 1e-9)
                flops = self._share(block, done) * self._plan.flops[Stage.AO2MO.value]
                backend.provenance.spend(stage, seconds - own)
                backend.provenance.spend(Stage.AO2MO, own)
                with backend.stage(Stage.AO2MO):
                    backend.record("ao2mo", part.dtype, own, flops)
                self._seconds += own
                self._flops += flops
                yield block
                self._progress(Stage.INTEGRALS_AND_AO2MO.value, count, total)
                start = time.perf_counter()

    def _share(self, block: AuxBlock, done: int) -> float:
        """Share of the half transforms that one block is, for the orbitals from `done` on."""
        return (block.p1 - block.p0) / self._aux.naux * (1 - done / self._spin.nocc)

    def _transform_beside(
        self, engine: Engine, part: Tensor, done: int, there: NDArray[np.bool_]
    ) -> None:
        """The half transforms on a device that works beside the host."""
        backend = self._backend
        c_occ, c_vir = self._coefficients(done)
        with backend.stage(self._stage):
            integrals = self._blocks(there, self._plan.aux_block)
            total = len(integrals.blocks)

            def report(blocks: int) -> None:
                self._progress(Stage.INTEGRALS_AND_AO2MO.value, blocks, total)

            work = HalfTransform(backend.current.ao2mo, c_occ, c_vir, part)
            transformed: Any = device_blocks if self._source.on_device else host_blocks
            seconds = transformed(integrals, engine, work, report)
            for block, taken in zip(integrals.blocks, seconds, strict=True):
                flops = self._share(block, done) * self._plan.flops[Stage.AO2MO.value]
                backend.record("ao2mo", part.dtype, taken, flops)

    def _on_disk(self, done: int) -> tuple[HeldB, str]:
        backend, checkpoint = self._backend, self._checkpoint
        rows, nocc, nvir = checkpoint.rows, self._spin.nocc, self._spin.nvir
        if rows is None:
            raise CheckpointError(
                "B does not fit in memory, and there is no run file to hold it; name one "
                "with checkpoint (--checkpoint), or raise max_memory (--max-memory)"
            )
        checkpoint.enter()
        if done < nocc:
            with backend.stage(Stage.READ_B):
                there = rows.raw()
            c_occ, c_vir = self._coefficients(done)
            for block, eri in self._integrals(there):
                with backend.stage(Stage.AO2MO):
                    panel = backend.empty_b(nocc - done, block.p1 - block.p0, nvir)
                    backend.ao2mo(backend.asarray(eri), c_occ, c_vir, panel)
                with backend.stage(Stage.WRITE_B, like=Stage.AO2MO):
                    rows.put_raw(done, block.p0, backend.to_host(panel), checkpoint.session)
                    checkpoint.commit()
        metric = self._metric()
        if done < nocc and rows.metric() is None:
            rows.put_metric(metric)
        at_once = min(self._plan.solve_rows, rows.spare)
        for i0 in range(done, nocc, at_once):
            i1 = min(i0 + at_once, nocc)
            with backend.stage(Stage.READ_B):
                raw = np.empty((i1 - i0, nvir, self._aux.naux))
                for i in range(i0, i1):
                    raw[i - i0] = rows.get_raw(i).T
            with backend.stage(Stage.SOLVE):
                b = self._solve(metric, backend.asarray(raw.swapaxes(1, 2)))
            with backend.stage(Stage.WRITE_B, like=Stage.SOLVE):
                rows.put_fitted(i0, contiguous_rows(backend.to_host(b)), checkpoint.session)
                checkpoint.commit()
            self._progress(Stage.SOLVE.value, i1, nocc)
        return OnDisk(rows, self._aux.naux, nvir), str(metric)

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

    def _coefficients(self, done: int) -> tuple[Tensor, Tensor]:
        with self._backend.stage(self._stage):
            c_occ = np.ascontiguousarray(self._spin.c_occ[:, done:])
            return self._backend.asarray(c_occ), self._backend.asarray(self._spin.c_vir)

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

    def _load_raw(self, part: Tensor, done: int) -> NDArray[np.bool_]:
        """Read the (P|ia) that is in the file; returns for which P."""
        rows = self._checkpoint.rows
        there: NDArray[np.bool_] = np.zeros(self._aux.naux, dtype=bool)
        if rows is None or not rows.sessions():
            return there
        with self._backend.stage(Stage.READ_B, like=Stage.AO2MO):
            there = rows.raw()
            if there.any():
                where = np.flatnonzero(there)
                for i in range(len(part)):
                    values = np.ascontiguousarray(rows.get_raw(done + i, where))
                    part[i, where] = self._backend.asarray(values)
        return there

    def _load(self, b: Tensor, done: int) -> None:
        """Read the fitted rows before `done`."""
        rows = self._checkpoint.rows
        if rows is not None:
            for i in range(done):
                memory = np.empty((1, b.shape[2], b.shape[1]))
                rows.get_fitted(i, memory)
                b[i] = self._backend.asarray(np.ascontiguousarray(memory[0].T))

    def _keep(self, b: Tensor, done: int, metric: Metric) -> None:
        """Write the rows from `done` on to the run file, if much work follows from them."""
        checkpoint, rows = self._checkpoint, self._checkpoint.rows
        rate = self._flops / max(self._seconds, 1e-9)
        left = self._plan.flops[Stage.PAIRS.value] / max(rate, 1.0)
        if rows is None or not checkpoint.keeps_b(left):
            return
        with self._backend.stage(Stage.WRITE_B, like=Stage.SOLVE):
            checkpoint.enter()
            if rows.metric() is None:
                rows.put_metric(metric)
            for i0 in range(done, len(b), rows.spare):
                i1 = min(i0 + rows.spare, len(b))
                values = contiguous_rows(self._backend.to_host(b[i0:i1]))
                rows.put_fitted(i0, values, checkpoint.session)
            checkpoint.commit()

"""From integrals to B[i,P,a]: both half transforms per block of P, then the metric.

    (P|ia) = sum_mn (mn|P) C_mi C_na            2 naux nao nocc (nao + nvir) flops
    B[i,P,a] = sum_Q (L^-1)_PQ (Q|ia)           naux^2 nocc nvir flops

In memory (P|ia) is written straight into B's memory and solved in place: there is no second array
of its size. Where B does not fit, each block of P goes to the run file and the metric is solved for
a few orbitals at a time. Either way the rows of B that a run file holds already are not made again.
Everything here is float64: the metric's condition number multiplies any error made before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, Tensor
from dfmp2.backends.recording import RecordedBackend
from dfmp2.errors import CheckpointError
from dfmp2.fitting.auxbasis import AuxBasis, Metric, factor_metric
from dfmp2.integrals.libcint import (
    LIBCINT,
    AuxBlock,
    BlockedIntegrals,
    IntegralSource,
    metric_integrals,
)
from dfmp2.planning.plan import Plan
from dfmp2.references.mean_field import Reference
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.runfile.rows import Rows, contiguous_rows
from dfmp2.tensors.held import FittedB, InMemory, OnDisk
from dfmp2.tensors.overlap import Engine

__all__ = ["Progress", "Transform"]

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total)."""


@dataclass(frozen=True, eq=False)
class Transform:
    """Makes B[i,P,a].

    Attributes
    ----------
    reference : Reference
    aux : AuxBasis
    plan : Plan
    backend : RecordedBackend
    progress : callable
    checkpoint : Checkpoint
    source : IntegralSource
        Who makes the integrals. Where they hold the metric already, nothing is left to solve.
    """

    reference: Reference
    aux: AuxBasis
    plan: Plan
    backend: RecordedBackend
    progress: Progress
    checkpoint: Checkpoint
    source: IntegralSource = LIBCINT

    def fitted(self) -> tuple[FittedB, str]:
        """Make B, or what is missing of it.

        Returns
        -------
        b : FittedB
            float64, shape (nocc, naux, nvir).
        metric : str
            How the metric was factored.
        """
        rows = self.checkpoint.rows
        done = 0
        if rows is not None and rows.sessions():
            with self.backend.stage("reading B"):
                done = rows.fitted()
        if self.source.metric is not None and done < self.reference.nocc:
            return self._as_it_comes(self.source.metric)
        return self._in_memory(done) if self.plan.in_memory else self._on_disk(done)

    @property
    def _stage(self) -> str:
        """Where the half transforms are timed: with the integrals, if a device works beside."""
        return "AO->MO" if self.backend.engine() is None else f"{self.source.stage} and AO->MO"

    def _as_it_comes(self, metric: str) -> tuple[FittedB, str]:
        """B from integrals that hold the metric: it is not kept, since they are."""
        with self.backend.stage(self._stage):
            b = self.backend.empty_b(self.reference.nocc, self.aux.naux, self.reference.nvir)
        self._transform(b, 0, np.zeros(self.aux.naux, dtype=bool), None)
        return InMemory(b), metric

    def _in_memory(self, done: int) -> tuple[FittedB, str]:
        nocc, nvir = self.reference.nocc, self.reference.nvir
        backend = self.backend
        if done == nocc:
            metric = self._metric()
            with backend.stage("reading B", like="metric solve"):
                b = backend.empty_b(nocc, self.aux.naux, nvir)
                self._load(b, done)
            return InMemory(b), str(metric)
        with backend.stage(self._stage):
            b = backend.empty_b(nocc, self.aux.naux, nvir)
            part = b[done:] if done else b
        there = self._load_raw(part, done)
        self._transform(part, done, there, self.checkpoint.rows)
        metric = self._metric()
        with backend.stage("metric solve"):
            b = backend.adopt(b)
            part = b[done:] if done else b
            solved = self._solve(metric, part)
            if not done:
                b = solved
            elif solved is not part:
                b[done:] = solved
            self.progress("metric solve", 1, 1)
        if done:
            with backend.stage("reading B", like="metric solve"):
                self._load(b, done)
        self._keep(b, done, metric)
        return InMemory(b), str(metric)

    def _transform(
        self, part: Tensor, done: int, there: NDArray[np.bool_], rows: Rows | None
    ) -> None:
        """Both half transforms into `part`, kept in the run file when that is due."""
        checkpoint = self.checkpoint
        if (engine := self.backend.engine()) is not None:
            self._transform_beside(engine, part, done, there)
            return
        c_occ, c_vir = self._coefficients(done)
        unkept: list[AuxBlock] = []
        for block, eri in self._integrals(there):
            with self.backend.stage("AO->MO"):
                out = part[:, block.p0 : block.p1]
                self.backend.ao2mo(self.backend.asarray(eri), c_occ, c_vir, out)
            unkept.append(block)
            if rows is not None and checkpoint.keeps_b():
                with self.backend.stage("writing B", like="AO->MO"):
                    checkpoint.enter()
                    for one in unkept:
                        panel = self.backend.to_host(part[:, one.p0 : one.p1])
                        rows.put_raw(done, one.p0, panel, checkpoint.session)
                    checkpoint.commit()
                unkept.clear()

    def _transform_beside(
        self, engine: Engine, part: Tensor, done: int, there: NDArray[np.bool_]
    ) -> None:
        """The same with a device that works beside the host: one stage, since the two overlap."""
        c_occ, c_vir = self._coefficients(done)
        with self.backend.stage(self._stage):
            integrals = self._blocks(there)
            total = len(integrals.blocks)

            def report(blocks: int) -> None:
                self.progress("integrals and AO->MO", blocks, total)

            on_device = self.source.on_device
            self.backend.ao2mo_beside(engine, integrals, on_device, c_occ, c_vir, part, report)

    def _on_disk(self, done: int) -> tuple[FittedB, str]:
        reference, backend, checkpoint = self.reference, self.backend, self.checkpoint
        rows, nocc, nvir = checkpoint.rows, reference.nocc, reference.nvir
        if rows is None:
            raise CheckpointError("B does not fit in memory and there is no run file to keep it in")
        checkpoint.enter()
        if done < nocc:
            with backend.stage("reading B"):
                there = rows.raw()
            c_occ, c_vir = self._coefficients(done)
            for block, eri in self._integrals(there):
                with backend.stage("AO->MO"):
                    panel = backend.empty_b(nocc - done, block.p1 - block.p0, nvir)
                    backend.ao2mo(backend.asarray(eri), c_occ, c_vir, panel)
                with backend.stage("writing B", like="AO->MO"):
                    rows.put_raw(done, block.p0, backend.to_host(panel), checkpoint.session)
                    checkpoint.commit()
        metric = self._metric()
        if done < nocc and rows.metric() is None:
            rows.put_metric(metric)
        at_once = min(self.plan.solve_rows, rows.spare)
        for i0 in range(done, nocc, at_once):
            i1 = min(i0 + at_once, nocc)
            with backend.stage("reading B"):
                raw = np.empty((i1 - i0, nvir, self.aux.naux))
                for i in range(i0, i1):
                    raw[i - i0] = rows.get_raw(i).T
            with backend.stage("metric solve"):
                b = self._solve(metric, backend.asarray(raw.swapaxes(1, 2)))
            with backend.stage("writing B", like="metric solve"):
                rows.put_fitted(i0, contiguous_rows(backend.to_host(b)), checkpoint.session)
                checkpoint.commit()
            self.progress("metric solve", i1, nocc)
        return OnDisk(rows, self.aux.naux, nvir), str(metric)

    def _integrals(self, there: NDArray[np.bool_]) -> Iterator[tuple[AuxBlock, Array]]:
        """(mn|P) of the auxiliary shells that are not there, timed and shown."""
        with self.backend.stage(self.source.stage):
            integrals = self._blocks(there)
            blocks = iter(integrals)
        for done in range(len(integrals.blocks)):
            with self.backend.stage(self.source.stage):
                made = next(blocks)
            yield made
            self.progress("integrals and AO->MO", done + 1, len(integrals.blocks))

    def _blocks(self, there: NDArray[np.bool_]) -> BlockedIntegrals:
        loc = self.aux.mol.ao_loc_nr()
        shells = [s for s in range(len(loc) - 1) if not there[loc[s] : loc[s + 1]].all()]
        mol, auxmol = self.reference.mol, self.aux.mol
        return self.source.integrals(mol, auxmol, self.plan.aux_block, shells)

    def _coefficients(self, done: int) -> tuple[Tensor, Tensor]:
        with self.backend.stage(self._stage):
            c_occ = np.ascontiguousarray(self.reference.c_occ[:, done:])
            return self.backend.asarray(c_occ), self.backend.asarray(self.reference.c_vir)

    def _metric(self) -> Metric:
        """The factor that the rows in the file were fitted with, or a new one."""
        rows = self.checkpoint.rows
        with self.backend.stage("metric"):
            stored = rows.metric() if rows is not None else None
            return stored or factor_metric(metric_integrals(self.aux.mol))

    def _solve(self, metric: Metric, b: Tensor) -> Tensor:
        """B where (P|ia) was; in other memory only where a library solves no other way."""
        if metric.kind == "cholesky":
            return self.backend.trsm(metric.factor, b)
        factor = self.backend.asarray(metric.factor)
        for i in range(len(b)):
            b[i] = self.backend.gemm(factor, b[i])
        return b

    def _load_raw(self, part: Tensor, done: int) -> NDArray[np.bool_]:
        """Read the (P|ia) that is in the file; returns for which P."""
        rows = self.checkpoint.rows
        there: NDArray[np.bool_] = np.zeros(self.aux.naux, dtype=bool)
        if rows is None or not rows.sessions():
            return there
        with self.backend.stage("reading B", like="AO->MO"):
            there = rows.raw()
            if there.any():
                where = np.flatnonzero(there)
                for i in range(len(part)):
                    values = np.ascontiguousarray(rows.get_raw(done + i, where))
                    part[i, where] = self.backend.asarray(values)
        return there

    def _load(self, b: Tensor, done: int) -> None:
        """Read the fitted rows before `done`."""
        rows = self.checkpoint.rows
        if rows is not None:
            for i in range(done):
                memory = np.empty((1, b.shape[2], b.shape[1]))
                rows.get_fitted(i, memory)
                b[i] = self.backend.asarray(np.ascontiguousarray(memory[0].T))

    def _keep(self, b: Tensor, done: int, metric: Metric) -> None:
        """Write the rows from `done` on to the run file, where that is worth it."""
        checkpoint, rows = self.checkpoint, self.checkpoint.rows
        stages = self.backend.provenance.stages
        spent = [s for s in stages if s.name in ("AO->MO", "metric solve")]
        rate = sum(s.flops for s in spent) / max(sum(s.seconds for s in spent), 1e-9)
        left = self.plan.flops["pair energies"] / max(rate, 1.0)
        if rows is None or not checkpoint.keeps_b(left):
            return
        with self.backend.stage("writing B", like="metric solve"):
            checkpoint.enter()
            if rows.metric() is None:
                rows.put_metric(metric)
            for i0 in range(done, len(b), rows.spare):
                i1 = min(i0 + rows.spare, len(b))
                values = contiguous_rows(self.backend.to_host(b[i0:i1]))
                rows.put_fitted(i0, values, checkpoint.session)
            checkpoint.commit()

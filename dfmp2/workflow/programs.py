"""Which compiled NKI programs a run needs, found by running it on arrays without memory."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.recording import RecordingBackend
from dfmp2.integrals.libcint import LIBCINT
from dfmp2.kernels.estimate import Tracer
from dfmp2.kernels.launch import program_key
from dfmp2.methods.pair_energies import pair_energies
from dfmp2.planning.plan import Plan, ranges
from dfmp2.references.reference import Reference, SpinBlock
from dfmp2.results.provenance import Provenance, Where
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.settings import Settings
from dfmp2.tensors.held import InMemory
from dfmp2.tensors.problem import Problem, Work

__all__ = ["needed_programs"]


class _Tracing:
    """A `dfmp2.backends.launching.Runner` on torch's meta tensors: shapes, no values, no work."""

    def __init__(self, target: str) -> None:
        self.where = Where("nki", "trace", target)
        self.programs: Counter[str] = Counter()
        self._tracer = Tracer(target)
        self.target = self._tracer.target

    def __call__(self, kernel: Any, *operands: Any) -> Any:
        self.programs[program_key(kernel, operands)] += 1
        return self._tracer(kernel, *operands)

    def put(self, x: NDArray[Any]) -> Any:
        return _blank(*x.shape)

    def get(self, x: Any) -> NDArray[Any]:
        return np.zeros(tuple(x.shape))


def _blank(*shape: int) -> Any:
    import torch

    return torch.empty(shape, device="meta")


def needed_programs(plan: Plan, settings: Settings, target: str = "trn2") -> dict[str, int]:
    """Programs of a run with all stages on the device, and launches of each.

    Parameters
    ----------
    plan : Plan
    settings : Settings
    target : str
        Generation, whose limits are checked while tracing.

    Returns
    -------
    dict of str to int
        By `dfmp2.kernels.launch.program_key`.
    """
    s = plan.sizes
    if not s.elements:
        return {}
    runner = _Tracing(target)
    backend = NkiBackend(runner)
    for p0 in range(0, s.naux, plan.aux_block):
        block = min(plan.aux_block, s.naux - p0)
        eri = _blank(block, s.nao, s.nao)
        for nocc, nvir in s.blocks:
            if nocc * nvir:
                c_occ, c_vir = _blank(s.nao, nocc), _blank(s.nao, nvir)
                backend.ao2mo(eri, c_occ, c_vir, _blank(nocc, block, nvir))
    for nocc, nvir in s.blocks:
        for rows in ranges(0, nocc if nvir else 0, nocc if plan.in_memory else plan.solve_rows):
            backend.trsm(np.eye(s.naux), _blank(rows.stop - rows.start, s.naux, nvir))
    spins = tuple(
        SpinBlock(
            c_occ=np.empty((0, nocc)),
            c_vir=np.empty((0, nvir)),
            e_occ=np.full(nocc, -1.0),
            e_vir=np.ones(nvir),
        )
        for nocc, nvir in s.blocks
    )
    reference = Reference(SimpleNamespace(), "RHF", 0.0, spins, (), ())
    aux: Any = SimpleNamespace(naux=s.naux)
    problem = Problem(settings, reference, aux, LIBCINT, plan)
    b = InMemory([_blank(nocc, s.naux, nvir) for nocc, nvir in s.blocks], backend)
    recording = RecordingBackend(backend, Provenance())
    checkpoint = Checkpoint(None, s.nocc, kappas=len(settings.kappa))
    pair_energies(b, problem, Work(recording, checkpoint))
    return dict(runner.programs)

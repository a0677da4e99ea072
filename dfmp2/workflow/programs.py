"""Which compiled programs a run needs, found by its own operations on arrays without memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.nki import NkiBackend
from dfmp2.kernels.estimate import Tracer
from dfmp2.kernels.launch import program_key
from dfmp2.methods.pair_energies import SMALL_T
from dfmp2.planning.plan import Plan, ranges
from dfmp2.results.provenance import Where

__all__ = ["needed_programs"]


class _Tracing:
    """A `dfmp2.backends.launching.Runner` on torch's meta tensors: shapes, no values, no work."""

    def __init__(self, target: str) -> None:
        self.where = Where("nki", "trace", target)
        self.programs: Counter[str] = Counter()
        self._tracer = Tracer(target)

    def __call__(self, kernel: Any, *operands: Any) -> Any:
        self.programs[program_key(kernel, operands)] += 1
        return self._tracer(kernel, *operands)

    def put(self, x: NDArray[Any]) -> Any:
        import torch

        return torch.empty(x.shape, device="meta")

    def get(self, x: Any) -> NDArray[Any]:
        return np.zeros(tuple(x.shape))


def needed_programs(plan: Plan, fused: bool, target: str = "trn2") -> dict[str, int]:
    """Programs of a run with all stages on the device, and launches of each.

    Parameters
    ----------
    plan : Plan
    fused : bool
    target : str
        Generation, whose limits are checked while tracing.

    Returns
    -------
    dict of str to int
        By `dfmp2.kernels.launch.program_key`.
    """
    import torch

    s = plan.sizes
    if not (s.nocc and s.nvir):
        return {}
    runner = _Tracing(target)
    backend = NkiBackend(runner)

    def blank(*shape: int) -> Any:
        return torch.empty(shape, device="meta")

    for p0 in range(0, s.naux, plan.aux_block):
        block = min(plan.aux_block, s.naux - p0)
        eri, c_occ, c_vir = blank(block, s.nao, s.nao), blank(s.nao, s.nocc), blank(s.nao, s.nvir)
        backend.ao2mo(eri, c_occ, c_vir, blank(s.nocc, block, s.nvir))
    for rows in ranges(0, s.nocc, s.nocc if plan.in_memory else plan.solve_rows):
        backend.trsm(np.eye(s.naux), blank(rows.stop - rows.start, s.naux, s.nvir))
    e_vir = np.ones(s.nvir)
    for i, partners in plan.pair_ranges():
        for j in partners:
            ni, nj = i.stop - i.start, j.stop - j.start
            b_i, b_j = blank(ni, s.naux, s.nvir), blank(nj, s.naux, s.nvir)
            if fused:
                e_i, e_j = np.full(ni, -1.0), np.full(nj, -1.0)
                backend.pair_energy(b_i, b_j, e_i, e_j, e_vir, i == j)
            else:
                _unfused(backend, b_i, b_j, e_vir, i == j)
    return dict(runner.programs)


def _unfused(backend: NkiBackend, b_i: Any, b_j: Any, e_vir: Any, diagonal: bool) -> None:
    """The operations of `dfmp2.methods.pair_energies` without fusion, once for each shape."""
    if diagonal:
        backend.mp2_energy(backend.syrk(b_i[0], True)[None], np.full(1, -2.0), e_vir)
    for count in range(1 if diagonal else len(b_j), len(b_j) + (not diagonal)):
        if len(e_vir) <= SMALL_T:
            t = backend.batched_gemm(b_i[:1], b_j[:count], True)
        else:
            t = backend.gemm(b_i[0], b_j[0], True)[None]
        backend.mp2_energy(t, np.full(len(t), -2.0), e_vir)

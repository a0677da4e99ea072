"""Block sizes and memory of the stages of a gradient that hold B: pair densities, and the fit.

The first stage holds B and gamma = dE/dB, which has the size of B, and works on tiles of W (of the
size of T) for two blocks of occupied orbitals. The matrix products of a tile sum over all orbitals
of a block, so with `BLOCK` orbitals adding a product to gamma takes little of its time. Where gamma
does not fit beside B in memory, it is in a temporary file. Where not even one tile fits, B is in
the run file as well. The second stage contracts gamma with derivatives of integrals in blocks of
auxiliary functions. What the SCF needs for its response and its own derivatives is not part of the
plan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dfmp2.errors import ResourceError
from dfmp2.planning.plan import OVERHEAD, GradientPlan, Plan, make_plan
from dfmp2.results.sizes import Sizes
from dfmp2.results.stages import Stage
from dfmp2.units import BYTES_PER_DOUBLE, BYTES_PER_MB

__all__ = ["BLOCK", "TILE_BYTES", "with_gradient"]

BLOCK = 8
"""Occupied orbitals in a block. With four, adding to gamma takes about a tenth of the time."""

TILE_BYTES = 256 * BYTES_PER_MB
"""Bytes of a tile of W, at most. Blocks of larger molecules have fewer orbitals, and larger
matrices."""


FUNCTIONS = 16 * BYTES_PER_MB
"""Bytes of a block of unpacked integrals whose derivatives are made, about."""

DERIVATIVES = 16 * BYTES_PER_MB
"""Bytes of derivatives of integrals in each thread, about
(`dfmp2.integrals.derivatives.BUFFER`)."""

AT_ONCE = 8
"""Auxiliary functions that a thread differentiates at once, at most
(`dfmp2.integrals.derivatives.AT_ONCE`)."""


def with_gradient(plan: Plan, threads: int = 1) -> Plan:
    """Add what a gradient does with B and gamma to the plan of the energy.

    Parameters
    ----------
    plan : Plan
        As from `make_plan`.
    threads : int
        As for `make_plan`.

    Returns
    -------
    Plan
        With `gradient`. B is in the run file if the stages do not fit beside it.

    Raises
    ------
    ResourceError
        If even the smallest blocks need more memory than `max_memory`.
    """
    if plan.device_memory:
        return _on_gpu(plan, threads)
    made = _planned(plan, threads)
    metric_done = not plan.flops[Stage.SOLVE.value]
    if made is None and plan.in_memory and not metric_done:
        below = min(plan.max_memory, plan.least_in_memory - 1)
        on_disk = make_plan(plan.sizes, below, threads)
        plan = replace(on_disk, max_memory=plan.max_memory)
        made = _planned(plan, threads)
    if made is None:
        least = OVERHEAD + _Stages(plan.sizes, threads).largest(1, plan.sizes.aux_shell)
        if metric_done:  # the integrals are those of an SCF, and B stays in memory
            least += _gamma(plan.sizes)
        raise ResourceError(
            f"max_memory is {plan.max_memory:.0f} MB, but the gradient needs at least "
            f"{-(-least // BYTES_PER_MB)} MB; raise max_memory (--max-memory) or freeze the core"
        )
    stages = _Stages(plan.sizes, threads)
    own = {
        "gamma[i,P,a]": _gamma(plan.sizes) if made.in_memory else 0,
        "tiles of W, B and gamma": stages.pairs(made.block),
        "derivatives of the fit": stages.fit(made.block, made.functions),
    }
    memory = plan.memory | {item: size / BYTES_PER_MB for item, size in own.items()}
    peak = max(plan.peak, made.peak)
    return replace(plan, gradient=made, memory=memory, peak=peak, flops=_flops(plan))


def _gamma(sizes: Sizes) -> int:
    return BYTES_PER_DOUBLE * sizes.elements * sizes.naux


@dataclass(frozen=True)
class _Stages:
    """Bytes of both stages, beside B and gamma."""

    sizes: Sizes
    threads: int

    def pairs(self, block: int) -> int:
        """Tiles of two blocks: W, T of one orbital and its sums; B of both, and a product."""
        s = self.sizes
        numbers = (block + 3) * block * s.nvir**2 + 3 * block * s.nvir * s.naux
        return BYTES_PER_DOUBLE * numbers

    def fit(self, block: int, functions: int) -> int:
        """Y of some functions; metric; B, gamma and a product; and in each thread integrals,
        densities, half transforms and derivatives of a few functions.
        """
        s = self.sizes
        few = max(min(AT_ONCE, DERIVATIVES // (3 * BYTES_PER_DOUBLE * s.nao**2)), s.aux_shell)
        # Matrices of a function: 9 in use; a thread's allocator keeps as much again.
        each = few * (18 * s.nao**2 + 3 * s.nocc * s.nao + s.elements)
        numbers = functions * s.elements + 4 * s.naux**2 + 4 * block * s.nvir * s.naux
        return BYTES_PER_DOUBLE * (numbers + self.threads * each)

    def largest(self, block: int, functions: int) -> int:
        """The peak of both."""
        return max(self.pairs(block), self.fit(block, functions))


def _planned(plan: Plan, threads: int) -> GradientPlan | None:
    """The largest blocks that fit, with gamma in memory if one of them does."""
    sizes, stages = plan.sizes, _Stages(plan.sizes, threads)
    gamma = _gamma(sizes)
    held = gamma if plan.in_memory else 0  # B has the same size
    free = int(plan.max_memory * BYTES_PER_MB) - OVERHEAD - held
    least, best = _functions(sizes)
    for own in (gamma, 0) if plan.in_memory else (0,):
        for block in range(_largest(sizes), 0, -1):
            left = free - own
            if stages.largest(block, least) > left:
                continue
            each = stages.fit(block, 1) - stages.fit(block, 0)
            functions = max(least, min(best, (left - stages.fit(block, 0)) // max(each, 1)))
            peak = (OVERHEAD + held + own + stages.largest(block, functions)) / BYTES_PER_MB
            rows = BYTES_PER_DOUBLE * sizes.nocc * sizes.nvir * sizes.naux / BYTES_PER_MB
            return GradientPlan(block, functions, own > 0, peak, 0.0 if own else rows)
    return None


def _functions(sizes: Sizes) -> tuple[int, int]:
    """Auxiliary functions in a block of derivatives: the smallest possible, and the best."""
    least = min(max(sizes.aux_shell, 1), sizes.naux)
    return least, max(least, min(FUNCTIONS // (BYTES_PER_DOUBLE * sizes.nao**2), sizes.naux))


def _largest(sizes: Sizes) -> int:
    """Orbitals of a block with enough memory."""
    most = int((TILE_BYTES / BYTES_PER_DOUBLE) ** 0.5 / max(sizes.nvir, 1))
    return max(1, min(BLOCK, most, sizes.nocc))


def _flops(plan: Plan) -> dict[str, float]:
    """T once, and two products of its size for gamma."""
    naux = plan.sizes.naux
    elements = plan.flops[Stage.PAIRS.value] / (2.0 * naux + 8)
    return {**plan.flops, Stage.DENSITIES.value: elements * (6.0 * naux + 24)}


def _on_gpu(plan: Plan, threads: int) -> Plan:
    """B, gamma and the tiles are on the GPU. The host makes derivatives with blocks of gamma."""
    sizes, block = plan.sizes, _largest(plan.sizes)
    stages, functions = _Stages(sizes, threads), _functions(sizes)[1]
    temporaries = 8 * BYTES_PER_DOUBLE * block * sizes.nvir**2  # of operations on T of one orbital
    tiles = (stages.pairs(block) + temporaries) / BYTES_PER_MB
    gamma = plan.device_memory["B[i,P,a]"]
    on_gpu = {**plan.device_memory, "gamma[i,P,a]": gamma, "tiles of W, B and gamma": tiles}
    fit = stages.fit(block, functions) / BYTES_PER_MB
    peak = max(plan.peak, OVERHEAD / BYTES_PER_MB + fit)
    return replace(
        plan,
        gradient=GradientPlan(block, functions, True, peak, 0.0),
        memory={**plan.memory, "derivatives of the fit": fit},
        peak=peak,
        device_memory=on_gpu,
        device_peak=max(plan.device_peak, 2 * gamma + on_gpu["libraries"] + tiles),
        flops=_flops(plan),
    )

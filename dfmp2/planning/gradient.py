"""Block sizes and memory of the pair densities of a gradient.

The stage holds B and gamma = dE/dB, which has the size of B, and works on tiles of W (of the size
of T) for two blocks of occupied orbitals. The matrix products of a tile sum over all orbitals of a
block, so with `BLOCK` orbitals adding a product to gamma takes little of its time. Where gamma does
not fit beside B in memory, it is in a temporary file. Where not even one tile fits, B is in the run
file as well.
"""

from __future__ import annotations

from dataclasses import replace

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


def with_gradient(plan: Plan, threads: int = 1) -> Plan:
    """Add the pair densities of a gradient to the plan of the energy.

    Parameters
    ----------
    plan : Plan
        As from `make_plan`.
    threads : int
        As for `make_plan`.

    Returns
    -------
    Plan
        With `gradient`. B is in the run file if the stage does not fit beside it.

    Raises
    ------
    ResourceError
        If even the smallest blocks need more memory than `max_memory`.
    """
    if plan.device_memory:
        return _on_gpu(plan)
    made = _planned(plan)
    least = float(_bytes(plan.sizes, 1))
    if made is None and plan.in_memory:
        metric_done = not plan.flops.get(Stage.SOLVE.value, 0.0)
        if metric_done and plan.sizes.elements:  # the integrals of an SCF: B stays in memory
            least += plan.memory["B[i,P,a]"] * BYTES_PER_MB
        else:
            below = min(plan.max_memory, plan.least_in_memory - 1)
            on_disk = make_plan(plan.sizes, below, threads, metric_done=metric_done)
            plan = replace(on_disk, max_memory=plan.max_memory)
            made = _planned(plan)
    if made is None:
        raise ResourceError(
            f"max_memory is {plan.max_memory:.0f} MB, but the gradient needs at least "
            f"{-(-(OVERHEAD + least) // BYTES_PER_MB):.0f} MB; raise max_memory (--max-memory) or "
            "freeze the core"
        )
    memory = {
        **plan.memory,
        "gamma[i,P,a]": _gamma(plan.sizes) / BYTES_PER_MB if made.in_memory else 0.0,
        "tiles of W, B and gamma": _bytes(plan.sizes, made.block) / BYTES_PER_MB,
    }
    peak = max(plan.peak, made.peak)
    return replace(plan, gradient=made, memory=memory, peak=peak, flops=_flops(plan))


def _gamma(sizes: Sizes) -> int:
    return BYTES_PER_DOUBLE * sizes.elements * sizes.naux


def _bytes(sizes: Sizes, block: int) -> int:
    """Tiles of one pair of blocks: W, T of one orbital and its sums; B of both, and a product."""
    numbers = (block + 3) * block * sizes.nvir**2 + 3 * block * sizes.nvir * sizes.naux
    return BYTES_PER_DOUBLE * numbers


def _planned(plan: Plan) -> GradientPlan | None:
    """The largest blocks that fit, with gamma in memory if one of them does."""
    sizes = plan.sizes
    gamma = _gamma(sizes)
    held = gamma if plan.in_memory else 0  # B has the same size
    free = plan.max_memory * BYTES_PER_MB - OVERHEAD - held
    for own in (gamma, 0) if plan.in_memory else (0,):
        block = next(
            (n for n in range(_largest(sizes), 0, -1) if own + _bytes(sizes, n) <= free), 0
        )
        if block:
            peak = (OVERHEAD + held + own + _bytes(sizes, block)) / BYTES_PER_MB
            rows = BYTES_PER_DOUBLE * sizes.nocc * sizes.nvir * sizes.naux / BYTES_PER_MB
            return GradientPlan(block, own > 0, peak, 0.0 if own else rows)
    return None


def _largest(sizes: Sizes) -> int:
    """Orbitals of a block with enough memory."""
    most = int((TILE_BYTES / BYTES_PER_DOUBLE) ** 0.5 / max(sizes.nvir, 1))
    return max(1, min(BLOCK, most, sizes.nocc))


def _flops(plan: Plan) -> dict[str, float]:
    """T once, and two products of its size for gamma."""
    naux = plan.sizes.naux
    elements = plan.flops[Stage.PAIRS.value] / (2.0 * naux + 8)
    return {**plan.flops, Stage.DENSITIES.value: elements * (6.0 * naux + 24)}


def _on_gpu(plan: Plan) -> Plan:
    """B, gamma and the tiles are on the GPU. Gamma is copied to the host block by block."""
    sizes, block = plan.sizes, _largest(plan.sizes)
    temporaries = 8 * BYTES_PER_DOUBLE * block * sizes.nvir**2  # of operations on T of one orbital
    tiles = (_bytes(sizes, block) + temporaries) / BYTES_PER_MB
    gamma = plan.device_memory["B[i,P,a]"]
    memory = {**plan.device_memory, "gamma[i,P,a]": gamma, "tiles of W, B and gamma": tiles}
    peak = max(plan.device_peak, 2 * gamma + memory["libraries"] + tiles)
    return replace(
        plan,
        gradient=GradientPlan(block, True, plan.peak, 0.0),
        device_memory=memory,
        device_peak=peak,
        flops=_flops(plan),
    )

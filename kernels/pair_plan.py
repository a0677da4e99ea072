"""How `pair_energy` cuts a block of pairs into programs and launches: pure functions of sizes.

There are two forms of program. The *resident* form keeps B[i] of one orbital in SBUF and loads its
partners B[j] one after the other; it is used if one B[i] and two B[j] fit. The *streamed* form
cuts the virtuals into blocks and the contraction into chunks and keeps neither B[i] nor B[j]; it
works for any size. One call uses one form, and all its launches are the same program, unless B has
4 GiB or more: then orbitals are cut into groups, because run-time offsets have 32 bits, and pairs
within a group and pairs of two groups are programs of their own.

Pairs of two spins need no mirror of T, so their energies are sums over blocks of virtuals, which do
not depend on each other. They have the resident form only, with blocks that are small enough.
"""

from __future__ import annotations

from typing import NamedTuple

from dfmp2.errors import ResourceError
from dfmp2.kernels.limits import (
    F32_BYTES,
    OFFSET_BYTES,
    PARTITIONS,
    PARTNER_BYTES,
    PSUM_BANK_F32,
    SBUF_BUDGET,
    V_STREAMED,
)
from dfmp2.kernels.tiling import (
    Panels,
    ceil_div,
    chunk_strips,
    equal_panels,
    partner_count,
    virtual_strips,
)

__all__ = [
    "OppositePlan",
    "ResidentPlan",
    "StreamedPlan",
    "choose_form",
    "k_chunk",
    "orbital_groups",
    "padded_sizes",
    "plan_opposite",
    "plan_resident",
    "plan_streamed",
    "rectangle_bytes",
    "resident_bytes",
]


class ResidentPlan(NamedTuple):
    """Sizes of the resident form.

    Attributes
    ----------
    strips
        Row strips of T: count and rows.
    nk
        Contraction tiles of 128.
    partners
        Partners (slots) of one i per task.
    tasks
        Most tasks per launch.
    """

    strips: Panels
    nk: int
    partners: int
    tasks: int


class StreamedPlan(NamedTuple):
    """Sizes of the streamed form.

    Attributes
    ----------
    blocks
        Blocks of virtuals: count and size.
    strips
        Row strips of one block.
    nk
        Contraction tiles of 128.
    slots
        Most slots (a pair, and a pair of blocks) per launch.
    """

    blocks: Panels
    strips: Panels
    nk: int
    slots: int


class OppositePlan(NamedTuple):
    """Sizes of the resident form for two spins.

    Attributes
    ----------
    blocks
        Blocks of virtuals of each spin; each block of one is combined with each of the other.
    rows, columns
        Strips of one block of a, and of b: count and size.
    nk
        Contraction tiles of 128.
    partners, tasks
        As of `ResidentPlan`.
    """

    blocks: int
    rows: Panels
    columns: Panels
    nk: int
    partners: int
    tasks: int


def resident_bytes(nk: int, nstrip: int, p: int, b_tiles: int, s_tiles: int) -> int:
    """SBUF bytes per partition of the resident form with `b_tiles` of B and `s_tiles` of S.

    It includes a row of energies, two tiles of roots and two of differences. Tables and sums are
    small; `SBUF_BUDGET` leaves space for them.
    """
    v = nstrip * p
    chunk = chunk_strips(nstrip, p) * p
    return F32_BYTES * (b_tiles * nk * v + s_tiles * nstrip * v + v + 2 * chunk + 2 * PSUM_BANK_F32)


def plan_resident(nvir: int, naux: int, slots: int, limit: int) -> ResidentPlan | None:
    """Sizes of the resident form for `slots` partners of each i; None if it does not fit.

    `limit` is the most instructions of a program.
    """
    strips, nk = virtual_strips(nvir), ceil_div(naux, PARTITIONS)
    if resident_bytes(nk, strips.number, strips.size, 3, 1) > SBUF_BUDGET:
        return None
    n, p = strips.number, strips.size
    chunks = n * ceil_div(n, chunk_strips(n, p))
    banks = sum(ceil_div(strip + 1, PSUM_BANK_F32 // p) for strip in range(n))
    slot = 1 + chunks * (nk + 5) + n * (n + 1) // 2 + 3 * banks
    task = 7
    most = (limit - 6 - task) // slot
    if most < 1:
        return None
    # Bytes of one partner: columns of sums, results and energies, each twice.
    sums = F32_BYTES * (4 * n * n + 8)
    ahead = resident_bytes(nk, n, p, 4, 2)
    used = ahead if ahead <= SBUF_BUDGET else resident_bytes(nk, n, p, 3, 1)
    room = SBUF_BUDGET + PARTNER_BYTES - used
    partners = partner_count(slots, min(most, max(1, room // sums)))
    tasks = (limit - 6) // (task + partners * slot)
    return ResidentPlan(strips, nk, partners, tasks)


def rectangle_bytes(nk: int, rows: int, columns: int, b_tiles: int) -> int:
    """As `resident_bytes` for two spins, with `b_tiles` of B_i: two of B_j, roots, energies."""
    b = nk * (b_tiles * rows + 2 * columns)
    return F32_BYTES * (b + columns + 2 * PSUM_BANK_F32)


def plan_opposite(nvir: tuple[int, int], naux: int, slots: int, limit: int) -> OppositePlan:
    """Sizes for pairs of two spins with `nvir` virtuals each; arguments as of `plan_resident`."""
    nk = ceil_div(naux, PARTITIONS)
    for blocks in range(1, max(nvir) + 1):
        rows, columns = (virtual_strips(ceil_div(n, blocks)) for n in nvir)
        chunks = rows.number * ceil_div(columns.number, chunk_strips(columns.number, columns.size))
        slot, task = 1 + chunks * (nk + 5), 5
        most = (limit - 3 - task) // slot
        used = rectangle_bytes(nk, rows.padded, columns.padded, 1)
        if used <= SBUF_BUDGET and most >= 1:
            break
    ahead = rectangle_bytes(nk, rows.padded, columns.padded, 2)
    used = ahead if ahead <= SBUF_BUDGET else used
    # Bytes of one partner: columns of sums, results, energies and indices, each twice.
    sums = F32_BYTES * (2 * rows.number * columns.number + 6)
    room = SBUF_BUDGET + PARTNER_BYTES - used
    partners = partner_count(slots, max(1, min(most, room // sums)))
    return OppositePlan(
        blocks, rows, columns, nk, partners, max(1, (limit - 3) // (task + partners * slot))
    )


def k_chunk(nk: int, v: int) -> int:
    """Contraction tiles loaded together in the streamed form: two sets of four tiles of B."""
    room = SBUF_BUDGET - F32_BYTES * (v + 12 * PSUM_BANK_F32)
    return max(1, min(nk, room // (8 * v * F32_BYTES)))


def plan_streamed(nvir: int, naux: int, limit: int) -> StreamedPlan:
    """Sizes of the streamed form; `limit` is the most instructions of a program.

    A launch does at least one slot, which has 6,144 instructions at about 100,000 auxiliaries.
    """
    blocks, nk = equal_panels(nvir, V_STREAMED), ceil_div(naux, PARTITIONS)
    strips = virtual_strips(blocks.size)
    blocks = Panels(blocks.number, strips.padded)
    chunks = ceil_div(nk, k_chunk(nk, blocks.size))
    slot = 5 + 4 * chunks + strips.number * (2 * nk + 11) + 2
    return StreamedPlan(blocks, strips, nk, max(1, (limit - 1) // slot))


def choose_form(nvir: int, naux: int, slots: int, limit: int) -> ResidentPlan | StreamedPlan:
    """The resident form if it fits, else the streamed one."""
    return plan_resident(nvir, naux, slots, limit) or plan_streamed(nvir, naux, limit)


def padded_sizes(plan: ResidentPlan | StreamedPlan) -> tuple[int, int]:
    """Auxiliaries and virtuals of B, padded to whole tiles."""
    virtuals = plan.strips if isinstance(plan, ResidentPlan) else plan.blocks
    return plan.nk * PARTITIONS, virtuals.padded


def orbital_groups(orbitals: int, naux: int, nvir: int) -> Panels:
    """Groups of orbitals whose B, of padded sizes, is below `OFFSET_BYTES`.

    Raises
    ------
    ResourceError
        B of a single orbital is too large.
    """
    one = naux * nvir * F32_BYTES
    most = (OFFSET_BYTES - 1) // one
    if most < 1:
        raise ResourceError(
            f"B of one orbital has {one / 2**30:.1f} GiB ({naux} auxiliaries, {nvir} virtuals, "
            f"float32), and run-time offsets on the device reach {OFFSET_BYTES / 2**30:.0f} GiB: "
            "use backend pytorch"
        )
    return equal_panels(orbitals, most)

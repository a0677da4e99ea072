"""Cutting problems into tiles: pure functions of sizes.

Strips have equal sizes instead of 128, 128, ..., rest: 448 virtuals make four strips of 112
without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dfmp2.kernels.limits import PARTITIONS, PSUM_BANK_F32

__all__ = [
    "Panels",
    "ceil_div",
    "chunk_strips",
    "circulant_pairs",
    "equal_panels",
    "fill_launches",
    "padded_rows",
    "partner_count",
    "rectangle_pairs",
    "round_up",
    "spans",
    "virtual_strips",
]


class Panels(NamedTuple):
    """`number` panels of `size` elements each; their product is the padded length."""

    number: int
    size: int

    @property
    def padded(self) -> int:
        """Length after padding."""
        return self.number * self.size

    def part(self, number: int) -> slice:
        """Elements of one panel."""
        return slice(number * self.size, (number + 1) * self.size)


def ceil_div(n: int, d: int) -> int:
    """Smallest integer >= n / d."""
    return -(-n // d)


def round_up(n: int, multiple: int) -> int:
    """Smallest multiple of `multiple` that is >= n."""
    return ceil_div(n, multiple) * multiple


def equal_panels(n: int, limit: int, multiple: int = 1) -> Panels:
    """Fewest equal panels that cover n, each at most `limit` and a multiple of `multiple`.

    Equal sizes mean equal shapes, so all panels run as one compiled program.
    """
    count = ceil_div(n, limit)
    return Panels(count, round_up(ceil_div(n, count), multiple))


def spans(start: int, stop: int, width: int) -> list[tuple[int, int]]:
    """Consecutive (begin, end) of at most `width`, covering start..stop; the last may be short."""
    return [(lo, min(lo + width, stop)) for lo in range(start, stop, width)]


def chunk_strips(count: int, size: int) -> int:
    """How many of `count` strips of `size` columns make one moving tile.

    Equal chunks, as few as fit a PSUM bank: 6 strips of 112 make 3 + 3, not 4 + 2.
    """
    most = max(1, PSUM_BANK_F32 // size)
    return ceil_div(count, ceil_div(count, most))


def virtual_strips(nvir: int) -> Panels:
    """Strips of at most 128 virtuals, the rows of a T tile."""
    return equal_panels(nvir, PARTITIONS)


def circulant_pairs(nocc: int) -> list[list[int]]:
    """Partners j of each i, every unordered pair once and equally many for each i.

    j = (i + d) mod nocc for d = 0 .. nocc // 2. For even nocc the distance nocc / 2 meets each
    pair from both ends; both are listed, and the caller may use either.
    """
    return [[(i + d) % nocc for d in range(nocc // 2 + 1)] for i in range(nocc)]


def rectangle_pairs(n_i: int, n_j: int) -> list[list[int]]:
    """Partners j of each i for two different blocks of orbitals: all of them."""
    return [list(range(n_j)) for _ in range(n_i)]


def partner_count(slots: int, most: int) -> int:
    """Partners per task, for `slots` partners of each i and at most `most` in a task.

    A task loads its i once, which takes about a quarter of the time of a pair if nothing overlaps
    with it. Padding the last task costs whole pairs. The count minimises the sum of both.
    """

    def cost(g: int) -> float:
        tasks = ceil_div(slots, g)
        return tasks * g + 0.25 * tasks

    return min(range(1, min(slots, most) + 1), key=lambda g: (cost(g), -g))


def fill_launches(ntask: int, most: int) -> list[list[int]]:
    """Task numbers of each launch, equally many in each, at most `most`.

    The last launch is filled up with repeats of the last task, so that all launches run the same
    program. The caller drops the results of the repeats.
    """
    launches = equal_panels(ntask, max(1, most))
    numbers = [min(t, ntask - 1) for t in range(launches.padded)]
    return [numbers[lo:hi] for lo, hi in spans(0, launches.padded, launches.size)]


def padded_rows(rows: Sequence[Sequence[int]], width: int) -> list[tuple[int, list[int]]]:
    """(i, partners) of each task: rows of partners cut into `width`, the rest filled with -1."""
    return [
        (i, [*row[lo:hi], *[-1] * (width - (hi - lo))])
        for i, row in enumerate(rows)
        for lo, hi in spans(0, len(row), width)
    ]

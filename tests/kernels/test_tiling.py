"""The pure functions that cut problems into tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfmp2.kernels import pair_plan, tiling
from dfmp2.kernels.limits import INSTRUCTIONS, LEAST_INSTRUCTIONS, PSUM_BANK_F32, SBUF_BUDGET

sizes = st.integers(1, 5000)
limits = st.sampled_from([LEAST_INSTRUCTIONS, max(INSTRUCTIONS.values())])


@given(sizes, st.integers(1, 600), st.sampled_from([1, 2, 4, 128]))
def test_equal_panels_cover_with_little_waste(n: int, limit: int, multiple: int) -> None:
    """Panels cover n, stay within the limit, and waste less than one multiple each."""
    limit *= multiple
    panels = tiling.equal_panels(n, limit, multiple)
    assert n <= panels.padded < n + panels.number * multiple
    assert panels.size <= limit
    assert panels.size % multiple == 0
    assert panels.number == -(-n // limit)


def test_virtual_strips_of_the_benchmark_sizes() -> None:
    """448 and 672 virtuals need no padding."""
    assert tiling.virtual_strips(448) == (4, 112)
    assert tiling.virtual_strips(672) == (6, 112)
    assert tiling.virtual_strips(129) == (2, 65)


@given(sizes)
def test_chunks_fit_a_bank(nvir: int) -> None:
    """Side by side, the strips of a chunk fit one PSUM bank, and chunks are nearly equal."""
    strips = tiling.virtual_strips(nvir)
    chunk = tiling.chunk_strips(*strips)
    assert chunk * strips.size <= PSUM_BANK_F32
    most = PSUM_BANK_F32 // strips.size
    assert tiling.ceil_div(strips.number, chunk) == tiling.ceil_div(strips.number, most)


@pytest.mark.parametrize("nocc", range(1, 12))
def test_circulant_pairs_meet_every_pair(nocc: int) -> None:
    """Each unordered pair once, but those half way round in an even ring, twice; equal rows."""
    rows = tiling.circulant_pairs(nocc)
    met = [tuple(sorted((i, j))) for i, row in enumerate(rows) for j in row]
    assert set(met) == {(i, j) for i in range(nocc) for j in range(i, nocc)}
    repeats = nocc // 2 if nocc % 2 == 0 else 0
    assert len(met) == nocc * (nocc + 1) // 2 + repeats
    assert {len(row) for row in rows} == {nocc // 2 + 1}


def test_rectangle_pairs() -> None:
    """All j for each i."""
    assert tiling.rectangle_pairs(2, 3) == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.parametrize(
    ("slots", "most", "best"), [(33, 15, 11), (49, 9, 7), (1, 5, 1), (53, 11, 9)]
)
def test_partner_count_avoids_padding(slots: int, most: int, best: int) -> None:
    """Divisors win where there is one; else little padding wins."""
    assert tiling.partner_count(slots, most) == best


@given(st.integers(1, 500), st.integers(0, 60))
def test_launches_do_every_task(ntask: int, most: int) -> None:
    """Every task in order, equal launches, fewer repeats than launches."""
    launches = tiling.fill_launches(ntask, most)
    flat = [t for numbers in launches for t in numbers]
    assert flat[:ntask] == list(range(ntask))
    assert set(flat[ntask:]) <= {ntask - 1}
    assert len(flat) - ntask < len(launches)
    assert {len(numbers) for numbers in launches} == {min(len(launches[0]), max(1, most))}


def test_padded_rows_fill_the_last_task() -> None:
    """Rows are cut to the width; what is missing is -1."""
    rows = [[0, 1, 2], [1, 2, 0]]
    assert tiling.padded_rows(rows, 2) == [(0, [0, 1]), (0, [2, -1]), (1, [1, 2]), (1, [0, -1])]


@pytest.mark.parametrize(("start", "stop", "width"), [(0, 7, 3), (2, 8, 3), (0, 0, 5), (1, 2, 9)])
def test_spans_cover(start: int, stop: int, width: int) -> None:
    """Spans join up from start to stop and none is wider than `width`."""
    spans = tiling.spans(start, stop, width)
    assert [x for lo, hi in spans for x in range(lo, hi)] == list(range(start, stop))
    assert all(0 < hi - lo <= width for lo, hi in spans)


@given(st.integers(1, 1500), st.integers(1, 6000), st.integers(1, 200), limits)
def test_resident_plan_stays_within_limits(nvir: int, naux: int, slots: int, limit: int) -> None:
    """A plan fits SBUF and the instruction limit, and covers the problem."""
    plan = pair_plan.plan_resident(nvir, naux, slots, limit)
    if plan is None:
        assert 3 * 4 * nvir * naux / 128 > 0.5 * SBUF_BUDGET
        return
    assert plan.strips.padded >= nvir
    assert plan.nk * 128 >= naux
    assert pair_plan.resident_bytes(plan.nk, *plan.strips, 3, 1) <= SBUF_BUDGET
    assert plan.tasks >= 1
    matmuls = plan.tasks * plan.partners * plan.nk * plan.strips.number
    assert matmuls < limit


@given(st.integers(1, 5000), st.integers(1, 40000))
def test_streamed_plan_stays_within_limits(nvir: int, naux: int) -> None:
    """Blocks cover the virtuals, two sets of four chunks fit SBUF."""
    plan = pair_plan.plan_streamed(nvir, naux, LEAST_INSTRUCTIONS)
    assert plan.blocks.padded >= nvir
    assert plan.blocks.size == plan.strips.padded
    assert plan.strips.number * 2 <= 8
    assert 8 * pair_plan.k_chunk(plan.nk, plan.blocks.size) * plan.blocks.size * 4 <= SBUF_BUDGET

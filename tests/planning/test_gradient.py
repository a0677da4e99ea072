"""Where gamma and B are kept in a gradient, and how large its tiles are."""

from __future__ import annotations

import pytest

from dfmp2.errors import ResourceError
from dfmp2.planning.gradient import TILE_BYTES, with_gradient
from dfmp2.planning.plan import Plan, make_plan
from dfmp2.results.sizes import Sizes

BENZENE = Sizes(nao=264, nocc=21, nvir=243, naux=654, aux_shell=11)
LARGE = Sizes(nao=1000, nocc=100, nvir=900, naux=3000, aux_shell=11)
RADICAL = Sizes(500, 60, 450, 1500, 11, ((31, 440), (29, 450)))


def planned(sizes: Sizes, megabytes: float) -> Plan:
    return with_gradient(make_plan(sizes, megabytes, 2), 2)


@pytest.mark.parametrize("sizes", [BENZENE, LARGE, RADICAL, Sizes(7, 1, 6, 30, 5)])
def test_the_limit_is_kept_by_moving_gamma_and_then_b_to_the_disk(sizes: Sizes) -> None:
    """Without it a gradient could take twice the memory that it was given."""
    kept = []
    with pytest.raises(ResourceError, match=r"needs at least (\d+) MB"):
        planned(sizes, 10.0)
    for megabytes in (50000, 5000, 4000, 3000, 2000, 1000, 500, 400, 300, 200, 150, 100):
        try:
            plan = planned(sizes, megabytes)
        except ResourceError:
            break
        assert plan.gradient is not None
        assert plan.peak <= megabytes == plan.max_memory
        assert plan.memory["tiles of W, B and gamma"] <= megabytes
        place = (plan.in_memory, plan.gradient.in_memory)
        assert (plan.gradient.disk == 0) == plan.gradient.in_memory
        assert place in ((True, True), (True, False), (False, False))
        kept.append(place)
    assert kept[0] == (True, True)
    assert kept == sorted(kept, reverse=True)  # with less memory nothing comes back


def test_the_least_memory_of_a_gradient_is_enough() -> None:
    """The error names the memory that is needed; a run with that much must start."""
    for sizes in (BENZENE, LARGE):
        try:
            planned(sizes, 10.0)
        except ResourceError as error:
            least = float(str(error).split("at least ")[1].split()[0])
        try:
            plan = planned(sizes, least)
        except ResourceError as error:  # the energy has a smaller limit of its own
            least = float(str(error).split("at least ")[1].split()[0])
            plan = planned(sizes, least)
        assert plan.peak <= least


def test_no_tile_grows_with_the_square_of_the_occupied_orbitals() -> None:
    """Without it the memory of a tile would be that of all amplitudes."""
    for nocc in (100, 1000):
        plan = planned(Sizes(1500, nocc, 1300, 4000, 11), 1e6)
        assert plan.gradient is not None
        assert 8 * (plan.gradient.block * 1300) ** 2 <= TILE_BYTES

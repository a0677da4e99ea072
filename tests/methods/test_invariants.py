"""Changes that must not change an energy: properties of MP2 that need no reference value."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dfmp2 import DFMP2
from dfmp2.methods.pair_energies import pair_energies
from tests.systems import built, converge, mean_field, molecule, prepared, pyscf_mp2

WATER = [
    ("O", (0.0, 0.0, 0.117)),
    ("H", (0.0, 0.757, -0.47)),
    ("H", (0.0, -0.757, -0.47)),
]
"""Å. Point-group symmetry is not used, so the molecule can be moved and rotated."""

MOVED = 1e-9
"""Hartree. Each geometry has its own SCF, whose orbital gradient (1e-8) enters the correlation
energy in first order."""

SAME = 1e-12
"""Hartree. The orbitals and integrals are the same; only the order of summation differs."""

few = settings(
    max_examples=4, derandomize=True, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
many = settings(few, max_examples=12)


def energy(atoms: Any, basis: str = "cc-pvdz") -> DFMP2:
    return DFMP2(converge(molecule(atoms, basis))).run()


@cache
def reference_energy() -> DFMP2:
    return energy(WATER)


def assert_equal(a: DFMP2, b: DFMP2, tolerance: float) -> None:
    assert abs(a.e_corr_os - b.e_corr_os) <= tolerance
    assert abs(a.e_corr_ss - b.e_corr_ss) <= tolerance


angle = st.floats(-np.pi, np.pi)
length = st.floats(-20.0, 20.0)


@few
@given(angles=st.tuples(angle, angle, angle), shift=st.tuples(length, length, length))
def test_rotation_and_translation(
    angles: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", angles)
    moved = [(s, tuple(turn.apply(x) + np.array(shift))) for s, x in WATER]
    assert_equal(energy(moved), reference_energy(), MOVED)


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_atom_order(order: tuple[int, ...]) -> None:
    assert_equal(energy([WATER[i] for i in order]), reference_energy(), MOVED)


@many
@given(signs=st.lists(st.sampled_from((-1.0, 1.0)), min_size=24, max_size=24))
def test_orbital_phases(signs: list[float]) -> None:
    mf = mean_field("water").copy()
    mf.mo_coeff = mf.mo_coeff * np.array(signs)
    assert_equal(DFMP2(mf).run(), DFMP2(mean_field("water")).run(), SAME)


@many
@given(data=st.data())
def test_orbital_order(data: st.DataObject) -> None:
    """Occupied and virtual orbitals are permuted separately, and pair energies with them."""
    mf = mean_field("water").copy()
    occupied = data.draw(st.permutations(range(5)))
    order = [*occupied, *data.draw(st.permutations(range(5, 24)))]
    mf.mo_coeff, mf.mo_energy = mf.mo_coeff[:, order], mf.mo_energy[order]
    mp, plain = DFMP2(mf).run(), DFMP2(mean_field("water")).run()
    assert_equal(mp, plain, SAME)
    expected = plain.pair_energies[np.ix_(occupied, occupied)]
    np.testing.assert_allclose(mp.pair_energies, expected, rtol=0, atol=SAME)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
def test_size_consistency(fused: bool) -> None:
    """Two molecules 0.1 mm apart have twice the energy of one.

    The interaction of their dipoles decreases with the third power of the distance, here to below
    1e-18 Eh.
    """
    distant = [(s, (x, y, z)) for s, (x, y, z) in WATER] + [
        (s, (x + 1e6, y, z)) for s, (x, y, z) in WATER
    ]
    both = DFMP2(converge(molecule(distant))).set(fused=fused).run()
    single = reference_energy()
    assert abs(both.e_hf - 2 * single.e_hf) < 1e-9
    assert abs(both.e_corr_os - 2 * single.e_corr_os) < 2 * MOVED
    assert abs(both.e_corr_ss - 2 * single.e_corr_ss) < 2 * MOVED


@many
@given(nfrozen=st.integers(0, 4), fused=st.booleans())
def test_frozen_number_is_frozen_list(nfrozen: int, fused: bool) -> None:
    mf = mean_field("water")
    number = DFMP2(mf, frozen=nfrozen).set(fused=fused).run()
    listed = DFMP2(mf, frozen=list(range(nfrozen))).set(fused=fused).run()
    assert_equal(number, listed, SAME)
    assert_equal(number, pyscf_mp2(mf, frozen=nfrozen or None), SAME)


@many
@given(frozen=st.sets(st.integers(0, 23), max_size=12).filter(lambda s: not set(range(5)) <= s))
def test_any_frozen_list(frozen: set[int]) -> None:
    mf = mean_field("water")
    mp = DFMP2(mf, frozen=sorted(frozen)).run()
    assert_equal(mp, pyscf_mp2(mf, frozen=sorted(frozen) or None), SAME)


def test_freezing_removes_pairs_and_changes_no_other() -> None:
    """The pair energies with frozen orbitals must equal a block of the full table."""
    mf = mean_field("water")
    full, frozen = DFMP2(mf).run(), DFMP2(mf, frozen=[0, 2]).run()
    expected = full.pair_energies[np.ix_([1, 3, 4], [1, 3, 4])]
    np.testing.assert_allclose(frozen.pair_energies, expected, rtol=0, atol=SAME)


@many
@given(
    aux_block=st.integers(1, 84), occ_block=st.integers(1, 5), fused=st.booleans(),
    narrow=st.booleans(),
)  # fmt: skip
def test_block_sizes(aux_block: int, occ_block: int, fused: bool, narrow: bool) -> None:
    mf = mean_field("water")
    problem = prepared(mf, fused=fused)
    plan = replace(problem.plan, aux_block=aux_block, occ_block=occ_block)
    problem = replace(problem, plan=plan)
    b, work = built(problem)
    if narrow:
        b.to_float32(work.backend)
    e_os, e_ss = pair_energies(b, problem, work)
    whole = DFMP2(mf).run()
    tolerance = 1e-6 if narrow else SAME
    assert abs(e_os.sum() - whole.e_corr_os) <= tolerance
    assert abs(e_ss.sum() - whole.e_corr_ss) <= tolerance


def test_smallest_blocks_are_one_shell_and_one_orbital() -> None:
    """Otherwise the tests of small blocks would not test the smallest ones."""
    mf = mean_field("water")
    problem = prepared(mf)
    problem = replace(problem, plan=replace(problem.plan, aux_block=1, occ_block=1))
    b, work = built(problem)
    pair_energies(b, problem, work)
    calls = {row.operation: row.calls for row in work.backend.provenance.operations}
    assert calls == {"ao2mo": problem.aux.mol.nbas, "trsm": 1, "pair_energy": 15}


@pytest.mark.parametrize(
    "name", ["water", "ethylene", pytest.param("benzene", marks=pytest.mark.slow)]
)
def test_float32_pair_products_stay_within_1e_6(name: str) -> None:
    mf = mean_field(name)
    exact = DFMP2(mf).run()
    for fused in (True, False):
        single = DFMP2(mf).set(fused=fused, precision="fp32").run()
        assert 0 < abs(single.e_corr - exact.e_corr) < 1e-6

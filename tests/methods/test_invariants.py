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
from tests.spins import OPEN_SHELLS
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


# Open shells


def radical(atoms: Any, kind: str = "UHF", basis: str = "6-31g", spin: int = 1) -> Any:
    """A converged UHF or ROHF."""
    from pyscf import scf

    mf = getattr(scf, kind)(molecule(atoms, basis, spin=spin)).set(verbose=0, chkfile=None)
    mf.run(conv_tol=1e-12, conv_tol_grad=1e-8)
    assert mf.converged
    return mf


@cache
def nh2() -> Any:
    return radical(OPEN_SHELLS["NH2"][0])


@cache
def nh2_energy() -> DFMP2:
    return DFMP2(nh2()).run()


@many
@given(data=st.data())
def test_spins_phases_and_orders_of_an_open_shell(data: st.DataObject) -> None:
    """Exchange of alpha and beta, signs, and orders of orbitals of each spin."""
    mf = nh2().copy()
    exchanged = data.draw(st.booleans())
    spins, orders = [1, 0] if exchanged else [0, 1], []
    coeff, energies, occ = [], [], []
    for spin in spins:
        nocc = mf.mol.nelec[spin]
        occupied = data.draw(st.permutations(range(nocc)))
        order = [*occupied, *data.draw(st.permutations(range(nocc, 13)))]
        signs = data.draw(st.lists(st.sampled_from((-1.0, 1.0)), min_size=13, max_size=13))
        coeff.append(mf.mo_coeff[spin][:, order] * np.array(signs))
        energies.append(mf.mo_energy[spin][order])
        occ.append(mf.mo_occ[spin])
        orders.append(occupied)
    mf.mo_coeff, mf.mo_energy, mf.mo_occ = np.array(coeff), np.array(energies), np.array(occ)
    mp, plain = DFMP2(mf).run(), nh2_energy()
    assert_equal(mp, plain, SAME)
    expected = plain.pair_energies["ab"]
    expected = (expected.T if exchanged else expected)[np.ix_(*orders)]
    np.testing.assert_allclose(mp.pair_energies["ab"], expected, rtol=0, atol=SAME)


@few
@given(angles=st.tuples(angle, angle, angle), shift=st.tuples(length, length, length))
def test_rotation_and_translation_of_an_open_shell(
    angles: tuple[float, float, float], shift: tuple[float, float, float]
) -> None:
    from scipy.spatial.transform import Rotation

    turn, mol = Rotation.from_euler("xyz", angles), nh2().mol
    coords = turn.apply(mol.atom_coords(unit="Ang")) + np.array(shift)
    moved = [(mol.atom_symbol(i), tuple(x)) for i, x in enumerate(coords)]
    assert_equal(DFMP2(radical(moved)).run(), nh2_energy(), MOVED)


@many
@given(
    aux_block=st.integers(1, 84), occ_block=st.integers(1, 9), fused=st.booleans(),
    narrow=st.booleans(),
)  # fmt: skip
def test_block_sizes_of_an_open_shell(
    aux_block: int, occ_block: int, fused: bool, narrow: bool
) -> None:
    """A block of pairs can hold orbitals of both spins."""
    problem = prepared(nh2(), fused=fused)
    plan = replace(problem.plan, aux_block=aux_block, occ_block=occ_block)
    problem = replace(problem, plan=plan)
    b, work = built(problem)
    if narrow:
        b.to_float32(work.backend)
    e_os, e_ss = pair_energies(b, problem, work)
    tolerance = 1e-6 if narrow else SAME
    assert abs(e_os.sum() - nh2_energy().e_corr_os) <= tolerance
    assert abs(e_ss.sum() - nh2_energy().e_corr_ss) <= tolerance


@pytest.mark.parametrize("kind", ["UHF", "ROHF"])
def test_a_radical_and_a_closed_shell_far_apart(kind: str) -> None:
    """The energies are sums of both, singles and spin components apart."""

    def parts(atoms: str, spin: int) -> Any:
        mp = DFMP2(radical(atoms, kind, spin=spin)).run()
        return np.array([mp.e_corr_singles, mp.e_corr_os, mp.e_corr_ss])

    boron, helium = "B 0 0 0", "He 0 0 1000"
    together = parts(f"{boron}; {helium}", 1)
    assert np.all(np.abs(together - parts(boron, 1) - parts(helium, 0)) < MOVED)
    assert (together[0] < 0) == (kind == "ROHF")

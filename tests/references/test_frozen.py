"""Frozen orbitals: by number, by list and by element."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import InputError
from dfmp2.references.frozen import parse_frozen
from tests.systems import converge, mean_field, molecule, pyscf_mp2, references


@pytest.mark.parametrize(
    ("text", "frozen"),
    [(None, None), ("none", None), ("auto", "auto"), ("3", 3), ("0,1,5", [0, 1, 5]), ("4,", [4])],
)
def test_frozen_of_the_command_line(text: str | None, frozen: object) -> None:
    assert parse_frozen(text) == frozen


@pytest.mark.parametrize(
    ("frozen", "expected"),
    [
        (None, ()),
        (0, ()),
        ([], ()),
        (1, (0,)),
        (np.int64(2), (0, 1)),
        ([1], (1,)),
        ((2, 0, 2), (0, 2)),
        (np.array([0, 1]), (0, 1)),
        ([0, 23], (0, 23)),
        ("auto", (0,)),
        (np.arange(24) == 1, (1,)),
        ([True, False, True, *[False] * 20, True], (0, 2, 23)),
        ((i for i in (0, 2)), (0, 2)),
    ],
)
def test_frozen_orbitals(frozen: Any, expected: tuple[int, ...]) -> None:
    mf = mean_field("water")
    mp = DFMP2(mf, frozen=frozen).run()
    assert mp.result.frozen == expected
    same = pyscf_mp2(mf, frozen=list(expected) or None)
    assert abs(mp.e_corr - same.e_corr) < 1e-12
    assert mp.result.sizes["nocc"] == 5 - sum(i < 5 for i in expected)
    assert mp.result.occupied == tuple(i for i in range(5) if i not in expected)


@pytest.mark.parametrize(
    ("frozen", "says"),
    [
        (5, "frozen=5 leaves nothing to correlate: there are 5 occupied"),
        (99, "leaves nothing to correlate"),
        (-1, "negative"),
        ([0, 1, 2, 3, 4], "leaves nothing to correlate: there are 5 occupied"),
        ([24], "frozen orbital 24 does not exist: there are 24, counted from 0"),
        ([-1], "frozen orbital -1 does not exist"),
        ("core", "'core' is not understood"),
        (1.0, "1.0 is not understood"),
        (True, "True is not understood"),
        ([True, False], r"a mask of 2 orbitals, but there are 24; give one True or False"),
        ([True, 2], "is not understood"),
        ([0.7], "not understood"),
        (["0"], "not understood"),
    ],
)
def test_wrong_frozen(frozen: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        DFMP2(mean_field("water"), frozen=frozen).run()


@pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set is known for I")  # expected
def test_frozen_auto_does_not_count_ecp_electrons() -> None:
    """The core of iodine is 1s to 4p, 18 orbitals. The ECP replaces 28 electrons of it."""
    mf = mean_field("hydrogen_iodide")
    mp = DFMP2(mf, frozen="auto").run()
    row = references()["df_mp2"]["hydrogen_iodide/def2-svp/def2-svp-ri/frozen4"]
    assert mf.mol.nelectron == 54 - 28
    assert len(mp.result.frozen) == row["frozen"] == 18 - 28 // 2


def test_frozen_auto_of_a_cation_without_valence() -> None:
    """The core must not contain more orbitals than are occupied."""
    mf = converge(molecule("Li 0 0 0", "cc-pvdz", charge=1))
    mp = DFMP2(mf, frozen="auto").run()
    assert len(mp.result.frozen) + mp.result.sizes["nocc"] == 1


def test_mask_means_what_it_means_in_pyscf() -> None:
    """True stands for a frozen orbital there: the opposite would correlate only these."""
    from pyscf.mp import mp2

    mf, mask = mean_field("water"), np.arange(24) == 1
    assert not mp2.RMP2(mf, frozen=mask).get_frozen_mask()[1]
    assert mp2.RMP2(mf, frozen=mask).get_frozen_mask().sum() == 23


def test_a_generator_is_read_once() -> None:
    """The second run would find it empty, and correlate all orbitals."""
    mp = DFMP2(mean_field("water"), frozen=iter([0]))
    energies = [mp.run().e_corr, mp.run().e_corr]
    assert mp.frozen == [0]
    assert energies[0] == pytest.approx(energies[1], abs=1e-12, rel=0)
    assert mp.result.frozen == (0,)


@pytest.mark.parametrize("frozen", [None, 1, 2, [0], [0, 1, 23], [0, 1, 2, 3, 4]])
def test_orbitals_in_another_order(frozen: Any) -> None:
    """The sizes came from the molecule and its first orbitals: pairs were left out in silence."""
    mf, order = copy.copy(mean_field("water")), np.arange(24)[::-1]
    mf.mo_coeff, mf.mo_energy = mf.mo_coeff[:, order], mf.mo_energy[order]
    mf.mo_occ = mf.mo_occ[order]
    same = pyscf_mp2(mf, frozen=frozen)
    assert abs(DFMP2(mf, frozen=frozen).run().e_corr - same.e_corr) < 1e-12


def test_the_core_of_orbitals_in_another_order() -> None:
    """The chemical core is the lowest occupied orbital, wherever it stands."""
    mf, order = copy.copy(mean_field("water")), np.arange(24)[::-1]
    right = DFMP2(mf, frozen="auto").run().e_corr
    mf.mo_coeff, mf.mo_energy = mf.mo_coeff[:, order], mf.mo_energy[order]
    mf.mo_occ = mf.mo_occ[order]
    mp = DFMP2(mf, frozen="auto").run()
    assert mp.result.frozen == (23,)
    assert abs(mp.e_corr - right) < 1e-12

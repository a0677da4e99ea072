"""Blocks of three-centre integrals from libcint, compared with PySCF's own."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.fitting.metric import metric_integrals
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from tests.systems import converge, molecule, pyscf_mp2

WATER = "O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47"


@pytest.mark.parametrize("block", [1, 7, 10_000])
@pytest.mark.parametrize("cart", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_integral_blocks_agree_with_pyscf(block: int, cart: bool, threads: int) -> None:
    from pyscf import df, lib

    mol = molecule("H 0 0 0; F 0 0 0.92", "cc-pvdz", cart=cart)
    auxmol = choose_auxbasis(mol).mol
    expected = df.incore.aux_e2(mol, auxmol, "int3c2e", aosym="s1").transpose(2, 0, 1)
    integrals = ThreeCentreIntegrals(mol, auxmol, block)
    covered = 0
    with lib.with_omp_threads(threads):
        for shells, eri in integrals:
            assert shells.p0 == covered
            covered = shells.p1
            assert shells.p1 - shells.p0 <= block or shells.shell1 == shells.shell0 + 1
            np.testing.assert_allclose(eri, expected[shells.p0 : shells.p1], rtol=0, atol=1e-12)
            assert lib.num_threads() == threads
    assert covered == auxmol.nao_nr() == len(expected)
    metric = metric_integrals(auxmol)
    np.testing.assert_allclose(metric, df.incore.fill_2c2e(mol, auxmol), rtol=0, atol=1e-12)


def test_integrals_made_by_one_thread() -> None:
    """Without it, a thread could leave the triangle of another function in its square."""
    mol = molecule(WATER, "cc-pvdz")
    integrals = ThreeCentreIntegrals(mol, choose_auxbasis(mol).mol, 7)
    make = integrals.maker()
    for block, eri in integrals:
        made = [one.copy() for one in make(block)]
        np.testing.assert_array_equal(made, eri)


def test_what_libcint_leaves_out() -> None:
    """Without it, a cutoff for speed could change energies, or replace that of a user.

    A primitive function has at most 26 partners in this basis, and sums of few products below
    4e-18 remain below the rounding of integrals of order one.
    """
    mol = molecule("H 0 0 0; F 0 0 0.92; F 3 3 3; H 5 5 5", "cc-pvdz")
    auxmol = choose_auxbasis(mol).mol
    fast = _all_integrals(mol, auxmol)
    before = mol._env.copy()
    with mol.with_integral_screen(1e-26):  # as libcint's own exp(-60)
        difference = np.abs(_all_integrals(mol, auxmol) - fast).max()
    np.testing.assert_array_equal(mol._env, before)
    assert 0 < difference < 1e-16


def _all_integrals(mol: Any, auxmol: Any) -> np.ndarray:
    return np.concatenate([eri.copy() for _, eri in ThreeCentreIntegrals(mol, auxmol, 100)])


def test_cartesian_functions_and_point_groups() -> None:
    for option in ({"cart": True}, {"symmetry": True}):
        mf = converge(molecule(WATER, "cc-pvdz", **option))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mp = DFMP2(mf).run()
        assert abs(mp.e_corr - pyscf_mp2(mf).e_corr) < 1e-12

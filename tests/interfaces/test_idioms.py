"""What users of PySCF's MP2 classes write, beside PySCF's energy on the same mean field."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyscf import df, lib, scf

from dfmp2 import DFMP2
from dfmp2.errors import NotProvidedError
from tests.systems import converge, molecule, pyscf_mp2

AUX = "def2-svp-ri"

JK = "cc-pvdz-jkfit"
"""What PySCF chooses for a density-fitted SCF in 6-31G."""

SAME = 1e-10
"""Hartree. Both programs work in float64 on the same orbitals. The metrics have condition numbers
of at most 1e5, which changes 0.13 hartree by 1e5 times 2e-16 of it, 3e-12. The rest is for sums in
another order."""

SAME_SCF = 1e-8
"""Hartree. For orbitals of an SCF that was run again, see `dfmp2.defaults.TOLERANCE`."""


@cache
def water(density_fit: bool = False) -> Any:
    """A mean field that costs little. Idioms that change it take a copy."""
    atoms = "O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692"
    return converge(molecule(atoms, "6-31g"), density_fit)


@cache
def pyscf(aux: str = AUX, frozen: tuple[int, ...] | None = None) -> Any:
    return pyscf_mp2(water(), aux, None if frozen is None else list(frozen))


def mp(**options: Any) -> DFMP2:
    return DFMP2(water(), auxbasis=AUX, **options)


def _with_df_changed_later() -> float:
    mp2 = DFMP2(water())
    mp2.with_df = df.DF(water().mol)
    mp2.with_df.auxbasis = AUX
    return mp2.run().e_corr


def _with_df(with_df: Any) -> DFMP2:
    mp2 = DFMP2(water())
    mp2.with_df = with_df
    return mp2.run()


IDIOMS: dict[str, tuple[Callable[[], float], str, tuple[int, ...] | None]] = {
    "run": (lambda: mp().run().e_corr, AUX, None),
    "kernel": (lambda: mp().kernel()[0], AUX, None),
    "kernel without t2": (lambda: mp().kernel(with_t2=False)[0], AUX, None),
    "kernel with the SCF's orbitals": (
        lambda: mp().kernel(water().mo_energy, water().mo_coeff)[0], AUX, None,
    ),
    "run with positional orbitals": (
        lambda: mp().run(water().mo_energy, water().mo_coeff).e_corr, AUX, None,
    ),
    "emp2": (lambda: mp().run().emp2, AUX, None),
    "number of frozen orbitals": (lambda: mp(frozen=1).run().e_corr, AUX, (0,)),
    "frozen virtual orbitals": (lambda: mp(frozen=[0, 11, 12]).run().e_corr, AUX, (0, 11, 12)),
    "attribute": (lambda: mp().set(frozen=[1]).run().e_corr, AUX, (1,)),
    "call": (lambda: mp()(frozen=2).run().e_corr, AUX, (0, 1)),
    "set_frozen": (lambda: mp().set_frozen().run().e_corr, AUX, (0,)),
    "set_frozen by window": (
        lambda: mp().set_frozen("window", (-5.0, 1.37)).run().e_corr, AUX, (0, 11, 12),
    ),
    "apply": (lambda: water().apply(DFMP2, 1, AUX).run().e_corr, AUX, (0,)),
    "density_fit": (lambda: DFMP2(water()).density_fit(AUX).run().e_corr, AUX, None),
    "density_fit with object": (
        lambda: DFMP2(water()).density_fit(with_df=df.DF(water().mol, AUX)).run().e_corr, AUX, None,
    ),
    "with_df": (lambda: _with_df(df.DF(water().mol, AUX)).e_corr, AUX, None),
    "with_df changed later": (_with_df_changed_later, AUX, None),
    "with_df without a basis": (lambda: _with_df(df.DF(water().mol)).e_corr, JK, None),
    "with_df built": (lambda: _with_df(df.DF(water().mol, AUX).build()).e_corr, AUX, None),
    "with_df of a fitted SCF": (lambda: _with_df(water(True).with_df).e_corr, JK, None),
    "to_cpu": (lambda: mp().to_cpu().run().e_corr, AUX, None),
    "copy.copy": (lambda: copy.copy(mp(frozen=1)).run().e_corr, AUX, (0,)),
    "copy.deepcopy": (lambda: copy.deepcopy(mp(frozen=1)).run().e_corr, AUX, (0,)),
    "copy": (lambda: mp(frozen=1).copy().run().e_corr, AUX, (0,)),
    "view": (lambda: mp(frozen=1).view(DFMP2).run().e_corr, AUX, (0,)),
    "pickle": (lambda: pickle.loads(pickle.dumps(mp(frozen=1))).run().e_corr, AUX, (0,)),
}  # fmt: skip


@pytest.mark.parametrize("idiom", IDIOMS)
def test_idiom(idiom: str) -> None:
    run, aux, frozen = IDIOMS[idiom]
    assert abs(run() - pyscf(aux, frozen).e_corr) < SAME


def test_energies_of_pyscf() -> None:
    mp2, other = mp().run(), pyscf()
    assert mp2.e_hf == water().e_tot
    assert mp2.get_e_hf() == water().e_tot
    for name in ("e_tot", "e_tot_scs", "emp2_scs", "e_corr_os", "e_corr_ss"):
        assert abs(getattr(mp2, name) - getattr(other, name)) < SAME


@pytest.mark.parametrize("frozen", [None, 1, [0, 12]])
def test_orbital_space_is_that_of_pyscf(frozen: Any) -> None:
    from pyscf.mp.dfmp2 import DFMP2 as PyscfDFMP2

    mp2, other = mp(frozen=frozen), PyscfDFMP2(water(True), frozen=frozen)
    assert (mp2.nocc, mp2.nmo) == (other.nocc, other.nmo)
    np.testing.assert_array_equal(mp2.get_frozen_mask(), other.get_frozen_mask())


def test_orbitals_are_those_of_the_mean_field() -> None:
    mp2, mf = mp(), water()
    assert mp2.mol is mf.mol
    np.testing.assert_array_equal(mp2.mo_coeff, mf.mo_coeff)
    np.testing.assert_array_equal(mp2.mo_energy, mf.mo_energy)
    np.testing.assert_array_equal(mp2.mo_occ, mf.mo_occ)


def test_integrals_of_a_fitted_scf_given_as_with_df() -> None:
    mp2 = DFMP2(water(True)).set(with_df=water(True).with_df, integrals="scf").run()
    assert "the SCF's" in mp2.result.labels["integrals"]
    assert abs(mp2.e_corr - pyscf_mp2(water(True), JK).e_corr) < SAME


def test_copies_have_options_of_their_own() -> None:
    original = mp().run()
    energy = original.e_corr
    for other in (copy.copy(original), copy.deepcopy(original), original.copy()):
        assert other.e_corr == energy
        other.frozen = 1
    assert (original.frozen, original.e_corr) == (None, energy)


def test_result_survives_pickling() -> None:
    mp2 = mp().run()
    again = pickle.loads(pickle.dumps(mp2))
    assert again.converged
    assert again.e_tot == mp2.e_tot
    assert again.result.labels == mp2.result.labels


def test_orbitals_of_a_chkfile(tmp_path: Path) -> None:
    """The remedy that the errors about chkfiles name."""
    mf = scf.RHF(water().mol)
    mf.chkfile = str(tmp_path / "water.chk")
    mf.run(conv_tol=1e-10)
    again = scf.RHF(lib.chkfile.load_mol(mf.chkfile)).set(verbose=0, conv_tol=1e-10)
    again.kernel(again.from_chk(mf.chkfile))
    assert abs(DFMP2(again, auxbasis=AUX).run().e_corr - pyscf().e_corr) < SAME_SCF


def test_reset_and_a_new_scf() -> None:
    mf = water().copy()
    mp2 = DFMP2(mf, auxbasis=AUX).run()
    mol = mf.mol.set_geom_("O 0 0 0; H 0 0 1; H 0 1 0", inplace=False)
    assert mp2.reset(mol) is mp2
    mf.kernel()
    assert mp2.mol is mol
    assert abs(mp2.run().e_corr - pyscf_mp2(mf, AUX).e_corr) < SAME


def test_every_attribute_of_pyscf_is_there_or_explained() -> None:
    """An AttributeError of Python would leave users without advice."""
    from pyscf.mp import dfmp2, dfmp2_native, mp2

    ours = mp().run()
    for kind in (mp2.RMP2, dfmp2.DFMP2, dfmp2_native.DFMP2):
        for name in dir(kind(water(True))):
            if not name.startswith("_"):
                with suppress(NotProvidedError):
                    getattr(ours, name)


def test_threads_do_not_disturb_each_other() -> None:
    mols = [molecule(f"H 0 0 0; H 0 0 {r}; He 0 2 0", "6-31g") for r in (0.7, 0.8, 0.9, 1.0)]
    mfs = [converge(mol) for mol in mols]
    alone = [DFMP2(mf).run().e_corr for mf in mfs]
    before, hook = list(warnings.filters), warnings.showwarning
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            found = list(pool.map(lambda mf: DFMP2(mf).run().e_corr, mfs))
            np.testing.assert_allclose(found, alone, rtol=0, atol=SAME)
    assert list(warnings.filters) == before
    assert warnings.showwarning is hook

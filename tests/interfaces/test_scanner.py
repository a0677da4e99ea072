"""Energies along geometries."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from pyscf import df, lib, scf

from dfmp2 import DFMP2
from dfmp2.errors import InputError, NotConvergedError, UnsupportedReferenceError
from tests.systems import converge, molecule

SAME_SCF = 1e-9
"""Hartree. An SCF converged to 1e-11 with an orbital gradient of 1e-8 determines the energies to
that, from whatever guess it starts."""


def hydrogen(distance: float, **options: Any) -> Any:
    return molecule(f"H 0 0 0; H 0 0 {distance}", "6-31g", **options)


def scanner(density_fit: bool = False, **options: Any) -> Any:
    return DFMP2(converge(hydrogen(0.7), density_fit), **options).as_scanner()


@pytest.mark.parametrize("density_fit", [False, True])
def test_same_energies_as_fresh_runs(density_fit: bool) -> None:
    scan = scanner(density_fit, frozen=[3])
    for r in (0.72, 0.9, 1.3):
        fresh = DFMP2(converge(hydrogen(r), density_fit), frozen=[3]).run()
        assert abs(scan(hydrogen(r)) - fresh.e_tot) < SAME_SCF
        assert abs(scan.e_corr - fresh.e_corr) < SAME_SCF
        assert scan.converged


def test_geometries_in_every_notation() -> None:
    """Coordinates are in the unit of the molecule; PySCF reads rows of numbers as other atoms."""
    scan = scanner()
    fresh = DFMP2(converge(hydrogen(0.8))).run().e_tot
    xyz = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.8]]
    for geometry in (xyz, np.array(xyz), "H 0 0 0; H 0 0 0.8", [("H", xyz[0]), ("H", xyz[1])]):
        assert abs(scan(geometry) - fresh) < SAME_SCF


def test_orbitals_are_the_guess_of_the_next_geometry() -> None:
    scan = scanner()
    scan(hydrogen(0.7))
    assert scan._scf.cycles <= 1


def test_with_df_follows_the_geometry() -> None:
    mf = converge(hydrogen(0.7))
    mp2 = DFMP2(mf)
    mp2.with_df = df.DF(mf.mol, "cc-pvdz-jkfit")
    fresh = DFMP2(converge(hydrogen(0.9)), auxbasis="cc-pvdz-jkfit").run()
    assert abs(mp2.as_scanner()(hydrogen(0.9)) - fresh.e_tot) < SAME_SCF
    assert mp2.with_df.mol is mf.mol


def test_the_mean_field_of_the_user_stays() -> None:
    """PySCF's scanners reset with_df and grids of the object that they are made from."""
    from pyscf import dft

    mf = dft.RKS(hydrogen(0.7), xc="pbe").density_fit()
    mf.verbose, mf.grids.level = 0, 0
    mf.kernel()
    grids, energy = mf.grids.coords.copy(), mf.e_tot
    mp2 = DFMP2(mf).set(allow_ks=True)
    mp2.as_scanner()(hydrogen(0.9))
    assert mf.e_tot == energy
    assert mf.with_df.mol is mf.mol
    np.testing.assert_array_equal(mf.grids.coords, grids)


def test_an_scf_that_fails_leaves_no_energy() -> None:
    scan = scanner()
    scan(hydrogen(0.8))
    scan._scf.max_cycle = 1
    with pytest.raises(NotConvergedError):
        scan(hydrogen(2.0))
    assert not scan.converged
    scan._scf.max_cycle = 50
    fresh = DFMP2(converge(hydrogen(0.9))).run().e_tot
    assert abs(scan(hydrogen(0.9)) - fresh) < SAME_SCF


def test_a_mean_field_that_has_not_run() -> None:
    mf = scf.RHF(hydrogen(0.7)).set(conv_tol=1e-11, conv_tol_grad=1e-8)
    scan = DFMP2(mf).as_scanner()
    assert abs(scan(mf.mol) - DFMP2(converge(mf.mol)).run().e_tot) < SAME_SCF


def test_a_scanner_is_a_scanner_of_pyscf() -> None:
    scan = scanner()
    assert isinstance(scan, (DFMP2, lib.SinglePointScanner))
    assert scan.as_scanner() is scan
    assert type(scan.undo_scanner()) is DFMP2
    energy = scan(hydrogen(0.8))
    assert abs(copy.deepcopy(scan)(hydrogen(0.8)) - energy) < SAME_SCF


@pytest.mark.parametrize(
    ("geometry", "says"),
    [
        (np.zeros((1, 3)), r"shape \(1, 3\) are no geometry of a molecule of 2 atoms"),
        ([0.7], r"shape \(1,\)"),
        (np.full((2, 3), np.nan), "finite"),
        ("Qq 0 0 0", "PySCF cannot read the geometry"),
        (None, "no geometry"),
    ],
)
def test_coordinates_that_do_not_fit(geometry: Any, says: str) -> None:
    """PySCF leaves out an atom without coordinates."""
    with pytest.raises(InputError, match=says):
        scanner()(geometry)


def test_what_belongs_to_one_geometry_is_refused() -> None:
    scan = scanner()
    scan.checkpoint = "one.h5"
    with pytest.raises(InputError, match="run file belongs to one geometry"):
        scan(hydrogen(0.8))
    mf = converge(hydrogen(0.7))
    with pytest.raises(InputError, match="mo_coeff and mo_occ belong to one geometry"):
        DFMP2(mf, mo_coeff=mf.mo_coeff).as_scanner()


@pytest.mark.parametrize("name", ["get_hcore", "get_ovlp", "energy_nuc", "get_veff"])
def test_methods_replaced_in_the_object_are_refused(name: str) -> None:
    """They give the matrices of the first geometry at every geometry."""
    mf = converge(hydrogen(0.7))
    value = getattr(mf, name)()
    setattr(mf, name, lambda *args, **kwargs: value)
    with pytest.raises(InputError, match=f"^{name} of the mean field was replaced.*subclass"):
        DFMP2(mf).as_scanner()
    with pytest.raises(InputError, match=f"^{name} of the mean field was replaced"):
        DFMP2(mf).reset(hydrogen(0.9))
    assert mf.mol.atom_coord(1, unit="Ang")[2] == pytest.approx(0.7)
    DFMP2(mf).reset()


def test_methods_of_a_class_follow_the_geometry() -> None:
    def x2c(distance: float) -> Any:
        return scf.RHF(hydrogen(distance)).sfx2c1e().set(conv_tol=1e-11, conv_tol_grad=1e-8)

    scan = DFMP2(x2c(0.7)).as_scanner()
    fresh = DFMP2(x2c(0.9).run()).run()
    assert abs(scan(hydrogen(0.9)) - fresh.e_tot) < SAME_SCF


@pytest.mark.parametrize("density_fit", [False, True])
def test_atoms_at_one_place(density_fit: bool) -> None:
    """PySCF raises a bare RuntimeError. The next geometry starts anew."""
    scan = scanner(density_fit)
    with pytest.raises(InputError, match=r"the SCF of the scanner failed .*; check the geometry"):
        scan("H 0 0 0; H 0 0 0")
    assert not scan.converged
    fresh = DFMP2(converge(hydrogen(0.9), density_fit)).run().e_tot
    assert abs(scan(hydrogen(0.9)) - fresh) < SAME_SCF


def test_an_error_of_the_callback_is_left_as_it_is() -> None:
    def stop(_: dict[str, Any]) -> None:
        raise ValueError("mine")

    mf = converge(hydrogen(0.7))
    mf.callback = stop
    with pytest.raises(ValueError, match="mine"):
        DFMP2(mf).as_scanner()(hydrogen(0.9))


def test_open_shells_are_refused_before_the_scf() -> None:
    with pytest.raises(UnsupportedReferenceError, match="spin 2"):
        scanner()(hydrogen(0.7, spin=2))


def test_another_charge_starts_from_a_new_guess() -> None:
    """The orbitals of another number of electrons can lead to another state."""
    scan = DFMP2(converge(molecule("He 0 0 0; H 0 0 0.8", "6-31g", charge=1))).as_scanner()
    ion = molecule("Li 0 0 0; H 0 0 1.6", "6-31g")
    assert abs(scan(ion) - DFMP2(converge(ion)).run().e_tot) < SAME_SCF


@pytest.mark.parametrize("density_fit", [False, True])
def test_pickled(density_fit: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """PySCF makes the classes DFRHF and DFRHF_Scanner in each process, so no module holds them."""
    scan = scanner(density_fit, frozen=[3])
    stored = pickle.dumps(scan)
    monkeypatch.setattr(lib.misc, "_registered_classes", {})  # as in another process
    again = pickle.loads(stored)
    assert abs(again(hydrogen(0.8)) - scan(hydrogen(0.8))) < SAME_SCF


def test_pickles_never_lose_methods_of_the_user() -> None:
    class Shifted(scf.hf.RHF):
        def energy_nuc(self) -> float:
            return 1.0 + float(self.mol.energy_nuc())

    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(DFMP2(Shifted(hydrogen(0.7)).density_fit()))

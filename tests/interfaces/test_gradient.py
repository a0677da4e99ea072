"""Gradients as PySCF uses them: `nuc_grad_method`, scanners, PySCF's optimisers.

That the gradient is the derivative of the energy is tested in tests/methods and tests/workflow, and
here for what the interface adds: the method, and the energy beside it.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pyscf import lib, scf
from pyscf.grad.rhf import GradientsBase

from dfmp2 import DFMP2
from dfmp2.errors import InputError, NotConvergedError, NotProvidedError
from tests.systems import converge, molecule

H2 = "H 0 0 0; H 0 0 0.8"

STEP = 2e-3
"""Bohr. The error of a central difference is STEP^2 / 6 times the third derivative, which is below
1 Eh/bohr^3 for H2 here, so below 1e-6; the energies are converged to 1e-10, which gives 1e-7."""

DIFFERENCE = 1e-6


def mp2(atoms: str = H2, basis: str = "cc-pvdz", **options: Any) -> DFMP2:
    return DFMP2(converge(molecule(atoms, basis, **options)))


def stretched(mp: DFMP2, by: float) -> Any:
    """The molecule with its second atom moved along z, bohr."""
    xyz = mp.mol.atom_coords()
    xyz[1, 2] += by
    return mp.mol.set_geom_(xyz, unit="Bohr", inplace=False)


@pytest.mark.parametrize("method", [None, "SCS-MP2"])
def test_energy_and_gradient_of_a_scanner_are_of_one_method(method: str | None) -> None:
    """An optimiser would fail, or find another geometry, with the energy of another method."""
    gradient = mp2().nuc_grad_method()
    gradient.method = method
    scanner = gradient.as_scanner()
    energy, de = scanner(gradient.mol)
    assert energy == scanner.base.energies[method or "MP2"]["total"]
    ends = [scanner(stretched(gradient.base, by))[0] for by in (STEP, -STEP)]
    assert de[1, 2] == pytest.approx((ends[0] - ends[1]) / (2 * STEP), abs=DIFFERENCE)
    assert de[0] == pytest.approx(-de[1], abs=1e-8)


def test_gradient_follows_the_scale_of_the_class() -> None:
    mp = mp2()
    mp.scale = (1.3, 0.0)
    scaled = mp.nuc_grad_method()
    scaled.kernel()
    assert scaled.e_tot == mp.e_tot == mp.energies["scaled-MP2(1.3,0)"]["total"]
    sos = mp2().nuc_grad_method()
    sos.method = "SOS-MP2"
    assert sos.kernel() == pytest.approx(scaled.de, abs=1e-9)


def test_objects_are_those_that_pyscf_expects() -> None:
    mp = mp2()
    for gradient in (mp.nuc_grad_method(), mp.Gradients()):
        assert isinstance(gradient, GradientsBase)
        assert gradient.base is mp
        assert gradient.mol is mp.mol
        assert gradient.de is None
    scanner = gradient.as_scanner()
    assert isinstance(scanner, lib.GradScanner)
    assert scanner.as_scanner() is scanner


def test_gradient_gives_the_energies_and_the_other_way_round() -> None:
    """One pass computes both. Afterwards the class has its result as after `run`."""
    mp = mp2()
    gradient = mp.nuc_grad_method().run()
    assert mp.e_corr == pytest.approx(mp2().run().e_corr, abs=1e-12)
    assert gradient.de.shape == (2, 3)
    assert gradient.grad() is gradient.de


@pytest.mark.parametrize("basis", ["sto-3g", "6-31g"])
def test_without_correlation_it_is_the_gradient_of_the_scf(basis: str) -> None:
    """One electron, or no virtual orbital: there are no pairs, and no blocks of them to plan."""
    spin = 0 if basis == "sto-3g" else 1
    atoms = "He 0 0 0; He 0 0 1.2" if basis == "sto-3g" else "H 0 0 0; H 0 0 1.1"
    mol = molecule(atoms, basis, charge=spin, spin=spin)
    mf = (scf.UHF if spin else scf.RHF)(mol).run(conv_tol=1e-12)
    mp = DFMP2(mf)
    assert mp.nuc_grad_method().kernel() == pytest.approx(mf.Gradients().kernel(), abs=1e-9)
    assert mp.e_corr == 0.0


def test_atoms_can_be_chosen() -> None:
    gradient = mp2().nuc_grad_method()
    whole = gradient.kernel()
    assert gradient.kernel(atmlst=[1]) == pytest.approx(whole[1:], abs=1e-9)
    with pytest.raises(InputError, match="are no indices of 2 atoms"):
        gradient.kernel(atmlst=[2])


def test_gradient_of_a_failed_geometry_is_not_that_of_the_one_before() -> None:
    scanner = mp2().nuc_grad_method().as_scanner()
    scanner(scanner.mol)
    scanner.base._scf.max_cycle = 1
    with pytest.raises(NotConvergedError):
        scanner(stretched(scanner.base, 3.0))
    assert scanner.de is None
    assert not scanner.converged


def test_references_without_gradients_are_refused() -> None:
    mol = molecule("H 0 0 0", "cc-pvdz", spin=1)
    with pytest.raises(NotProvidedError, match="ROHF"):
        DFMP2(scf.ROHF(mol).run()).nuc_grad_method().kernel()


@pytest.mark.parametrize("taken", ["function", "class", "method"])
def test_geometric_solver_of_pyscf(taken: str) -> None:
    """The bond length is the one where the gradient vanishes. The class goes over to it."""
    pytest.importorskip("geometric")
    from pyscf.geomopt import geometric_solver

    mp = mp2()
    tight = {"convergence_set": "GAU_TIGHT"}
    with contextlib.redirect_stdout(io.StringIO()):  # geomeTRIC prints a page
        if taken == "function":
            found = geometric_solver.optimize(mp, **tight)
        elif taken == "class":
            found = geometric_solver.GeometryOptimizer(mp).kernel(tight)
            assert mp.mol is found
        else:
            found = mp.nuc_grad_method().optimizer().kernel(tight)
    again = DFMP2(converge(found)).nuc_grad_method()
    assert np.abs(again.kernel()).max() < 2e-5
    assert np.linalg.norm(np.diff(found.atom_coords(), axis=0)) == pytest.approx(1.426, abs=2e-3)


def test_berny_solver_of_pyscf() -> None:
    pytest.importorskip("berny")
    from pyscf.geomopt import berny_solver

    found = berny_solver.optimize(mp2())
    assert np.abs(DFMP2(converge(found)).nuc_grad_method().kernel()).max() < 1e-3

"""The calculator for ASE. The package needs no ASE, but the tests of the extra do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import InputError
from tests.systems import converge, molecule

pytest.importorskip("ase")

from ase import Atoms, units
from ase.optimize import BFGS

from dfmp2.interfaces.ase import DFMP2Calculator

WATER = [[0, 0, 0], [0, 0.76, 0.59], [0, -0.76, 0.59]]
H2 = [[0, 0, 0], [0, 0, 0.8]]


def atoms(symbols: str = "H2", positions: Any = H2, **parameters: Any) -> Any:
    made = Atoms(symbols, positions)
    made.calc = DFMP2Calculator(**{"basis": "sto-3g", **parameters})
    return made


def test_values_are_those_of_the_class_in_the_units_of_ase() -> None:
    water = atoms("OH2", WATER)
    mp = DFMP2(converge(molecule("O 0 0 0; H 0 .76 .59; H 0 -.76 .59", "sto-3g")))
    gradient = mp.nuc_grad_method().kernel()
    assert water.get_potential_energy() == pytest.approx(mp.e_tot * units.Hartree, abs=1e-7)
    forces = -gradient * units.Hartree / units.Bohr
    assert water.get_forces() == pytest.approx(forces, abs=1e-5)
    dipole = mp.dip_moment("AU") * units.Bohr
    assert water.get_dipole_moment() == pytest.approx(dipole, abs=1e-6)


@pytest.mark.parametrize("method", [None, "SCS-MP2"])
def test_forces_are_the_derivative_of_the_energy(method: str | None) -> None:
    """Else the optimisers of ASE do not converge. The step is in Å, errors as in test_gradient."""
    h2 = atoms(method=method)
    force = h2.get_forces()[1, 2]
    ends = []
    for by in (1e-3, -1e-3):
        moved = h2.copy()
        moved.calc = h2.calc
        moved.positions[1, 2] += by
        ends.append(moved.get_potential_energy())
    assert force == pytest.approx(-(ends[0] - ends[1]) / 2e-3, abs=1e-4)


def test_optimiser_of_ase() -> None:
    h2 = atoms()
    assert BFGS(h2, logfile=None).run(fmax=1e-3)
    assert np.abs(h2.get_forces()).max() < 1e-3


def test_energy_alone_makes_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("dfmp2.interfaces.pyscf.compute_gradient")
    assert atoms().get_potential_energy() == pytest.approx(-30.8, abs=1.0)


def test_charge_and_spin() -> None:
    ion = atoms(charge=1, spin=1)
    neutral = atoms()
    assert ion.get_potential_energy() > neutral.get_potential_energy() + 5
    neutral.calc.set(charge=1, spin=1)
    assert neutral.get_potential_energy() == pytest.approx(ion.get_potential_energy(), abs=1e-7)


def test_other_atoms_after_one_another() -> None:
    """One calculator, as in a loop over molecules: nothing is left of the molecule before."""
    calculator = DFMP2Calculator(basis="sto-3g")
    found = []
    for symbols, positions in (("H2", H2), ("LiH", [[0, 0, 0], [0, 0, 1.6]]), ("H2", H2)):
        found.append(calculator.get_potential_energy(Atoms(symbols, positions)))
    assert found[0] == pytest.approx(found[2], abs=1e-7)
    assert found[1] < found[0] - 100


def test_next_geometry_starts_from_the_density_before() -> None:
    h2o = atoms("OH2", WATER)
    h2o.get_potential_energy()
    before = h2o.calc._scanner.base._scf.cycles
    h2o.positions[1, 1] += 1e-3
    h2o.get_potential_energy()
    assert h2o.calc._scanner.base._scf.cycles < before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a.set_pbc(True), "atoms are periodic"),
        (lambda a: a.set_initial_charges([1, 0]), "initial charges with the sum 1"),
        (lambda a: a.set_initial_magnetic_moments([1, 1]), "initial moments with the sum 2"),
        (lambda a: a.calc.set(basis=None), "needs a basis"),
        (lambda a: a.calc.set(spin=1), "2 electrons cannot have spin 1"),
        (lambda a: a.calc.set(basis="sto-33g"), "sto-33g"),
        (lambda a: a.calc.set(method="SCS"), "SCS"),
        (lambda a: a.calc.set(baisis="sto-3g"), "no parameter 'baisis'"),
        (lambda a: a.calc.set(scale=1.0), "scale is 1.0"),
    ],
)
def test_mistakes_are_errors(change: Any, says: str) -> None:
    h2 = atoms()

    def changed() -> None:
        change(h2)
        h2.get_forces()

    with pytest.raises(InputError, match=says):
        changed()

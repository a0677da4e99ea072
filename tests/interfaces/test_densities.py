"""Densities, moments and natural orbitals of the class `DFMP2`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from pyscf import lib, mcscf, scf
from pyscf.data import nist
from pyscf.tools import molden

from dfmp2 import DFMP2
from dfmp2.errors import InputError
from dfmp2.interfaces.orbital_files import write_chkfile, write_molden
from dfmp2.methods.natural_orbitals import natural_orbitals
from tests.systems import converge, molecule

LIH = "Li 0 0 0.1; H 0 0.2 1.7"
N2 = "N 0 0 0; N 0 0 1.1"


def mp2(atoms: str = LIH, basis: str = "sto-3g", **options: Any) -> DFMP2:
    mol = molecule(atoms, basis, **options)
    if mol.spin == 0:
        return DFMP2(converge(mol))
    return DFMP2(scf.UHF(mol).run(conv_tol=1e-11, conv_tol_grad=1e-8))


def spins(density: Any) -> list[Any]:
    return list(density) if isinstance(density, tuple) else [density]


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize(("atoms", "spin"), [(LIH, 0), ("Be 0 0 0; H 0 0.2 1.4", 1)])
def test_density_in_both_representations(atoms: str, spin: int, relaxed: bool) -> None:
    """The trace counts the electrons of each spin. C D C^T is the density in atomic orbitals."""
    mp = mp2(atoms, spin=spin)
    own, ao = (spins(mp.make_rdm1(relaxed, ao_repr)) for ao_repr in (False, True))
    electrons = mp.mol.nelec if spin else (mp.mol.nelectron,)
    orbitals = mp.mo_coeff if spin else [mp.mo_coeff]
    for density, in_ao, count, coeff in zip(own, ao, electrons, orbitals, strict=True):
        assert np.trace(density) == pytest.approx(count, abs=1e-9)
        assert coeff @ density @ coeff.T == pytest.approx(in_ao, abs=1e-12)
        assert np.abs(density - np.diag(np.diag(density))).max() > 1e-4  # not that of the SCF


def test_density_in_the_orbitals_of_the_class(tmp_path: Path) -> None:
    """A run file has orbitals of its own, which may be rotated among equal energies."""
    mp = mp2(N2)
    file = tmp_path / "n2.dfmp2.h5"
    mp.set(checkpoint=str(file)).run()
    mf = mp._scf
    turned = mf.mo_coeff.copy()
    pi = int(np.flatnonzero(np.diff(mf.mo_energy) < 1e-8)[0])
    turned[:, [pi, pi + 1]] = mf.mo_coeff[:, [pi, pi + 1]] @ [[0.6, 0.8], [-0.8, 0.6]]
    again = converge(mp.mol)
    again.mo_coeff, again.mo_energy, again.e_tot = turned, mf.mo_energy, mf.e_tot
    other = DFMP2(again).set(checkpoint=str(file))
    own = other.make_rdm1()
    assert turned @ own @ turned.T == pytest.approx(mp.make_rdm1(ao_repr=True), abs=1e-9)


def test_moments_have_the_units_of_pyscf() -> None:
    mp = mp2()
    density = mp.make_rdm1(relaxed=True, ao_repr=True)
    dipole, second = mp.dip_moment(), mp.quad_moment()
    assert dipole == pytest.approx(scf.hf.dip_moment(mp.mol, density, verbose=0), abs=1e-9)
    assert mp.dip_moment("AU") * nist.AU2DEBYE == pytest.approx(dipole, abs=1e-9)
    assert second == pytest.approx(scf.hf.quad_moment(mp.mol, density, verbose=0), abs=1e-8)
    moved = mp.quad_moment("AU", origin=(0, 0, 1.0))
    assert moved == pytest.approx(
        scf.hf.quad_moment(mp.mol, density, "AU", origin=(0, 0, 1.0), verbose=0), abs=1e-8
    )
    assert np.abs(mp.dip_moment(relaxed=False) - dipole).max() > 1e-3
    with pytest.raises(InputError, match="unit 'SI' of the moment is unknown"):
        mp.dip_moment("SI")


def test_densities_are_computed_once_and_forgotten_with_the_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else three moments would cost three passes, or those of other options would be returned."""
    import dfmp2.interfaces.pyscf as module

    passes = []
    plain = module.compute_density
    monkeypatch.setattr(
        module, "compute_density", lambda *args: passes.append(args[2]) or plain(*args)
    )
    mp = mp2()
    mp.dip_moment()
    mp.quad_moment()
    mp.natural_orbitals()
    assert passes == [True]
    all_electrons = mp.dip_moment()
    mp.frozen = 1
    assert np.abs(mp.dip_moment() - all_electrons).max() > 1e-6
    mp._scf.kernel()
    mp.dip_moment()
    assert passes == [True, True, True]


@pytest.mark.parametrize(("atoms", "spin"), [(LIH, 0), ("Be 0 0 0; H 0 0.2 1.4", 1)])
def test_natural_orbitals_diagonalise_the_density(atoms: str, spin: int) -> None:
    """Of an open shell that of both spins, so that they can start a CASSCF."""
    mp = mp2(atoms, spin=spin)
    found = mp.natural_orbitals()
    c, n = found.coefficients, found.occupations
    overlap = mp.mol.intor_symmetric("int1e_ovlp")
    assert c.T @ overlap @ c == pytest.approx(np.eye(len(n)), abs=1e-9)
    assert (c * n) @ c.T == pytest.approx(sum(spins(mp.make_rdm1(ao_repr=True))), abs=1e-9)
    assert (np.diff(n) <= 0).all()
    for own, again in zip(mp.make_natorbs(), (n, c), strict=True):
        assert own == pytest.approx(again)


@pytest.mark.parametrize("switched_on", [False, True])
def test_natural_orbitals_have_irreps(switched_on: bool) -> None:
    """Also where two occupations are equal, as of the pi orbitals."""
    found = mp2(N2, symmetry=switched_on).natural_orbitals()
    assert found.point_group == ("Dooh" if switched_on else found.point_group)
    assert found.irreps is not None
    labels = dict(zip(found.irreps, found.occupations, strict=True))
    pairs = [("E1ux", "E1uy"), ("E1gx", "E1gy")]
    for x, y in pairs:
        assert labels[x] == pytest.approx(labels[y], abs=1e-8)
    assert sorted(found.irreps).count("E1ux") == 1


def test_density_without_the_symmetry_of_the_molecule_has_no_irreps() -> None:
    """A label would be wrong for orbitals that are on one of two equal atoms."""
    mol = molecule("H 0 0 0; H 0 0 2.5", "sto-3g")
    mf = converge(mol)
    mixed = np.array([[1.2, 0.5], [0.5, 0.8]])  # gerade with ungerade
    found = natural_orbitals(mol, mixed, mf.mo_coeff)
    assert (found.irreps, found.point_group) == (None, "C1")
    assert found.occupations == pytest.approx(np.linalg.eigvalsh(mixed)[::-1])
    assert natural_orbitals(mol, np.diag([1.2, 0.8]), mf.mo_coeff).irreps == ("A1g", "A1u")


def test_molden_file(tmp_path: Path) -> None:
    found = mp2(N2).natural_orbitals()
    path = tmp_path / "n2.molden"
    write_molden(found, path)
    mol, _, coeff, occ, irreps, _ = molden.load(str(path))
    order = np.argsort(-occ, kind="stable")
    assert mol.natm == 2
    assert occ[order] == pytest.approx(found.occupations, abs=1e-5)  # five digits in the file
    assert np.abs(coeff) == pytest.approx(np.abs(found.coefficients), abs=1e-9)
    assert sorted(irreps) == sorted(label.upper() for label in found.irreps or ())


def test_molden_file_without_h_functions(tmp_path: Path) -> None:
    """PySCF leaves them out, and the orbitals in the file are not orthonormal."""
    mol = molecule("He 0 0 0", {"He": [[0, [1.0, 1.0]], [5, [0.8, 1.0]]]})
    found = natural_orbitals(mol, np.diag(np.zeros(12)), converge(mol).mo_coeff)
    with pytest.raises(InputError, match="angular momentum 5"):
        write_molden(found, tmp_path / "he.molden")


def test_chkfile(tmp_path: Path) -> None:
    """The group of the SCF stays as it is: natural orbitals are no SCF solution."""
    mp, path = mp2(N2), str(tmp_path / "n2.chk")
    scf.chkfile.dump_scf(mp.mol, path, mp._scf.e_tot, mp.mo_energy, mp.mo_coeff, mp.mo_occ)
    for relaxed in (True, False):
        found = mp.natural_orbitals(relaxed)
        write_chkfile(found, path)
    stored = lib.chkfile.load(path, "natural_orbitals")
    assert stored["mo_coeff"] == pytest.approx(found.coefficients)
    assert stored["mo_occ"] == pytest.approx(found.occupations)
    assert [label.decode() for label in stored["irreps"]] == list(found.irreps or ())
    assert lib.chkfile.load(path, "scf/mo_occ") == pytest.approx(mp.mo_occ)
    write_chkfile(found, tmp_path / "new.chk")
    assert lib.chkfile.load_mol(str(tmp_path / "new.chk")).natm == 2
    with pytest.raises(InputError, match="chkfile of another molecule"):
        write_chkfile(mp2().natural_orbitals(), path)
    with h5py.File(tmp_path / "other.h5", "w"), pytest.raises(InputError, match="no chkfile"):
        write_chkfile(found, tmp_path / "other.h5")


def test_natural_orbitals_start_a_casscf() -> None:
    mp = mp2(N2)
    found = mp.natural_orbitals()
    active = [i for i, n in enumerate(found.occupations) if 0.02 < n < 1.98]
    electrons = round(found.occupations[active].sum())
    cas = mcscf.CASSCF(mp._scf, len(active), electrons)
    cas.verbose = 0
    cas.kernel(found.coefficients)
    assert cas.converged
    assert cas.e_tot < mp._scf.e_tot - 0.05

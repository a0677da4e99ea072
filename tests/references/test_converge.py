"""The corrected fitted SCF gives PySCF's own solution, or says that it does not apply."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dfmp2 import converge
from dfmp2.errors import DFMP2Warning, InputError, UnsupportedReferenceError
from dfmp2.molecules.build import build_mole
from dfmp2.molecules.files import read_geometry
from dfmp2.references.converge import ScfStep
from tests.systems import CLUSTERS, INPUTS, LARGE, SMALL, basis_of, molecule

WATER = "O 0 0 0.12; H 0 0.76 -0.47; H 0 -0.76 -0.47"
NH2 = "N 0 0 0.14; H 0 0.80 -0.50; H 0 -0.80 -0.50"

SAME_ENERGY = 1e-9
"""Hartree, as promised for conv_tol 1e-10 and an orbital gradient of 1e-7. An error of first order
in the fit would be 1e-5."""

SAME_ORBITALS = 1e-6
"""Hartree. Orbital energies change in first order with the orbitals, whose gradient is 1e-7; the
density-fitted ones differ by 1e-5 and more."""


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small molecules are done as large ones are."""
    monkeypatch.setattr("dfmp2.references.converge.SMALL", 0)


def field(kind: str, atoms: str, basis: Any = "cc-pvdz", **options: Any) -> Any:
    from pyscf import scf

    mf = getattr(scf, kind)(molecule(atoms, basis, **options))
    mf.verbose, mf.chkfile = 0, None
    mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = 1e-10, 1e-7, 100
    return mf


def agrees(mf: Any, ordinary: Any) -> None:
    ordinary.kernel()
    assert mf.converged == ordinary.converged is True
    assert abs(mf.e_tot - ordinary.e_tot) < SAME_ENERGY
    assert np.abs(np.asarray(mf.mo_energy) - ordinary.mo_energy).max() < SAME_ORBITALS
    assert np.linalg.norm(mf.get_grad(mf.mo_coeff, mf.mo_occ)) < 2 * mf.conv_tol_grad
    assert set(mf.scf_summary) == set(ordinary.scf_summary)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("kind", "atoms", "spin"),
    [("RHF", WATER, 0), ("UHF", NH2, 1), ("ROHF", NH2, 1)],
)
def test_same_solution(kind: str, atoms: str, spin: int) -> None:
    mf = field(kind, atoms, spin=spin)
    steps: list[ScfStep] = []
    how = converge(mf, progress=steps.append)
    assert how.algorithm == "corrected"
    assert how.exact_builds == sum(step.exact for step in steps) <= 3
    assert how.fitted_iterations == sum(not step.exact for step in steps)
    assert steps[-1].exact  # the last word has the exact Fock matrix
    assert steps[-1].energy == mf.e_tot
    agrees(mf, field(kind, atoms, spin=spin))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("change", ["x2c", "charges", "symmetry", "orbitals"])
def test_what_changes_the_one_electron_part(change: str) -> None:
    from pyscf import qmmm

    def make() -> Any:
        mf = field("RHF", WATER, symmetry=change == "symmetry")
        if change == "x2c":
            return mf.sfx2c1e()
        return qmmm.mm_charge(mf, [[0, 0, 5.0]], [0.5]) if change == "charges" else mf

    mf = make()
    if change == "orbitals":  # a second run starts from the orbitals of the first
        mf.kernel()
        mf._eri = None
        assert converge(mf).fitted_iterations < 8
    else:
        assert converge(mf).algorithm == "corrected"
    agrees(mf, make())


def _smeared(mf: Any) -> Any:
    from pyscf import scf

    return scf.addons.smearing_(mf, sigma=0.1)


def _own_exchange(mf: Any) -> Any:
    mf.get_jk = lambda *_, **__: (0, 0)
    return mf


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("decorate", "says"),
    [
        (lambda mf: mf.to_ks("pbe"), "pyscf.dft.rks.RKS; run mf.kernel()"),
        (lambda mf: mf.newton(), "soscf"),
        (lambda mf: mf.PCM(), "solvent"),
        (_smeared, "smearing"),
        (_own_exchange, "get_jk of this RHF is that of the object itself"),
        (lambda mf: mf.density_fit(), "choose 'fitted'"),
        (lambda mf: mf.to_ghf(), "GHF"),
    ],
    ids=["RKS", "newton", "solvent", "smearing", "own get_jk", "density fitting", "GHF"],
)
def test_another_method_is_not_computed(decorate: Callable[[Any], Any], says: str) -> None:
    """It would be converged to plain Hartree-Fock without a word."""
    mf = decorate(field("RHF", WATER))
    with pytest.raises(InputError, match=says):
        converge(mf)
    assert mf.mo_coeff is None


def test_names_of_algorithms() -> None:
    mf = field("RHF", "He 0 0 0")
    with pytest.raises(InputError, match="choose one of corrected, direct, fitted"):
        converge(mf, "exact")
    with pytest.raises(InputError, match="needs a density-fitted mean field"):
        converge(mf, "fitted")
    with pytest.raises(UnsupportedReferenceError, match="a molecule"):
        converge(mf.mol)
    assert converge(mf, "direct").algorithm == "direct"
    fitted = field("RHF", WATER).density_fit()
    how = converge(fitted, "fitted")
    assert (how.algorithm, how.exact_builds) == ("fitted", 0)
    assert how.fitted_iterations > 5


@pytest.mark.parametrize("obstacle", ["small", "memory", "integrals", "one electron"])
def test_the_ordinary_scf_where_it_is_better(
    obstacle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if obstacle != "small":
        monkeypatch.setattr("dfmp2.references.converge.SMALL", 0)
    mf = field(
        "RHF", "H 0 0 0" if obstacle == "one electron" else WATER, spin=obstacle == "one electron"
    )
    if obstacle == "memory":
        mf.max_memory = 1
    elif obstacle == "integrals":
        mf._eri = mf.mol.intor("int2e", aosym="s8")
    how = converge(mf)
    assert (how.algorithm, how.fitted_iterations, how.failed) == ("direct", 0, False)
    said = {
        "small": "as fast for 24 basis functions", "memory": "need 0 MB, more than is left",
        "integrals": "are in memory", "one electron": "one electron",
    }  # fmt: skip
    assert said[obstacle] in how.reason
    assert mf.converged


@pytest.mark.usefixtures("always")
def test_a_useless_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One s function per atom fits nothing. The result is PySCF's all the same."""
    monkeypatch.setattr("pyscf.df.make_auxbasis", lambda _: {"default": [[0, [1.0, 1.0]]]})
    mf = field("RHF", WATER)
    with pytest.warns(DFMP2Warning, match="so the ordinary SCF was done"):
        how = converge(mf)
    assert (how.algorithm, how.failed) == ("direct", True)
    agrees(mf, field("RHF", WATER))


@pytest.mark.usefixtures("always")
def test_too_few_iterations_are_not_converged() -> None:
    mf = field("RHF", WATER)
    mf.max_cycle = 2
    with pytest.warns(DFMP2Warning, match="its fitted iterations do not converge"):
        how = converge(mf)
    assert how.failed
    assert not mf.converged


@pytest.mark.usefixtures("always")
def test_the_energy_does_not_depend_on_the_screening(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors of the screening of differences count with the change of the density only."""
    mf = field("RHF", WATER)
    mf.conv_tol_grad = 1e-4
    monkeypatch.setattr("dfmp2.references.converge.SCREENING", 1e-6)
    monkeypatch.setattr("dfmp2.references.converge.PER_GRADIENT", 1.0)
    converge(mf)
    ordinary = field("RHF", WATER)
    ordinary.kernel()
    assert abs(mf.e_tot - ordinary.e_tot) < 1e-8


DIFFICULT = {
    "N2, stretched": ("N 0 0 0; N 0 0 1.8", "cc-pvdz", 0),
    "F2, stretched": ("F 0 0 0; F 0 0 2.0", "cc-pvdz", 0),
    "C2": ("C 0 0 0; C 0 0 1.2425", "cc-pvdz", 0),
    "O3": ("O 0 0 0; O 1.0885 0 0.6697; O -1.0885 0 0.6697", "cc-pvdz", 0),
    "water, stretched": ("O 0 0 0; H 0 1.6 1.2; H 0 -1.6 1.2", "cc-pvdz", 0),
    "F-": ("F 0 0 0", "aug-cc-pvtz", -1),
    "OH-": ("O 0 0 0; H 0 0 0.964", "aug-cc-pvtz", -1),
    "Li2, stretched": ("Li 0 0 0; Li 0 0 5.0", "cc-pvdz", 0),
    "Cu+ and water": ("Cu 0 0 0; O 0 0 1.95; H 0 0.77 2.53; H 0 -0.77 2.53", "def2-svp", 1),
    "Ni(CO)4": (
        "Ni 0 0 0; "
        + "; ".join(
            f"{s} {r * x:.6f} {r * y:.6f} {r * z:.6f}"
            for x, y, z in ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
            for s, r in (("C", 1.0612), ("O", 1.7199))
        ),
        "def2-svp",
        0,
    ),
}
"""Bonds far from equilibrium, anions with diffuse functions, and transition metals."""


def same_state(make: Callable[[], Any]) -> None:
    """The same energy as PySCF's, or a warning that the ordinary SCF was done."""
    mf, ordinary = make(), make()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DFMP2Warning)
        how = converge(mf)
    assert bool(caught) == how.failed
    ordinary.kernel()
    assert mf.converged == ordinary.converged
    assert abs(mf.e_tot - ordinary.e_tot) < SAME_ENERGY


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "name",
    [
        name if name in ("C2", "water, stretched") else pytest.param(name, marks=pytest.mark.slow)
        for name in DIFFICULT
    ],
)
def test_difficult_molecules(name: str) -> None:
    atoms, basis, charge = DIFFICULT[name]
    same_state(lambda: field("RHF", atoms, basis, charge=charge))


@pytest.mark.slow
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("name", "augmented"),
    [(name, False) for name in (*SMALL, *LARGE, *CLUSTERS)]
    + [(name, True) for name in SMALL if name != "hydrogen_iodide"],
)
def test_every_input(name: str, augmented: bool) -> None:
    basis = "aug-cc-pvdz" if augmented else basis_of(name)
    mol = build_mole(read_geometry(str(INPUTS / f"{name}.xyz")), basis)

    def make() -> Any:
        from pyscf import scf

        mf = scf.RHF(mol)
        mf.verbose, mf.chkfile = 0, None
        return mf.set(conv_tol=1e-10, conv_tol_grad=1e-7, max_cycle=100)

    same_state(make)


def test_the_guess_is_fitted_from_its_orbitals() -> None:
    """Otherwise the first fitted matrix takes five times as long as the others.

    Their sums have some 1e3 terms of order 1, so rounding errors are below 1e-12.
    """
    from pyscf import scf

    from dfmp2.references.converge import _with_orbitals

    mol = molecule("O 0 0 0; H 0 0 .96; H .93 0 -.24", "6-31g")
    mf = scf.RHF(mol).density_fit()
    guess = np.asarray(mf.get_init_guess())
    tagged = _with_orbitals(guess)
    np.testing.assert_array_equal(tagged, guess)
    np.testing.assert_allclose(mf.get_veff(mol, tagged), mf.get_veff(mol, guess), atol=1e-12)
    assert 0 < (tagged.mo_occ > 0).sum() < mol.nao
    assert not hasattr(_with_orbitals(-guess), "mo_coeff")  # PySCF leaves out negative ones

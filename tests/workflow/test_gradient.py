"""Analytic gradients and relaxed densities beside finite differences and other programs."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from pyscf import dft, gto, mp, qmmm, scf

from dfmp2.errors import InputError, NotConvergedError, NotProvidedError
from dfmp2.methods import z_vector
from dfmp2.references.mean_field import read_mean_field
from dfmp2.workflow.compute import compute
from dfmp2.workflow.gradient import compute_density, compute_gradient
from tests.systems import DATA, duplicated_auxbasis, prepared

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

STEP = 0.01
"""Bohr, along a direction of unit length."""

SLOPE = 3e-8
"""Eh/bohr. The four-point formula errs by STEP^4/30 of the fifth derivative, which is about
30 D a^5 = 8 Eh/bohr^5 for a bond (Morse with D = 0.17 Eh, a = 1.1/bohr): 3e-9. Rounding and the SCF
(energy to 1e-12 Eh) add 1e-10. Stiffer bonds and charges close by may have ten times as much."""

LARGEST = 1e-6
"""Eh/bohr. Largest error of the formula with half of the step that is taken for one: an energy with
a frozen orbital changes fast where that orbital and a correlated one have almost one energy."""

SYSTEMS = {
    "water": ("O 0 0 0.2; H 0.1 1.43 -0.9; H 0.1 -1.5 -0.95", 0, {}),
    "HF": ("F 0 0.1 0.1; H 0.2 0.1 1.85", 0, {}),
    "LiH": ("Li 0 0.1 0.1; H 0.2 0.1 3.1", 0, {}),
    "NH2": ("N 0 0 0.2; H 0.1 1.5 -0.9; H 0.1 -1.55 -0.95", 1, {}),
    "triplet CH2": ("C 0 0 0.1; H 0.1 1.9 -0.6; H 0.1 -1.85 -0.7", 2, {}),
    "water cation": ("O 0 0 0.2; H 0.1 1.43 -0.9; H 0.1 -1.5 -0.95", 1, {"charge": 1}),
}
"""Atoms in bohr, unpaired electrons, options."""

PSI4 = ("water", "ammonia", "HF", "H2CO", "NH2", "CH3")

ECP = {
    0: ("Br 0 0.1 0.1; H 0.2 0.1 2.75", 0, {"basis": "lanl2dz", "ecp": "lanl2dz"}),
    1: ("As 0 0 0.2; H 0.1 2.1 -1.9; H 0.1 -2.0 -2", 1, {"basis": "lanl2dz", "ecp": "lanl2dz"}),
}
"""By the number of unpaired electrons."""

CHARGES = (np.array([[3.0, 0.3, 5.0], [-4.0, 1.0, -5.0]]), np.array([0.3, -0.2]))


@dataclass
class Case:
    """One molecule with its methods; `energy` and `gradient` take positions of all it has."""

    atoms: str
    spin: int
    options: dict[str, Any]
    uhf: bool = False
    fitted: bool = False
    charged: bool = False
    settings: Any = None
    method: str = "MP2"
    density: Any = None

    @classmethod
    def seeded(cls, number: int) -> Case:
        """Case `number` of the random ones."""
        rng = np.random.default_rng([15, number])
        surroundings = ("plain", "ecp", "ghost", "cartesian", "charges")[number % 5]
        uhf = bool(rng.integers(2))
        names = [name for name, (_, spin, _) in SYSTEMS.items() if uhf or not spin]
        atoms, spin, options = SYSTEMS[str(rng.choice(names))]
        if surroundings == "ecp":
            atoms, spin, options = ECP[int(uhf)]
        options = {"basis": "6-31g", **options}
        if surroundings == "ghost":
            atoms = f"ghost-H 0.9 0.8 -2.2; {atoms}"
        if surroundings == "cartesian":
            options |= {"basis": "6-31g*", "cart": True}
        mol = gto.M(atom=atoms, spin=spin, unit="bohr", verbose=0, **options)
        lowest = [0, 1] if mol.nelec[1] > 2 else [0]
        lists: Any = [[*lowest, mol.nao - 1], [0]] if uhf else [*lowest, mol.nao - 1]
        frozen = (None, 1, lists)[rng.integers(3)]
        settings = {"frozen": frozen, "auxbasis": "def2-svp-ri", "kappa": (1.1,)}
        method = str(rng.choice(["MP2", "SCS-MP2", "kappa-MP2(1.1)"]))
        charged = surroundings == "charges"
        return cls(atoms, spin, options, uhf, bool(rng.integers(2)), charged, settings, method)

    def positions(self) -> Any:
        """Coordinates of atoms, then of point charges, bohr."""
        found = [[float(x) for x in atom.split()[1:]] for atom in self.atoms.split(";")]
        return np.array(found + (CHARGES[0].tolist() if self.charged else []))

    def mean_field(self, positions: Any) -> Any:
        """A converged mean field, which starts from the density of the one before."""
        symbols = [atom.split()[0] for atom in self.atoms.split(";")]
        atoms = list(zip(symbols, positions[: len(symbols)].tolist(), strict=True))
        mol = gto.M(atom=atoms, unit="bohr", spin=self.spin, verbose=0, **self.options)
        mf = (scf.UHF if self.uhf else scf.RHF)(mol)
        if self.fitted:
            mf = mf.density_fit(auxbasis="def2-universal-jkfit")
        if self.charged:
            mf = qmmm.mm_charge(mf, positions[len(symbols) :], CHARGES[1], unit="bohr")
        mf.chkfile, mf.max_cycle, mf.conv_tol, mf.conv_tol_grad = None, 200, 1e-12, 1e-8
        mf.kernel(dm0=self.density)
        self.density = mf.make_rdm1()
        return mf

    def prepared(self, positions: Any) -> Any:
        return prepared(self.mean_field(positions), **(self.settings or {}))

    def energy(self, positions: Any) -> float:
        return compute(self.prepared(positions)).energies[self.method]["total"]

    def gradient(self) -> Any:
        return compute_gradient(self.prepared(self.positions()), self.method)

    def slope(self, direction: Any, step: float = STEP) -> float:
        """Derivative of the energy along a direction, by four points."""
        start = self.positions()
        energies = [self.energy(start + n * step * direction) for n in (-2, -1, 1, 2)]
        return float(np.dot([1, -8, 8, -1], energies) / (12 * step))


def agrees(case: Case, directions: int) -> None:
    found = case.gradient()
    whole = found.de if found.de_mm is None else np.vstack([found.de, found.de_mm])
    positions = case.positions()
    assert found.notes == ()
    assert np.abs(whole.sum(axis=0)).max() < 1e-8
    assert np.abs(np.cross(positions, whole).sum(axis=0)).max() < 1e-8
    rng = np.random.default_rng(3)
    for _ in range(directions):
        direction = rng.normal(size=positions.shape)
        direction /= np.linalg.norm(direction)
        analytic, slope = float(np.sum(whole * direction)), case.slope(direction)
        error = SLOPE
        if abs(analytic - slope) > error:  # the error of the formula falls with STEP^4
            before, slope = slope, case.slope(direction, STEP / 2)
            error += min(abs(slope - before) / 7, LARGEST)
        assert analytic == pytest.approx(slope, abs=error)


@pytest.mark.parametrize("number", range(12))
def test_gradients_of_random_cases(number: int) -> None:
    """Without it a term of one reference, method or surrounding could be missing or wrong."""
    agrees(Case.seeded(number), 1)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(12, 200))
def test_gradients_of_more_random_cases(number: int) -> None:
    """The same, for combinations of all of them."""
    agrees(Case.seeded(number), 2)


@pytest.mark.parametrize("name", ["H2CO/core", "NH2/all", "CH3/core"])
def test_gradients_are_those_of_psi4(name: str) -> None:
    """Without it an error of both energy and gradient could pass the finite differences."""
    _compare_with_psi4(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [f"{m}/{f}" for m in PSI4 for f in ("all", "core")])
def test_more_gradients_are_those_of_psi4(name: str) -> None:
    """The same for all molecules of the table."""
    _compare_with_psi4(name)


def _compare_with_psi4(name: str) -> None:
    row = json.loads((DATA / "gradients.json").read_text(encoding="utf-8"))["rows"][name]
    head, *atoms = row["molecule"].split("\n")
    charge, multiplicity = (int(word) for word in head.split())
    mol = gto.M(
        atom="; ".join(atoms), charge=charge, spin=multiplicity - 1, unit="bohr", basis="cc-pvdz",
        verbose=0,
    )  # fmt: skip
    mf = (scf.UHF if mol.spin else scf.RHF)(mol).density_fit(auxbasis="cc-pvdz-jkfit")
    mf.chkfile, mf.conv_tol, mf.conv_tol_grad = None, 1e-12, 1e-8
    frozen = "auto" if name.endswith("core") else None
    found = compute_gradient(prepared(mf.run(), frozen=frozen))
    assert found.e_tot == pytest.approx(row["e_tot"], abs=1e-9)
    # psi4 converged its Z-vector to 1e-11 and its SCF to 1e-11 in the density.
    np.testing.assert_allclose(found.de, row["gradient"], rtol=0, atol=2e-8)


def water(**options: Any) -> Case:
    """Water in 6-31G with frozen core."""
    settings = {"auxbasis": "def2-svp-ri", "frozen": 1, **options}
    return Case(SYSTEMS["water"][0], 0, {"basis": "6-31g"}, settings=settings)


def test_gradients_without_fit_are_a_limit() -> None:
    """The conventional gradient, which shares no three-centre integral with this one.

    This set leaves an error of 5e-9 Eh in the energy.
    """
    case = Case(SYSTEMS["LiH"][0], 0, {"basis": "6-31g"}, settings={})
    mf = case.mean_field(case.positions())
    gradient = mp.MP2(mf).run().nuc_grad_method().set(verbose=0).kernel()
    shells = [
        [angular, [0.05 * 2.0**n, 1.0]]
        for angular in range(5)
        for n in range(12 if angular < 3 else 8)
    ]
    found = compute_gradient(prepared(mf, auxbasis={"Li": shells, "H": shells}))
    np.testing.assert_allclose(found.de, gradient, rtol=0, atol=5e-8)


@pytest.mark.parametrize("uhf", [False, True], ids=["RHF", "UHF"])
def test_the_relaxed_dipole_is_the_derivative_with_a_field(uhf: bool) -> None:
    """Without it the density could lack the response, and dipoles would be those of no energy."""
    case = water(kappa=(1.3,))
    case.method = "kappa-MP2(1.3)"
    if uhf:
        case.atoms, case.spin, case.uhf = SYSTEMS["NH2"][0], 1, True
    case.uhf = uhf
    mf = case.mean_field(case.positions())
    found, _ = compute_density(prepared(mf, **case.settings), case.method)
    assert found.relaxed is not None
    along = mf.mol.intor("int1e_r")[2]
    parts = zip(found.relaxed, found.mo_coeff, strict=True)
    moment = -sum(float(np.sum(along * (c @ d @ c.T))) for d, c in parts)

    def energy(field: float) -> float:
        turned = mf.copy()
        turned.get_hcore = lambda *_: type(mf).get_hcore(mf) + field * along
        turned.run()
        return compute(prepared(turned, **case.settings)).energies[case.method]["total"]

    step = 2e-3  # the fifth derivative is a hyperpolarisability of about 1e4: 1e4 h^4 / 30 = 5e-9
    slope = np.dot([1, -8, 8, -1], [energy(n * step) for n in (-2, -1, 1, 2)]) / (12 * step)
    assert moment == pytest.approx(-slope, abs=1e-7)


def test_densities_hold_the_electrons() -> None:
    """Without it a block could be lost or twice there: traces, symmetry, the place of blocks."""
    case = Case(SYSTEMS["NH2"][0], 1, {"basis": "6-31g"}, uhf=True)
    case.settings = {"auxbasis": "def2-svp-ri", "frozen": [[0, 12], [1]]}
    ready = case.prepared(case.positions())
    found, _ = compute_density(ready)
    assert found.relaxed is not None
    for unrelaxed, relaxed, electrons in zip(found.unrelaxed, found.relaxed, (5, 4), strict=True):
        for density in (unrelaxed, relaxed):
            assert np.trace(density) == pytest.approx(electrons, abs=1e-12)
            np.testing.assert_allclose(density, density.T, rtol=0, atol=1e-12)
    alpha, beta = found.unrelaxed
    assert alpha[0, 0] == alpha[12, 0] + 1 == beta[1, 1] == 1  # frozen orbitals stay as they are
    assert np.abs(alpha[12]).max() == 0
    assert np.abs(found.relaxed[0][12]).max() > 1e-4
    alone, _ = compute_density(ready, relaxed=False)
    assert alone.relaxed is None
    np.testing.assert_allclose(alone.unrelaxed, found.unrelaxed, rtol=0, atol=1e-13)


def test_memory_and_temporary_files_give_the_same() -> None:
    """Without it B, gamma and Y from a file could be in another order than in memory."""
    case = water()
    ready = case.prepared(case.positions())
    on_disk = replace(ready, plan=replace(ready.plan, in_memory=False))
    found = [compute_gradient(one).de for one in (ready, on_disk)]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-12)


def test_without_pairs_the_gradient_is_that_of_hartree_fock() -> None:
    """One electron: there are no pairs, but the molecule still has a gradient."""
    case = Case("H 0 0 0; H 0.2 0.1 1.9", 1, {"basis": "6-31g", "charge": 1}, uhf=True)
    mf = case.mean_field(case.positions())
    found = compute_gradient(prepared(mf, auxbasis="def2-svp-ri"))
    gradients = mf.nuc_grad_method().set(verbose=0)
    np.testing.assert_allclose(found.de, gradients.kernel(), rtol=0, atol=1e-9)
    assert found.e_tot == pytest.approx(mf.e_tot, abs=1e-12)


def test_exact_integrals_are_made_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are not in memory each response takes as long as a step of the SCF.

    Fitted integrals solve the equations in between, and the solution is still that of exact ones.
    """
    case, made = water(), []
    mf = case.mean_field(case.positions())
    whole = compute_gradient(prepared(mf, **case.settings)).de
    exact = scf.hf.RHF.get_jk

    def counted(self: Any, mol: Any, dm: Any, **options: Any) -> Any:
        made.append(len(dm))
        return exact(self, mol, dm, **options)

    monkeypatch.setattr(scf.hf.RHF, "get_jk", counted)
    monkeypatch.setattr("dfmp2.references.response.SMALL", 0)
    mf._eri = None
    found = compute_gradient(prepared(mf, max_memory=100.0, **case.settings)).de
    assert 2 < sum(made) <= 6
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-9)


def test_the_result_names_what_ran_on_the_host() -> None:
    """Without it a run with a GPU would claim that the whole gradient was computed there."""
    found = water().gradient()
    places = {row.stage: row.where for row in found.result.provenance.operations}
    for stage in ("derivatives of the fit", "Z-vector", "derivatives of the SCF"):
        assert (places[stage].backend, places[stage].mode) == ("pytorch", "cpu")
        assert found.timings[stage] > 0


def test_integrals_of_the_scf_are_differentiated() -> None:
    """MP2 with the SCF's own set: the same number, whichever integrals made B."""
    case = water()
    mf = scf.RHF(case.mean_field(case.positions()).mol).density_fit(auxbasis="def2-svp-jkfit")
    mf.conv_tol, mf.conv_tol_grad = 1e-12, 1e-8
    mf.run()
    found = [
        compute_gradient(prepared(mf, auxbasis="def2-svp-jkfit", integrals=source)).de
        for source in ("scf", "libcint")
    ]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-11)


def test_a_loose_scf_is_named() -> None:
    """Without it the error of the gradient, of the order of the orbital gradient, stays unseen."""
    case = water()
    mf = case.mean_field(case.positions())
    loose = scf.RHF(mf.mol).set(conv_tol=1e-5, conv_tol_grad=1e-3, conv_check=False).run()
    with pytest.warns(UserWarning, match="the gradient may have errors"):
        found = compute_gradient(prepared(loose, check_reference="off", **case.settings))
    assert "not converged tightly" in found.notes[0]
    with pytest.warns(UserWarning, match="the relaxed density may have errors"):
        compute_density(prepared(loose, check_reference="off", **case.settings))


def test_one_spin_without_electrons() -> None:
    """Without it blocks of zero size of the empty spin end the gradient of triplet H2."""

    def hydrogen(z: float) -> Any:
        mol = gto.M(atom=[("H", (0, 0, 0)), ("H", (0, 0, z))], unit="bohr", basis="6-31g", spin=2,
                    verbose=0)  # fmt: skip
        return scf.UHF(mol).run(conv_tol=1e-12, conv_tol_grad=1e-9)

    step, energies = 0.01, []
    for k in (-2, -1, 1, 2):
        mf = hydrogen(2.3 + k * step)
        energies.append(compute_gradient(prepared(mf, auxbasis="def2-svp-ri")).e_tot)
    numerical = (energies[0] - 8 * energies[1] + 8 * energies[2] - energies[3]) / (12 * step)
    found = compute_gradient(prepared(hydrogen(2.3), auxbasis="def2-svp-ri"))
    # Error of the differences: step^4 / 30 times a fifth derivative of about 1, and 1e-12 / step.
    assert abs(found.de[1, 2] - numerical) < 1e-8


def test_what_has_no_gradient_is_refused_by_name() -> None:
    """Without it another method's gradient would be returned for these."""
    mol = gto.M(atom="H 0 0 0; H 0 0 0.8", basis="sto-3g", verbose=0)
    mf = scf.RHF(mol).run()
    field = mf.copy()
    field.get_hcore = lambda *_: mf.get_hcore()
    for named, reference in (
        ("solvent PCM", mf.copy().PCM().run()),
        ("sfX2C1e", scf.RHF(mol).sfx2c1e().run()),
        ("ROHF", scf.ROHF(gto.M(atom="Li", basis="sto-3g", spin=1, verbose=0)).run()),
        ("Kohn-Sham", dft.RKS(mol, xc="hf").set(grids=dft.Grids(mol).set(level=0)).run()),
        ("own get_hcore", field.run()),
    ):
        solution = read_mean_field(reference, allow_ks=True)
        ready = replace(prepared(mf, auxbasis="def2-svp-ri"), solution=solution)
        with pytest.raises(NotProvidedError, match=named):
            compute_gradient(ready)
    with pytest.raises(NotProvidedError, match="linearly dependent"):
        compute_gradient(prepared(mf, auxbasis=duplicated_auxbasis(("H",))))
    with pytest.raises(InputError, match="method 'SCS' is unknown"):
        compute_gradient(prepared(mf, auxbasis="def2-svp-ri"), "SCS")
    with pytest.raises(InputError, match="precision fp32"):
        compute_gradient(prepared(mf, auxbasis="def2-svp-ri", precision="fp32"))


def test_equal_energies_of_frozen_and_correlated_orbitals_are_refused() -> None:
    """The energy depends on which of the two the SCF calls the first: there is no derivative."""
    case = Case("N 0 0 0; N 0 0 2.1", 0, {"basis": "sto-3g"})
    case.settings = {"auxbasis": "def2-svp-ri", "frozen": [4]}
    with pytest.raises(InputError, match="this energy has no gradient"):
        case.gradient()


def test_equations_that_do_not_converge_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the last iterate would pass for the solution."""
    monkeypatch.setattr(z_vector, "ITERATIONS", 1)
    with pytest.raises(NotConvergedError, match="Z-vector"):
        water().gradient()

"""The auxiliary basis that is chosen, and the factor of its metric."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.backends.torch import TorchBackend
from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.fitting.metric import LINEAR_DEPENDENCE, factor_metric, metric_integrals
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from tests.systems import converge, mean_field, molecule, pyscf_mp2, rng

WATER = "O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47"
HI = "I 0 0 0; H 0 0 1.609"


# The default set


@pytest.mark.parametrize(
    ("basis", "expected"),
    [
        ("cc-pvdz", "cc-pvdz-ri"),
        ("aug-cc-pvtz", "aug-cc-pvtz-ri"),
        ("def2-tzvpp", "def2-tzvpp-ri"),
        ("6-31g**", "cc-pvdz-ri"),
        ("6-31G(d,p)", "cc-pvdz-ri"),
    ],
)
def test_default_is_the_ri_set_of_the_orbital_basis(basis: str, expected: str) -> None:
    aux = choose_auxbasis(molecule(WATER, basis))
    assert str(aux) == expected
    assert aux.reason == "the RI-MP2 set of the orbital basis"


def test_pople_basis_agrees_with_pyscf() -> None:
    mf = converge(molecule(WATER, "6-31g**"))
    assert abs(DFMP2(mf).run().e_corr - pyscf_mp2(mf, "cc-pvdz-ri").e_corr) < 1e-12


def test_the_set_of_a_density_fitted_scf_is_not_taken_over() -> None:
    """PySCF issue 2427: the Coulomb/exchange set came to be used for MP2 as well."""
    mf = mean_field("water", density_fit=True)
    mp = DFMP2(mf).run()
    assert mp.result.labels["auxbasis"] == "cc-pvdz-ri"
    assert mp.result.sizes["naux"] != mf.with_df.get_naoaux()
    right = pyscf_mp2(mf, "cc-pvdz-ri").e_corr
    wrong = pyscf_mp2(mf, "cc-pvdz-jkfit").e_corr
    assert abs(right - wrong) > 1e-5
    assert abs(mp.e_corr - right) < 1e-12


def test_basis_by_element() -> None:
    mol = molecule(WATER, {"O": "cc-pvtz", "default": "cc-pvdz"})
    aux = choose_auxbasis(mol)
    assert aux.names == {"O": "cc-pvtz-ri", "H": "cc-pvdz-ri"}
    mf = converge(mol)
    expected = pyscf_mp2(mf, {"O": "cc-pvtz-ri", "H": "cc-pvdz-ri"})
    assert abs(DFMP2(mf).run().e_corr - expected.e_corr) < 1e-12


def test_element_keys_are_read_in_any_case() -> None:
    """PySCF takes them in any case, so a lower-case key must not cost the fitted set."""
    aux = choose_auxbasis(molecule(WATER, {"o": "cc-pvtz", "h": "cc-pvdz"}))
    assert aux.names == {"O": "cc-pvtz-ri", "H": "cc-pvdz-ri"}


def test_basis_by_labelled_atom() -> None:
    atoms = WATER.replace("; H 0 0", "; H1 0 0")
    aux = choose_auxbasis(molecule(atoms, {"O": "cc-pvdz", "H": "cc-pvdz", "H1": "cc-pvtz"}))
    assert aux.names == {"O": "cc-pvdz-ri", "H": "cc-pvdz-ri", "H1": "cc-pvtz-ri"}


def test_ghost_atoms_carry_functions_and_no_electrons() -> None:
    mol = molecule(WATER + "; Ghost-O 0 0 3.0; X-H 0 0.757 2.4", "cc-pvdz")
    aux = choose_auxbasis(mol)
    assert aux.names == {"O": "cc-pvdz-ri", "H": "cc-pvdz-ri", "GHOST-O": "cc-pvdz-ri",
                         "X-H": "cc-pvdz-ri"}  # fmt: skip
    mf = converge(mol)
    mp = DFMP2(mf, frozen="auto").run()
    assert mp.result.frozen == (0,)
    assert abs(mp.e_corr - pyscf_mp2(mf, "cc-pvdz-ri", frozen=1).e_corr) < 1e-12
    alone = DFMP2(converge(molecule(WATER)), frozen="auto").run()
    assert mp.e_corr < alone.e_corr - 1e-4, "the ghost's functions had no effect"


# No fitted set


def test_even_tempered_set_is_announced() -> None:
    mol = molecule(HI, "def2-svp", ecp={"I": "def2-svp"})
    with pytest.warns(DFMP2Warning, match=r"for I in def2-svp; PySCF's even-tempered set is used"):
        aux = choose_auxbasis(mol)
    assert aux.names == {"H": "def2-svp-ri", "I": "even-tempered"}
    assert aux.reason.endswith("even-tempered for I")


def test_even_tempered_warning_reaches_user_and_result() -> None:
    mp = DFMP2(mean_field("hydrogen_iodide"))
    with pytest.warns(DFMP2Warning, match="for I in def2-svp"):
        mp.run()
    assert any("for I in def2-svp" in note for note in mp.result.notes)


def test_basis_given_as_shells_has_no_known_set() -> None:
    mol = molecule("He 0 0 0", {"He": [[0, [1.2, 1.0]], [0, [0.3, 1.0]], [1, [0.9, 1.0]]]})
    with pytest.warns(DFMP2Warning, match="for He in a basis given as shells"):
        assert choose_auxbasis(mol).names == {"He": "even-tempered"}


# A set that is asked for


def test_auxbasis_by_element_with_default() -> None:
    aux = choose_auxbasis(molecule(WATER), {"O": "cc-pvtz-ri", "default": "cc-pvdz-ri"})
    assert aux.spec == {"O": "cc-pvtz-ri", "H": "cc-pvdz-ri"}
    assert aux.reason == "asked for"


def test_auxbasis_changes_the_energy_as_in_pyscf() -> None:
    mf = mean_field("water")
    mp = DFMP2(mf, auxbasis="cc-pvtz-ri").run()
    assert abs(mp.e_corr - pyscf_mp2(mf, "cc-pvtz-ri").e_corr) < 1e-12
    assert abs(mp.e_corr - DFMP2(mf).run().e_corr) > 1e-6


@pytest.mark.parametrize(
    ("auxbasis", "says"),
    [
        ("cc-pvdz-typo", "'cc-pvdz-typo' is unknown to PySCF or has no functions for H"),
        ({"O": "cc-pvdz-ri"}, "no entry for H and no 'default'"),
        ({"O": "cc-pvdz-ri", "H": "cc-pvdz-typo"}, "'cc-pvdz-typo' is unknown"),
        (5, "PySCF cannot read it"),
    ],
)
def test_wrong_auxbasis(auxbasis: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        DFMP2(mean_field("water"), auxbasis=auxbasis).run()


def test_auxbasis_that_lacks_an_element() -> None:
    with pytest.raises(InputError, match="'def2-svp-ri' is unknown to PySCF or has no functions"):
        DFMP2(mean_field("hydrogen_iodide"), auxbasis="def2-svp-ri").run()


# The metric


def positive(n: int) -> np.ndarray:
    a = rng().uniform(-1, 1, (n, n))
    return a @ a.T + n * np.eye(n)


@pytest.mark.parametrize("n", [1, 2, 31])
def test_cholesky_factor(n: int) -> None:
    metric = positive(n)
    factored = factor_metric(metric.copy())
    assert (factored.kind, factored.dropped) == ("cholesky", 0)
    assert not np.triu(factored.factor, 1).any()
    np.testing.assert_allclose(factored.factor @ factored.factor.T, metric, rtol=1e-13)
    assert str(factored) == "Cholesky"


def test_duplicated_functions_are_dropped() -> None:
    metric = positive(6)
    doubled = np.block([[metric, metric[:, :2]], [metric[:2], metric[:2, :2]]])
    doubled[0, 0] -= 1e-13  # Cholesky must fail, whatever the rounding
    factored = factor_metric(doubled.copy())
    assert (factored.kind, factored.dropped) == ("eigen", 2)
    assert factored.factor.dtype == np.float64
    unit = factored.factor @ doubled @ factored.factor.T
    kept = np.diag([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])  # by growing eigenvalue
    np.testing.assert_allclose(unit, kept, rtol=0, atol=1e-9)
    assert "2 vectors" in str(factored)


def test_threshold_is_pyscf_s() -> None:
    """Eigenvalues up to 1e-10 are dropped, larger ones kept; a Cholesky that works keeps all."""
    v, _ = np.linalg.qr(rng().uniform(-1, 1, (5, 5)))
    w = np.array([-5e-11, 5e-11, 2e-10, 1.0, 2.0])
    metric = (v * w) @ v.T
    factored = factor_metric((metric + metric.T) / 2)
    assert (factored.kind, factored.dropped) == ("eigen", 2)
    assert factor_metric(np.diag([5e-11, 1.0])).kind == "cholesky"
    assert LINEAR_DEPENDENCE == 1e-10


@pytest.mark.parametrize(
    ("metric", "says"),
    [
        (np.diag([1.0, -0.5]), "negative eigenvalue -0.5"),
        (np.array([[np.nan, 0.0], [0.0, 1.0]]), "not finite"),
        (np.array([[np.inf, 0.0], [0.0, 1.0]]), "not finite"),
    ],
    ids=["negative", "nan", "inf"],
)
def test_no_metric(metric: np.ndarray, says: str) -> None:
    with pytest.raises(InputError, match=says):
        factor_metric(metric)


def duplicated_auxbasis(symbols: tuple[str, ...]) -> dict[str, Any]:
    """The RI set with some shells twice: a metric of exact linear dependence."""
    from pyscf import gto

    sets = {s: gto.basis.load("cc-pvdz-ri", s) for s in symbols}
    return {s: [*shells, *shells[-2:]] for s, shells in sets.items()}


def test_linear_dependence_agrees_with_pyscf() -> None:
    """Duplicated functions span nothing new: the energy is that of the plain set, and PySCF's."""
    mf = mean_field("water")
    auxbasis = duplicated_auxbasis(("O", "H"))
    mp = DFMP2(mf, auxbasis=auxbasis).run()
    plain = DFMP2(mf, auxbasis="cc-pvdz-ri").run()
    added = mp.result.sizes["naux"] - plain.result.sizes["naux"]
    assert added > 0
    assert mp.result.labels["metric"].startswith(f"eigen-decomposition, {added} vectors")
    # Solving with a factor of condition number ~1e5 (the square root of the metric's).
    assert abs(mp.e_corr - pyscf_mp2(mf, auxbasis).e_corr) < 1e-9
    assert abs(mp.e_corr - plain.e_corr) < 1e-9
    unfused = DFMP2(mf, auxbasis=auxbasis).set(fused=False).run()
    assert abs(mp.e_corr - unfused.e_corr) < 1e-12


def test_linear_dependence_needs_no_second_b(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan counts one."""
    made: list[tuple[int, ...]] = []
    empty_b = TorchBackend.empty_b

    def counted(self: TorchBackend, *shape: int) -> Any:
        made.append(shape)
        return empty_b(self, *shape)

    monkeypatch.setattr(TorchBackend, "empty_b", counted)
    mp = DFMP2(mean_field("water"), auxbasis=duplicated_auxbasis(("O", "H")))
    assert "eigen" in mp.set(backend="pytorch", device="cpu").run().result.labels["metric"]
    assert len(made) == 1


# Integrals


@pytest.mark.parametrize("block", [1, 7, 10_000])
@pytest.mark.parametrize("cart", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_integral_blocks_beside_pyscf(block: int, cart: bool, threads: int) -> None:
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


def test_cartesian_functions_and_point_groups() -> None:
    for option in ({"cart": True}, {"symmetry": True}):
        mf = converge(molecule(WATER, "cc-pvdz", **option))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            mp = DFMP2(mf).run()
        assert abs(mp.e_corr - pyscf_mp2(mf).e_corr) < 1e-12

"""Mean fields and orbitals that are accepted, and those that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.errors import (
    DFMP2Error,
    InputError,
    NotConvergedError,
    UnsupportedReferenceError,
)
from tests.systems import mean_field, molecule, pyscf_mp2, rng


def fresh(name: str = "water") -> Any:
    """A copy of a shared mean field, which a test may change."""
    return mean_field(name).copy()


# Mean fields that are accepted


@pytest.mark.parametrize("kind", ["density_fit", "newton", "density_fit_newton"])
def test_other_solvers(kind: str) -> None:
    mf = molecule("O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47").RHF()
    if "density_fit" in kind:
        mf = mf.density_fit()
    if "newton" in kind:
        mf = mf.newton()
    mf.verbose, mf.conv_tol = 0, 1e-11
    mf.run()
    mp = DFMP2(mf).run()
    assert abs(mp.e_corr - pyscf_mp2(mf, "cc-pvdz-ri").e_corr) < 1e-9
    assert mp.e_hf == mf.e_tot
    assert mp.result.settings["density_fit"] is ("density_fit" in kind)


def test_kohn_sham_only_on_request() -> None:
    from pyscf import dft

    mf = dft.RKS(mean_field("water").mol, xc="pbe")
    mf.verbose, mf.chkfile, mf.grids.level = 0, None, 0
    mf.kernel()
    with pytest.raises(UnsupportedReferenceError, match=r"mf\.to_hf\(\).*allow_ks=True"):
        DFMP2(mf).run()
    mp = DFMP2(mf).set(allow_ks=True).run()
    assert mp.result.reference == "RKS"
    assert abs(mp.e_corr - pyscf_mp2(mf, "cc-pvdz-ri").e_corr) < 1e-9


# Mean fields that are refused


def _uhf() -> Any:
    return mean_field("water").to_uhf()


def _rohf() -> Any:
    from pyscf import scf

    return scf.ROHF(molecule("O 0 0 0", spin=2)).set(verbose=0).run()


def _ghf() -> Any:
    return mean_field("water").to_ghf()


def _complex() -> Any:
    mf = fresh()
    mf.mo_coeff = mf.mo_coeff * np.exp(0.3j)
    return mf


def _fractional() -> Any:
    mf = fresh()
    mf.mo_occ = mf.mo_occ.copy()
    mf.mo_occ[4:6] = 1.5, 0.5
    return mf


def _unconverged() -> Any:
    mf = fresh()
    mf.converged = False
    return mf


def _without_orbitals() -> Any:
    from pyscf import scf

    return scf.RHF(mean_field("water").mol)


def _periodic() -> Any:
    from pyscf.pbc import gto, scf

    cell = gto.M(atom="He 0 0 0", a=np.eye(3) * 4, basis="sto-3g", verbose=0)
    return scf.RHF(cell)


def _open_shell_restricted() -> Any:
    from pyscf import scf

    return scf.hf.RHF(molecule("O 0 0 0", spin=2))


REFUSED = {
    "spin": (_open_shell_restricted, UnsupportedReferenceError, "spin 2"),
    "ghf": (_ghf, UnsupportedReferenceError, "GHF"),
    "complex": (_complex, UnsupportedReferenceError, r"orbitals are complex.*mo_coeff\.real"),
    "fractional": (
        _fractional,
        UnsupportedReferenceError,
        r"occupations \[0\.5, 1\.5\] are not among \(0, 2\); switch smearing off",
    ),
    "unconverged": (_unconverged, NotConvergedError, r"not converged.*raise mf\.max_cycle"),
    "without orbitals": (_without_orbitals, InputError, r"no orbitals yet; run mf\.kernel\(\)"),
    "periodic": (_periodic, UnsupportedReferenceError, "periodic; dfmp2 treats molecules only"),
    "molecule": (lambda: mean_field("water").mol, UnsupportedReferenceError, "found Mole"),
    "nothing": (lambda: None, UnsupportedReferenceError, "found NoneType"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_mean_field(case: str) -> None:
    make, kind, says = REFUSED[case]
    with pytest.raises(kind, match=says) as caught:
        DFMP2(make()).run()
    assert isinstance(caught.value, DFMP2Error)
    unsupported = kind is UnsupportedReferenceError
    assert isinstance(caught.value, NotImplementedError) is unsupported
    assert caught.value.exit_code == (4 if kind is NotConvergedError else 2)


# Orbitals given by the user


def test_signs_of_orbitals_do_not_matter() -> None:
    """Orbital energies are then from the Fock matrix, so energies agree within SCF convergence."""
    mf = mean_field("water")
    flipped = mf.mo_coeff * np.where(rng().random(24) < 0.5, -1.0, 1.0)
    mp = DFMP2(mf, mo_coeff=flipped).run()
    assert abs(mp.e_corr - DFMP2(mf).run().e_corr) < 1e-9
    assert abs(mp.e_hf - mf.e_tot) < 1e-10


@pytest.mark.parametrize(("p", "q"), [(3, 4), (7, 9)], ids=["occupied", "virtual"])
def test_rotated_orbitals_are_refused(p: int, q: int) -> None:
    mf = mean_field("water")
    c = mf.mo_coeff.copy()
    c[:, [p, q]] = c[:, [p, q]] @ np.array([[0.8, -0.6], [0.6, 0.8]])
    with pytest.raises(InputError, match=f"not canonical: .* orbitals ({p} and {q}|{q} and {p})"):
        DFMP2(mf, mo_coeff=c).run()


def test_orbitals_of_another_molecule_are_refused() -> None:
    with pytest.raises(InputError, match=r"mo_coeff has shape \(29, 29\), but the molecule has 24"):
        DFMP2(mean_field("water"), mo_coeff=mean_field("ammonia").mo_coeff).run()


def test_occupations_that_are_not_canonical_are_refused() -> None:
    """An excited determinant in the orbitals of H2O is not canonical."""
    mf = mean_field("water")
    occ = mf.mo_occ.copy()
    occ[[4, 5]] = occ[[5, 4]]
    with pytest.raises(InputError, match="not canonical"):
        DFMP2(mf, mo_occ=occ).run()


def test_mean_field_without_a_gap_is_refused() -> None:
    mf = fresh()
    mf.mo_energy = mf.mo_energy.copy()
    mf.mo_energy[5] = mf.mo_energy[4]
    with pytest.raises(InputError, match=r"virtual orbital 5 .* not above occupied orbital 4"):
        DFMP2(mf).set(check_reference="off").run()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("e_tot", "a"),
        ("e_tot", 1j),
        ("conv_tol", None),
        ("mo_coeff", np.eye(24).astype(object)),
        ("mo_coeff", [[1.0, 2.0], [3.0]]),
        ("mo_energy", np.zeros(3)),
        ("mo_energy", np.zeros(24, dtype=complex)),
        ("mo_occ", np.full(24, "2")),
    ],
)
def test_attributes_that_are_no_numbers_are_named(name: str, value: Any) -> None:
    """They ended in errors of Python and NumPy, which name neither the attribute nor a remedy."""
    mf = fresh()
    setattr(mf, name, value)
    with pytest.raises(InputError, match=rf"{name} .*run mf\.kernel\(\) again"):
        DFMP2(mf).run()


def test_converted_mean_field_has_to_run() -> None:
    """PySCF clears `converged` in a conversion. "Not converged" alone sent users to max_cycle."""
    from pyscf import scf

    mf = scf.UHF(molecule("H 0 0 0; H 0 0 0.74")).set(verbose=0).run().to_rhf()
    with pytest.raises(NotConvergedError, match=r"to_rhf\(\).*run mf\.kernel\(mf\.make_rdm1"):
        DFMP2(mf).run()


def _hubbard(mol: Any) -> Any:
    """A ring of 6 sites in a mean field, as PySCF's examples of models do."""
    from pyscf import ao2mo, scf

    hops = -np.eye(6, k=1) - np.eye(6, k=5)
    repulsion = np.zeros((6,) * 4)
    repulsion[(np.arange(6),) * 4] = 2.0
    mf = scf.RHF(mol).set(verbose=0)
    mf.get_hcore, mf.get_ovlp = lambda *_: hops + hops.T, lambda *_: np.eye(6)
    mf._eri = ao2mo.restore(8, repulsion, 6)
    mol.incore_anyway = True
    return mf.run()


@pytest.mark.parametrize("check", ["auto", "off"])
def test_model_hamiltonian(check: str) -> None:
    """MP2 would take the integrals of the molecule, which is there for the form only."""
    from pyscf import gto

    empty = gto.M(verbose=0)
    empty.nelectron = 6
    ring = molecule("; ".join(f"H 0 0 {k}" for k in range(6)), "sto-3g")
    says = r"{}, as in a model Hamiltonian\. .* use pyscf\.mp\.MP2\(mf\), which takes mf\._eri"
    for mol, what in (
        (empty, "the molecule has no basis functions"),
        (ring, r"mf\._eri holds other integrals than those of the molecule"),
    ):
        with pytest.raises(UnsupportedReferenceError, match=says.format(what)):
            DFMP2(_hubbard(mol)).set(check_reference=check).run()
    mf = _hubbard(ring)
    mf._eri = None
    with pytest.raises(UnsupportedReferenceError, match=r"mf\.get_ovlp gives another overlap"):
        DFMP2(mf).set(check_reference=check).run()

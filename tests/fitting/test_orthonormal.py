"""Orthonormal auxiliary basis: other functions that span the same space."""

from __future__ import annotations

import numpy as np
import pytest

from dfmp2 import DFMP2
from dfmp2.fitting.auxbasis import AuxBasis, choose_auxbasis
from dfmp2.fitting.metric import metric_integrals
from dfmp2.fitting.orthonormal import orthonormal_form
from tests.systems import mean_field, molecule

ALL = 10**6


@pytest.mark.parametrize(
    "name", ["water", pytest.param("glycine", marks=pytest.mark.slow), "hydrogen_iodide"]
)
@pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set:dfmp2.errors.DFMP2Warning")
def test_energy_is_the_same(name: str) -> None:
    """The fit depends on the space alone, to the accuracy of the factor of the metric."""
    mf = mean_field(name)
    plain = DFMP2(mf).run()
    aux = orthonormal_form(choose_auxbasis(mf.mol), mf.mol, ALL)
    other = DFMP2(mf, auxbasis=aux.mol._basis).run()
    assert aux.naux == plain.result.sizes["naux"]
    assert other.e_corr == pytest.approx(plain.e_corr, abs=1e-11, rel=0)


@pytest.mark.parametrize("block", [1, 7, 12, ALL])
def test_functions_of_an_atom_are_orthonormal(block: int) -> None:
    mol = molecule("Ne 0 0 0", "aug-cc-pvdz")
    aux = choose_auxbasis(mol)
    made = orthonormal_form(aux, mol, block)
    # PySCF scales each function to norm one, so only orthogonality is checked.
    metric = metric_integrals(made.mol)
    scale = np.sqrt(np.diag(metric))
    assert metric / np.outer(scale, scale) == pytest.approx(np.eye(aux.naux), abs=1e-9)
    plain = metric_integrals(aux.mol)
    assert np.linalg.cond(metric) < 1e-3 * np.linalg.cond(plain)
    assert made.largest_shell <= max(block, aux.largest_shell)


def test_labels_are_kept() -> None:
    mf = mean_field("water")
    aux = choose_auxbasis(mf.mol)
    made = orthonormal_form(aux, mf.mol, ALL)
    assert (made.spec, made.names, made.reason) == (aux.spec, aux.names, aux.reason)


def test_ghosts_and_cartesian_functions() -> None:
    from pyscf import scf

    mol = molecule(
        "O 0 0 0.12; H 0 0.76 -0.47; H 0 -0.76 -0.47; Ghost-O 0 0 3", "def2-tzvp", cart=True
    )
    mf = scf.RHF(mol).run(conv_tol=1e-11)
    aux = orthonormal_form(choose_auxbasis(mol), mol, ALL)
    exact, other = DFMP2(mf).run(), DFMP2(mf, auxbasis=aux.mol._basis).run()
    assert other.e_corr == pytest.approx(exact.e_corr, abs=1e-10, rel=0)


def test_linearly_dependent_functions_are_not_changed() -> None:
    mol = molecule("He 0 0 0", "cc-pvdz")
    shell = [0, [1.0, 1.0]]
    aux = AuxBasis(choose_auxbasis(mol, {"He": [shell, [0, [1.0, 1.0]]]}).mol, {}, {}, "a test")
    assert orthonormal_form(aux, mol, ALL) is aux

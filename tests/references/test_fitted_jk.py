"""J and K from fitted integrals beside those of PySCF."""

from __future__ import annotations

import numpy as np
import pytest

from dfmp2.references import fitted_jk as module
from dfmp2.references.fitted_jk import fitted_jk
from tests.systems import molecule


@pytest.mark.parametrize("rows", [1, 7, 10**6])
@pytest.mark.parametrize("spins", [1, 2])
def test_any_symmetric_density(spins: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one with negative eigenvalues, as a change of a density has, and in small blocks.

    The sums have some 1e3 terms of order 1, so rounding errors are below 1e-12.
    """
    from pyscf import df

    mol = molecule("O 0 0 0; H 0 0 .96; H .93 0 -.24", "6-31g")
    nao = mol.nao_nr()
    monkeypatch.setattr(module, "BLOCK", 8 * rows * nao**2)
    random = np.random.default_rng(13).standard_normal((spins, nao, nao)) / nao
    dm = random + random.swapaxes(1, 2)
    dm = dm[0] if spins == 1 else dm
    fitted = df.DF(mol)
    expected = fitted.get_jk(dm, hermi=1)
    found = fitted_jk(fitted, dm)
    for own, pyscf in zip(found, expected, strict=True):
        assert own.shape == dm.shape
        np.testing.assert_allclose(own, pyscf, rtol=0, atol=1e-12)


def test_no_electrons_of_one_spin() -> None:
    """The hydrogen atom has no beta electron. Its density is zero, and so is K."""
    from pyscf import df

    mol = molecule("H 0 0 0", "6-31g", spin=1)
    dm = np.zeros((2, 2, 2))
    dm[0, 0, 0] = 1.0
    _, vk = fitted_jk(df.DF(mol), dm)
    assert not vk[1].any()
    assert vk[0].any()

"""An energy-regression test to copy into another project.

    pytest examples/test_energy_regression.py

The reference values are from psi4 1.3.2 for the same geometry and basis sets; see
tests/data/README.md. Two programs with separately converged SCFs differ by less than the tolerance.
"""

from pathlib import Path

import pytest
from pyscf import gto, scf

from dfmp2 import DFMP2

INPUTS = Path(__file__).parent.parent / "inputs"
TOLERANCE = 1e-7  # hartree


@pytest.mark.parametrize(
    ("name", "frozen", "e_corr", "e_corr_ss"),
    [
        ("water", None, -0.2039902877, -0.0515817122),
        ("benzene", 6, -0.7819832893, -0.2054996446),
    ],
)
def test_correlation_energy(name: str, frozen: int | None, e_corr: float, e_corr_ss: float) -> None:
    mol = gto.M(atom=str(INPUTS / f"{name}.xyz"), basis="cc-pvdz", verbose=0)
    mf = scf.RHF(mol).run(conv_tol=1e-10, conv_tol_grad=1e-7)
    mp2 = DFMP2(mf, frozen=frozen).run()
    assert mp2.e_corr == pytest.approx(e_corr, abs=TOLERANCE, rel=0)
    assert mp2.e_corr_ss == pytest.approx(e_corr_ss, abs=TOLERANCE, rel=0)

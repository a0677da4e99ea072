"""Correlation energies of molecules through `pair_energy`, against PySCF.

B is made here in float64 from PySCF's integrals, independently of the package's own pipeline. The
float64 energy from the same B is compared with PySCF first, to check B itself.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from dfmp2.kernels import reference
from dfmp2.kernels.launch import Launch, Launcher
from dfmp2.kernels.pair_energy import pair_energy

pyscf = pytest.importorskip("pyscf")

from pyscf import df, gto, scf  # noqa: E402
from pyscf.mp.dfmp2_native import DFMP2  # noqa: E402

INPUTS = Path(__file__).parents[2] / "inputs"
BASIS, AUXBASIS = "cc-pvdz", "cc-pvdz-ri"

TOLERANCE = {"water": 1e-7, "ammonia": 1e-7, "methane": 1e-7, "glycine": 1e-7, "benzene": 1e-6}


LARGE = ("glycine", "benzene")
"""Half a minute each in a simulator."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in TOLERANCE]
)
def test_correlation_energy(launch: Launch, name: str) -> None:
    """Total, opposite- and same-spin energy, in Eh."""
    mol = gto.M(atom=str(INPUTS / f"{name}.xyz"), basis=BASIS, verbose=0)
    mf = scf.RHF(mol).density_fit()
    mf.conv_tol = 1e-10
    mf.kernel()
    nocc = mol.nelectron // 2
    occ, vir = mf.mo_coeff[:, :nocc], mf.mo_coeff[:, nocc:]
    e_occ, e_vir = mf.mo_energy[:nocc], mf.mo_energy[nocc:]

    auxmol = df.addons.make_auxmol(mol, AUXBASIS)
    integrals = df.incore.aux_e2(mol, auxmol, aosym="s1")
    half = np.einsum("mnP,mi,na->Pia", integrals, occ, vir, optimize=True)
    low = scipy.linalg.cholesky(auxmol.intor("int2c2e"), lower=True)
    b = scipy.linalg.solve_triangular(low, half.reshape(len(low), -1), lower=True)
    b = np.ascontiguousarray(b.reshape(half.shape).transpose(1, 0, 2))

    def total(e_os: np.ndarray, e_ss: np.ndarray) -> tuple[float, float]:
        weight = np.triu(np.full_like(e_os, 2.0), 1) + np.eye(len(e_os))
        return float(np.sum(weight * e_os)), float(np.sum(weight * e_ss))

    peer = DFMP2(mf, auxbasis=AUXBASIS)
    peer.kernel()
    exact = total(*reference.pair_energy(b, b, e_occ, e_occ, e_vir, diagonal=True))
    assert sum(exact) == pytest.approx(peer.e_corr, abs=1e-9)

    counted = Launcher(launch)
    result = total(*pair_energy(b, b, e_occ, e_occ, e_vir, diagonal=True, launch=counted))
    assert sum(result) == pytest.approx(peer.e_corr, abs=TOLERANCE[name])
    assert result == pytest.approx(exact, abs=TOLERANCE[name])
    assert len(counted.programs) == 1

"""Molecules of the tests, and their converged mean fields, each computed once per session.

A mean field from here is shared: tests copy it before they change anything in it.
"""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dfmp2.molecules.build import build_mole, read_geometry

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ROOT / "inputs"
DATA = ROOT / "tests" / "data"

SMALL = ("water", "ammonia", "methane", "ethylene", "glycine", "benzene", "hydrogen_iodide")
LARGE = ("uracil_dimer_stacked", "caffeine", "water10")
"""More than 20 s each."""

CLUSTERS = ("water4", "water8", "water12", "water16", "water20")
"""Rings of four waters and stacks of them, for scaling with size. Orbitals for them are from a
density-fitted SCF: an exact one takes longer than everything else together."""


def basis_of(name: str) -> str:
    """The double-zeta basis of an input: cc-pVDZ, or def2-SVP where an element has an ECP."""
    return "def2-svp" if name == "hydrogen_iodide" else "cc-pvdz"


def converge(mol: Any, density_fit: bool = False) -> Any:
    """A tightly converged RHF. A looser one moves correlation energies by more than 1e-9."""
    from pyscf import scf

    mf = scf.RHF(mol)
    if density_fit:
        mf = mf.density_fit()
    mf.verbose, mf.chkfile = 0, None
    mf.conv_tol, mf.conv_tol_grad = 1e-11, 1e-8
    mf.kernel()
    assert mf.converged
    return mf


def molecule(atoms: str, basis: Any = "cc-pvdz", **options: Any) -> Any:
    """A molecule from PySCF's own notation, in Å."""
    from pyscf import gto

    return gto.M(atom=atoms, basis=basis, verbose=0, **options)


@cache
def mean_field(name: str, basis: str | None = None, density_fit: bool = False) -> Any:
    """Mean field of a file in inputs/, in its double-zeta basis if not told otherwise."""
    geometry = read_geometry(str(INPUTS / f"{name}.xyz"))
    return converge(build_mole(geometry, basis or basis_of(name)), density_fit)


@cache
def references() -> dict[str, Any]:
    """Stored energies of other programs."""
    content: dict[str, Any] = json.loads((DATA / "references.json").read_text())
    return content


def pyscf_mp2(mf: Any, auxbasis: Any = None, frozen: Any = None) -> Any:
    """PySCF's own DF-MP2, by default with its own choice of the RI-MP2 set."""
    from pyscf import df
    from pyscf.mp import dfmp2

    if auxbasis is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # advice to install another package
            auxbasis = df.make_auxbasis(mf.mol, mp2fit=True)
    mf = mf.copy()
    mf.with_df = df.DF(mf.mol, auxbasis=auxbasis)
    reference = dfmp2.DFMP2(mf, frozen=frozen)
    reference.verbose = 0
    reference.kernel(with_t2=False)
    return reference


def rng(seed: int = 7) -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(seed)

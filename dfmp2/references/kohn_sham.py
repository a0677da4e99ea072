"""Kohn-Sham references of double hybrids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dfmp2.errors import InputError, UnsupportedReferenceError
from dfmp2.references.double_hybrids import DoubleHybrid
from dfmp2.references.solution import ScfSolution
from dfmp2.settings import Settings

__all__ = ["KINDS", "grid_of", "new_kohn_sham", "require_functional", "with_functional"]

KINDS = {"rhf": "rks", "uhf": "uks"}
"""Kind of Kohn-Sham reference by kind of Hartree-Fock reference."""

SAME_FUNCTIONAL = 1e-9
"""Hartree per electron. Two notations of one functional differ by rounding only."""


def new_kohn_sham(mol: Any, kind: str, hybrid: DoubleHybrid, settings: Settings) -> Any:
    """A Kohn-Sham object for the orbitals of a double hybrid, not yet run.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    kind : {"rhf", "uhf"}
    hybrid : DoubleHybrid
    settings : Settings
        Read: `grid`.
    """
    from pyscf import dft

    mf = {"rhf": dft.rks.RKS, "uhf": dft.uks.UKS}[kind](mol, xc=hybrid.scf_xc)
    mf.grids.level = settings.grid
    return mf


def grid_of(mf: Any) -> int | str:
    """The grid of a Kohn-Sham object: a level of PySCF's grids, or a text for any other one."""
    from pyscf import dft

    plain = dft.gen_grid.Grids(mf.mol)
    names = ("atom_grid", "prune", "radi_method", "becke_scheme", "radii_adjust", "atomic_radii")
    changed = [n for n in names if not _same(getattr(mf.grids, n), getattr(plain, n))]
    if not changed:
        return int(mf.grids.level)
    texts = {"atom_grid": f"atom_grid {mf.grids.atom_grid}"}
    if mf.grids.prune is None:
        texts["prune"] = "not pruned"
    level = [] if mf.grids.atom_grid else [f"level {mf.grids.level}"]
    return ", ".join([*level, *(texts.get(name, f"{name} changed") for name in changed)])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    return bool(one is other or one == other)


def require_functional(mf: Any, hybrid: DoubleHybrid) -> None:
    """Refuse a mean field that does not have the functional of the orbitals of a double hybrid.

    Raises
    ------
    InputError
        If it has another functional, or its energy contains a dispersion energy.
    UnsupportedReferenceError
        If it is no Kohn-Sham object.
    """
    from pyscf.dft.rks import KohnShamDFT

    wanted = f"mf.xc = {hybrid.scf_xc!r}"
    if not isinstance(mf, KohnShamDFT):
        raise UnsupportedReferenceError(
            f"xc {hybrid.name} needs Kohn-Sham orbitals, found {type(mf).__name__}; use dft.RKS or "
            f"dft.UKS with {wanted}"
        )
    if mf.disp or mf.scf_summary.get("dispersion") or mf.do_nlc():
        raise InputError(
            f"the energy of the mean field contains dispersion (mf.disp = {mf.disp!r}, mf.nlc = "
            f"{mf.nlc!r}), which xc {hybrid.name} adds itself where its name says so; use "
            f"{wanted}, mf.disp = None and mf.nlc = '', and run it again"
        )
    if not _same_functional(mf, hybrid.scf_xc):
        if mf.xc == hybrid.scf_xc:
            raise InputError(
                f"xc {hybrid.name}: mf.xc has the right name {mf.xc!r}, but mf._numint defines "
                "another functional under it (libxc.define_xc, mf.define_xc_); make a new mean "
                "field without it, and run it again"
            )
        raise InputError(
            f"xc {hybrid.name}: its orbitals are those of another functional than mf.xc = "
            f"{mf.xc!r}; set {wanted} and run mf.kernel() again"
        )


def with_functional(solution: ScfSolution, mf: Any, hybrid: DoubleHybrid) -> ScfSolution:
    """The solution with the energy of the KS part of a double hybrid as its `e_tot`.

    Parameters
    ----------
    solution : ScfSolution
        Of `mf`.
    mf : pyscf.dft.rks.RKS or pyscf.dft.uks.UKS
        Has the functional of the orbitals.
    hybrid : DoubleHybrid
    """
    if not hybrid.orbitals:
        return solution
    part = mf.copy()
    part.verbose, part.xc = 0, hybrid.xc
    return replace(solution, e_tot=float(part.energy_tot(dm=solution.density)))


def _same_functional(mf: Any, xc: str) -> bool:
    """Whether the functional of a mean field gives the same numbers as `xc`, whatever its name."""
    from pyscf.dft.numint import NumInt

    plain, own = NumInt(), mf._numint
    if own._xc_type(mf.xc) != plain._xc_type(xc):
        return False
    exchange = np.subtract(own.rsh_and_hybrid_coeff(mf.xc), plain.rsh_and_hybrid_coeff(xc))
    if not np.abs(exchange).max() <= SAME_FUNCTIONAL:
        return False
    # Densities of both spins with gradients of usual size: |grad n| is about n^(4/3).
    n = np.geomspace(1e-2, 1e2, 9)
    spins = [np.array([n * f, s * (n * f) ** (4 / 3), 0 * n, 0 * n]) for f, s in ((1, 1), (0.6, 3))]
    energies = [ni.eval_xc(code, spins, 1, deriv=0)[0] for ni, code in ((own, mf.xc), (plain, xc))]
    return bool(np.abs(np.subtract(*energies)).max() <= SAME_FUNCTIONAL)

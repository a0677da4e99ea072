"""The auxiliary basis of a density-fitting object of PySCF (``mp.with_df = df.DF(mol, ...)``).

PySCF's MP2 takes the integrals of this object. dfmp2 takes its auxiliary basis, which gives the
same energy, and refuses an object whose integrals are not those of its auxiliary basis.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dfmp2.errors import InputError
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.foreign_errors import translated
from dfmp2.integrals.scf_cderi import ScfIntegrals, require_same_set
from dfmp2.molecules.advice import without_advice
from dfmp2.references.solution import ScfSolution
from dfmp2.settings import BasisSpec

__all__ = ["auxbasis_of", "require_density_fitting"]

SAME_PLACE = 1e-9
"""Bohr. Positions of the same atoms differ by rounding only."""


def require_density_fitting(with_df: Any) -> None:
    """Refuse what is no molecular density-fitting object of PySCF.

    Raises
    ------
    InputError
    """
    from pyscf import df

    if not isinstance(with_df, df.DF):
        raise InputError(
            f"with_df is a {type(with_df).__name__} of {type(with_df).__module__}; give a "
            "pyscf.df.DF (of gpu4pyscf: its to_cpu()), or leave with_df at None and set auxbasis"
        )


@translated("reading with_df")
def auxbasis_of(with_df: Any, solution: ScfSolution) -> BasisSpec:
    """The auxiliary basis that a density-fitting object stands for.

    Parameters
    ----------
    with_df : pyscf.df.DF
    solution : ScfSolution
        The reference of MP2.

    Returns
    -------
    str or dict
        Of an object without a basis: PySCF's Coulomb/exchange (JK) set, which PySCF would take.

    Raises
    ------
    InputError
        If the object belongs to another molecule, or holds integrals that its auxiliary basis does
        not give.
    """
    from pyscf.df import addons

    mol = solution.mol
    if _atoms(with_df.mol) != _atoms(mol) or not np.allclose(
        with_df.mol.atom_coords(), mol.atom_coords(), rtol=0, atol=SAME_PLACE
    ):
        raise InputError(
            "with_df was made for other atoms or positions than those of the mean field; use "
            "with_df.reset(mf.mol), or leave with_df at None and set auxbasis"
        )
    spec = with_df.auxbasis
    if spec is None:
        quiet = mol.copy(deep=False)
        quiet.verbose = 0
        with without_advice():
            spec = addons.make_auxbasis(quiet)
    aux = choose_auxbasis(mol, spec)
    try:
        require_same_set(mol, with_df, aux)
        if with_df._cderi is not None:
            ScfIntegrals(replace(solution, with_df=with_df), aux)
    except (InputError, KeyError, OSError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(
            f"with_df holds other functions or integrals than those of {aux}; dfmp2 computes them "
            "from the auxiliary basis. Remove them with with_df.reset(mf.mol), or use "
            "pyscf.mp.dfmp2 for integrals of your own"
        ) from error
    return spec


def _atoms(mol: Any) -> list[str]:
    return [mol.atom_symbol(i) for i in range(mol.natm)]

"""Whether an SCF found the lowest restricted solution."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from dfmp2.errors import DFMP2Warning, NotConvergedError
from dfmp2.foreign_errors import translated
from dfmp2.references.mean_field import as_mean_field
from dfmp2.references.solution import ScfSolution

__all__ = ["with_stability"]


@translated("the analysis of the stability", "leave check_stability out")
def with_stability(solution: ScfSolution, mf: Any = None) -> ScfSolution:
    """Look for an internal instability, and warn.

    Parameters
    ----------
    solution : ScfSolution
    mf : pyscf.scf.hf.RHF, optional
        With these orbitals. A plain RHF if not given.

    Returns
    -------
    ScfSolution
        With a note if there is a solution of the same kind with a lower energy.

    Raises
    ------
    NotConvergedError
        If the analysis fails.
    """
    if solution.mo_occ.all():
        return solution  # no virtual orbitals
    if mf is None:
        mf = as_mean_field(solution)
    try:
        *_, stable, _ = mf.stability(internal=True, external=False, verbose=0, return_status=True)
    except (RuntimeError, np.linalg.LinAlgError) as error:
        raise NotConvergedError(
            f"the stability analysis of PySCF failed ({type(error).__name__}: {error}); leave "
            "check_stability out"
        ) from error
    if stable:
        return solution
    text = (
        "the SCF solution is unstable: another one of the same kind has a lower energy, so this "
        "MP2 energy is not that of the ground state; rotate the orbitals with mf.stability() in "
        "PySCF, converge again, and pass the mean field or its chkfile"
    )
    warnings.warn(text, DFMP2Warning, stacklevel=2)
    return replace(solution, notes=(*solution.notes, text))

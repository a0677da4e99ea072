"""Comparison with PySCF: the same energy from independent code on the same orbitals.

`pyscf.mp.dfmp2` and `pyscf.mp.dfump2` share the integrals (libcint), the orbitals and the auxiliary
basis with dfmp2, and nothing else. Conventional MP2, without fitting, gives the fitting error.
PySCF has no single excitations of an ROHF, so those of the result are added to its energies.
For Kohn-Sham orbitals a plain sum over PySCF's integrals takes the place of these programs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dfmp2 import defaults
from dfmp2.errors import ValidationError
from dfmp2.interfaces.explicit_sum import explicit_energies
from dfmp2.references.mean_field import as_mean_field
from dfmp2.references.solution import ScfSolution
from dfmp2.results.result import Result

__all__ = [
    "Comparison",
    "compare",
    "default_tolerance",
    "pyscf_dfmp2",
    "require_agreement",
]


USUAL_FITTING_ERROR = 2e-4
"""Per atom, hartree. RI-MP2 sets of their own basis erred by up to 8.5e-5 (HBr in def2-SVP)."""


def default_tolerance(result: Result) -> float:
    """The difference from PySCF that a result may show, hartree."""
    if result.settings["precision"] == "fp64":
        return defaults.TOLERANCE
    return float(result.settings["accuracy"])


@dataclass(frozen=True)
class Comparison:
    """A result beside PySCF's. Energies in hartree.

    Attributes
    ----------
    name : str
    e_corr : float
        Of dfmp2, not scaled.
    e_corr_pyscf : float
        Of `pyscf.mp.dfmp2`, or `pyscf.mp.dfump2` for an open shell.
    tolerance : float
    e_corr_exact : float or None
        Conventional MP2, where it was asked for.
    hf_difference : float
        Reference energy of the result minus that of the SCF it is compared on.
    reference : {"HF", "KS"}
    natoms : int
    """

    name: str
    e_corr: float
    e_corr_pyscf: float
    tolerance: float
    e_corr_exact: float | None = None
    hf_difference: float = 0.0
    reference: str = "HF"
    natoms: int = 1

    @property
    def difference(self) -> float:
        """dfmp2 minus PySCF."""
        return self.e_corr - self.e_corr_pyscf

    @property
    def fitting_error(self) -> float | None:
        """dfmp2 minus conventional MP2; a property of the auxiliary basis."""
        return None if self.e_corr_exact is None else self.e_corr - self.e_corr_exact

    @property
    def badly_fitted(self) -> bool:
        """Whether the fitting error is larger than that of usual auxiliary sets."""
        return abs(self.fitting_error or 0.0) > USUAL_FITTING_ERROR * self.natoms

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance (false for NaN)."""
        return abs(self.difference) <= self.tolerance and abs(self.hf_difference) <= self.tolerance


def compare(
    solution: ScfSolution, result: Result, tolerance: float, exact: bool = False
) -> Comparison:
    """Compute the energy again with PySCF.

    Parameters
    ----------
    solution : ScfSolution
        The orbitals `result` was computed from, or the same SCF converged again.
    result : Result
    tolerance : float
        Hartree.
    exact : bool
        Also run conventional MP2.

    Returns
    -------
    Comparison
    """
    from pyscf.mp import mp2, ump2

    frozen, natoms = result.frozen, len(result.molecule.symbols)
    hf_difference = result.e_hf - solution.e_tot
    if result.reference.endswith("KS"):
        return Comparison(
            name=result.molecule.name,
            e_corr=result.e_corr,
            e_corr_pyscf=_weighted(solution, result, result.molecule.auxbasis),
            tolerance=tolerance,
            e_corr_exact=_weighted(solution, result, None) if exact else None,
            hf_difference=hf_difference,
            reference="KS",
            natoms=natoms,
        )
    e_corr, singles = result.energies["MP2"]["correlation"], result.e_singles
    if not result.e_corr_os and not result.e_corr_ss:
        zero = singles if exact else None  # nothing to correlate; PySCF refuses such molecules
        return Comparison(result.molecule.name, e_corr, singles, tolerance, zero, hf_difference)
    reference = pyscf_dfmp2(solution, result.molecule.auxbasis, frozen)
    reference.kernel(with_t2=False)
    e_exact = None
    if exact:
        kind = ump2.UMP2 if result.open_shell else mp2.RMP2
        conventional = kind(as_mean_field(solution), frozen=_for_pyscf(frozen))
        conventional.verbose = 0
        conventional.kernel(with_t2=False)
        e_exact = float(conventional.e_corr) + singles
    return Comparison(
        name=result.molecule.name,
        e_corr=e_corr,
        e_corr_pyscf=float(reference.e_corr) + singles,
        tolerance=tolerance,
        e_corr_exact=e_exact,
        hf_difference=hf_difference,
        natoms=natoms,
    )


def _weighted(solution: ScfSolution, result: Result, auxbasis: Any) -> float:
    """The second-order energy with the weights of a result, from a plain sum."""
    opposite, same = result.scale or (1.0, 1.0)
    e_os, e_ss = explicit_energies(solution, result.frozen, auxbasis)
    return opposite * e_os + same * e_ss


def pyscf_dfmp2(
    solution: ScfSolution,
    auxbasis: Any,
    frozen: tuple[Any, ...],
    max_memory: float | None = None,
) -> Any:
    """PySCF's own DF-MP2 on converged orbitals, not yet run.

    Parameters
    ----------
    solution : ScfSolution
    auxbasis : dict
    frozen : tuple of int, or of two tuples of int
    max_memory : float, optional
        MB that PySCF may use.

    Returns
    -------
    pyscf.mp.dfmp2.DFMP2 or pyscf.mp.dfump2.DFUMP2
    """
    from pyscf import df
    from pyscf.mp import dfmp2, dfump2

    # PySCF would choose an auxiliary basis at once, and fails to for some orbital bases (6-31G**).
    fitted = as_mean_field(solution, max_memory)
    fitted.with_df = df.DF(solution.mol, auxbasis=auxbasis)
    kind = dfump2.DFUMP2 if solution.mo_coeff.ndim == 3 else dfmp2.DFMP2
    reference = kind(fitted, frozen=_for_pyscf(frozen))
    reference.verbose = 0
    return reference


def _for_pyscf(frozen: tuple[Any, ...]) -> list[Any] | None:
    lists = [list(one) if isinstance(one, tuple) else one for one in frozen]
    return lists if any(lists) or 0 in frozen else None


def require_agreement(comparisons: list[Comparison]) -> None:
    """Raise where a comparison failed.

    Raises
    ------
    ValidationError
        Naming each molecule, its difference and the tolerance.
    """
    failed = [c for c in comparisons if not c.agrees]
    if failed:
        lines = ", ".join(
            f"{c.name} by {c.difference:.2e} Eh (E({c.reference}) by {c.hf_difference:.2e})"
            for c in failed
        )
        raise ValidationError(
            f"the energy differs from PySCF's: {lines} (tolerance {failed[0].tolerance:g} Eh)"
        )

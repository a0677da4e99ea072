"""Hartree-Fock for users who start from a molecule."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from dfmp2 import defaults
from dfmp2.errors import DFMP2Warning, InputError, NotConvergedError, UnsupportedReferenceError
from dfmp2.references.check import (
    ADVICE,
    FULL,
    require_orthonormal,
    require_rohf,
    require_solution,
)
from dfmp2.references.converge import Report, converge
from dfmp2.references.double_hybrids import double_hybrid_of
from dfmp2.references.kohn_sham import KINDS, grid_of, new_kohn_sham, with_functional
from dfmp2.references.mean_field import read_mean_field
from dfmp2.references.response import Response
from dfmp2.references.solution import ReferenceCheck, ScfSolution
from dfmp2.references.stability import with_stability
from dfmp2.settings import REFERENCES, Settings

__all__ = ["checked_again", "new_scf", "run_scf", "scf_kind", "stored_solution"]


def run_scf(
    mol: Any,
    settings: Settings,
    gradient_tol: float = defaults.GRADIENT_TOL,
    x2c: bool = False,
    progress: Report | None = None,
) -> ScfSolution:
    """Converge a Hartree-Fock calculation.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    settings : Settings
        Read: `reference`, `scf_algorithm`, `density_fit`, `scf_auxbasis`, `conv_tol`, `max_cycle`,
        `check_reference`, `check_stability`, `xc`, `grid`.
    gradient_tol : float
        Threshold of the orbital gradient, hartree.
    x2c : bool
        Use the spin-free X2C Hamiltonian (sfX2C1e).
    progress : callable, optional
        Called with each `dfmp2.references.converge.ScfStep`.

    Returns
    -------
    ScfSolution

    Raises
    ------
    NotConvergedError
        If `max_cycle` iterations do not suffice.
    InputError
        If the basis is linearly dependent to rounding, or too small.
    UnsupportedReferenceError
        For "rhf" of a molecule with unpaired electrons.
    """
    mf = new_scf(mol, settings)
    if x2c:
        mf = mf.sfx2c1e()
    mf.conv_tol, mf.conv_tol_grad = settings.conv_tol, gradient_tol
    mf.max_cycle = settings.max_cycle
    hybrid, how = double_hybrid_of(settings), None
    try:
        if hybrid is None:
            how = converge(mf, settings.scf_algorithm, progress=progress)
        else:
            mf.kernel()
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"PySCF cannot do the SCF in this basis ({error}); the basis is linearly dependent: "
            "look for a function that is there twice, or for two atoms at one place"
        ) from error
    except AssertionError as error:  # PySCF has no other word for too few functions
        raise InputError(
            "PySCF cannot do the SCF in this basis; it has too few functions for the electrons, or "
            "was made for another effective core potential"
        ) from error
    if not mf.converged:
        raise NotConvergedError(
            f"the SCF did not converge to {settings.conv_tol:g} Eh in {settings.max_cycle} "
            "iterations; raise --max-cycle, or converge it in PySCF and pass its chkfile"
        )
    mf._eri = None  # the check of the reference keeps the mean field, but needs no memory for these
    corrected = how is not None and how.algorithm == "corrected"
    if corrected and settings.check_reference != "off" and "ROHF" not in type(mf).__name__:
        solution = read_mean_field(mf, check="off")
        require_orthonormal(solution)  # energies and e_tot are those of its last Fock matrix
        solution = replace(solution, check=ReferenceCheck(FULL))
    else:
        with _no_solution():
            solution = read_mean_field(mf, allow_ks=how is None, check=settings.check_reference)
        if (exact := solution.check.exact) is not None:
            solution.check.exact = _no_solution()(exact)
    if how is not None:
        solution = replace(solution, how=how, notes=how.notes)
    if hybrid is not None:
        solution = with_functional(solution, mf, hybrid)
    return with_stability(solution, mf) if settings.check_stability else solution


@contextmanager
def _no_solution() -> Iterator[None]:
    """A failed check of dfmp2's own SCF is no fault of an input."""
    try:
        yield
    except UnsupportedReferenceError:
        raise
    except InputError as error:
        raise NotConvergedError(
            "the SCF of PySCF stopped as converged, but it did not reach a solution: "
            f"{str(error).removesuffix(f'; {ADVICE}')}; look at the geometry (atoms far apart?), "
            "or converge it in PySCF and pass its chkfile"
        ) from error


def checked_again(solution: ScfSolution, settings: Settings) -> ScfSolution:
    """Make the checks that were asked for with orbitals that a run file holds.

    Parameters
    ----------
    solution : ScfSolution
        As of `stored_solution`.
    settings : Settings
        Read: `check_reference`, `check_stability`, and those of the SCF.

    Raises
    ------
    InputError
        As `dfmp2.references.check.require_solution`.
    NotConvergedError
        If the analysis of the stability fails.
    """
    hybrid, full = double_hybrid_of(settings), settings.check_reference == "full"
    mf = new_scf(solution.mol, settings)
    mf.mo_coeff, mf.mo_occ, mf.mo_energy = solution.mo_coeff, solution.mo_occ, solution.mo_energy
    mf.e_tot, mf.converged = solution.e_tot, True
    missing = []
    if full and hybrid is not None and hybrid.orbitals:
        missing.append("check_reference full")  # its e_tot is that of another functional
    elif full:
        require_orthonormal(solution)
        check = require_rohf if solution.kind == "ROHF" else require_solution
        solution = replace(solution, check=ReferenceCheck(FULL, remarks=check(solution, mf)))
    if settings.check_stability and solution.kind == "ROHF":
        missing.append("check_stability")  # the orbitals in the file are semicanonical
    elif settings.check_stability:
        solution = with_stability(solution, mf)
    for name in missing:
        text = (
            f"{name} was not made: the run file does not hold all that it needs for this "
            "reference; start again with --restart"
        )
        warnings.warn(text, DFMP2Warning, stacklevel=2)
        solution = replace(solution, notes=(*solution.notes, text))
    return solution


def stored_solution(mol: Any, settings: Settings, orbitals: dict[str, Any]) -> ScfSolution:
    """The solution whose arrays a run file holds.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    settings : Settings
        Of the SCF. With `integrals` "scf", its three-centre integrals are made again.
    orbitals : dict
        As from `dfmp2.runfile.content.load_scf`.

    Returns
    -------
    ScfSolution
    """
    mf = new_scf(mol, settings)
    with_df = getattr(mf, "with_df", None)
    if with_df is not None and settings.integrals == "scf":
        with_df.build()
    check = ReferenceCheck("not repeated for the orbitals in the run file")
    how, kind = orbitals["how"], scf_kind(mol, settings.reference)
    notes = () if how is None else how.notes
    if settings.xc is not None:
        orbitals = {**orbitals, "functional": mf.xc, "grid": grid_of(mf)}
        kind = KINDS[kind]
    return ScfSolution(
        mol=mol,
        kind=kind.upper(),
        with_df=with_df,
        check=check,
        notes=notes,
        response=Response(mf),
        **orbitals,
    )


def new_scf(mol: Any, settings: Settings) -> Any:
    """A silent SCF object of the kind that `settings` name, not yet run."""
    from pyscf import scf

    kind, hybrid = scf_kind(mol, settings.reference), double_hybrid_of(settings)
    if hybrid is not None:
        mf = new_kohn_sham(mol, kind, hybrid, settings)
    else:
        mf = {"rhf": scf.hf.RHF, "uhf": scf.uhf.UHF, "rohf": scf.rohf.ROHF}[kind](mol)
    if settings.density_fit:
        mf = mf.density_fit(auxbasis=settings.scf_auxbasis)
    mf.verbose = 0
    mf.chkfile = None  # PySCF writes one to a temporary folder otherwise
    return mf


def scf_kind(mol: Any, reference: str, source: str = "") -> str:
    """The kind of SCF of a molecule: "rhf", "uhf" or "rohf".

    Parameters
    ----------
    mol : pyscf.gto.Mole
    reference : {"auto", "rhf", "uhf", "rohf"}
        "auto" takes "rhf" without unpaired electrons, "uhf" otherwise.
    source : str
        Name of the input, for the message.

    Raises
    ------
    InputError
        If `reference` is another word.
    UnsupportedReferenceError
        For "rhf" of a molecule with unpaired electrons.
    """
    if reference not in REFERENCES:
        raise InputError(
            f"reference {reference!r} is unknown; choose one of {', '.join(REFERENCES)}"
        )
    if reference == "auto":
        return "rhf" if mol.spin == 0 else "uhf"
    if reference == "rhf" and mol.spin != 0:
        raise UnsupportedReferenceError(
            f"{source + ': ' if source else ''}reference rhf, but spin {mol.spin} (unpaired "
            "electrons); use reference uhf or rohf (--reference), or check charge and spin"
        )
    return reference

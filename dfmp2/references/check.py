"""Whether orbitals, orbital energies and total energy belong to one Hartree-Fock solution.

MP2 cannot see that they do not: it gives another number without a message. There are three checks:

- C^T S C = 1, and no number is NaN or infinite (`require_orthonormal`);
- E_nuc + sum_i (e_i + h_ii) = E_tot, which needs no two-electron integrals;
- the Fock matrix: with random vectors during the DF-MP2 run (see `dfmp2.integrals.fock_probe`), or
  all of it (`require_solution`).

The two-electron part of the Fock matrix is always that of the molecule, and not the mean field's
own: MP2 uses the integrals of the molecule, so an SCF with other integrals is no reference for it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.references.hamiltonian import SGX
from dfmp2.references.solution import ReferenceCheck, ScfSolution
from dfmp2.settings import CHECKS

__all__ = [
    "ADVICE",
    "CHEAP",
    "FULL",
    "OFF",
    "UNCHECKED",
    "WITHOUT_FOCK",
    "checked",
    "fock_faults",
    "remarks_on",
    "require_finite",
    "require_orthonormal",
    "require_rohf",
    "require_solution",
]

ORTHONORMAL = 1e-6
"""Largest element of C^T S C - 1. PySCF's orbitals reach 1e-12. A movement of one atom by 1e-5
bohr exceeds this."""

SUM_RULE = 1e-4
"""Hartree. Largest difference of the total energy with the integrals of the SCF itself."""

DECIDED = 3e-5
"""Hartree. A larger difference of the sum rule is decided by the Fock matrix. An SCF with PySCF's
default convergence mostly reaches 4e-6."""

CONVERGED = 5e-5
"""Hartree. A larger element of C^T F C - diag(e) is reported. SCFs with PySCF's default convergence
reach 1.3e-5, and one with conv_tol 1e-5 4.3e-5."""

SAME_TOTAL = 1e-6
"""Hartree. A larger difference of the total energy is reported. A converged SCF of PySCF has the
energy of its own orbitals to rounding."""

FOCK = 5e-3
"""Hartree. Largest element of C^T F C - diag(e). Density fitting and seminumerical exchange change
elements by up to 3e-3, a real fault by 5e-2 and more."""

OWN_FOCK = 5e-4
"""The same where the Fock matrix is made from the integrals of the SCF itself. It leaves room for
rounding and for an SCF that is converged to PySCF's default (orbital gradient 3e-5)."""

ENERGY, ENERGY_PER_ATOM = 1e-3, 1e-4
"""Hartree. Largest error of a total energy that other integrals may have given: those of a
density-fitted SCF, whose chkfile does not name its set, or of seminumerical exchange."""

HELD = 120
"""Atomic orbitals. Up to this number a Fock matrix from integrals in memory takes 0.1 s, and that
of a Kohn-Sham method about a second."""

FULL = "orthonormality, total energy and the whole Fock matrix"
CHEAP = "orthonormality, total energy and random elements of the Fock matrix"
WITHOUT_FOCK = "orthonormality and total energy"
KOHN_SHAM = "orthonormality only, because Kohn-Sham orbitals of this size need check_reference full"
OFF = "off"
UNCHECKED = "NOT CHECKED (check_reference off): orbitals and energies may not belong together"

ADVICE = (
    "run the SCF again without changing its results, after mf.reset(mol) if the geometry was "
    "changed (probable causes: orbitals or energies set by hand, a level shift, another unit, "
    "another method, integrals of another geometry), or use check_reference 'off'"
)


@dataclass(frozen=True)
class FockFaults:
    """What the Fock matrix says about orbitals and energies. Hartree.

    Attributes
    ----------
    gradient : float
        Largest element between an occupied and a virtual orbital.
    text : str
        Describes the largest fault. Empty if there is none.
    deviation : str
        Describes what is no fault, but larger than in a converged SCF. Empty if there is none.
    """

    gradient: float
    text: str
    deviation: str = ""


def checked(solution: ScfSolution, mf: Any, how: str) -> ScfSolution:
    """Check the orbitals of a mean field before MP2.

    Parameters
    ----------
    solution : ScfSolution
    mf : pyscf.scf.hf.SCF
        The mean field with these orbitals.
    how : {"auto", "full", "off"}

    Returns
    -------
    ScfSolution
        Its `check` says what was checked. With "auto" the Fock matrix is checked later.

    Raises
    ------
    InputError
        If orbitals and energies do not belong together.
    """
    if how not in CHECKS:
        raise InputError(f"check_reference {how!r} is unknown; choose one of {', '.join(CHECKS)}")
    if how == "off":
        return replace(solution, check=ReferenceCheck(OFF))
    require_orthonormal(solution)
    if solution.kind == "ROHF":
        return replace(solution, check=ReferenceCheck(FULL, remarks=require_rohf(solution, mf)))
    kohn_sham = solution.kind.endswith("KS")
    if how == "auto" and not kohn_sham and _has_run(mf):
        one_electron, difference = _sum_rule(solution, mf)
        if (own := _held_potential(solution, mf)) is not None:
            residual = _residual(solution, one_electron + own)
            diagonal = np.diagonal(residual, axis1=-2, axis2=-1)
            difference += float((solution.mo_occ * diagonal).sum()) / 2  # exact energy now
            fits = np.abs(residual).max() <= CONVERGED and abs(difference) <= SAME_TOTAL
        else:
            fits = abs(difference) <= DECIDED
        if fits:
            exact = partial(require_solution, solution, mf)
            return replace(solution, check=ReferenceCheck(CHEAP, one_electron, exact))
    elif how == "auto" and kohn_sham and solution.mo_coeff.shape[-2] > HELD:
        return replace(solution, check=ReferenceCheck(KOHN_SHAM))
    remarks = require_solution(solution, mf)
    return replace(solution, check=ReferenceCheck(FULL, remarks=remarks))


def _has_run(mf: Any) -> bool:
    """Whether the orbitals are those of its own SCF, and not from a file. PySCF notes the parts of
    the energy then."""
    return bool(mf.scf_summary)


def _limit(solution: ScfSolution) -> float:
    """Largest element of C^T F C - diag(e) with the integrals of the SCF itself, hartree.

    PySCF converges the orbital gradient to the root of the threshold of the energy.
    """
    return min(FOCK, max(OWN_FOCK, 3 * float(np.sqrt(solution.conv_tol))))


def _residual(solution: ScfSolution, fock: NDArray[np.float64]) -> NDArray[np.float64]:
    """C^T F C - diag(e), shape (nmo, nmo), or (2, nmo, nmo) of both spins."""
    coeff = solution.mo_coeff
    diagonal = solution.mo_energy[..., None] * np.eye(solution.nmo)
    found: NDArray[np.float64] = coeff.swapaxes(-1, -2) @ fock @ coeff - diagonal
    return found


def _held_potential(solution: ScfSolution, mf: Any) -> NDArray[np.float64] | None:
    """The two-electron part of the Fock matrix, where the SCF of a small molecule holds integrals.

    They are those of its own Fock matrix, so they show faults below the error of a density fitting.
    """
    from pyscf import df, scf

    nao = solution.mo_coeff.shape[-2]
    own, fitting = getattr(mf, "_eri", None), solution.with_df
    if nao > HELD:
        return None
    density = solution.density
    if isinstance(fitting, df.DF):
        cderi = fitting._cderi
        held = isinstance(cderi, np.ndarray) and cderi.shape[-1] == nao * (nao + 1) // 2
        if not held or getattr(mf, "only_dfj", False):
            return None
        coulomb, exchange = fitting.get_jk(density, hermi=1)
    elif isinstance(own, np.ndarray):
        coulomb, exchange = scf.hf.dot_eri_dm(own, density, hermi=1)
    else:
        return None
    potential: NDArray[np.float64] = (
        coulomb.sum(axis=0) - exchange if solution.open_shell else coulomb - exchange / 2
    )
    return potential


def require_finite(solution: ScfSolution) -> None:
    """Refuse NaN and infinity.

    Raises
    ------
    InputError
    """
    parts = {
        "mo_coeff": solution.mo_coeff,
        "mo_energy": solution.mo_energy,
        "e_tot": solution.e_tot,
        "the coordinates": solution.mol.atom_coords(),
    }
    for name, values in parts.items():
        if not np.isfinite(values).all():
            raise InputError(
                f"{name} of the SCF holds NaN or infinity; run the SCF again, and look at its "
                "output (mf.verbose = 4)"
            )


def require_orthonormal(solution: ScfSolution) -> None:
    """Refuse orbitals that are not orthonormal in the basis of the molecule.

    Raises
    ------
    InputError
    """
    coeff = solution.mo_coeff
    overlap = coeff.swapaxes(-1, -2) @ solution.mol.intor_symmetric("int1e_ovlp") @ coeff
    overlap -= np.eye(solution.nmo)
    worst = float(np.abs(overlap).max(initial=0.0))
    if not worst <= ORTHONORMAL:
        raise InputError(
            f"the orbitals are not orthonormal (C^T S C differs from 1 by {worst:.2g}): they "
            "belong to another geometry or basis than the molecule (was it changed?); "
            "run the SCF again"
        )


def _sum_rule(solution: ScfSolution, mf: Any) -> tuple[NDArray[np.float64], float]:
    """The one-electron part of the Fock matrix, and E_nuc + sum_i (e_i + h_ii) - E_tot.

    The sum is that over electrons, divided by two.
    """
    hcore = np.asarray(mf.get_hcore())
    density = solution.density.reshape(-1, *hcore.shape).sum(axis=0)
    energy = float(mf.energy_nuc()) + float((solution.mo_occ * solution.mo_energy).sum()) / 2
    energy += float((hcore * density).sum()) / 2
    summary = getattr(mf, "scf_summary", None) or {}
    energy += float(summary.get("dispersion", 0.0)) + float(summary.get("e_cds", 0.0))
    solvent: Any = getattr(mf, "with_solvent", None)
    potential: Any = getattr(solvent, "v", None)
    if np.shape(potential) == hcore.shape:  # the energy of a solvent is not half of its potential's
        energy += float(solvent.e) - float((potential * density).sum()) / 2
        hcore = hcore + potential
    return hcore, energy - solution.e_tot


def require_rohf(solution: ScfSolution, mf: Any) -> tuple[str, ...]:
    """Refuse orbitals of an ROHF that its Fock matrices couple, or with another total energy.

    The orbital energies are those of the Fock matrices and cannot be wrong.

    Returns
    -------
    tuple of str
        As of `require_solution`.

    Raises
    ------
    InputError
    """
    if solution.fock is None:
        raise ValueError("the Fock matrices of an ROHF are missing")
    (alpha, beta), (fock_a, fock_b) = solution.spins, solution.fock
    overlap = solution.mol.intor_symmetric("int1e_ovlp")
    # Fock matrices in one set of orbitals, those of alpha.
    between = alpha.mo_coeff.T @ overlap @ beta.mo_coeff
    fock_b = between @ fock_b @ between.T
    docc = between[:, beta.occupied] @ between[:, beta.occupied].T  # projector on doubly occupied
    occupied, virtual = np.diag(alpha.occupied * 1.0), np.diag(~alpha.occupied * 1.0)
    singly = occupied - docc
    couplings = (
        docc @ (fock_a + fock_b) @ virtual / 2,
        docc @ fock_b @ singly,
        singly @ fock_a @ virtual,
    )
    worst = max(float(np.abs(one).max(initial=0.0)) for one in couplings)
    if not worst <= FOCK:
        raise InputError(
            f"the orbitals do not solve the ROHF equations (largest coupling {worst:.2g} Eh); "
            + ADVICE
        )
    _, difference = _sum_rule(solution, mf)
    if not abs(difference) <= SUM_RULE:
        raise InputError(
            f"e_tot is {solution.e_tot:.6f} Eh, but these orbitals have "
            f"{solution.e_tot + difference:.6f} Eh; {ADVICE}"
        )
    return remarks_on(_deviation(solution, worst, solution.e_tot + difference), solution)


def require_solution(solution: ScfSolution, mf: Any) -> tuple[str, ...]:
    """Compare with the Fock matrix and the energy of these orbitals.

    Parameters
    ----------
    solution : ScfSolution
    mf : pyscf.scf.hf.RHF
        Its one-electron Hamiltonian and solvent are used.

    Returns
    -------
    tuple of str
        A deviation that is too small to be refused, which was also a warning.

    Raises
    ------
    InputError
        If an element of C^T F C - diag(e) is too large, or the energy differs.
    """
    sgx = SGX in solution.hamiltonian  # which deviates as a fitted SCF does
    faults = fock_faults(solution, mf, same_integrals=not sgx and _has_run(mf))
    if faults.text:
        method = "Kohn-Sham" if solution.kind.endswith("KS") else "Hartree-Fock"
        raise InputError(
            f"orbitals, orbital energies and total energy do not belong to one {method} "
            f"solution of this molecule: {faults.text}; {ADVICE}"
        )
    return () if sgx else remarks_on(faults.deviation, solution)


def remarks_on(deviation: str, solution: ScfSolution) -> tuple[str, ...]:
    """Warn about a deviation that is too small to be refused.

    Parameters
    ----------
    deviation : str
        As of `FockFaults`. Nothing is done if it is empty.
    solution : ScfSolution

    Returns
    -------
    tuple of str
        The warning, for the result.
    """
    if not deviation:
        return ()
    source = f"{solution.read_from}: " if solution.read_from else ""
    others = "X2C, a solvent or a field that the file does not record, " if source else ""
    text = (
        f"{source}orbitals, orbital energies and total energy deviate from a converged solution: "
        f"{deviation}. The MP2 energy can be wrong by a similar amount. Probable causes: a loosely "
        f"converged SCF, orbitals of a density-fitted SCF read as those of an exact one, {others}"
        "numbers changed by hand"
    )
    warnings.warn(text, DFMP2Warning, stacklevel=3)
    return (text,)


def _deviation(solution: ScfSolution, worst: float, total: float) -> str:
    """What is larger than in a converged SCF, as of `FockFaults`."""
    found = []
    if worst > CONVERGED:
        found.append(f"largest element of C^T F C - diag(e) {worst:.1e} Eh")
    if abs(total - solution.e_tot) > SAME_TOTAL:
        found.append(f"e_tot {solution.e_tot:.8f} Eh, but {total:.8f} Eh from the orbitals")
    return "; ".join(found)


def fock_faults(solution: ScfSolution, mf: Any, same_integrals: bool = False) -> FockFaults:
    """Build the Fock matrix and the energy of the orbitals, and compare.

    Parameters
    ----------
    solution : ScfSolution
    mf : pyscf.scf.hf.RHF
    same_integrals : bool
        Whether the SCF had the integrals that are used here. Its total energy must be the same.
    """
    occ, density = solution.mo_occ, solution.density
    potential = _potential(solution, mf, density)
    residual = _residual(solution, mf.get_fock(vhf=potential, dm=density))
    if occ.sum() == 1:
        # Only the orbital of the electron matters, and it feels no other. PySCF takes the other
        # orbitals of one electron from the one-electron Hamiltonian.
        filled = occ > 0
        residual[~(filled[..., :, None] | filled[..., None, :])] = 0.0
    size = np.abs(residual)
    worst = float(size.max(initial=0.0))
    text = deviation = ""
    if not worst <= (_limit(solution) if same_integrals else FOCK):
        *spin, p, q = (int(x) for x in np.unravel_index(int(np.nanargmax(size)), size.shape))
        p, q = sorted((p, q))
        energy = float(solution.mo_energy[(*spin, p)])
        own = energy + float(residual[(*spin, p, p)])
        text = (
            f"orbital {p} has the energy {energy:.4f} Eh, but {own:.4f} in the Fock matrix"
            if p == q
            else f"the Fock matrix couples the orbitals {p} and {q} by {worst:.2g} Eh"
        )
    else:
        total = float(mf.energy_tot(dm=density, vhf=potential))
        limit = SUM_RULE if same_integrals else ENERGY + ENERGY_PER_ATOM * solution.mol.natm
        if not abs(total - solution.e_tot) <= limit:
            text = f"e_tot is {solution.e_tot:.6f} Eh, but these orbitals have {total:.6f} Eh"
        deviation = _deviation(solution, worst, total)
    between = (occ > 0)[..., :, None] & (occ == 0)[..., None, :]
    return FockFaults(float(size[between].max(initial=0.0)), text, deviation)


def _potential(solution: ScfSolution, mf: Any, density: NDArray[np.float64]) -> Any:
    """The two-electron part of the Fock matrix, with PySCF's tags for a solvent."""
    from pyscf import df, lib, scf

    mol = solution.mol
    if solution.kind.endswith("KS"):
        return mf.get_veff(mol, density)
    plain = (scf.uhf.UHF if solution.open_shell else scf.hf.RHF)(mol)
    if isinstance(solution.with_df, df.DF):
        plain = plain.density_fit(
            auxbasis=solution.with_df.auxbasis, only_dfj=bool(getattr(mf, "only_dfj", False))
        )
    plain.verbose, plain.chkfile = 0, None
    plain.max_memory = mf.max_memory
    potential = plain.get_veff(mol, density)
    solvent = getattr(mf, "with_solvent", None)
    if solvent is None:
        return potential
    energy, field = (solvent.e, solvent.v) if solvent.frozen else solvent.kernel(density)
    return lib.tag_array(potential, e_solvent=energy, v_solvent=field)

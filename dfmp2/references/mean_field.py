"""From a mean-field object of PySCF to a checked `ScfSolution`, and back.

A mean field that MP2 is wrong for is refused here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2 import defaults
from dfmp2.errors import InputError, NotConvergedError, UnsupportedReferenceError
from dfmp2.foreign_errors import translated
from dfmp2.references.check import FULL, checked, require_finite, require_orthonormal
from dfmp2.references.foreign import require_mean_field
from dfmp2.references.hamiltonian import decorations, is_sgx, refuse_model
from dfmp2.references.kohn_sham import grid_of
from dfmp2.references.response import Response
from dfmp2.references.semicanonical import semicanonical
from dfmp2.references.solution import ReferenceCheck, ScfSolution

__all__ = ["as_mean_field", "is_periodic", "read_mean_field"]

NOT_CANONICAL = 1e-5
"""Hartree. Largest Fock element between two different orbitals that passes for zero: an SCF
converged to PySCF's default orbital gradient stays below it."""


@translated(
    "reading the mean field",
    "check that its methods work, such as mf.get_fock() and mf.energy_tot()",
)
def read_mean_field(
    mf: Any,
    mo_coeff: NDArray[np.float64] | None = None,
    mo_occ: NDArray[np.float64] | None = None,
    allow_ks: bool = False,
    check: str = defaults.CHECK_REFERENCE,
) -> ScfSolution:
    """Check a mean field and take its orbitals.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF, pyscf.scf.uhf.UHF or pyscf.scf.rohf.ROHF
        Converged mean field, density-fitted or not.
    mo_coeff : ndarray, shape (nao, nmo), or (2, nao, nmo) for UHF, optional
        Canonical orbitals to use instead of the mean field's own; their energies are the diagonal
        of its Fock matrix.
    mo_occ : ndarray, shape (nmo,), or (2, nmo) for UHF, optional
        Their occupations.
    allow_ks : bool
        Take Kohn-Sham orbitals and energies as they are, as double hybrids do.
    check : {"auto", "full", "off"}
        How to check that orbitals and energies belong together.

    Returns
    -------
    ScfSolution

    Raises
    ------
    UnsupportedReferenceError
        For anything but a real RHF, UHF or ROHF (or RKS or UKS with `allow_ks`).
    NotConvergedError
        If the SCF is not converged.
    InputError
        For orbitals and energies that do not belong to one canonical solution of this molecule.
    """
    kind = _kind(mf, allow_ks)
    own = mo_occ is None and (mo_coeff is None or mo_coeff is mf.mo_coeff)
    _require_orbitals(mf)
    refuse_model(mf)
    spin = 1 if kind.startswith("U") else 0
    coeff = _numbers("mo_coeff", mf.mo_coeff if mo_coeff is None else mo_coeff, 2 + spin)
    occ = _numbers("mo_occ", mf.mo_occ if mo_occ is None else mo_occ, 1 + spin)
    energy = _numbers("mo_energy", mf.mo_energy, 1 + spin)
    _check_orbitals(mf, kind, coeff, energy, occ)
    energy, fock = energy if own else np.zeros(occ.shape), None
    if kind == "ROHF":
        coeff, energy, occ, fock = semicanonical(mf, coeff, occ)
    solution = ScfSolution(
        mol=_molecule(mf.mol, occ),
        kind=kind,
        e_tot=float(_numbers("e_tot", float("nan") if mf.e_tot is None else mf.e_tot, 0)),
        mo_coeff=coeff,
        mo_energy=energy,
        mo_occ=occ,
        fock=fock,
        conv_tol=float(_numbers("conv_tol", mf.conv_tol, 0)),
        with_df=None if is_sgx(mf) else getattr(mf, "with_df", None) or None,
        hamiltonian=decorations(mf),
        functional=str(mf.xc) if kind.endswith("KS") else "",
        grid=grid_of(mf) if kind.endswith("KS") else None,
        response=Response(mf),
    )
    require_finite(solution)
    if own:
        return checked(solution, mf, check)
    require_orthonormal(solution)
    rebuilt, e_tot = _rebuilt(mf, coeff, occ)
    return replace(solution, mo_energy=rebuilt, e_tot=e_tot, check=ReferenceCheck(FULL))


def _molecule(mol: Any, occ: NDArray[np.float64]) -> Any:
    """The molecule, with the spin of the occupations: the one that is computed.

    A UHF has another one than its molecule if ``mf.nelec`` was set, or ``mol.spin`` changed.
    """
    spin = abs(round(float(np.diff(occ.sum(axis=-1))[0]))) if occ.ndim == 2 else 0
    if spin == mol.spin:
        return mol
    found = mol.copy()
    found.spin = spin
    return found


def as_mean_field(solution: ScfSolution, max_memory: float | None = None) -> Any:
    """The orbitals in a plain mean field, without density fitting or second-order solver.

    Those of an ROHF are semicanonical, so the mean field is a UHF.

    Parameters
    ----------
    solution : ScfSolution
    max_memory : float, optional
        MB that PySCF may use; its own default if not given.

    Returns
    -------
    pyscf.scf.hf.RHF or pyscf.scf.uhf.UHF
        Converged.
    """
    from pyscf import scf

    mf = (scf.uhf.UHF if solution.mo_coeff.ndim == 3 else scf.hf.RHF)(solution.mol)
    mf.verbose, mf.chkfile = 0, None
    if max_memory is not None:
        mf.max_memory = max_memory
    mf.mo_coeff, mf.mo_occ = solution.mo_coeff, solution.mo_occ
    mf.mo_energy, mf.e_tot, mf.converged = solution.mo_energy, solution.e_tot, True
    return mf


def _kind(mf: Any, allow_ks: bool) -> str:
    from pyscf import dft, scf

    name = type(mf).__name__
    require_mean_field(mf)
    if getattr(mf, "cell", None) is not None or is_periodic(mf.mol):
        raise UnsupportedReferenceError(f"{name} is periodic; dfmp2 treats molecules only")
    if isinstance(mf, scf.ghf.GHF):
        raise UnsupportedReferenceError(f"{name}: generalised (GHF) references are not treated")
    if isinstance(mf, scf.rohf.ROHF):
        kind = "ROHF"
    elif isinstance(mf, scf.uhf.UHF):
        kind = "UHF"
    elif isinstance(mf, scf.hf.RHF) and mf.mol.spin == 0:
        kind = "RHF"
    else:
        raise UnsupportedReferenceError(
            f"{name} with spin {mf.mol.spin} is not an RHF, UHF or ROHF object of PySCF"
        )
    if isinstance(mf, dft.rks.KohnShamDFT):
        if not allow_ks:
            raise UnsupportedReferenceError(
                f"{name}: Kohn-Sham orbitals are no Hartree-Fock reference; converge mf.to_hf() "
                "instead, or name a double hybrid with xc; allow_ks=True gives the second-order "
                "term without weights"
            )
        if kind == "ROHF":
            raise UnsupportedReferenceError(
                f"{name}: restricted open-shell Kohn-Sham orbitals are not treated; use UKS"
            )
        return kind[0] + "KS"
    return kind


def is_periodic(mol: Any) -> bool:
    """Whether this is a `pyscf.pbc.gto.Cell`, which is a kind of `Mole`."""
    return any(kind.__name__ == "Cell" for kind in type(mol).__mro__)


def _require_orbitals(mf: Any) -> None:
    if mf.mo_coeff is None:
        raise InputError("the mean field has no orbitals yet; run mf.kernel() first")
    if np.size(mf.converged) != 1:
        raise InputError(
            f"mf.converged must be True or False, found {str(mf.converged)[:40]}; run mf.kernel() "
            "again"
        )
    if not (mf.converged or mf.scf_summary):  # every SCF of PySCF fills in its summary
        raise NotConvergedError(
            "the SCF has not run since its orbitals were set by hand or its molecule was changed "
            "(a chkfile does not say whether its SCF converged); run mf.kernel(mf.make_rdm1()), "
            "which starts from these orbitals"
        )
    if not mf.converged:
        raise NotConvergedError(
            "the SCF is not converged (mf.converged is False), so MP2 on it has no meaning. After "
            "to_rhf() or to_hf(), which clear it, run mf.kernel(mf.make_rdm1()); else raise "
            "mf.max_cycle, or try mf = mf.newton() or a level shift, and run it again"
        )


_SHAPES = {
    "mo_coeff": "numbers of shape (nao, nmo), or (2, nao, nmo) of a UHF",
    "mo_energy": "one number per orbital (and spin of a UHF)",
    "mo_occ": "one number per orbital (and spin of a UHF)",
}


def _numbers(name: str, value: Any, ndim: int) -> NDArray[Any]:
    """An attribute as an array of float64. Complex orbitals stay: they are refused elsewhere."""
    kind = _SHAPES.get(name, "one number")
    try:
        found = np.asarray(value)
        if found.dtype.kind not in ("fiubc" if name == "mo_coeff" else "fiub"):
            raise TypeError(f"type {found.dtype}")
        if found.ndim != ndim:
            raise ValueError(f"shape {found.shape}")
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} of the SCF must be {kind}, found {type(value).__name__} ({error}); run "
            "mf.kernel() again"
        ) from error
    return found if found.dtype.kind == "c" else found.astype(np.float64, copy=False)


def _check_orbitals(
    mf: Any, kind: str, coeff: NDArray[Any], energy: NDArray[Any], occ: NDArray[np.float64]
) -> None:
    spin = (2,) if kind.startswith("U") else ()
    if np.iscomplexobj(coeff):
        raise UnsupportedReferenceError(
            "the orbitals are complex; dfmp2 treats real orbitals only (take mo_coeff.real if "
            "their imaginary part is zero)"
        )
    if energy.shape != np.shape(mf.mo_occ):
        raise InputError(
            f"mo_energy has shape {energy.shape} and mo_occ {np.shape(mf.mo_occ)}; one number per "
            "orbital is needed, run mf.kernel() again"
        )
    if coeff.shape != (*spin, mf.mol.nao_nr(), occ.shape[-1]):
        raise InputError(
            f"mo_coeff has shape {coeff.shape}, but the molecule has {mf.mol.nao_nr()} atomic "
            f"orbitals and mo_occ {occ.shape[-1]} entries"
        )
    allowed = {"R": (0, 2), "U": (0, 1)}[kind[0]] if kind != "ROHF" else (0, 1, 2)
    if not np.isin(occ, allowed).all():
        distance = np.abs(occ.ravel()[:, None] - np.array(allowed)).min(axis=1)
        largest = occ.ravel()[np.argsort(-distance)[:3]]
        odd = sorted({float(n) for n in largest if n not in allowed})
        raise UnsupportedReferenceError(
            f"occupations {odd} are not among {allowed}; switch smearing off, or use an "
            "open-shell or multireference method"
        )
    if (electrons := float(np.sum(occ))) != mf.mol.nelectron:
        raise InputError(
            f"mo_occ holds {electrons:g} electrons, but the molecule has {mf.mol.nelectron} "
            f"(charge {mf.mol.charge:+d}): it was changed after the SCF, or the orbitals are those "
            "of another one; run the SCF again"
        )


def _rebuilt(mf: Any, coeff: NDArray[Any], occ: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    density = mf.make_rdm1(coeff, occ)
    potential = mf.get_veff(mf.mol, density)
    fock = coeff.swapaxes(-1, -2) @ mf.get_fock(vhf=potential, dm=density) @ coeff
    energy = np.diagonal(fock, axis1=-2, axis2=-1).copy()
    coupling = np.abs(fock - energy[..., None] * np.eye(fock.shape[-1]))
    worst = float(coupling.max(initial=0.0))
    if worst > NOT_CANONICAL:
        *spin, p, q = (int(x) for x in np.unravel_index(coupling.argmax(), fock.shape))
        mixes = (occ[(*spin, p)] > 0) != (occ[(*spin, q)] > 0)  # canonicalize does not remove it
        raise InputError(
            f"mo_coeff is not canonical: the Fock matrix couples orbitals {p} and {q} by "
            f"{worst:.2g} Eh; "
            + (
                "one of them is occupied, so they are not those of a converged SCF: converge it "
                "further (a smaller conv_tol)"
                if mixes
                else "use canonical orbitals (mf.canonicalize)"
            )
        )
    return energy, float(mf.energy_tot(dm=density, vhf=potential))

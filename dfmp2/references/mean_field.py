"""From a mean-field object to the reference of MP2: orbitals, energies, what is correlated.

The adapter between PySCF's SCF and the method: nothing after this module knows which class of
mean field it was. What MP2 cannot be trusted on is refused here, with what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError, NotConvergedError, UnsupportedReferenceError

__all__ = ["Frozen", "Reference", "frozen_orbitals", "make_reference"]

Frozen = int | Sequence[int] | str | None
"""None, a number of lowest orbitals, a list of orbital indices from 0, or "auto"."""

NOT_CANONICAL = 1e-5
"""Hartree. Largest Fock element between two different orbitals that passes for zero: an SCF
converged to PySCF's default orbital gradient stays below it."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A closed-shell reference determinant, split for MP2.

    Attributes
    ----------
    mol : pyscf.gto.Mole
    kind : str
        "RHF", or "RKS" where Kohn-Sham orbitals were asked for.
    e_ref : float
        Energy of the reference, hartree.
    c_occ, c_vir : ndarray, shapes (nao, nocc) and (nao, nvir)
        Correlated orbitals.
    e_occ, e_vir : ndarray, shapes (nocc,) and (nvir,)
        Their energies, hartree.
    frozen : tuple of int
        Orbitals left out, as indices from 0.
    occupied, virtual : tuple of int
        Indices of the correlated orbitals in the mean field's set.
    """

    mol: Any
    kind: str
    e_ref: float
    c_occ: NDArray[np.float64]
    c_vir: NDArray[np.float64]
    e_occ: NDArray[np.float64]
    e_vir: NDArray[np.float64]
    frozen: tuple[int, ...]
    occupied: tuple[int, ...]
    virtual: tuple[int, ...]

    @property
    def nao(self) -> int:
        """Number of atomic orbitals."""
        return int(self.c_occ.shape[0])

    @property
    def nocc(self) -> int:
        """Number of correlated occupied orbitals."""
        return int(self.c_occ.shape[1])

    @property
    def nvir(self) -> int:
        """Number of correlated virtual orbitals."""
        return int(self.c_vir.shape[1])


def make_reference(
    mf: Any,
    frozen: Frozen = None,
    mo_coeff: NDArray[np.float64] | None = None,
    mo_occ: NDArray[np.float64] | None = None,
    allow_ks: bool = False,
) -> Reference:
    """Check a mean field and split its orbitals.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF
        Converged restricted mean field, density-fitted or not.
    frozen : None, int, sequence of int, or "auto"
        Orbitals left out of the correlation treatment.
    mo_coeff, mo_occ : ndarray, optional
        Canonical orbitals to use instead of the mean field's own; their energies are the diagonal
        of its Fock matrix.
    allow_ks : bool
        Take Kohn-Sham orbitals and energies as they are, as double hybrids do.

    Returns
    -------
    Reference

    Raises
    ------
    UnsupportedReferenceError
        For anything but a real closed-shell RHF (or RKS with `allow_ks`).
    NotConvergedError
        If the SCF is not converged.
    InputError
        For orbitals that are not canonical, a bad `frozen`, or a gap that is not positive.
    """
    kind = _kind(mf, allow_ks)
    own = mo_occ is None and (mo_coeff is None or mo_coeff is mf.mo_coeff)
    coeff = np.asarray(mf.mo_coeff if mo_coeff is None else mo_coeff)
    occ = np.asarray(mf.mo_occ if mo_occ is None else mo_occ)
    _check_orbitals(mf, coeff, occ)
    if own:
        energy, e_ref = np.asarray(mf.mo_energy), float(mf.e_tot)
    else:
        energy, e_ref = _rebuilt(mf, coeff, occ)
    left_out = frozen_orbitals(mf.mol, frozen, len(occ), int(np.sum(occ > 0)))
    active = np.ones(len(occ), dtype=bool)
    active[list(left_out)] = False
    occupied, virtual = np.flatnonzero(active & (occ > 0)), np.flatnonzero(active & (occ == 0))
    _check_gap(energy, occupied, virtual)
    return Reference(
        mol=mf.mol,
        kind=kind,
        e_ref=e_ref,
        c_occ=np.ascontiguousarray(coeff[:, occupied], dtype=np.float64),
        c_vir=np.ascontiguousarray(coeff[:, virtual], dtype=np.float64),
        e_occ=np.array(energy[occupied], dtype=np.float64),
        e_vir=np.array(energy[virtual], dtype=np.float64),
        frozen=left_out,
        occupied=tuple(int(i) for i in occupied),
        virtual=tuple(int(a) for a in virtual),
    )


def _kind(mf: Any, allow_ks: bool) -> str:
    from pyscf import dft, scf

    name = type(mf).__name__
    if not isinstance(mf, scf.hf.SCF):
        raise UnsupportedReferenceError(
            f"DFMP2 needs a PySCF mean-field object such as scf.RHF(mol).run(), found {name}"
        )
    if getattr(mf, "cell", None) is not None:
        raise UnsupportedReferenceError(f"{name} is periodic; dfmp2 treats molecules only")
    if isinstance(mf, scf.ghf.GHF):
        raise UnsupportedReferenceError(f"{name}: generalised (GHF) references are not treated")
    if isinstance(mf, (scf.uhf.UHF, scf.rohf.ROHF)) or mf.mol.spin != 0:
        raise UnsupportedReferenceError(
            f"{name} with spin {mf.mol.spin}: this version treats closed shells (RHF) only; "
            "open-shell MP2 is in pyscf.mp.dfump2_native"
        )
    if not isinstance(mf, scf.hf.RHF):
        raise UnsupportedReferenceError(f"{name} is not a restricted Hartree-Fock object")
    if isinstance(mf, dft.rks.KohnShamDFT):
        if not allow_ks:
            raise UnsupportedReferenceError(
                f"{name}: Kohn-Sham orbitals are no Hartree-Fock reference; converge mf.to_hf() "
                "instead, or set allow_ks=True for the second-order term of a double hybrid"
            )
        return "RKS"
    return "RHF"


def _check_orbitals(mf: Any, coeff: NDArray[Any], occ: NDArray[Any]) -> None:
    if mf.mo_coeff is None or coeff.ndim != 2:
        raise InputError("the mean field has no orbitals yet; run mf.kernel() first")
    if not mf.converged:
        raise NotConvergedError(
            "the SCF is not converged, so MP2 on it has no meaning; raise mf.max_cycle, or try "
            "mf = mf.newton() or a level shift, and run it again"
        )
    if np.iscomplexobj(coeff):
        raise UnsupportedReferenceError(
            "the orbitals are complex; dfmp2 treats real orbitals only (take mo_coeff.real if "
            "their imaginary part is zero)"
        )
    if coeff.shape != (mf.mol.nao_nr(), len(occ)):
        raise InputError(
            f"mo_coeff has shape {coeff.shape}, but the molecule has {mf.mol.nao_nr()} atomic "
            f"orbitals and mo_occ {len(occ)} entries"
        )
    if not np.isin(occ, (0, 2)).all():
        odd = sorted({float(n) for n in occ if n not in (0, 2)})
        raise UnsupportedReferenceError(
            f"occupations {odd[:3]} are neither 0 nor 2; switch smearing off, or use an open-shell "
            "or multireference method"
        )


def _rebuilt(mf: Any, coeff: NDArray[Any], occ: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    density = mf.make_rdm1(coeff, occ)
    potential = mf.get_veff(mf.mol, density)
    fock = coeff.T @ mf.get_fock(vhf=potential, dm=density) @ coeff
    energy = np.diag(fock).copy()
    np.fill_diagonal(fock, 0.0)
    worst = float(np.abs(fock).max(initial=0.0))
    if worst > NOT_CANONICAL:
        p, q = np.unravel_index(np.abs(fock).argmax(), fock.shape)
        raise InputError(
            f"mo_coeff is not canonical: the Fock matrix couples orbitals {p} and {q} by "
            f"{worst:.2g} Eh; use canonical orbitals (mf.canonicalize)"
        )
    return energy, float(mf.energy_tot(dm=density, vhf=potential))


def frozen_orbitals(mol: Any, frozen: Frozen, nmo: int, nocc: int) -> tuple[int, ...]:
    """Indices of the orbitals that `frozen` leaves out.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        Needed for "auto": its chemical core (electrons inside an ECP and ghost atoms do not
        count).
    frozen : None, int, sequence of int, or "auto"
    nmo, nocc : int
        Numbers of orbitals, and of occupied ones.

    Returns
    -------
    tuple of int

    Raises
    ------
    InputError
        If an index does not exist or no occupied orbital would be left where there is one.
    """
    if frozen is None:
        return ()
    if isinstance(frozen, str):
        if frozen != "auto":
            raise InputError(f"frozen={frozen!r} is not understood; use a number, a list or 'auto'")
        from pyscf.data.elements import chemcore

        return tuple(range(min(int(chemcore(mol)), nocc)))
    if isinstance(frozen, (bool, float)):
        raise InputError(f"frozen={frozen!r} is not understood; use a number, a list or 'auto'")
    if isinstance(frozen, (int, np.integer)):
        if frozen < 0:
            raise InputError(f"frozen={frozen} is negative; give the number of lowest orbitals")
        if frozen >= max(nocc, 1):
            raise InputError(
                f"frozen={frozen} leaves nothing to correlate: there are {nocc} occupied orbitals"
            )
        return tuple(range(int(frozen)))
    indices = _indices(frozen)
    if indices and not (indices[0] >= 0 and indices[-1] < nmo):
        bad = indices[-1] if indices[0] >= 0 else indices[0]
        raise InputError(f"frozen orbital {bad} does not exist: there are {nmo}, counted from 0")
    if nocc and set(range(nocc)) <= set(indices):
        raise InputError(
            f"frozen={indices} leaves nothing to correlate: it holds all {nocc} occupied orbitals"
        )
    return tuple(indices)


def _indices(frozen: Sequence[int]) -> list[int]:
    try:
        return sorted({index(i) for i in frozen})  # 1.0 or "1" are mistakes, not orbitals
    except TypeError:
        raise InputError(
            f"frozen={frozen!r} is not understood; use a number, a list of whole numbers or 'auto'"
        ) from None


def _check_gap(energy: NDArray[Any], occupied: NDArray[Any], virtual: NDArray[Any]) -> None:
    if not (len(occupied) and len(virtual)):
        return
    i, a = occupied[np.argmax(energy[occupied])], virtual[np.argmin(energy[virtual])]
    if energy[a] - energy[i] <= 0:
        raise InputError(
            f"virtual orbital {a} ({energy[a]:.6f} Eh) lies not above occupied orbital {i} "
            f"({energy[i]:.6f} Eh): the MP2 denominators vanish; this reference is not the ground "
            "state, or has no gap"
        )

"""A converged SCF in plain arrays: what the rest of dfmp2 needs of a mean field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.molecules.basis import basis_label
from dfmp2.molecules.plain import recorded_basis
from dfmp2.references.converge import Convergence
from dfmp2.references.hamiltonian import SGX
from dfmp2.references.response import Response

__all__ = ["ReferenceCheck", "ScfSolution", "SpinOrbitals"]


@dataclass
class ReferenceCheck:
    """What was checked of orbitals and energies, and what is left to check.

    Attributes
    ----------
    made : str
        The checks, as the result records them.
    one_electron : ndarray, shape (nao, nao), float64, hartree, or None
        One-electron part of the Fock matrix, with the potential of a solvent. None if the Fock
        matrix needs no further check.
    exact : callable or None
        Checks the whole Fock matrix, and returns its remarks. It raises an InputError.
    remarks : tuple of str
        Deviations that are not refused. Each was also a warning.
    """

    made: str
    one_electron: NDArray[np.float64] | None = None
    exact: Callable[[], tuple[str, ...]] | None = None
    remarks: tuple[str, ...] = ()

    def finish(self, made: str) -> None:
        """Nothing is left to check; releases what the check held."""
        self.made, self.one_electron, self.exact = made, None, None


@dataclass(frozen=True, eq=False)
class SpinOrbitals:
    """The orbitals of one spin; of both spins for a closed shell.

    Attributes
    ----------
    mo_coeff : ndarray, shape (nao, nmo), float64
    mo_energy : ndarray, shape (nmo,), float64, hartree
    occupied : ndarray, shape (nmo,), bool
    """

    mo_coeff: NDArray[np.float64]
    mo_energy: NDArray[np.float64]
    occupied: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ScfSolution:
    """Orbitals of a converged SCF.

    Arrays of an open shell have a first index for the spin: alpha, then beta. The orbitals of an
    ROHF are semicanonical (`dfmp2.references.semicanonical`).

    Attributes
    ----------
    mol : pyscf.gto.Mole
    kind : str
        "RHF", "UHF" or "ROHF"; "RKS" or "UKS" where Kohn-Sham orbitals were asked for.
    e_tot : float
        Total energy, hartree.
    mo_coeff : ndarray, shape (nao, nmo) or (2, nao, nmo), float64
    mo_energy : ndarray, shape (nmo,) or (2, nmo), float64, hartree
    mo_occ : ndarray, shape (nmo,) or (2, nmo), float64
        0 or 2 for a closed shell, 0 or 1 of each spin otherwise.
    conv_tol : float
        Energy threshold that it was converged to, hartree.
    with_df : pyscf.df.DF or None
        Density-fitting object of the SCF. Its integrals can be reused.
    read_from : str or None
        File that the orbitals were read from.
    hamiltonian : tuple of str
        What changes the Hamiltonian, as of `dfmp2.references.hamiltonian`. Empty for a plain one.
    check : ReferenceCheck
    notes : tuple of str
        Warnings that belong to the result.
    fock : ndarray, shape (2, nmo, nmo), float64, hartree, or None
        Fock matrices of both spins in the semicanonical orbitals of an ROHF.
    how : Convergence or None
        The iterations, where dfmp2 did the SCF.
    functional : str
        Density functional of Kohn-Sham orbitals; empty for Hartree-Fock.
    grid : int, str or None
        Its grid: a level of PySCF's grids, or a text for another one.
    response : Response or None
        How the mean field answers to changes, for densities and gradients.
    """

    mol: Any
    kind: str
    e_tot: float
    mo_coeff: NDArray[np.float64]
    mo_energy: NDArray[np.float64]
    mo_occ: NDArray[np.float64]
    conv_tol: float
    with_df: Any = None
    read_from: str | None = None
    hamiltonian: tuple[str, ...] = ()
    check: ReferenceCheck = field(default_factory=lambda: ReferenceCheck("not recorded"))
    notes: tuple[str, ...] = ()
    fock: NDArray[np.float64] | None = None
    how: Convergence | None = None
    functional: str = ""
    grid: int | str | None = None
    response: Response | None = None

    @property
    def nmo(self) -> int:
        """Orbitals of one spin: fewer than atomic orbitals where these are linearly dependent."""
        return int(self.mo_coeff.shape[-1])

    @property
    def open_shell(self) -> bool:
        """Whether alpha and beta have orbitals of their own."""
        return self.mo_coeff.ndim == 3

    @property
    def spins(self) -> tuple[SpinOrbitals, ...]:
        """The orbitals of a closed shell, or those of alpha and of beta."""
        if not self.open_shell:
            return (SpinOrbitals(self.mo_coeff, self.mo_energy, self.mo_occ > 0),)
        arrays = zip(self.mo_coeff, self.mo_energy, self.mo_occ, strict=True)
        return tuple(SpinOrbitals(coeff, energy, occ > 0) for coeff, energy, occ in arrays)

    @property
    def density(self) -> NDArray[np.float64]:
        """The density matrix, shape (nao, nao), or (2, nao, nao) of both spins."""
        occupied = self.mo_coeff * self.mo_occ[..., None, :]
        density: NDArray[np.float64] = occupied @ self.mo_coeff.swapaxes(-1, -2)
        return density

    @property
    def spin_square(self) -> float:
        """<S^2> of the determinant."""
        if not self.open_shell:
            return 0.0
        alpha, beta = (spin.mo_coeff[:, spin.occupied] for spin in self.spins)
        overlap = alpha.T @ self.mol.intor_symmetric("int1e_ovlp") @ beta
        projection = (alpha.shape[1] - beta.shape[1]) / 2.0
        found = projection * (projection + 1) + beta.shape[1] - np.sum(overlap**2)
        return float(found)

    @property
    def label(self) -> str:
        """The SCF in one line."""
        named = f"; with {', '.join(self.hamiltonian)}" if self.hamiltonian else ""
        kind = self.kind
        if self.functional:
            grid = f"level {self.grid}" if isinstance(self.grid, int) else self.grid
            kind += f" ({self.functional}; grid {grid})"
        if self.read_from is not None:
            return f"{kind}, read from {self.read_from}{named}"  # not how it was converged
        integrals = "exact integrals"
        if self.with_df is not None:
            auxbasis = self.with_df.auxbasis
            integrals = f"density-fitted, {basis_label(auxbasis) if auxbasis else 'JK set'}"
        elif SGX in self.hamiltonian:
            integrals = "seminumerical exchange"
        return f"{kind}, {integrals}, conv_tol {self.conv_tol:g}{named}"

    @property
    def fitting(self) -> dict[str, Any]:
        """Whether and with which auxiliary basis the SCF was density-fitted, as plain data."""
        if self.with_df is None:
            return {"density_fit": False}
        spec, auxmol = self.with_df.auxbasis, self.with_df.auxmol
        if not spec:
            return {"density_fit": True, "scf_auxbasis": None}
        if auxmol is None:  # it was not built, or its memory was freed
            from pyscf.df import make_auxmol

            auxmol = make_auxmol(self.mol, spec)
        return {"density_fit": True, "scf_auxbasis": recorded_basis(spec, auxmol._basis)}

"""Densities, moments, natural orbitals and gradients of the class `DFMP2`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.methods.natural_orbitals import (
    NaturalOrbitals,
    chosen_density,
    natural_orbitals,
    total_density,
)
from dfmp2.methods.properties import dipole_moment, quadrupole_moment
from dfmp2.results.densities import Densities
from dfmp2.results.gradient import Gradient

if TYPE_CHECKING:
    from dfmp2.interfaces.gradient import Gradients

__all__ = ["WithDensities"]

Array = NDArray[np.float64]

_DEBYE = ("DEBYE", "DEBYEANGSTROM", "DEBYEANG", "DEBYEA")


class WithDensities:
    """The methods of `DFMP2` that need more than the energies."""

    mol: Any
    mo_coeff: Any

    def densities(self, method: str | None = None, relaxed: bool = False) -> Densities:
        """The one-particle densities of the method of `e_corr`, or of another one."""
        raise NotImplementedError  # by DFMP2

    def gradient(self, method: str | None = None) -> Gradient:
        """The nuclear gradient, with the energies of the same pass."""
        raise NotImplementedError  # by DFMP2

    def nuc_grad_method(self) -> Gradients:
        """The object for nuclear gradients, as of PySCF's methods: `kernel()`, `as_scanner()`."""
        from dfmp2.interfaces.gradient import Gradients

        return Gradients(self)

    Gradients = nuc_grad_method

    def make_rdm1(
        self, relaxed: bool = False, ao_repr: bool = False, method: str | None = None
    ) -> Any:
        """The one-particle density matrix.

        Parameters
        ----------
        relaxed : bool
            With the response of the orbitals, as for dipole moments and other derivatives of the
            energy. The unrelaxed density is for natural orbitals.
        ao_repr : bool
            In atomic orbitals (nao, nao), not in those of `mo_coeff` (nmo, nmo).
        method : str, optional
            Key of `energies`; the method of `e_corr` if not given.

        Returns
        -------
        ndarray, shape (nmo, nmo) or (nao, nao), float64, or a tuple of alpha and beta
            The trace with the overlap is the number of electrons.
        """
        found = self.densities(method, relaxed)
        spins = chosen_density(found, relaxed)
        made = [c @ density @ c.T for density, c in zip(spins, found.mo_coeff, strict=True)]
        if not ao_repr:  # the orbitals of a run file may be rotated among equal energies
            own = [self.mo_coeff] if len(made) == 1 else self.mo_coeff
            half = [self.mol.intor_symmetric("int1e_ovlp") @ c for c in own]
            made = [h.T @ density @ h for h, density in zip(half, made, strict=True)]
        return tuple(made) if len(made) > 1 else made[0]

    def make_rdm1_unrelaxed(self, ao_repr: bool = False) -> Any:
        """As `make_rdm1`, without the response of the orbitals."""
        return self.make_rdm1(relaxed=False, ao_repr=ao_repr)

    def make_rdm1_relaxed(self, ao_repr: bool = False) -> Any:
        """As `make_rdm1`, with the response of the orbitals."""
        return self.make_rdm1(relaxed=True, ao_repr=ao_repr)

    def dip_moment(self, unit: str = "Debye", origin: Any = None, relaxed: bool = True) -> Array:
        """The dipole moment.

        Parameters
        ----------
        unit : str
            "Debye", as PySCF's default, or "AU" (e bohr).
        origin : sequence of 3 floats, optional
            Bohr; the origin of the coordinates if not given. It matters for ions.
        relaxed : bool
            Of the relaxed density: the derivative of the energy in an electric field.

        Returns
        -------
        ndarray, shape (3,), float64
        """
        from pyscf.data import nist

        factor = _factor(unit, nist.AU2DEBYE)
        return dipole_moment(self.mol, self._both_spins(relaxed), origin) * factor

    def quad_moment(
        self, unit: str = "DebyeAngstrom", origin: Any = None, relaxed: bool = True
    ) -> Array:
        """The traceless quadrupole moment.

        Parameters
        ----------
        unit : str
            "DebyeAngstrom", as PySCF's default, or "AU" (e bohr^2).
        origin, relaxed
            As of `dip_moment`. The origin matters for ions and molecules with a dipole moment.

        Returns
        -------
        ndarray, shape (3, 3), float64
        """
        from pyscf.data import nist

        factor = _factor(unit, nist.AU2DEBYE * nist.BOHR)
        return quadrupole_moment(self.mol, self._both_spins(relaxed), origin) * factor

    def natural_orbitals(self, relaxed: bool = False, method: str | None = None) -> NaturalOrbitals:
        """Natural orbitals of both spins together, with occupations and irreps.

        Parameters
        ----------
        relaxed, method
            As of `make_rdm1`.

        Returns
        -------
        dfmp2.methods.natural_orbitals.NaturalOrbitals
            `coefficients` can start a `mcscf.CASSCF`. `dfmp2.interfaces.orbital_files` writes it.
        """
        found = self.densities(method, relaxed)
        return natural_orbitals(self.mol, *total_density(found, relaxed))

    def make_natorbs(self, rdm1_mo: None = None, relaxed: bool = False) -> tuple[Array, Array]:
        """Occupations and natural orbitals, as of PySCF's `dfmp2_native`.

        Parameters
        ----------
        rdm1_mo : None
            A density of one's own is not taken.
        relaxed : bool
            As of `make_rdm1`.

        Returns
        -------
        ndarray, shape (nmo,), float64
        ndarray, shape (nao, nmo), float64
        """
        if rdm1_mo is not None:
            raise InputError("make_natorbs takes no density; use numpy.linalg.eigh(rdm1_mo)")
        found = self.natural_orbitals(relaxed)
        return found.occupations, found.coefficients

    def _both_spins(self, relaxed: bool) -> Array:
        density, orbitals = total_density(self.densities(None, relaxed), relaxed)
        made: Array = orbitals @ density @ orbitals.T
        return made


def _factor(unit: str, debye: float) -> float:
    if str(unit).upper() in _DEBYE:
        return debye
    if str(unit).upper() in ("AU", "A.U."):
        return 1.0
    raise InputError(f"unit {unit!r} of the moment is unknown; use 'Debye' or 'AU'")

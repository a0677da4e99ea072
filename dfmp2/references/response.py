"""How a Hartree-Fock mean field answers to a change of its density or of its geometry.

Gradients of correlated methods need, with the integrals of the SCF itself (exact or fitted),

    G^s[D] = J[D^a + D^b] - K[D^s]              (J[D] - K[D] / 2 for a closed shell)

and derivatives of the one-electron integrals, of the overlap, and of exact two-electron integrals.
For fitted ones both are in `dfmp2.integrals.fitted_scf`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import NotProvidedError
from dfmp2.references.converge import SMALL
from dfmp2.references.hamiltonian import is_sgx

__all__ = ["Response"]

Matrix = NDArray[np.float64]


class Response:
    """The response of a mean field. It holds no orbitals and no density.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF or pyscf.scf.uhf.UHF
        Its integrals are used, and it is not changed.

    Attributes
    ----------
    max_memory : float or None
        MB above the present memory for exact or fitted integrals that the SCF does not hold any
        more; beyond that they are computed again or kept in a file. None takes that of `mf`.
    """

    def __init__(self, mf: Any) -> None:
        self._mf = mf
        self._field: Any = None
        self.max_memory: float | None = None

    @property
    def mol(self) -> Any:
        """The molecule."""
        return self._mf.mol

    @property
    def fitting(self) -> Any:
        """The density-fitting object of the SCF, built; None for exact integrals."""
        found = getattr(self._mf, "with_df", None)
        if not found:
            return None
        if found._cderi is None:
            found.build()
        return found

    @property
    def charges(self) -> Any:
        """The point charges around the molecule as a Mole; None without any."""
        return getattr(self._mf, "mm_mol", None)

    def require_same_integrals(self) -> None:
        """Refuse two-electron integrals whose response is not provided.

        Raises
        ------
        NotProvidedError
        """
        if is_sgx(self._mf):
            raise NotProvidedError(
                "relaxed densities and gradients are not provided for seminumerical exchange (SGX);"
                " use exact or density-fitted integrals in the SCF"
            )
        if getattr(self._mf, "only_dfj", False):
            raise NotProvidedError(
                "relaxed densities and gradients are not provided for an SCF with fitted Coulomb "
                "and exact exchange integrals (only_dfj); use mf.density_fit() or exact integrals"
            )

    def _plain(self) -> Any:
        """A mean field with exact integrals and the point charges of this one."""
        if self._field is None:
            from pyscf import lib, qmmm, scf

            mf = self._mf
            field = (scf.uhf.UHF if isinstance(mf, scf.uhf.UHF) else scf.hf.RHF)(mf.mol)
            if self.charges is not None:
                field = qmmm.itrf.qmmm_for_scf(field, self.charges)
            field.verbose, field.chkfile, field.max_memory = 0, None, mf.max_memory
            if self.max_memory is not None:  # PySCF's value includes the present memory
                allowed = lib.current_memory()[0] + self.max_memory
                field.max_memory = min(field.max_memory, allowed)
            field._eri = getattr(mf, "_eri", None)
            self._field = field
        return self._field

    def approximate(self) -> Response:
        """A response that costs less: by fitted integrals, where exact ones are not in memory."""
        from pyscf import df

        plain = self._plain()
        if self.fitting is not None or plain._eri is not None:
            return self
        if self.mol.nao_nr() < SMALL and plain._is_mem_enough():
            return self
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # advice to install another package
            return Response(plain.density_fit(auxbasis=df.make_auxbasis(self.mol)))

    def coupling(self, sets: Sequence[Matrix], orbitals: Sequence[Matrix]) -> list[list[Matrix]]:
        """G[D] times orbitals by exact integrals, for several D at once.

        Parameters
        ----------
        sets : sequence of ndarray, shape (nspin, nao, nao), float64
            Each D, symmetric: of a closed shell, or of alpha and beta.
        orbitals : sequence of ndarray, shape (nao, n), float64
            Of each spin.

        Returns
        -------
        list of list of ndarray, shape (nao, n), float64, hartree
            For each D and each spin.
        """
        nspin, nao = len(orbitals), sets[0].shape[-1]
        densities = np.concatenate(sets).reshape(-1, nao, nao)
        coulomb, exchange = self._plain().get_jk(self.mol, densities, hermi=1)
        share = 0.5 if nspin == 1 else 1.0
        found = []
        for first in range(0, len(densities), nspin):
            total = coulomb[first : first + nspin].sum(axis=0)
            own = exchange[first : first + nspin]
            found.append([(total - share * k) @ c for k, c in zip(own, orbitals, strict=True)])
        return found

    def fock_columns(self, coupling: Sequence[Matrix], orbitals: Sequence[Matrix]) -> list[Matrix]:
        """(h + G[D]) times orbitals, from G[D] times these."""
        hcore = np.asarray(self._mf.get_hcore())
        return [hcore @ c + g for c, g in zip(orbitals, coupling, strict=True)]

    def one_electron_gradient(self, density: Matrix, weighted: Matrix) -> Matrix:
        """Derivative of the nuclear repulsion, and of Tr(D h) - Tr(W S) for fixed D and W.

        Parameters
        ----------
        density, weighted : ndarray, shape (nao, nao), float64
            D and W, symmetric, of both spins.

        Returns
        -------
        ndarray, shape (natm, 3), float64, hartree/bohr
            Its nuclear repulsion and h contain point charges.
        """
        gradients = self._plain().nuc_grad_method()
        mol, found = self.mol, np.array(gradients.grad_nuc(self.mol))
        hcore, overlap = gradients.hcore_generator(mol), gradients.get_ovlp(mol)
        for atom, (_, _, p0, p1) in enumerate(mol.aoslice_by_atom()):
            found[atom] += np.einsum("xij,ij->x", hcore(atom), density)
            found[atom] -= 2 * np.einsum("xij,ij->x", overlap[:, p0:p1], weighted[p0:p1])
        return found

    def charges_gradient(self, density: Matrix) -> Matrix:
        """Derivative of the energy with respect to the positions of the point charges.

        Parameters
        ----------
        density : ndarray, shape (nao, nao), float64
            Relaxed density of both spins.

        Returns
        -------
        ndarray, shape (ncharges, 3), float64, hartree/bohr
        """
        gradients = self._plain().nuc_grad_method()
        found: Matrix = gradients.grad_hcore_mm(density, self.mol) + gradients.grad_nuc_mm(self.mol)
        return found

    def exact_gradient(self, scf: Matrix, other: Matrix) -> Matrix:
        """Derivative of sum_s Tr(M^s G^s[D]) / 2 by exact two-electron integrals, for fixed M, D.

        Parameters
        ----------
        scf, other : ndarray, shape (nspin, nao, nao), float64
            D and M, symmetric.

        Returns
        -------
        ndarray, shape (natm, 3), float64, hartree/bohr
        """
        nspin = len(scf)
        both = np.concatenate([scf, other])
        coulomb, exchange = self._plain().nuc_grad_method().get_jk(self.mol, both)
        share = 0.5 if nspin == 1 else 1.0
        found = np.zeros((self.mol.natm, 3))
        for first, partner in ((0, other), (nspin, scf)):
            potential = coulomb[first : first + nspin].sum(axis=0)
            for spin in range(nspin):
                own = potential - share * exchange[first + spin]
                rows = np.einsum("xij,ij->ix", own, partner[spin])
                for atom, (_, _, p0, p1) in enumerate(self.mol.aoslice_by_atom()):
                    found[atom] += rows[p0:p1].sum(axis=0)
        return found

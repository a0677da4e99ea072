"""The reference determinant as the methods take it: spin blocks of correlated orbitals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.references.solution import ScfSolution

__all__ = ["Reference", "SpinBlock", "make_reference"]


@dataclass(frozen=True, eq=False)
class SpinBlock:
    """The correlated orbitals of one spin; of both spins for a closed shell.

    Attributes
    ----------
    c_occ, c_vir : ndarray, shapes (nao, nocc) and (nao, nvir), float64
    e_occ, e_vir : ndarray, shapes (nocc,) and (nvir,), float64, hartree
    """

    c_occ: NDArray[np.float64]
    c_vir: NDArray[np.float64]
    e_occ: NDArray[np.float64]
    e_vir: NDArray[np.float64]

    @property
    def nocc(self) -> int:
        """Number of correlated occupied orbitals."""
        return int(self.c_occ.shape[1])

    @property
    def nvir(self) -> int:
        """Number of correlated virtual orbitals."""
        return int(self.c_vir.shape[1])


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference determinant, split for MP2.

    Attributes
    ----------
    mol : pyscf.gto.Mole
    kind : str
        "RHF", or "RKS" where Kohn-Sham orbitals were asked for.
    e_ref : float
        Energy of the reference, hartree.
    spins : tuple of SpinBlock
        One for a closed shell.
    frozen : tuple of int
        Orbitals left out, as indices from 0.
    occupied : tuple of int
        Indices of the correlated occupied orbitals in the SCF's set.
    """

    mol: Any
    kind: str
    e_ref: float
    spins: tuple[SpinBlock, ...]
    frozen: tuple[int, ...]
    occupied: tuple[int, ...]

    @property
    def nao(self) -> int:
        """Number of atomic orbitals."""
        return int(self.spins[0].c_occ.shape[0])

    @property
    def closed(self) -> SpinBlock:
        """The one spin block of a closed shell."""
        (block,) = self.spins
        return block


def make_reference(solution: ScfSolution, frozen: tuple[int, ...] = ()) -> Reference:
    """Split the orbitals of an SCF into frozen, occupied and virtual ones.

    Parameters
    ----------
    solution : ScfSolution
    frozen : tuple of int
        Indices of the orbitals that are not correlated, as from `frozen_orbitals`.

    Returns
    -------
    Reference

    Raises
    ------
    InputError
        If the gap between correlated occupied and virtual orbitals is not positive.
    """
    occ, energy = solution.mo_occ, solution.mo_energy
    active = np.ones(len(occ), dtype=bool)
    active[list(frozen)] = False
    occupied, virtual = np.flatnonzero(active & (occ > 0)), np.flatnonzero(active & (occ == 0))
    _check_gap(energy, occupied, virtual)
    block = SpinBlock(
        c_occ=np.ascontiguousarray(solution.mo_coeff[:, occupied], dtype=np.float64),
        c_vir=np.ascontiguousarray(solution.mo_coeff[:, virtual], dtype=np.float64),
        e_occ=np.array(energy[occupied], dtype=np.float64),
        e_vir=np.array(energy[virtual], dtype=np.float64),
    )
    return Reference(
        mol=solution.mol,
        kind=solution.kind,
        e_ref=solution.e_tot,
        spins=(block,),
        frozen=frozen,
        occupied=tuple(int(i) for i in occupied),
    )


def _check_gap(energy: NDArray[Any], occupied: NDArray[Any], virtual: NDArray[Any]) -> None:
    if not (len(occupied) and len(virtual)):
        return
    i, a = occupied[np.argmax(energy[occupied])], virtual[np.argmin(energy[virtual])]
    if energy[a] - energy[i] <= 0:
        raise InputError(
            f"virtual orbital {a} ({energy[a]:.6f} Eh) is not above occupied orbital {i} "
            f"({energy[i]:.6f} Eh): the MP2 denominators vanish; this reference is not the ground "
            "state, or has no gap"
        )

"""The reference determinant as the methods take it: spin blocks of correlated orbitals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.references.solution import ScfSolution

__all__ = ["Indices", "Reference", "SpinBlock", "make_reference"]


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


Indices = tuple[int, ...]
"""Indices of orbitals, from 0."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A reference determinant, split for MP2.

    Attributes
    ----------
    mol : pyscf.gto.Mole
    kind : str
        As of `ScfSolution`.
    e_ref : float
        Energy of the reference, hartree.
    spins : tuple of SpinBlock
        One for a closed shell; alpha and beta otherwise.
    frozen : tuple of tuple of int
        Orbitals left out of each spin block, as indices from 0.
    occupied : tuple of tuple of int
        Indices of the correlated occupied orbitals in the SCF's set, for each spin block.
    e_singles : float
        Energy of the single excitations of an ROHF reference, hartree.
    """

    mol: Any
    kind: str
    e_ref: float
    spins: tuple[SpinBlock, ...]
    frozen: tuple[Indices, ...]
    occupied: tuple[Indices, ...]
    e_singles: float = 0.0

    @property
    def nao(self) -> int:
        """Number of atomic orbitals."""
        return int(self.spins[0].c_occ.shape[0])

    @property
    def nocc(self) -> int:
        """Number of correlated occupied orbitals of all spin blocks."""
        return sum(spin.nocc for spin in self.spins)

    @property
    def electron_pairs(self) -> float:
        """Number of correlated electrons, divided by two."""
        return self.nocc / len(self.spins)

    @property
    def empty(self) -> bool:
        """Whether there is no pair of electrons to correlate, or no virtual orbital."""
        alone = len(self.spins) > 1 and self.nocc < 2
        return alone or not any(spin.nocc and spin.nvir for spin in self.spins)

    def spin_of(self, rows: slice) -> tuple[int, slice]:
        """The spin block of a range of occupied orbitals, and the range in this block.

        Parameters
        ----------
        rows : slice
            Occupied orbitals of one spin. Those of beta are counted after those of alpha.
        """
        first = self.spins[0].nocc
        if rows.start < first or len(self.spins) == 1:
            return 0, rows
        return 1, slice(rows.start - first, rows.stop - first)

    @property
    def closed(self) -> SpinBlock:
        """The one spin block of a closed shell."""
        (block,) = self.spins
        return block


def make_reference(solution: ScfSolution, frozen: tuple[Indices, ...]) -> Reference:
    """Split the orbitals of an SCF into frozen, occupied and virtual ones.

    Parameters
    ----------
    solution : ScfSolution
    frozen : tuple of tuple of int
        Indices of the orbitals that are not correlated, for each spin block, as from
        `frozen_orbitals`.

    Returns
    -------
    Reference

    Raises
    ------
    InputError
        If the gap between correlated occupied and virtual orbitals of a spin is not positive.
    """
    blocks, correlated, e_singles = [], [], 0.0
    for number, (spin, left_out) in enumerate(zip(solution.spins, frozen, strict=True)):
        energy, active = spin.mo_energy, np.ones(solution.nmo, dtype=bool)
        active[list(left_out)] = False
        occupied = np.flatnonzero(active & spin.occupied)
        virtual = np.flatnonzero(active & ~spin.occupied)
        _check_gap(energy, occupied, virtual)
        blocks.append(
            SpinBlock(
                c_occ=np.ascontiguousarray(spin.mo_coeff[:, occupied], dtype=np.float64),
                c_vir=np.ascontiguousarray(spin.mo_coeff[:, virtual], dtype=np.float64),
                e_occ=np.array(energy[occupied], dtype=np.float64),
                e_vir=np.array(energy[virtual], dtype=np.float64),
            )
        )
        correlated.append(tuple(int(i) for i in occupied))
        if solution.fock is not None:
            coupling = solution.fock[number][np.ix_(occupied, virtual)]
            gap = energy[occupied][:, None] - energy[virtual]
            e_singles += float((coupling**2 / gap).sum())
    return Reference(
        mol=solution.mol,
        kind=solution.kind,
        e_ref=solution.e_tot,
        spins=tuple(blocks),
        frozen=frozen,
        occupied=tuple(correlated),
        e_singles=e_singles,
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

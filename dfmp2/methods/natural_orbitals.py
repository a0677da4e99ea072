"""Natural orbitals: the eigenvectors of a one-particle density, with their occupations.

Where the molecule has symmetry, and the density too, the orbitals are made in each irreducible
representation (irrep) on its own. So they have a label also where occupations are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.results.densities import Densities

__all__ = ["NaturalOrbitals", "chosen_density", "natural_orbitals", "total_density"]

Array = NDArray[np.float64]

NOT_SYMMETRIC = 1e-6
"""Largest element of a density between orbitals of two irreps that passes for zero. SCF orbitals
that are converged to PySCF's default threshold stay below it."""

IN_SPAN = 1e-6
"""Singular values below this are zero: the smallest that is not is the root of the smallest
eigenvalue of the overlap, of which PySCF drops those below 1e-8 by default."""


@dataclass(frozen=True, eq=False)
class NaturalOrbitals:
    """Natural orbitals of both spins together, with the highest occupations first.

    Attributes
    ----------
    mol : pyscf.gto.Mole
    occupations : ndarray, shape (nmo,), float64
        Numbers of electrons, about 2 to 0. Those of a relaxed density may be slightly outside.
    coefficients : ndarray, shape (nao, nmo), float64
    irreps : tuple of str or None
        The irrep of each orbital; None without symmetry.
    point_group : str
        The group of the irreps, an Abelian one; "C1" without symmetry.
    """

    mol: Any
    occupations: Array
    coefficients: Array
    irreps: tuple[str, ...] | None
    point_group: str


def chosen_density(densities: Densities, relaxed: bool) -> tuple[Array, ...]:
    """The relaxed or the unrelaxed density of each spin.

    Raises
    ------
    InputError
        If the relaxed one was not computed.
    """
    if not relaxed:
        return densities.unrelaxed
    if densities.relaxed is None:
        raise InputError("the relaxed density was not computed; compute it with relaxed=True")
    return densities.relaxed


def total_density(densities: Densities, relaxed: bool) -> tuple[Array, Array]:
    """The density of both spins together, in the orbitals of the closed shell or of alpha.

    Parameters
    ----------
    densities : Densities
    relaxed : bool
        Take the relaxed density, which must be there.

    Returns
    -------
    ndarray, shape (nmo, nmo), float64
        Density matrix in these orbitals.
    ndarray, shape (nao, nmo), float64
        The orbitals.
    """
    found = chosen_density(densities, relaxed)
    if len(found) == 1:
        return found[0], densities.mo_coeff[0]
    alpha, beta = densities.mo_coeff
    # Both sets span the same space, so beta = alpha @ rotation.
    rotation = np.asarray(np.linalg.lstsq(alpha, beta, rcond=None)[0], dtype=np.float64)
    total: Array = found[0] + rotation @ found[1] @ rotation.T
    return total, alpha


def natural_orbitals(mol: Any, density: Array, mo_coeff: Array) -> NaturalOrbitals:
    """Diagonalise a density.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    density : ndarray, shape (nmo, nmo), float64
        In orthonormal orbitals.
    mo_coeff : ndarray, shape (nao, nmo), float64
        These orbitals.

    Returns
    -------
    NaturalOrbitals
    """
    blocks, group = _irrep_blocks(mol, density, mo_coeff)
    occupations, vectors, labels = [], [], []
    for name, basis in blocks.items():
        values, rotation = np.linalg.eigh(basis.T @ density @ basis)
        occupations.append(values)
        vectors.append(basis @ rotation)
        labels += [name] * len(values)
    every = np.concatenate(occupations)
    order = np.argsort(-every, kind="stable")
    return NaturalOrbitals(
        mol=mol,
        occupations=every[order],
        coefficients=mo_coeff @ np.hstack(vectors)[:, order],
        irreps=tuple(labels[i] for i in order) if group != "C1" else None,
        point_group=group,
    )


def _irrep_blocks(mol: Any, density: Array, mo_coeff: Array) -> tuple[dict[str, Array], str]:
    """An orthonormal basis of each irrep in the space of the orbitals, and the point group.

    One block of all orbitals, and "C1", where molecule or density have no symmetry.
    """
    nmo = mo_coeff.shape[1]
    whole = {"A": np.eye(nmo)}
    symmetric = _symmetric(mol)
    if symmetric is None or symmetric.groupname == "C1":
        return whole, "C1"
    from_ao = mo_coeff.T @ mol.intor_symmetric("int1e_ovlp")
    blocks = {}
    for name, functions in zip(symmetric.irrep_name, symmetric.symm_orb, strict=True):
        left, values, _ = np.linalg.svd(from_ao @ functions, full_matrices=False)
        blocks[name] = np.asarray(left[:, values > IN_SPAN])
    basis = np.hstack(list(blocks.values()))
    if basis.shape != (nmo, nmo) or not np.allclose(basis.T @ basis, np.eye(nmo), atol=1e-8):
        return whole, "C1"  # the orbitals are not those of all functions of each irrep
    within = sum((b @ (b.T @ density @ b) @ b.T for b in blocks.values()), np.zeros((nmo, nmo)))
    if np.abs(density - within).max(initial=0.0) > NOT_SYMMETRIC:
        return whole, "C1"
    return blocks, str(symmetric.groupname)


def _symmetric(mol: Any) -> Any:
    """The molecule with its point group. None if PySCF finds none, or for other coordinates."""
    if mol.symmetry:
        return mol
    found = mol.copy()
    found.symmetry, found.verbose = True, 0
    try:
        found.build(dump_input=False, parse_arg=False)
    except (AssertionError, LookupError, RuntimeError, ValueError):
        return None  # a point group that PySCF cannot use; the labels are left out
    same = np.array_equal(found.atom_coords(), mol.atom_coords())
    return found if same and len(found.symm_orb) == len(found.irrep_name) else None

"""Second-order energies as a plain sum over orbitals, from PySCF's integrals.

It uses nothing of the stages of dfmp2. `dfmp2 validate` compares double hybrids with it, because
PySCF's MP2 classes take Hartree-Fock references. All (ia|jb) of two spins are in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.references.solution import ScfSolution, SpinOrbitals

__all__ = ["explicit_energies"]

Array = NDArray[np.float64]
Spin = tuple[Array, Array, Array, Array]
"""Coefficients of occupied and of virtual orbitals, and the energies of both."""


def explicit_energies(
    solution: ScfSolution, frozen: tuple[Any, ...], auxbasis: Any = None
) -> tuple[float, float]:
    """Opposite- and same-spin second-order energy, without weights.

    Parameters
    ----------
    solution : ScfSolution
    frozen : tuple
        As of `dfmp2.results.result.Result`.
    auxbasis : dict, optional
        Auxiliary basis; exact four-centre integrals without it.

    Returns
    -------
    e_os, e_ss : float
        Hartree.
    """
    lists = frozen if solution.open_shell else (frozen,)
    spins = [_correlated(spin, out) for spin, out in zip(solution.spins, lists, strict=True)]
    alpha, beta = spins[0], spins[-1]
    repulsion, gap = _repulsion(solution.mol, auxbasis, alpha, beta), _gap(alpha, beta)
    e_os, e_ss = float((repulsion**2 / gap).sum()), 0.0
    for spin in (alpha, beta):
        repulsion = _repulsion(solution.mol, auxbasis, spin, spin)
        exchanged = repulsion.transpose(0, 3, 2, 1)
        e_ss += float(((repulsion - exchanged) ** 2 / _gap(spin, spin)).sum()) / 4
    return e_os, e_ss


def _correlated(spin: SpinOrbitals, frozen: tuple[int, ...]) -> Spin:
    active = np.ones(len(spin.mo_energy), dtype=bool)
    active[list(frozen)] = False
    occupied, virtual = active & spin.occupied, active & ~spin.occupied
    coeff, energy = spin.mo_coeff, spin.mo_energy
    return coeff[:, occupied], coeff[:, virtual], energy[occupied], energy[virtual]


def _gap(one: Spin, other: Spin) -> Array:
    """e_i - e_a + e_j - e_b, as [i, a, j, b]."""
    left, right = (spin[2][:, None] - spin[3] for spin in (one, other))
    return left[:, :, None, None] + right


def _repulsion(mol: Any, auxbasis: Any, one: Spin, other: Spin) -> Array:
    """(ia|jb) as [i, a, j, b]."""
    from pyscf import ao2mo, df, lib

    shape = [block.shape[1] for block in (*one[:2], *other[:2])]
    if not all(shape):
        return np.zeros(shape)
    if auxbasis is None:
        exact: Array = ao2mo.general(mol, (*one[:2], *other[:2]), compact=False)
        return exact.reshape(shape)
    fitting = df.DF(mol, auxbasis=auxbasis)
    fitting.verbose = 0
    blocks = [lib.unpack_tril(np.asarray(block)) for block in fitting.loop()]  # (P, mu, nu)
    left, right = (
        np.concatenate(
            [np.einsum("pmn,mi,na->pia", block, *spin[:2], optimize=True) for block in blocks]
        )
        for spin in (one, other)
    )
    fitted: Array = np.einsum("pia,pjb->iajb", left, right, optimize=True)
    return fitted

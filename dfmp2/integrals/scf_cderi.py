"""The integrals of a density-fitted SCF, which MP2 can reuse.

PySCF's `mf.with_df` contains sum_Q (L^-1)_PQ (Q|mn) with L L^T = (P|Q). The two half transforms of
these give B[i,P,a]. No integral is computed again, and no metric is factored or solved. If the SCF
and MP2 use the same auxiliary functions, the energies are the same to rounding. This is checked:
the shells are compared, and a part of the integrals is compared with libcint's.

Only ``integrals="scf"`` does this. An SCF is usually fitted with a Coulomb/exchange (JK) set, which
was not optimised for correlation energies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.linalg

from dfmp2.backends.protocol import Array
from dfmp2.errors import InputError
from dfmp2.fitting.auxbasis import AuxBasis, make_auxmol
from dfmp2.integrals.blocks import AuxBlock, Memory, Probe
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.molecules.basis import basis_label
from dfmp2.molecules.plain import Mole
from dfmp2.references.solution import ScfSolution
from dfmp2.results.stages import Stage

__all__ = ["ScfIntegrals", "require_same_set"]

DF = Any
"""A `pyscf.df.DF`. PySCF has no types."""

SAME = 1e-9
"""Largest relative difference between equal integrals. libcint reproduces its integrals to 1e-14.
Integrals of another molecule or set differ in the first digits."""

SAMPLED = 8
"""Pairs of orbital shells."""

ROUNDING = 1e-14
"""The last rows of L^-1 (P|mn) have a relative error of the condition of the metric times this."""


class ScfIntegrals:
    """`dfmp2.integrals.blocks.IntegralSource` that reads the integrals of an SCF.

    Parameters
    ----------
    solution : ScfSolution
        A density-fitted SCF.
    aux : AuxBasis
        Auxiliary basis of MP2.

    Raises
    ------
    InputError
        If there are no integrals to reuse: the SCF was not density-fitted or has another auxiliary
        set, its integrals were released, or they belong to another molecule or set.
    """

    stage = Stage.SCF_INTEGRALS
    metric: str | None = "Cholesky, by the SCF"
    on_device = False

    def __init__(self, solution: ScfSolution, aux: AuxBasis) -> None:
        mol = solution.mol
        self._df = require_same_set(mol, solution.with_df, aux, solution.read_from)
        if self._df._cderi is None:
            raise InputError(
                "integrals scf: mf.with_df holds no integrals (reset and pickling remove them); "
                "run mf.with_df.build(), or leave integrals at auto"
            )
        rows = int(self._df.get_naoaux())
        if rows != aux.naux:
            raise InputError(
                f"integrals scf: the SCF's integrals have {rows} auxiliary vectors of "
                f"{aux.naux} (PySCF removed linearly dependent ones with another threshold than "
                "MP2 has); leave integrals at auto"
            )
        _require_content(self._df, mol, aux)
        where = "in memory" if isinstance(self._df._cderi, np.ndarray) else "read from its file"
        self.origin = f"the SCF's, fitted with {_name(self._df)}, {where}"

    def integrals(
        self,
        mol: Mole,
        auxmol: Mole,
        block: int,
        shells: Sequence[int] | None = None,
        probe: Probe | None = None,
    ) -> _Rows:
        """All integrals in blocks of at most `block` auxiliary vectors. `shells` is not used.

        Parameters
        ----------
        mol, auxmol : pyscf.gto.Mole
        block : int
        shells : None
        probe : Probe, optional
            Is given every block.
        """
        return _Rows(self._df, int(mol.nao_nr()), int(auxmol.nao_nr()), block, probe)


class _Rows:
    """`BlockedIntegrals` from the packed rows of a density-fitting object."""

    def __init__(self, with_df: DF, nao: int, naux: int, block: int, probe: Probe | None) -> None:
        self._df, self._nao, self._size = with_df, nao, min(block, naux)
        self._probe = probe
        starts = range(0, naux, block)
        # Orthonormalised vectors have no shells.
        self.blocks = [AuxBlock(-1, -1, p0, min(p0 + block, naux)) for p0 in starts]

    def __iter__(self) -> Iterator[tuple[AuxBlock, Array]]:
        from pyscf import lib

        nao = self._nao
        memory = np.empty(self._size * nao * nao)
        for block, packed in zip(self.blocks, self._df.loop(self._size), strict=True):
            size = block.p1 - block.p0
            out = memory[: size * nao * nao].reshape(size, nao, nao)
            if self._probe is not None:
                self._probe.packed(block.p0, packed)
            lib.unpack_tril(packed, out=out)
            del packed  # PySCF reads the next block already, so release the memory of this one
            yield block, out

    def packed(self, memory: Memory) -> Iterator[tuple[AuxBlock, Array]]:
        """Yield each block with its lower triangles [P,mn], copied to the buffer of the block."""
        rows = zip(self.blocks, self._df.loop(self._size), strict=True)
        for number, (block, stored) in enumerate(rows):
            out = memory(number)[: stored.size].reshape(stored.shape)
            out[:] = stored
            if self._probe is not None:
                self._probe.packed(block.p0, out)
            yield block, out


def require_same_set(mol: Mole, with_df: DF, aux: AuxBasis, read_from: str | None = None) -> DF:
    """Check that the SCF and MP2 have the same auxiliary functions.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    with_df : pyscf.df.DF or None
        Density-fitting object of the SCF. The SCF may not have run yet.
    aux : AuxBasis
        Auxiliary basis of MP2.
    read_from : str, optional
        File that the SCF was read from.

    Returns
    -------
    pyscf.df.DF

    Raises
    ------
    InputError
        If the SCF is not density-fitted, or has other auxiliary functions. The message names a
        difference.
    """
    from pyscf import df

    if not isinstance(with_df, df.DF):
        why = f"{read_from} holds none" if read_from else "the SCF is not density-fitted"
        raise InputError(
            f"integrals scf: there are no integrals to reuse ({why}); fit the SCF with MP2's "
            "auxiliary set (--density-fit, mf.density_fit), or leave integrals at auto"
        )
    auxmol = with_df.auxmol
    if auxmol is None:
        auxmol = make_auxmol(mol, with_df.auxbasis)
    if auxmol.natm != aux.mol.natm or not np.allclose(
        auxmol.atom_coords(), aux.mol.atom_coords(), rtol=0, atol=SAME
    ):
        raise InputError(
            "integrals scf: mf.with_df was made for other atom positions (the molecule was "
            "changed after the SCF); run the SCF again, or leave integrals at auto"
        )
    if difference := _difference(auxmol, aux.mol):
        raise InputError(
            f"integrals scf: the SCF is fitted with {_name(with_df)}, MP2 with {aux}: "
            f"{difference}; use one set for both (--auxbasis and --scf-auxbasis, auxbasis and "
            "mf.density_fit), or leave integrals at auto"
        )
    return with_df


def _name(with_df: DF) -> str:
    """Name of the auxiliary set of a density-fitted SCF."""
    if with_df.auxbasis is None:
        return "PySCF's JK set"
    names = {name.strip() for name in basis_label(with_df.auxbasis).split(",")}
    short = {name.split(": ")[-1] for name in names}
    return short.pop() if len(short) == 1 else basis_label(with_df.auxbasis)


def _difference(scf: Mole, mp2: Mole) -> str:
    """The first difference between two sets on the same atoms. Empty if there is none."""
    for atom in range(scf.natm):
        label = mp2.atom_symbol(atom)
        ours, theirs = _shells(mp2, atom), _shells(scf, atom)
        if [x[:2] for x in ours] != [x[:2] for x in theirs] or scf.cart != mp2.cart:
            return f"{_functions(scf, atom)} functions on {label}, not {_functions(mp2, atom)}"
        if not all(
            np.allclose(a, b, rtol=1e-10, atol=0)
            for one, other in zip(ours, theirs, strict=True)
            for a, b in zip(one[2:], other[2:], strict=True)
        ):
            return f"other exponents or coefficients on {label}"
    return ""


def _shells(mol: Mole, atom: int) -> list[tuple[int, tuple[int, ...], Array, Array]]:
    """Angular momentum, shape, exponents and coefficients of each shell on an atom."""
    found = []
    for shell in mol.atom_shell_ids(atom):
        coefficients = mol._libcint_ctr_coeff(shell)
        found.append((mol.bas_angular(shell), coefficients.shape, mol.bas_exp(shell), coefficients))
    return found


def _functions(mol: Mole, atom: int) -> int:
    """Number of functions on an atom."""
    loc = mol.ao_loc_nr()
    return int(sum(loc[shell + 1] - loc[shell] for shell in mol.atom_shell_ids(atom)))


def _require_content(with_df: DF, mol: Mole, aux: AuxBasis) -> None:
    """Compare stored integrals with those of libcint.

    These are the rows of the first auxiliary shell, and for a few pairs of orbital shells the
    integrals with all auxiliary functions. L is lower triangular, so the first rows depend on the
    metric of the first shell only.
    """
    ((block, eri),) = ThreeCentreIntegrals(mol, aux.mol, 1, shells=[0])
    lower = scipy.linalg.cholesky(aux.mol.intor("int2c2e"), lower=True)
    packed = eri[(slice(None), *np.tril_indices(eri.shape[1]))]
    first = lower[: block.p1, : block.p1]
    _require_equal(next(iter(with_df.loop(block.p1))), _solved(first, packed), SAME)
    diagonal = np.diagonal(lower)
    condition = float((diagonal.max() / diagonal.min()) ** 2)
    columns, expected = _of_some_pairs(mol, aux.mol)
    stored = np.concatenate([rows[:, columns] for rows in with_df.loop()])
    _require_equal(stored, _solved(lower, expected), max(SAME, ROUNDING * condition))


def _solved(lower: Array, right: Array) -> Array:
    solved: Array = scipy.linalg.solve_triangular(lower, right, lower=True)
    return solved


def _of_some_pairs(mol: Mole, auxmol: Mole) -> tuple[Array, Array]:
    """Packed pairs mn of orbitals from a few random pairs of shells, and their (P|mn)."""
    from pyscf.df.incore import aux_e2

    loc, rng = mol.ao_loc_nr(), np.random.default_rng(0)
    columns, integrals = [], []
    for pair in np.sort(rng.integers(mol.nbas, size=(SAMPLED, 2)), axis=1):
        n, m = (int(shell) for shell in pair)
        shells = (m, m + 1, n, n + 1, 0, auxmol.nbas)
        rows, cols = np.ogrid[loc[m] : loc[m + 1], loc[n] : loc[n + 1]]
        lower = rows >= cols
        columns.append((rows * (rows + 1) // 2 + cols)[lower])
        integrals.append(aux_e2(mol, auxmol, shls_slice=shells)[lower].T)
    return np.concatenate(columns), np.concatenate(integrals, axis=1)


def _require_equal(stored: Array, expected: Array, tolerance: float) -> None:
    if stored.shape == expected.shape:
        worst = float(np.abs(stored - expected).max(initial=0.0))
        if worst <= tolerance * float(np.abs(expected).max(initial=0.0)):
            return
    raise InputError(
        "integrals scf: the integrals in mf.with_df are not the Cholesky-fitted integrals of this "
        "molecule, basis and auxiliary set; run the SCF again, or leave integrals at auto"
    )

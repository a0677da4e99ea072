"""Errors of an auxiliary set in a free atom: those of its molecules, for the price of one atom.

The number of functions does not tell whether a set fits. cc-pVTZ-RI has four functions for each of
6-311G on bromine, but none for the products of its compact 3d and 4p functions, which have their
part in the correlation energy of all electrons: it errs by 24 mEh in the atom and in HBr.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dfmp2.molecules.basis import BASIS_FAULTS, basis_entry, function_count, pure_symbol
from dfmp2.molecules.plain import Mole

__all__ = ["AtomicError", "atomic_error"]

LARGEST = 60
"""Most orbital functions of an atom. It takes about a second; with cc-pV5Z, five."""

SINGULAR = 1e-8
"""Smallest eigenvalue of the overlap of an atom's orbital functions."""

DEPENDENT = 1e-12
"""Eigenvalues of the metric below this part of the largest one are dropped."""


@dataclass(frozen=True)
class AtomicError:
    """Fitted minus exact energy of an atom, hartree.

    Attributes
    ----------
    hf : float
        Of the Coulomb and exchange energy.
    mp2 : float
        Of the second-order energy of all electrons.
    """

    hf: float
    mp2: float


def atomic_error(mol: Mole, symbol: str, auxiliary: list[Any]) -> AtomicError | None:
    """Fit one atom of a molecule, neutral, with spherically averaged occupations.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        With its orbital basis.
    symbol : str
        Atom label. A ghost atom counts as its element, with the potential of a real one.
    auxiliary : list
        Shells of the auxiliary set in PySCF's form.

    Returns
    -------
    AtomicError or None
        None if the atom has more than `LARGEST` functions, if they are linearly dependent, or if
        its SCF fails in this basis.
    """
    shells, element = basis_entry(mol._basis, symbol), pure_symbol(symbol)
    if function_count(shells) > LARGEST or mol._pseudo:
        return None
    potential = next(
        (value for key, value in mol._ecp.items() if pure_symbol(key) == element), None
    )
    try:
        return _computed(element, *map(_text, (shells, auxiliary, potential)))
    except (*BASIS_FAULTS, ArithmeticError, np.linalg.LinAlgError):
        return None


def _text(value: Any) -> str:
    return json.dumps(value, default=lambda other: other.tolist())


@lru_cache(maxsize=64)
def _computed(element: str, shells: str, auxiliary: str, potential: str) -> AtomicError | None:
    """The errors, from descriptions in JSON: geometries of one molecule need them once."""
    from pyscf import ao2mo, df
    from pyscf.scf import atom_hf

    ecp = json.loads(potential)
    atom = _atom(element, json.loads(shells), ecp)
    if np.linalg.eigvalsh(atom.intor_symmetric("int1e_ovlp"))[0] < SINGULAR:
        return None  # PySCF's atomic SCF does not remove linear dependence
    auxmol = _atom(element, json.loads(auxiliary), None)
    with warnings.catch_warnings():  # PySCF's own use of what it deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        _, energies, c, n = next(iter(atom_hf.get_atm_nrhf(atom).values()))
    filled = n > 0
    # n electrons in an orbital, spread over its degenerate ones, count as n/2 pairs.
    occupied, virtual = c[:, filled] * np.sqrt(n[filled] / 2), c[:, ~filled]
    nocc, nvir, nao = occupied.shape[1], virtual.shape[1], atom.nao_nr()
    values, vectors = np.linalg.eigh(auxmol.intor("int2c2e"))
    kept = values > DEPENDENT * values[-1]
    b = df.incore.aux_e2(atom, auxmol, "int3c2e", aosym="s1").reshape(nao, nao, -1)
    b = b @ (vectors[:, kept] / np.sqrt(values[kept]))
    exact = atom.intor("int2e", aosym="s8")

    def errors(one: Any, energy: Any) -> float:
        """Fitted minus exact energy of the integrals (iq|jr) of the occupied and `one` orbital."""
        shape = (nocc, one.shape[1])
        bt = np.einsum("mnP,mi,nq->iqP", b, occupied, one, optimize=True)
        fitted = np.tensordot(bt, bt, axes=(2, 2))
        right = ao2mo.kernel(exact, (occupied, one, occupied, one), compact=False)
        return float(energy(fitted) - energy(right.reshape(*shape, *shape)))

    gaps = np.subtract.outer(energies[filled], energies[~filled])
    denominators = np.add.outer(gaps, gaps)
    hf = errors(occupied, lambda g: 2 * np.einsum("iijj->", g) - np.einsum("ijji->", g))
    if not nvir:
        return AtomicError(hf, 0.0)
    mp2 = errors(virtual, lambda g: np.sum(g * (2 * g - g.transpose(0, 3, 2, 1)) / denominators))
    return AtomicError(hf, mp2) if math.isfinite(hf) and math.isfinite(mp2) else None


def _atom(element: str, shells: Any, potential: Any) -> Mole:
    from pyscf import gto

    return gto.M(
        atom=[(element, (0.0, 0.0, 0.0))], basis={element: shells}, spin=None, verbose=0,
        ecp={element: potential} if potential else {}, parse_arg=False, dump_input=False,
    )  # fmt: skip

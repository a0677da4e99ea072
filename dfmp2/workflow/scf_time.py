"""How long the parts of a Hartree-Fock calculation take, measured on a sample of its work.

A Fock matrix with exact integrals is a sum over shell pairs ij, of what the quartets (ij|kl) with
all kl contribute. Pairs are drawn at random, with a probability that grows with their estimated
cost. The mean of time / probability is the time of all pairs, whatever the estimate is. A good
estimate makes the spread small. Each thread draws for itself and counts its own processor time, so
that waiting for others is not measured. The symmetry (ij|kl) = (kl|ij), which the SCF uses and the
sample cannot use, is measured on a few shells.

The density is PySCF's initial guess. Its elements are about as large as those of the converged one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np

from dfmp2.backends.protocol import Array
from dfmp2.fitting.auxbasis import make_auxmol
from dfmp2.planning.time import ScfTimes
from dfmp2.references.converge import SMALL
from dfmp2.references.fitted_jk import fitted_jk
from dfmp2.references.scf import new_scf
from dfmp2.settings import Settings

__all__ = ["measure_scf", "scf_algorithm"]

SECONDS = 2.0
"""Of each thread for the sample of shell pairs."""

SEED = 20_251_128

FRAGMENT = 24
"""Shells on which the use of symmetry is measured."""

DECADES = 9
"""Sizes of the density, 1 to 10^-8, for which the integrals that pass the screening are counted."""

CDERI = 64 * 10**6
"""Bytes of fitted integrals in the sample of a fitted Fock matrix."""

LARGE = 1000
"""Orbitals up to which a matrix is diagonalised here. A larger one is extrapolated."""

HELD = 100
"""Orbitals of the sample for integrals that are held in memory."""


def scf_algorithm(settings: Settings, nao: int) -> str:
    """The SCF that these settings give: "direct", "fitted" or "corrected".

    Parameters
    ----------
    settings : Settings
    nao : int
        Atomic orbitals. For a small molecule the ordinary SCF replaces the corrected one.
    """
    asked = settings.scf_algorithm
    return "direct" if asked == "corrected" and nao < SMALL else asked


def measure_scf(mol: Any, settings: Settings) -> ScfTimes:
    """Measure the parts of the SCF of a molecule, in about five seconds.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    settings : Settings

    Returns
    -------
    ScfTimes
    """
    algorithm, field = scf_algorithm(settings, int(mol.nao_nr())), new_scf(mol, settings)
    found: dict[str, Any] = {"exact": None, "rest": _diagonalisation(mol)}
    if algorithm != "direct":
        found |= _fitted(mol, settings.scf_auxbasis, algorithm)
    if algorithm == "direct" and field._is_mem_enough():
        found |= _held(mol)
    elif algorithm != "fitted":
        found |= _direct(mol, field)
    return ScfTimes(**found)


def _diagonalisation(mol: Any) -> float:
    import scipy.linalg

    nao = int(mol.nao_nr())
    size = min(nao, LARGE)
    matrix = np.random.default_rng(SEED).standard_normal((size, size))
    overlap = np.eye(size) + 1e-3 * (matrix + matrix.T) / np.sqrt(size)
    return (nao / size) ** 3 * _wall(lambda: scipy.linalg.eigh(matrix + matrix.T, overlap))


def _wall(work: Callable[[], Any]) -> float:
    """Median of three, or fewer if they take long."""
    found: list[float] = []
    while len(found) < 3 and sum(found) < SECONDS / 3:
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return median(found)


class _Pairs:
    """The shell pairs i >= j, their integral bounds, and their estimated costs."""

    def __init__(self, mol: Any, bound: Array, tolerance: float) -> None:
        self.i, self.j = np.tril_indices(mol.nbas)
        functions = np.diff(mol.ao_loc_nr())
        primitives = np.array([mol.bas_nprim(shell) for shell in range(mol.nbas)])
        momentum = np.array([mol.bas_angular(shell) for shell in range(mol.nbas)])
        i, j = self.i, self.j
        self._weight = 1.0 * functions[i] * functions[j]
        self._weight += primitives[i] * primitives[j] * (momentum[i] + momentum[j] + 1.0)
        self._bound, self._tolerance = np.maximum(bound[i, j], 1e-100), tolerance
        self._order = np.argsort(-self._bound)

    def costs(self, size: float = 1.0) -> Array:
        """Estimated cost of each pair with all kl that pass the screening for a density."""
        ordered = self._bound[self._order]
        passed = np.searchsorted(-ordered, -self._tolerance / (size * self._bound), side="right")
        total = np.concatenate([[0.0], np.cumsum(self._weight[self._order])])
        costs: Array = self._weight * total[passed]
        return costs

    def sampled(self, timed: Callable[[int, int], float]) -> float:
        """Time of all pairs on all threads in seconds, from a sample."""
        from pyscf import lib

        threads = int(lib.num_threads())
        chance = self.costs()
        chance = chance / chance.sum()
        drawn = iter(np.random.default_rng(SEED).choice(len(chance), 50_000, p=chance))

        def work(_: int) -> list[float]:
            found: list[float] = []
            end = time.perf_counter() + SECONDS
            for pair in drawn:  # all threads share this iterator
                found.append(timed(int(self.i[pair]), int(self.j[pair])) / chance[pair])
                if time.perf_counter() > end:
                    break
            return found

        with _single_threaded(threads) as pool:
            found = [one for part in pool.map(work, range(threads)) for one in part]
        return float(np.mean(found)) / threads


def _single_threaded(threads: int) -> ThreadPoolExecutor:
    from pyscf import lib

    return ThreadPoolExecutor(threads, "dfmp2-rates", lambda: lib.num_threads(1))


def _direct(mol: Any, field: Any) -> dict[str, Any]:
    """Times of a direct SCF."""
    from pyscf.scf import _vhf

    density = np.asarray(field.get_init_guess(mol))
    screening = field.init_direct_scf(mol)
    screening.set_dm(density, mol._atm, mol._bas, mol._env)
    loc, nbas = mol.ao_loc_nr(), mol.nbas

    def timed(symmetry: str, shells: tuple[int, ...], scripts: tuple[str, str]) -> float:
        part = {letter: slice(loc[shells[2 * k]], loc[shells[2 * k + 1]])
                for k, letter in enumerate("ijkl")}  # fmt: skip
        parts = [np.ascontiguousarray(density[part[s[0]], part[s[1]]]) for s in scripts]
        start = time.thread_time()
        _vhf.nr_direct_drv(
            screening._intor, symmetry, list(scripts), parts, 1, mol._atm, mol._bas, mol._env,
            screening._this, screening._cintopt, shls_slice=list(shells),
        )  # fmt: skip
        return time.thread_time() - start

    def one(i: int, j: int, nkl: int = nbas) -> float:
        return timed("s2kl", (i, i + 1, j, j + 1, 0, nkl, 0, nkl), ("ji->s2kl", "li->s1kj"))

    pairs = _Pairs(mol, screening.q_cond, screening.direct_scf_tol)
    every = pairs.sampled(one)
    size = min(nbas, FRAGMENT)

    def symmetry(_: int) -> float:
        both = sum(one(i, j, size) for i in range(size) for j in range(i + 1))
        return timed("s8", (0, size) * 4, ("ji->s2kl", "li->s2kj")) / both

    with _single_threaded(1) as pool:
        saved = median(pool.map(symmetry, range(3)))
    counted = [float(pairs.costs(10.0**-k).sum()) for k in range(DECADES)]
    of = tuple(cost / max(counted[0], 1.0) for cost in counted)
    return {"exact": every * saved, "exact_of": of}


def _held(mol: Any) -> dict[str, Any]:
    """Times of an SCF that holds all exact integrals in memory."""
    from pyscf.gto import moleintor
    from pyscf.scf.hf import dot_eri_dm

    intor, nbas = mol._add_suffix("int2e"), mol.nbas
    loc = moleintor.make_loc(mol._bas, intor)
    optimizer = moleintor.make_cintopt(mol._atm, mol._bas, mol._env, intor)

    def one(i: int, j: int) -> float:
        start = time.thread_time()
        moleintor.getints4c(
            intor, mol._atm, mol._bas, mol._env, (i, i + 1, j, j + 1, 0, nbas, 0, nbas),
            aosym="s2kl", ao_loc=loc, cintopt=optimizer,
        )  # fmt: skip
        return time.thread_time() - start

    every = _Pairs(mol, np.ones((nbas, nbas)), 0.0).sampled(one)
    nao = int(mol.nao_nr())
    size = min(nao, HELD)
    pairs = size * (size + 1) // 2
    integrals, density = np.ones(pairs * (pairs + 1) // 2), np.ones((size, size))
    exact = (nao / size) ** 4 * _wall(lambda: dot_eri_dm(integrals, density, hermi=1))
    return {"exact": exact, "held": every / 2}  # (ij|kl) and (kl|ij) are computed once


def _fitted(mol: Any, auxbasis: Any, algorithm: str) -> dict[str, Any]:
    """Times of a density-fitted SCF."""
    import scipy.linalg
    from pyscf import df, lib
    from pyscf.df import df_jk, incore
    from pyscf.gto import moleintor

    auxmol = make_auxmol(mol, auxbasis)
    nao, naux = int(mol.nao_nr()), int(auxmol.nao_nr())
    triangle, nocc = nao * (nao + 1) // 2, int(mol.nelec[0])
    rows = min(naux, max(8, CDERI // (8 * triangle)))
    random = np.random.default_rng(SEED)
    held = df.DF(mol)
    held._cderi = np.tile(random.standard_normal(triangle), (rows, 1))
    orbitals, occupied = random.standard_normal((nao, nao)) / nao, np.zeros(nao)
    occupied[:nocc] = 2
    density = 2 * orbitals[:, :nocc] @ orbitals[:, :nocc].T
    tagged = lib.tag_array(density, mo_coeff=orbitals, mo_occ=occupied)
    if algorithm == "corrected":
        fitted = naux / rows * _wall(lambda: fitted_jk(held, density))
    else:
        fitted = naux / rows * _wall(lambda: df_jk.get_jk(held, tagged, hermi=1))
    columns = min(triangle, 2000)
    factor, right = np.eye(naux), random.standard_normal((naux, columns))
    solve = _wall(lambda: scipy.linalg.solve_triangular(factor, right, lower=True))
    loc = auxmol.ao_loc_nr()
    env = mol._atm, mol._bas, mol._env
    optimizer = moleintor.make_cintopt(*env, mol._add_suffix("int3c2e"))
    made, spent = 0, 0.0
    for shell in random.permutation(auxmol.nbas):
        shells = (0, mol.nbas, 0, mol.nbas, int(shell), int(shell) + 1)
        start = time.perf_counter()
        incore.aux_e2(mol, auxmol, aosym="s2ij", cintopt=optimizer, shls_slice=shells)
        spent, made = spent + time.perf_counter() - start, made + loc[shell + 1] - loc[shell]
        if spent > SECONDS / 2:
            break
    made_all = spent * naux / float(made)
    return {"fitted": fitted, "fitting": made_all + solve * triangle / columns}

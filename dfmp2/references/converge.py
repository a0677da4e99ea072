"""Hartree-Fock with exact integrals, mostly in fitted ones: the corrected fitted SCF.

1. Converge with density fitting, loosely. D is the density.
2. Build the exact two-electron matrix V[D] with direct SCF, and keep the error of the fit,
   correction = V[D] - V_fit[D].
3. If the orbital gradient with the exact Fock matrix is small enough, stop.
4. Converge with the Fock matrix h + correction + V_fit[D'], from D. The fixed correction is exact
   at D, so what it leaves is of second order in D' - D. Go to 2 with D = D'. V is built there for
   the difference of the densities only, for which most integrals are negligible.

The last Fock matrix is exact, and orbitals, orbital energies and total energy are those of the
density that it was built for. Fitted iterations cost little, and two or three exact matrices are
needed instead of 10 to 15.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfmp2 import defaults
from dfmp2.errors import DFMP2Warning, InputError, UnsupportedReferenceError
from dfmp2.references.fitted_jk import fitted_jk
from dfmp2.references.foreign import require_mean_field
from dfmp2.settings import SCF_ALGORITHMS
from dfmp2.units import BYTES_PER_MB

__all__ = ["SMALL", "Convergence", "ScfStep", "converge"]

FIRST_GRADIENT = 1e-3
"""Hartree. Orbital gradient of the first fitted SCF. The error of the fit changes the gradient by
about as much, so a smaller one saves nothing."""

REDUCTION = 1e-3
"""What a correction leaves of the exact orbital gradient, about. A fitted SCF is not converged
further than this."""

MARGIN = 0.5
"""The last fitted SCF is converged to this part of the threshold."""

STAGNATION = 0.3
"""An exact gradient that falls by less than this factor shows that the correction does not work."""

ROUNDS = 8
"""Largest number of exact matrices."""

SCREENING = 1e-11
"""Hartree. Integrals times differences of densities below this are left out. The default of PySCF
for whole densities is 1e-13."""

PER_GRADIENT = 1e-4
"""The same as a part of the threshold of the orbital gradient, where that is smaller."""

SMALL = 180
"""Atomic orbitals. PySCF holds the integrals of a smaller molecule in memory, and its ordinary SCF
is as fast or faster: 4.0 against 5.7 s of one core for 114 functions, 11.8 and 11.9 s for 184, 21.2
and 18.5 s for 192."""

PIECES = (
    "canonicalize", "eig", "energy_elec", "energy_tot", "get_fock", "get_grad", "get_jk", "get_occ",
    "get_veff", "init_direct_scf", "kernel", "make_rdm1", "scf",
)  # fmt: skip
"""Methods that make a mean field a plain Hartree-Fock one. Its one-electron part may be any."""

PLAIN = tuple(f"pyscf.scf.{name}" for name in ("hf", "uhf", "rohf", "hf_symm", "uhf_symm"))


@dataclass(frozen=True)
class ScfStep:
    """One iteration of an SCF.

    Attributes
    ----------
    exact : bool
        Whether its Fock matrix is that of exact integrals.
    number : int
        From 1, counted for exact and for fitted ones.
    energy, gradient : float
        Total energy and norm of the orbital gradient, hartree.
    """

    exact: bool
    number: int
    energy: float
    gradient: float


@dataclass(frozen=True)
class Convergence:
    """How an SCF was done.

    Attributes
    ----------
    algorithm : {"corrected", "direct", "fitted"}
        The one that gave the result. "direct" is the ordinary SCF of PySCF.
    exact_builds : int
        Two-electron matrices from exact integrals.
    fitted_iterations : int
        Fitted ones.
    seconds : float
        Wall time.
    reason : str
        Why it was another algorithm than the one asked for. Empty if it was not.
    failed : bool
        Whether the one asked for was tried without success.
    """

    algorithm: str
    exact_builds: int
    fitted_iterations: int
    seconds: float
    reason: str = ""
    failed: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What belongs to the result as a warning."""
        return (self.reason,) if self.failed else ()


Report = Callable[[ScfStep], None]


def converge(
    mf: Any,
    algorithm: str = defaults.SCF_ALGORITHM,
    dm0: Any = None,
    progress: Report | None = None,
) -> Convergence:
    """Converge a mean field of PySCF to its own thresholds, as ``mf.kernel()`` does.

    >>> mf = scf.RHF(mol).set(conv_tol=1e-10, conv_tol_grad=1e-7)  # doctest: +SKIP
    >>> converge(mf)  # doctest: +SKIP

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF, pyscf.scf.uhf.UHF or pyscf.scf.rohf.ROHF
        It gets mo_coeff, mo_energy, mo_occ, e_tot, converged, cycles and scf_summary. Its own
        `callback` is called by its own kernel only.
    algorithm : {"corrected", "direct", "fitted"}
        "corrected": exact integrals, see the head of the module; the ordinary SCF where that is
        faster, needs less memory, or where the corrected one does not converge. "direct": the
        ordinary SCF. "fitted": that of a density-fitted mean field.
    dm0 : ndarray, shape (nao, nao) or (2, nao, nao), float64, optional
        Density to start from. Default: the present orbitals, or the initial guess of `mf`.
    progress : callable, optional
        Called with each `ScfStep`.

    Returns
    -------
    Convergence
        As with PySCF, look at ``mf.converged``.

    Raises
    ------
    UnsupportedReferenceError
        If `mf` is no plain Hartree-Fock object and "corrected" is asked for.
    InputError
        If the algorithm is unknown, or does not fit the mean field.
    """
    require_mean_field(mf)
    if algorithm not in SCF_ALGORITHMS:
        raise InputError(
            f"SCF algorithm {algorithm!r} is unknown; choose one of {', '.join(SCF_ALGORITHMS)}"
        )
    fitted = bool(getattr(mf, "with_df", None))
    if fitted != (algorithm == "fitted"):
        raise InputError(
            f"SCF algorithm {algorithm!r} is for exact integrals, but this {type(mf).__name__} is "
            "density-fitted; choose 'fitted', or give the mean field without density_fit()"
            if fitted
            else "SCF algorithm 'fitted' needs a density-fitted mean field; give mf.density_fit()"
        )
    run = _Run(mf, progress)
    if algorithm != "corrected":
        run.ordinary(dm0)
        return run.done(algorithm)
    _require_plain(mf)
    auxbasis, reason = _auxbasis(mf)
    if reason:
        run.ordinary(dm0)
        return run.done("direct", reason)
    dm = _first_density(mf) if dm0 is None else dm0
    reason, dm = run.corrected(dm, auxbasis)
    if not reason:
        return run.done("corrected")
    reason = f"the corrected SCF failed ({reason}), so the ordinary SCF was done"
    warnings.warn(reason, DFMP2Warning, stacklevel=2)
    run.ordinary(dm)
    return run.done("direct", reason, failed=True)


class _Run:
    """The iterations of one mean field, counted and reported."""

    def __init__(self, mf: Any, progress: Report | None) -> None:
        self._mf, self._progress = mf, progress
        self._start = time.perf_counter()
        self._exact = self._fitted = 0

    def done(self, algorithm: str, reason: str = "", failed: bool = False) -> Convergence:
        seconds = time.perf_counter() - self._start
        return Convergence(algorithm, self._exact, self._fitted, seconds, reason, failed)

    def _step(self, exact: bool, energy: float, gradient: float) -> None:
        if exact:
            self._exact += 1
        else:
            self._fitted += 1
        if self._progress is not None:
            number = self._exact if exact else self._fitted
            self._progress(ScfStep(exact, number, float(energy), float(gradient)))

    def ordinary(self, dm0: Any) -> None:
        """PySCF's own iterations."""
        mf, own, exact = self._mf, self._mf.callback, not getattr(self._mf, "with_df", None)

        def callback(found: dict[str, Any]) -> None:
            self._step(exact, found["e_tot"], found["norm_gorb"])
            if callable(own):
                own(found)

        mf.callback = callback
        try:
            mf.kernel(dm0=dm0)
        finally:
            mf.callback = own

    def corrected(self, dm: Any, auxbasis: Any) -> tuple[str, Any]:
        """The corrected fitted SCF.

        Returns
        -------
        reason : str
            Why it failed. Empty if the mean field has its solution.
        dm : ndarray
            Density for the ordinary SCF: the last one with an exact matrix, else the given one.
        """
        fitted = _Fitted(self._mf, auxbasis, self._step)
        try:
            return self._rounds(fitted, dm)
        finally:
            fitted.field.with_df.reset()  # the integrals need memory

    def _rounds(self, fitted: _Fitted, dm: Any) -> tuple[str, Any]:
        mf = self._mf
        hcore, overlap = mf.get_hcore(), mf.get_ovlp()
        limit = mf.conv_tol_grad or np.sqrt(mf.conv_tol)
        direct, screening = _direct_field(mf), min(SCREENING, PER_GRADIENT * limit)
        exact, last, target = None, float("inf"), FIRST_GRADIENT
        for _ in range(ROUNDS):
            if not fitted.converge(dm, max(target, MARGIN * limit)):
                return "its fitted iterations do not converge", dm
            orbitals, occupations = fitted.field.mo_coeff, fitted.field.mo_occ
            dm, before = mf.make_rdm1(orbitals, occupations), exact
            exact = _exact_part(direct, hcore, dm, before)
            direct._opt[None].direct_scf_tol = max(direct.direct_scf_tol, screening)
            fock = mf.get_fock(hcore, overlap, exact.v, dm)
            gradient = float(np.linalg.norm(mf.get_grad(orbitals, occupations, fock)))
            self._step(True, exact.energy, gradient)
            missed = fitted.correct(exact)
            if gradient < limit and missed < mf.conv_tol:
                mf.energy_tot(dm, hcore, exact.v)  # fills in scf_summary
                if self._fill(orbitals, occupations, fock, exact.energy):
                    return "", dm
                return "it occupies other orbitals than the lowest", dm
            if not gradient < max(STAGNATION * last, limit):
                break
            last, target = gradient, REDUCTION * gradient
        return "its exact orbital gradient does not fall fast enough", dm

    def _fill(self, orbitals: Any, occupations: Any, fock: Any, energy: float) -> bool:
        """Give the mean field the density of the exact Fock matrix, with canonical orbitals.

        Returns
        -------
        bool
            False, and nothing is given, if these are not occupied as the mean field would do it.
        """
        from pyscf.scf import chkfile

        mf = self._mf
        energies, canonical = mf.canonicalize(orbitals, occupations, fock)
        if not np.array_equal(mf.get_occ(energies, canonical), occupations):
            return False
        mf.mo_energy, mf.mo_coeff, mf.mo_occ = energies, canonical, occupations
        mf.e_tot, mf.converged, mf.cycles = energy, True, self._exact + self._fitted
        if mf.chkfile:
            chkfile.dump_scf(mf.mol, mf.chkfile, energy, mf.mo_energy, mf.mo_coeff, mf.mo_occ)
        mf._finalize()
        return True


class _Fitted:
    """The density-fitted mean field, with the correction in its two-electron matrix."""

    def __init__(
        self, mf: Any, auxbasis: Any, report: Callable[[bool, float, float], None]
    ) -> None:
        self.field = mf.density_fit(auxbasis=auxbasis)
        self.field.verbose, self.field.chkfile, self.field.conv_check = 0, None, False
        self.field.scf_summary, self.field.diis = {}, bool(self.field.diis)
        with_df = self.field.with_df
        with_df.get_jk = lambda dm, *_, **__: fitted_jk(with_df, dm)  # faster than PySCF's
        self._build, self.field.get_veff = self.field.get_veff, self._corrected
        self._report, self.field.callback = report, self._reported
        self._correction: Any = 0.0
        self._exact: _Exact | None = None
        self._density: Any = None
        self._matrix: Any = None

    def converge(self, dm: Any, gradient: float) -> bool:
        self.field.conv_tol = self.field.conv_tol_grad = gradient
        self.field.kernel(dm0=dm)
        return bool(self.field.converged)

    def correct(self, exact: _Exact) -> float:
        """Take the correction from the exact matrix of a density.

        Returns
        -------
        float
            What the last correction missed of the change of the energy, hartree. Infinite for the
            first one.
        """
        correction = np.asarray(exact.v) - self._fit(exact.dm)
        missed = np.inf
        if self._exact is not None:
            missed = abs(_trace(correction - self._correction, exact.dm - self._exact.dm)) / 2
        self._correction, self._exact = correction, exact
        return missed

    def _fit(self, dm: Any) -> Any:
        """The fitted matrix of a density. The same one is asked for up to three times in turn."""
        if self._density is None or not np.array_equal(self._density, dm):
            self._density, self._matrix = np.array(dm), np.asarray(self._build(self.field.mol, dm))
        return self._matrix

    def _corrected(self, mol: Any = None, dm: Any = None, *_: Any, **__: Any) -> Any:
        return self._fit(dm) + self._correction

    def _reported(self, found: dict[str, Any]) -> None:
        energy = found["e_tot"]
        if self._exact is not None:  # PySCF takes one half of the correction for that of a pair
            energy += _trace(self._correction, np.asarray(found["dm"]) - self._exact.dm) / 2
        self._report(False, energy, found["norm_gorb"])


@dataclass(frozen=True, eq=False)
class _Exact:
    """A density, its exact two-electron matrix, and its total energy."""

    dm: Any
    v: Any
    energy: float


def _exact_part(direct: Any, hcore: Any, dm: Any, last: _Exact | None) -> _Exact:
    """The exact matrix of a density, from that of the last one if there is one.

    The energy is not computed from the new matrix: its errors of screening would count with the
    whole density. In the change of the energy they count with the change of the density.
    """
    if last is None:
        v = direct.get_veff(direct.mol, dm)
        return _Exact(np.asarray(dm), v, float(direct.energy_tot(dm, hcore, v)))
    v = direct.get_veff(direct.mol, dm, last.dm, last.v)
    change = np.asarray(dm) - last.dm
    energy = last.energy + _trace(hcore + (np.asarray(last.v) + np.asarray(v)) / 2, change)
    return _Exact(np.asarray(dm), v, energy)


def _first_density(mf: Any) -> Any:
    if mf.mo_coeff is not None and mf.mo_occ is not None:
        return mf.make_rdm1()
    return mf.get_init_guess(mf.mol, mf.init_guess)


def _direct_field(mf: Any) -> Any:
    """The mean field with direct SCF, whatever the memory."""
    direct = mf.copy()
    direct.verbose, direct.chkfile, direct.scf_summary = 0, None, {}
    direct._opt, direct._eri, direct.direct_scf, direct.max_memory = {None: None}, None, True, 0
    return direct


def _trace(matrix: Any, dm: Any) -> float:
    return float(np.sum(matrix * np.asarray(dm)))


def _require_plain(mf: Any) -> None:
    """Refuse what is no plain Hartree-Fock object: another method would be converged.

    Raises
    ------
    UnsupportedReferenceError
    """
    name, own = type(mf).__name__, vars(mf)
    for piece in PIECES:
        owner = next((kind for kind in type(mf).__mro__ if piece in vars(kind)), object)
        if piece in own or owner.__module__ not in PLAIN:
            where = "the object itself" if piece in own else f"{owner.__module__}.{owner.__name__}"
            raise UnsupportedReferenceError(
                f"converge is for plain RHF, UHF and ROHF objects, but {piece} of this {name} is "
                f"that of {where}; run mf.kernel() instead"
            )


def _auxbasis(mf: Any) -> tuple[Any, str]:
    """The auxiliary basis of the fit, and why there is to be none, of which one is empty."""
    from pyscf import df, lib

    mol = mf.mol
    nao = int(mol.nao_nr())
    if nao < SMALL and mf._is_mem_enough():
        return None, f"the ordinary SCF is as fast for {nao} basis functions"
    if mol.nelectron < 2:
        return None, "one electron has no SCF"
    if mf._eri is not None or mol.incore_anyway:
        return None, "the exact integrals are in memory"
    if mf.max_cycle <= 0 or callable(mf.check_convergence):
        return None, "max_cycle or check_convergence of the mean field asks for it"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # advice to install another package
            auxbasis = df.make_auxbasis(mol)
            naux = int(df.make_auxmol(mol, auxbasis).nao_nr())
    except (LookupError, RuntimeError) as error:
        return None, f"there is no auxiliary basis for the SCF ({error})"
    needed = naux * nao * (nao + 1) / 2 * 8 / BYTES_PER_MB
    if needed > 0.9 * (mf.max_memory - lib.current_memory()[0]):  # PySCF would use the disk
        return None, (
            f"the fitted integrals need {needed:.0f} MB, more than is left of the "
            f"{mf.max_memory:.0f} MB of the mean field"
        )
    return auxbasis, ""

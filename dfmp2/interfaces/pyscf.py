"""The class `DFMP2` for scripts of PySCF users: a thin caller of `dfmp2.workflow`."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import Any, SupportsIndex, TypeVar

import numpy as np
from numpy.typing import NDArray
from pyscf import gto, lib
from pyscf.lib import logger

from dfmp2.errors import InputError, NotProvidedError
from dfmp2.foreign_errors import OfTheCaller
from dfmp2.interfaces.attributes import CheckedAttributes
from dfmp2.interfaces.densities import WithDensities
from dfmp2.interfaces.inference import outside_inference_mode
from dfmp2.interfaces.not_provided import require_provided
from dfmp2.interfaces.pickling import make_picklable
from dfmp2.interfaces.scanner import require_follows_molecule, scanner_of
from dfmp2.interfaces.values import accepted
from dfmp2.interfaces.with_df import auxbasis_of, require_density_fitting
from dfmp2.planning.plan import Plan
from dfmp2.references.double_hybrids import double_hybrid
from dfmp2.references.foreign import require_mean_field
from dfmp2.references.frozen import frozen_orbitals
from dfmp2.references.kohn_sham import require_functional, with_functional
from dfmp2.references.mean_field import read_mean_field
from dfmp2.references.solution import ScfSolution
from dfmp2.references.stability import with_stability
from dfmp2.results.densities import Densities
from dfmp2.results.gradient import Gradient
from dfmp2.results.result import Result
from dfmp2.runfile.file import RunFile
from dfmp2.settings import Frozen, Settings
from dfmp2.tensors.problem import Progress, silent
from dfmp2.workflow.compute import compute
from dfmp2.workflow.continuation import run_file_of, with_stored_orbitals
from dfmp2.workflow.gradient import compute_density, compute_gradient
from dfmp2.workflow.prepare import Prepared, choose, forecast, prepare

__all__ = ["DFMP2"]

T = TypeVar("T")

_SCF_ONLY = {f.name for f in fields(Settings) if f.metadata.get("stored") == "options"}
_OPTIONS = [f for f in fields(Settings) if f.name not in {*_SCF_ONLY, "keep", "restart"}]
"""Settings that are attributes of the class: all but those of an SCF of dfmp2's own."""

_WITHOUT_EFFECT = {
    "_densities", "_result", "checkpoint", "checkpoint_interval", "max_memory", "name", "progress",
    "stdout", "verbose",
}  # fmt: skip
"""Attributes that can change after a run while its result stays valid."""

SAME_ENERGIES = 1e-4
"""Hartree. Orbital energies of one SCF, stored or from its Fock matrix, differ by less than this at
PySCF's default convergence. A level shift, other units or another method differ by far more."""


class DFMP2(WithDensities, CheckedAttributes):
    """Density-fitted MP2 on a mean field of PySCF.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF, pyscf.scf.uhf.UHF or pyscf.scf.rohf.ROHF
        Converged; density-fitted or not. The orbitals of an ROHF are made semicanonical. With `xc`
        a `dft.RKS` or `dft.UKS`.
    frozen : None, int, sequence of int, "auto" or "none"
        Orbitals left out: the lowest so many, these indices (from 0), those that are True in a
        mask of all orbitals, or the chemical core; of both spins of an open shell. A pair of
        sequences names those of alpha and of beta. Indices of an ROHF are those of its
        semicanonical orbitals.
    auxbasis : str or dict, optional
        Auxiliary basis. The default is the RI-MP2 set of the orbital basis; never the set of a
        density-fitted SCF.
    mo_coeff, mo_occ : ndarray, optional
        Canonical orbitals to use instead of the mean field's.
    xc : str, optional
        Name of a double hybrid, such as "B2PLYP" or "DSD-PBEP86-D3BJ" (`dfmp2 show --methods` lists
        them). `mf` is a `dft.RKS` or `dft.UKS` with the functional of its Kohn-Sham part, or of
        its orbitals (XYG3).

    Notes
    -----
    Methods and attributes are those of PySCF's MP2 classes, with these differences. Assigning an
    attribute that does not exist is an error. Energies are forgotten when an option changes.
    Orbitals, orbital energies and molecule are always those that the mean field has now.

    Attributes
    ----------
    precision : str or None
        Of the pair GEMMs: "fp64" (default on CPU and CUDA), "fp32" or "auto". Energies are
        always summed in fp64. NKI backends compute in fp32 what `accuracy` allows.
    accuracy : float
        Largest acceptable energy error from reduced precision, hartree.
    backend, device : str or None
        See `dfmp2.set_backend`; None takes the default.
    blas : str
        Library of the matrix products on the CPU: "auto" (default, the faster one, which long runs
        measure), "torch" or "numpy".
    max_memory : float
        MB above the resident memory at the start; PySCF's value of the mean field.
    fused : bool
        Reduce each T block where it is made (default), or form it first.
    kappa : float or sequence of float
        Parameters of regularised MP2 (1/hartree), whose energies the same pass gives; not with
        NKI kernels.
    scale : tuple of float or None
        Weights of opposite and same spin. `e_corr` and `e_tot` are those of the scaled method then.
    dispersion : bool
        Add the dispersion energy of a double hybrid whose name ends in -D3BJ or -D4 (default).
    allow_ks : bool
        Take a Kohn-Sham reference as it is: the second-order energy without weights.
    check_reference : str
        Check that orbitals, orbital energies and total energy of the mean field belong together:
        "auto" (default) with random vectors on the Fock matrix, which costs little and sees single
        orbitals (high virtual ones less sharply), "full" with the whole Fock matrix, "off" only for
        NaN and infinity. With "auto", Kohn-Sham orbitals are compared with the whole Kohn-Sham
        matrix up to 120 basis functions, and those of a double hybrid always. Beyond, only their
        orthonormality is checked; the result says so.
    check_stability : bool
        Warn if the SCF has a solution of lower energy (internal stability).
    integrals : str
        Source of the three-centre integrals: "auto" (gpu4pyscf for a CUDA device where it is
        installed, else libcint), "libcint", "gpu4pyscf", or "scf" (those of a density-fitted SCF,
        an error if `auxbasis` is not the SCF's own set; JK sets are not optimised for correlation).
    with_df : pyscf.df.DF
        May be set instead of `auxbasis`: its auxiliary basis is used, not its integrals.
    checkpoint : str, path or None
        Run file to keep the work in, or to continue from; None keeps nothing.
    checkpoint_interval : float
        Seconds between two commits to it.
    progress : callable or None
        Called as ``progress(stage, done, total)``.
    name : str
        Name of the molecule in the result and in the run file.
    e_hf, e_corr, e_corr_os, e_corr_ss, e_tot, e_tot_scs, e_tot_sos : float
        Energies of the finished run, hartree. Of a double hybrid, `e_hf` is the energy of its
        Kohn-Sham part, `e_corr` the weighted second-order energy, and `e_tot` the sum with the
        dispersion energy; `e_tot_scs` and `e_tot_sos` do not exist.
    e_dispersion : float
        Dispersion energy of a double hybrid, hartree; 0 for others.
    e_corr_singles : float
        Energy of the single excitations of an ROHF, contained in `e_corr`; 0 for others. Hartree.
    energies : dict
        Name of a method -> {"correlation", "total"}, hartree: "MP2", "SCS-MP2", "SOS-MP2",
        "SCS-MI-MP2", "SCSN-MP2", and those of `kappa` and `scale`.
    spin_square : float or None
        <S^2> of the reference of an open shell.
    pair_energies : ndarray, shape (nocc, nocc), float64, hartree, or dict
        Correlation energy by pair, symmetric; its sum is the MP2 energy. Of an open shell a dict:
        "aa" and "bb", both symmetric, and "ab", whose sums add up to the energy without singles.
    nocc, nmo : int, or tuple of int
        Numbers of correlated occupied orbitals, and of all correlated ones; of an open shell those
        of alpha and of beta.

    Examples
    --------
    >>> from pyscf import gto, scf
    >>> from dfmp2 import DFMP2
    >>> mf = scf.RHF(gto.M(atom="He", basis="cc-pvdz", verbose=0)).run()
    >>> round(DFMP2(mf).run().e_corr, 6)
    -0.025824

    References
    ----------
    .. [1] F. Weigend, M. Häser, Theor. Chem. Acc. 97, 331 (1997), doi:10.1007/s002140050269.
    """

    _keys = {f.name for f in _OPTIONS} | {
        "mo_coeff", "mo_occ", "with_df", "progress", "name",
    }  # fmt: skip

    def __init__(
        self,
        mf: Any,
        frozen: Frozen = None,
        auxbasis: Any = None,
        mo_coeff: NDArray[np.float64] | None = None,
        mo_occ: NDArray[np.float64] | None = None,
        xc: str | None = None,
    ) -> None:
        require_mean_field(mf)
        if isinstance(auxbasis, np.ndarray):
            raise InputError(
                "the third argument is auxbasis, found an array; give orbitals by name, as in "
                "DFMP2(mf, mo_coeff=..., mo_occ=...)"
            )
        for option in _OPTIONS:
            setattr(self, option.name, option.default)
        self._scf = mf
        self._with_df: Any = None
        self._mo_coeff: NDArray[np.float64] | None = None
        self._mo_occ: NDArray[np.float64] | None = None
        self.verbose, self.stdout, self.max_memory = mf.verbose, mf.stdout, mf.max_memory
        self.frozen, self.auxbasis, self.xc = frozen, auxbasis, xc
        self.mo_coeff, self.mo_occ = mo_coeff, mo_occ
        self.progress: Progress = silent
        self.name = "molecule"
        self._kept = b""
        self._result: Result | None = None
        self._densities: dict[tuple[str | None, bool], tuple[bytes, Any, Densities]] = {}

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "mol" and isinstance(value, gto.MoleBase):
            self.reset(value)  # GeometryOptimizer of PySCF assigns its last geometry
            return
        super().__setattr__(name, value)
        if name not in _WITHOUT_EFFECT:  # the energies would be those of other options
            self._forget()

    def _forget(self) -> None:
        self._result, self._densities = None, {}

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        reduced = make_picklable(self)
        return reduced(self) if reduced else super().__reduce_ex__(protocol)

    @outside_inference_mode()
    def kernel(
        self,
        mo_energy: NDArray[np.float64] | None = None,
        mo_coeff: NDArray[np.float64] | None = None,
        eris: None = None,
        with_t2: bool = False,
    ) -> tuple[float, None]:
        """Compute the energies.

        Parameters
        ----------
        mo_energy : ndarray, shape (nmo,), optional
            Compared with the orbital energies of the reference, which are the ones that are used.
        mo_coeff : ndarray, shape (nao, nmo), optional
            Canonical orbitals for this call only.
        eris : None
            Integrals as PySCF's classes take them are not supported.
        with_t2 : bool
            Amplitudes are never stored: True is an error.

        Returns
        -------
        e_corr : float
            Hartree.
        t2 : None

        Raises
        ------
        DFMP2Error
            One of its kinds, see `dfmp2.errors`.
        """
        self._result = None  # no energies are left of an earlier run if this one fails
        for name, asked in (("eris", eris is not None), ("with_t2", with_t2)):
            if asked:
                require_provided(name)
        progress = OfTheCaller(self.progress)

        def work(prepared: Prepared, file: RunFile | None) -> Result:
            return compute(prepared, file, progress=progress)

        result = self._with_run_file(work, mo_coeff, mo_energy)
        self._keep(result)
        return result.e_corr, None

    def densities(self, method: str | None = None, relaxed: bool = False) -> Densities:
        """The one-particle densities of a method.

        Parameters
        ----------
        method : str, optional
            Key of `energies`; the method of `e_corr` if not given.
        relaxed : bool
            Also the relaxed ones.

        Returns
        -------
        Densities

        Raises
        ------
        DFMP2Error
            As `kernel`; InputError for a reference whose densities are not provided.
        """
        for found in ((method, relaxed), (method, True)):
            options, orbitals, densities = self._densities.get(found, (b"", None, None))
            if options == self._changeable() and orbitals is self.mo_coeff and densities:
                return densities
        progress = OfTheCaller(self.progress)

        def work(prepared: Prepared, file: RunFile | None) -> tuple[Densities, Result]:
            return compute_density(prepared, method, relaxed, file, progress)

        made, result = self._with_run_file(work)
        if self.result is None:
            self._keep(result)
        self._densities[method, relaxed] = (self._changeable(), self.mo_coeff, made)
        return made

    def gradient(self, method: str | None = None) -> Gradient:
        """The nuclear gradient of the total energy, with the energies of the same pass.

        Parameters
        ----------
        method : str, optional
            Key of `energies`; the method of `e_corr` if not given.

        Returns
        -------
        Gradient

        Raises
        ------
        DFMP2Error
            As `kernel`; InputError for a reference whose gradient is not provided.
        """
        self._forget()
        progress = OfTheCaller(self.progress)

        def work(prepared: Prepared, file: RunFile | None) -> Gradient:
            return compute_gradient(prepared, method, file, progress)

        found = self._with_run_file(work)
        self._keep(found.result)
        self._densities[method, True] = (self._kept, self.mo_coeff, found.densities)
        return found

    def _with_run_file(
        self,
        work: Callable[[Prepared, RunFile | None], T],
        mo_coeff: NDArray[np.float64] | None = None,
        mo_energy: NDArray[np.float64] | None = None,
    ) -> T:
        """Prepare the calculation and do `work` on it, with the run file if there is one."""
        settings = self._settings()
        choice = choose(settings)
        solution = self._reference(mo_coeff)
        if mo_energy is not None:
            _require_same(mo_energy, solution.mo_energy)
        settings = self._with_auxbasis(settings, solution)
        own_orbitals = self._mo_coeff is None and mo_coeff is None
        if self.checkpoint is not None and own_orbitals:
            solution = with_stored_orbitals(solution, os.fspath(self.checkpoint))
        known = forecast(solution.mol, settings, solution, choice)
        prepared = prepare(self.name, solution, settings, choice, known)
        self.dump_flags()
        if self.checkpoint is None:
            return work(prepared, None)
        path = os.fspath(self.checkpoint)
        with run_file_of(prepared, path, own_orbitals=own_orbitals) as file:
            return work(prepared, file)

    def _keep(self, result: Result) -> None:
        self._kept = self._changeable()
        self._result = result
        self._log(result)

    def plan(self) -> Plan:
        """Block sizes and memory that `kernel` will use.

        Raises
        ------
        DFMP2Error
            As `kernel`; ResourceError if `max_memory` is too small.
        """
        coeff, occ = self._mo_coeff, self._mo_occ
        solution = read_mean_field(self._scf, coeff, occ, self._takes_ks, "off")
        settings = self._with_auxbasis(self._settings(), solution)
        return forecast(solution.mol, settings, solution).plan

    def reset(self, mol: Any = None) -> DFMP2:
        """Forget the result, and go over to another molecule, as PySCF's ``reset``.

        Parameters
        ----------
        mol : pyscf.gto.Mole, optional
            The new molecule of the mean field, whose SCF must be run again then.

        Raises
        ------
        InputError
            If a method of the mean field object was replaced, so that it knows one molecule only.
        """
        if mol is not None:
            require_follows_molecule(self._scf)
        self._forget()
        self._scf.reset(mol)
        if mol is not None:
            self._scf.converged = False
            self.mo_coeff = self.mo_occ = None
            if self._with_df is not None:
                self._with_df = self._with_df.copy().reset(mol)
        return self

    def as_scanner(self) -> Any:
        """An object that is called with geometries and returns total energies.

        Coordinates are in the unit of the molecule (`mol.unit`), mostly Å. Those of
        ``mol.atom_coords()`` are in bohr.

        Returns
        -------
        dfmp2.interfaces.scanner.DFMP2Scanner

        Raises
        ------
        InputError
            If `mo_coeff` is set, or a method of the mean field object was replaced: they belong to
            one geometry.

        Examples
        --------
        >>> from pyscf import gto, scf
        >>> from dfmp2 import DFMP2
        >>> mol = gto.M(atom="H 0 0 0; H 0 0 0.74", basis="cc-pvdz", verbose=0)
        >>> scan = DFMP2(scf.RHF(mol)).as_scanner()
        >>> [round(scan(f"H 0 0 0; H 0 0 {r}"), 4) for r in (0.7, 0.8)]
        [-1.1529, -1.1539]
        """
        if isinstance(self, lib.SinglePointScanner):
            return self
        if self._mo_coeff is not None or self._mo_occ is not None:
            raise InputError(
                "mo_coeff and mo_occ belong to one geometry; set them to None, and the scanner "
                "uses the orbitals of its own SCF"
            )
        return scanner_of(self)

    def density_fit(self, auxbasis: Any = None, with_df: Any = None) -> DFMP2:
        """A copy with another auxiliary basis, as PySCF's MP2 classes have."""
        return self._copy().set(auxbasis=auxbasis, with_df=with_df)

    def to_cpu(self) -> DFMP2:
        """A copy that computes with torch on the CPU, without result."""
        integrals = "auto" if self.integrals == "gpu4pyscf" else self.integrals
        return self._copy().set(backend="pytorch", device="cpu", integrals=integrals)

    def to_gpu(self) -> DFMP2:
        """A copy that computes with torch on a CUDA GPU or raises an error, without result."""
        return self._copy().set(backend="pytorch", device="cuda")

    def set_frozen(
        self, method: str = "auto", window: tuple[float, float] = (-1000.0, 1000.0)
    ) -> DFMP2:
        """Freeze the chemical core ("auto"), or orbitals outside an energy window ("window").

        Parameters
        ----------
        method : {"auto", "window"}
        window : tuple of float
            Lowest and highest energy of correlated orbitals, hartree.

        Raises
        ------
        InputError
            For another method.
        """
        if method not in ("auto", "window"):
            raise InputError(f"set_frozen: {method!r} is unknown; use 'auto' or 'window'")
        if method == "auto":
            return self.set(frozen="auto")
        outside = (self.mo_energy < window[0]) | (self.mo_energy > window[1])
        lists = [np.flatnonzero(spin).tolist() for spin in np.atleast_2d(outside)]
        return self.set(frozen=lists if outside.ndim == 2 else lists[0])

    def get_frozen_mask(self) -> Any:
        """True for each correlated orbital, False for each frozen one; shape (all orbitals,).

        For UHF and ROHF a tuple of both spins, as of PySCF's classes.
        """
        masks = tuple(mask for mask, _ in self._masks())
        return masks if len(masks) > 1 else masks[0]

    def get_nocc(self) -> Any:
        """Number of correlated occupied orbitals; for UHF and ROHF a tuple of both spins."""
        counts = tuple(int(np.count_nonzero(mask & occupied)) for mask, occupied in self._masks())
        return counts if len(counts) > 1 else counts[0]

    def get_nmo(self) -> Any:
        """Number of correlated orbitals, occupied and virtual, as of `get_nocc`."""
        counts = tuple(int(np.count_nonzero(mask)) for mask, _ in self._masks())
        return counts if len(counts) > 1 else counts[0]

    def _masks(self) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Which orbitals are correlated, and which are occupied, for each spin block."""
        if self.mo_occ is None:
            raise InputError("the mean field has no orbitals yet; run mf.kernel() first")
        spins = self._solution().spins
        occupied = [spin.occupied for spin in spins]
        energies = [spin.mo_energy for spin in spins]
        found = []
        for own, left_out in zip(
            occupied, frozen_orbitals(self.mol, self.frozen, occupied, energies), strict=True
        ):
            mask = np.ones(len(own), dtype=bool)
            mask[list(left_out)] = False
            found.append((mask, own))
        return found

    def get_e_hf(self, mo_coeff: NDArray[np.float64] | None = None) -> float:
        """Energy of the reference, hartree, also before the run."""
        return self._reference(mo_coeff).e_tot

    def dump_flags(self, verbose: int | None = None) -> DFMP2:
        """Print the options at verbose level 4, as PySCF's classes do."""
        log = logger.new_logger(self, verbose)
        log.info("")
        log.info("******** %s ********", type(self))
        if log.verbose >= logger.INFO:
            log.info("nocc = %s, nmo = %s, frozen = %s", self.nocc, self.nmo, self.frozen)
        log.info("max_memory %s MB above the memory at the start", self.max_memory)
        return self

    def _copy(self) -> DFMP2:
        copied: DFMP2 = self.copy()
        return copied

    def _settings(self) -> Settings:
        return Settings(**{option.name: getattr(self, option.name) for option in _OPTIONS})

    def _with_auxbasis(self, settings: Settings, solution: ScfSolution) -> Settings:
        """The settings with the auxiliary basis of `with_df`, if there is one."""
        if self._with_df is None:
            return settings
        if settings.auxbasis is not None:
            raise InputError(
                "with_df and auxbasis both name the auxiliary basis; set one of them to None"
            )
        return replace(settings, auxbasis=auxbasis_of(self._with_df, solution))

    @property
    def _takes_ks(self) -> bool:
        return bool(self.allow_ks or self.xc is not None)

    def _reference(self, mo_coeff: NDArray[np.float64] | None = None) -> ScfSolution:
        """The orbitals, with the energy of the Kohn-Sham part of a double hybrid."""
        if self.xc is None:
            return self._solution(mo_coeff)
        hybrid = double_hybrid(self.xc)
        require_functional(self._scf, hybrid)
        # Random elements of the Fock matrix need the density functional, so all are checked.
        check = "full" if self.check_reference == "auto" else self.check_reference
        solution = self._solution(mo_coeff, check)
        return with_functional(solution, self._scf, hybrid)

    def _solution(
        self, mo_coeff: NDArray[np.float64] | None = None, check: str | None = None
    ) -> ScfSolution:
        coeff = self._mo_coeff if mo_coeff is None else accepted("mo_coeff", mo_coeff)
        check, own = check or self.check_reference, coeff is None and self._mo_occ is None
        solution = read_mean_field(self._scf, coeff, self._mo_occ, self._takes_ks, check)
        return with_stability(solution, self._scf) if self.check_stability and own else solution

    def _log(self, result: Result) -> None:
        log = logger.new_logger(self)
        name = result.double_hybrid or "DF-MP2"
        log.note("E(%s) = %.15g  E_corr = %.15g", name, result.e_tot, result.e_corr)
        if result.double_hybrid is None:
            log.note("E(SCS-DF-MP2) = %.15g", result.e_tot_scs)
        labels = result.labels
        log.info("auxiliary basis %s (%s)", labels["auxbasis"], labels["auxbasis_reason"])
        log.info("ran on %s", result.provenance.device_line())

    @property
    def mol(self) -> Any:
        """The molecule of the mean field."""
        return self._scf.mol

    @property
    def mo_coeff(self) -> Any:
        """The orbitals, shape (nao, nmo): those that were set, or the mean field's."""
        return self._scf.mo_coeff if self._mo_coeff is None else self._mo_coeff

    @mo_coeff.setter
    def mo_coeff(self, mo_coeff: NDArray[np.float64] | None) -> None:
        self._mo_coeff = mo_coeff

    @property
    def mo_occ(self) -> Any:
        """Their occupations, shape (nmo,): those that were set, or the mean field's."""
        occ = self._scf.mo_occ if self._mo_occ is None else self._mo_occ
        return None if occ is None else np.asarray(occ)

    @mo_occ.setter
    def mo_occ(self, mo_occ: NDArray[np.float64] | None) -> None:
        self._mo_occ = mo_occ

    @property
    def mo_energy(self) -> Any:
        """Orbital energies, shape (nmo,), hartree, that MP2 uses."""
        return self._solution().mo_energy

    @property
    def with_df(self) -> Any:
        """The density-fitting object whose auxiliary basis is used, if one was set."""
        if self._with_df is None:
            raise NotProvidedError(
                "DFMP2 makes no with_df; set auxbasis, or with_df = pyscf.df.DF(mol, auxbasis=...)"
            )
        return self._with_df

    @with_df.setter
    def with_df(self, with_df: Any) -> None:
        if with_df is not None:
            require_density_fitting(with_df)
        self._with_df = with_df

    @property
    def converged(self) -> bool:
        """Whether there is a result. An SCF that did not converge is an error."""
        return self.result is not None

    @property
    def result(self) -> Result | None:
        """Everything about the finished run."""
        if self._result is not None and self._kept != self._changeable():
            self._result = None
        return self._result

    def _changeable(self) -> bytes:
        """Options that can change in place, as ``mp.frozen.append(1)`` does."""
        frozen = list(self.frozen) if isinstance(self.frozen, Iterable) else self.frozen
        return pickle.dumps((frozen, self.auxbasis))

    @property
    def read_from(self) -> str | None:
        """Run file, device and time, if the result was read and nothing was computed."""
        return None if self.result is None else self.result.read_from

    def _finished(self) -> Result:
        if self.result is None:
            raise AttributeError(
                "the energies do not exist yet, or an option has changed; call .run() or .kernel() "
                "first"
            )
        return self.result

    e_hf = property(lambda self: self._finished().e_hf)
    e_corr = property(lambda self: self._finished().e_corr)
    e_corr_os = property(lambda self: self._finished().e_corr_os)
    e_corr_ss = property(lambda self: self._finished().e_corr_ss)
    e_tot = property(lambda self: self._finished().e_tot)
    e_tot_scs = property(lambda self: self._finished().e_tot_scs)
    e_tot_sos = property(lambda self: self._finished().e_tot_sos)
    pair_energies = property(lambda self: self._finished().pair_energies)
    e_corr_singles = property(lambda self: self._finished().e_singles)
    energies = property(lambda self: self._finished().energies)
    e_dispersion = property(lambda self: self._finished().e_dispersion)
    spin_square = property(lambda self: self._finished().spin_square)
    emp2 = e_corr
    emp2_scs = property(lambda self: self.e_tot_scs - self.e_hf)
    nocc = property(get_nocc)
    nmo = property(get_nmo)
    t2 = None


def _require_same(given: Any, used: NDArray[np.float64]) -> None:
    given = np.asarray(given)
    if given.shape != used.shape or not np.abs(given - used).max(initial=0.0) <= SAME_ENERGIES:
        raise InputError(
            "mo_energy differs from the orbital energies of the Fock matrix, which MP2 needs; "
            "leave it out, or use pyscf.mp.dfmp2 for energies of your own"
        )

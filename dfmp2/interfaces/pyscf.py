"""The class `DFMP2` for scripts of PySCF users: a thin caller of `dfmp2.workflow`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyscf import lib
from pyscf.lib import logger

from dfmp2.errors import InputError
from dfmp2.planning.plan import Plan
from dfmp2.references.mean_field import read_mean_field
from dfmp2.references.solution import ScfSolution
from dfmp2.references.stability import with_stability
from dfmp2.results.result import Result
from dfmp2.settings import Frozen, Settings
from dfmp2.tensors.problem import Progress, silent
from dfmp2.workflow.compute import compute
from dfmp2.workflow.continuation import run_file_of, with_stored_orbitals
from dfmp2.workflow.prepare import Prepared, choose, forecast, prepare

__all__ = ["DFMP2"]

_SCF_ONLY = {f.name for f in fields(Settings) if f.metadata.get("stored") == "options"}
_OPTIONS = [f for f in fields(Settings) if f.name not in {*_SCF_ONLY, "keep", "restart"}]
"""Settings that are attributes of the class: all but those of an SCF of dfmp2's own."""


class DFMP2(lib.StreamObject):  # type: ignore[misc]
    """Density-fitted MP2 on a closed-shell mean field of PySCF.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF
        Converged; density-fitted or not.
    frozen : None, int, sequence of int, or "auto"
        Orbitals left out: the lowest so many, these indices (from 0), those that are True in a
        mask of all orbitals, or the chemical core.
    auxbasis : str or dict, optional
        Auxiliary basis. The default is the RI-MP2 set of the orbital basis; never the set of a
        density-fitted SCF.
    mo_coeff, mo_occ : ndarray, optional
        Canonical orbitals to use instead of the mean field's.

    Attributes
    ----------
    precision : str or None
        Of the pair GEMMs: "fp64" (default on CPU and CUDA), "fp32" or "auto". Energies are
        always summed in fp64. NKI backends compute in fp32 what `accuracy` allows.
    accuracy : float
        Largest acceptable energy error from reduced precision, hartree.
    backend, device : str or None
        See `dfmp2.set_backend`; None takes the default.
    max_memory : float
        MB above the resident memory at the start; PySCF's value of the mean field.
    fused : bool
        Reduce each T block where it is made (default), or form it first.
    allow_ks : bool
        Take a Kohn-Sham reference as it is, for the second-order term of a double hybrid.
    check_reference : str
        Check that orbitals, orbital energies and total energy of the mean field belong together:
        "auto" (default) with random elements of the Fock matrix, which costs little, "full" with
        the whole Fock matrix, "off" not at all.
    check_stability : bool
        Warn if the SCF has a solution of lower energy (internal stability).
    integrals : str
        Source of the three-centre integrals: "auto" (gpu4pyscf for a CUDA device where it is
        installed, else libcint), "libcint", "gpu4pyscf", or "scf" (those of a density-fitted SCF,
        an error if `auxbasis` is not the SCF's own set; JK sets are not optimised for correlation).
    checkpoint : str, path or None
        Run file to keep the work in, or to continue from; None keeps nothing.
    checkpoint_interval : float
        Seconds between two commits to it.
    e_hf, e_corr, e_corr_os, e_corr_ss, e_tot, e_tot_scs, e_tot_sos : float
        Energies of the finished run, hartree.
    pair_energies : ndarray, shape (nocc, nocc), float64, hartree
        Correlation energy by pair, symmetric; its sum is `e_corr`.
    result : Result or None
        Everything about the finished run.
    read_from : str or None
        Run file, device and time, if the result was read and nothing was computed.

    Examples
    --------
    >>> from pyscf import gto, scf
    >>> from dfmp2 import DFMP2
    >>> mf = scf.RHF(gto.M(atom="He", basis="cc-pvdz", verbose=0)).run()
    >>> round(DFMP2(mf).run().e_corr, 6)
    -0.025808

    References
    ----------
    .. [1] F. Weigend, M. Häser, Theor. Chem. Acc. 97, 331 (1997), doi:10.1007/s002140050269.
    """

    _keys = {f.name for f in _OPTIONS} | {
        "mol", "mo_coeff", "mo_occ", "result", "progress", "name", "read_from",
    }  # fmt: skip

    def __init__(
        self,
        mf: Any,
        frozen: Frozen = None,
        auxbasis: Any = None,
        mo_coeff: NDArray[np.float64] | None = None,
        mo_occ: NDArray[np.float64] | None = None,
    ) -> None:
        for option in _OPTIONS:
            setattr(self, option.name, option.default)
        self._scf = mf
        self.mol = getattr(mf, "mol", None)
        self.verbose = getattr(mf, "verbose", 0)
        self.stdout = getattr(mf, "stdout", None)
        self.max_memory = getattr(mf, "max_memory", lib.param.MAX_MEMORY)
        self.frozen, self.auxbasis = frozen, auxbasis
        self.mo_coeff, self.mo_occ = mo_coeff, mo_occ
        self.progress: Progress = silent
        self.name = "molecule"
        self.result: Result | None = None
        self.read_from: str | None = None

    def set(self, *args: Any, **kwargs: Any) -> DFMP2:
        """Set attributes by keyword; an unknown name is an error, not a new attribute."""
        unknown = sorted(set(kwargs) - self._keys - lib.StreamObject._keys)
        if unknown:
            raise InputError(f"DFMP2 has no attribute {unknown[0]!r}; it has {sorted(self._keys)}")
        super().set(*args, **kwargs)
        return self

    __call__ = set

    def kernel(self) -> tuple[float, None]:
        """Compute the energies.

        Returns
        -------
        e_corr : float
            Hartree.
        t2 : None
            Amplitudes are never stored.

        Raises
        ------
        DFMP2Error
            One of its kinds, see `dfmp2.errors`.
        """
        settings = self._settings()
        choice = choose(settings)
        solution = self._solution()
        if self.checkpoint is not None and self.mo_coeff is None:
            solution = with_stored_orbitals(solution, str(self.checkpoint))
        known = forecast(solution.mol, settings, solution.nmo, choice)
        prepared = prepare(self.name, solution, settings, choice, known)
        self.result = self._compute(prepared)
        self.read_from = self.result.read_from
        self._log(self.result)
        return self.result.e_corr, None

    def _compute(self, prepared: Prepared) -> Result:
        if self.checkpoint is None:
            return compute(prepared, progress=self.progress)
        path, own_orbitals = str(self.checkpoint), self.mo_coeff is None
        with run_file_of(prepared, path, own_orbitals=own_orbitals) as file:
            return compute(prepared, file, progress=self.progress)

    def plan(self) -> Plan:
        """Block sizes and memory that `kernel` will use.

        Raises
        ------
        DFMP2Error
            As `kernel`; ResourceError if `max_memory` is too small.
        """
        solution = read_mean_field(self._scf, self.mo_coeff, self.mo_occ, self.allow_ks, "off")
        return forecast(solution.mol, self._settings(), solution.nmo).plan

    def _settings(self) -> Settings:
        frozen: Any = self.frozen
        if isinstance(frozen, Iterator):
            self.frozen = list(frozen)  # it can be read only once
        return Settings(**{option.name: getattr(self, option.name) for option in _OPTIONS})

    def _solution(self) -> ScfSolution:
        check = self.check_reference
        solution = read_mean_field(self._scf, self.mo_coeff, self.mo_occ, self.allow_ks, check)
        own = self.mo_coeff is None and self.mo_occ is None
        return with_stability(solution, self._scf) if self.check_stability and own else solution

    def _log(self, result: Result) -> None:
        log = logger.new_logger(self)
        log.note("E(DF-MP2) = %.15g  E_corr = %.15g", result.e_tot, result.e_corr)
        log.note("E(SCS-DF-MP2) = %.15g", result.e_tot_scs)
        labels = result.labels
        log.info("auxiliary basis %s (%s)", labels["auxbasis"], labels["auxbasis_reason"])
        log.info("ran on %s", result.provenance.device_line())

    def _finished(self) -> Result:
        if self.result is None:
            raise AttributeError("the energies do not exist yet; call .run() or .kernel() first")
        return self.result

    e_hf = property(lambda self: self._finished().e_hf)
    e_corr = property(lambda self: self._finished().e_corr)
    e_corr_os = property(lambda self: self._finished().e_corr_os)
    e_corr_ss = property(lambda self: self._finished().e_corr_ss)
    e_tot = property(lambda self: self._finished().e_tot)
    e_tot_scs = property(lambda self: self._finished().e_tot_scs)
    e_tot_sos = property(lambda self: self._finished().e_tot_sos)
    pair_energies = property(lambda self: self._finished().pair_energies)
    t2 = None

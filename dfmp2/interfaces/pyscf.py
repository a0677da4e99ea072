"""The driver: a PySCF-style class that takes a mean field through the pipeline."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyscf import lib
from pyscf.lib import logger

from dfmp2.backends.cuda import GpuMemory
from dfmp2.backends.selection import computes_on_cuda
from dfmp2.errors import InputError
from dfmp2.fitting.auxbasis import AuxBasis, choose_auxbasis
from dfmp2.integrals.libcint import largest_shell
from dfmp2.integrals.source import choose_source
from dfmp2.molecules.build import warn_missing_ecp
from dfmp2.planning.plan import Plan, Sizes, make_plan
from dfmp2.references.mean_field import Frozen, Reference, make_reference
from dfmp2.results.result import Result
from dfmp2.runfile.checkpoint import INTERVAL, Checkpoint
from dfmp2.runfile.content import load_result, origin, store_result
from dfmp2.runfile.file import RunFile
from dfmp2.tensors.build import Progress
from dfmp2.workflow.compute import Outcome, Pipeline, Request, choose
from dfmp2.workflow.continuation import (
    check_nki,
    check_request,
    run_file_of,
    scratch_run,
    with_stored_orbitals,
)
from dfmp2.workflow.labels import nothing_to_correlate, result_of
from dfmp2.workflow.peak_memory import PeakMeter

__all__ = ["DFMP2"]


class DFMP2(lib.StreamObject):  # type: ignore[misc]
    """Density-fitted MP2 on a closed-shell mean field of PySCF.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF
        Converged; density-fitted or not.
    frozen : None, int, sequence of int, or "auto"
        Orbitals left out: the lowest so many, these indices (from 0), or the chemical core.
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
        Hartree; the error a reduced precision may make.
    backend, device : str or None
        See `dfmp2.set_backend`; None takes the default.
    max_memory : float
        MB above the resident memory at the start; PySCF's value of the mean field.
    fused : bool
        Reduce each T block where it is made (default), or form it first.
    allow_ks : bool
        Take a Kohn-Sham reference as it is, for the second-order term of a double hybrid.
    integrals : str
        Who makes the three-centre integrals: "auto" (gpu4pyscf for a CUDA device where it is
        installed, else libcint), "libcint", "gpu4pyscf", or "scf": those of a density-fitted SCF
        are taken over, an error where `auxbasis` is not the SCF's own set (JK sets are not
        optimised for correlation).
    checkpoint : str or None
        Run file to keep the work in, or to continue from; None keeps nothing.
    checkpoint_interval : float
        Seconds between two commits to it.
    result : Result or None
        Everything about the finished run.
    read_from : str or None
        Run file, device and time, where the result was there already and nothing was computed.

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

    _keys = {  # noqa: RUF012  (PySCF's own protocol)
        "mol", "frozen", "auxbasis", "mo_coeff", "mo_occ", "precision", "accuracy", "backend",
        "device", "fused", "allow_ks", "integrals", "result", "progress", "name", "checkpoint",
        "checkpoint_interval", "run_file", "resuming", "read_from",
    }  # fmt: skip

    def __init__(
        self,
        mf: Any,
        frozen: Frozen = None,
        auxbasis: Any = None,
        mo_coeff: NDArray[np.float64] | None = None,
        mo_occ: NDArray[np.float64] | None = None,
    ) -> None:
        self._scf = mf
        self.mol = getattr(mf, "mol", None)
        self.verbose = getattr(mf, "verbose", 0)
        self.stdout = getattr(mf, "stdout", None)
        self.max_memory = getattr(mf, "max_memory", lib.param.MAX_MEMORY)
        self.frozen = frozen
        self.auxbasis = auxbasis
        self.mo_coeff = mo_coeff
        self.mo_occ = mo_occ
        self.precision: str | None = None
        self.accuracy = 1e-6
        self.backend: str | None = None
        self.device: str | None = None
        self.fused = True
        self.allow_ks = False
        self.integrals = "auto"
        self.progress: Progress = _no_progress
        self.name = "molecule"
        self.result: Result | None = None
        self.checkpoint: str | None = None
        self.checkpoint_interval = INTERVAL
        self.run_file: RunFile | None = None
        self.resuming = False
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
        request = Request(self.backend, self.device, self.precision)
        selection, precision = choose(request)
        if self.checkpoint is not None and self.mo_coeff is None:
            self._scf = with_stored_orbitals(self._scf, self.checkpoint)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            reference = self._reference()
            warn_missing_ecp(reference.mol)
            aux = choose_auxbasis(reference.mol, self.auxbasis)
        for warning in caught:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
        notes = [str(warning.message) for warning in caught]
        source = choose_source(self.integrals, self._scf, aux, selection)
        plan = self.plan(reference, aux)
        with self._kept(reference, aux, plan) as (file, kept):
            checkpoint = Checkpoint(file, reference.nocc, self.checkpoint_interval)
            if file is not None and kept:
                check_nki(file, checkpoint)
                if not self.resuming:
                    check_request(
                        file, checkpoint.table, request, selection, precision, self.accuracy
                    )
                self.result = load_result(file)
                if self.result is not None:
                    self.read_from = origin(file, self.result)
                    self._log(self.result)
                    return self.result.e_corr, None
            self.read_from = None
            gpu = GpuMemory(plan, selection.backend) if plan.device_memory else None
            selection.backend.warm_up()
            meter = PeakMeter()
            if reference.nocc and reference.nvir:
                stages = Pipeline(
                    reference, aux, plan, self.accuracy, self.fused, self.progress, checkpoint,
                    source,
                )  # fmt: skip
                outcome = stages.run(selection, precision)
            else:
                notes.append(nothing_to_correlate(reference))
                outcome = Outcome.empty(reference.nocc, precision, selection.reason)
            memory = {"forecast": plan.peak, "max_memory": plan.max_memory}
            if (peak := meter.peak()) is not None:
                memory["peak"] = peak
            if gpu is not None:
                memory |= gpu.found()
            notes += checkpoint.notes
            self.result = result_of(self, reference, aux, source, outcome, memory, notes)
            if file is not None and kept:
                store_result(file, self.result)
        self._log(self.result)
        return self.result.e_corr, None

    @contextmanager
    def _kept(
        self, reference: Reference, aux: AuxBasis, plan: Plan
    ) -> Iterator[tuple[RunFile | None, bool]]:
        """The run file, if there is to be one, and whether it outlives the run."""
        if self.run_file is not None:
            yield self.run_file, True
        elif self.checkpoint is not None:
            with run_file_of(self, reference, aux, plan) as file:
                yield file, True
        elif plan.in_memory:
            yield None, False
        else:
            with scratch_run(plan.sizes) as file:
                yield file, False

    def plan(self, reference: Reference | None = None, aux: AuxBasis | None = None) -> Plan:
        """Block sizes and memory that `kernel` will use.

        Raises
        ------
        ResourceError
            If `max_memory` is too small.
        """
        reference = reference or self._reference()
        aux = aux or choose_auxbasis(reference.mol, self.auxbasis)
        sizes = Sizes(
            reference.nao, reference.nocc, reference.nvir, aux.naux, largest_shell(aux.mol)
        )
        return make_plan(
            sizes,
            self.max_memory,
            lib.num_threads(),
            metric_done=self.integrals == "scf",
            on_gpu=computes_on_cuda(self.backend, self.device),
        )

    def _reference(self) -> Reference:
        return make_reference(
            self._scf, self.frozen, self.mo_coeff, self.mo_occ, allow_ks=self.allow_ks
        )

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


def _no_progress(stage: str, done: int, total: int) -> None:
    pass

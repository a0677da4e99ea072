"""Relaxed densities and analytic gradients of a prepared calculation.

One pass over the pairs gives the energies and all that the gradient needs of them. The rest is done
on the host in float64.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from dfmp2.backends.protocol import Array
from dfmp2.backends.torch import host_where
from dfmp2.errors import DFMP2Warning, InputError, NotProvidedError
from dfmp2.foreign_errors import translated
from dfmp2.methods.densities import densities_of
from dfmp2.methods.gradient import relaxed_gradient
from dfmp2.methods.lagrangian import IntegralTerms, integral_terms, no_terms
from dfmp2.methods.pair_densities import weights_of
from dfmp2.methods.z_vector import Derivatives, Relaxation, relax
from dfmp2.planning.gradient import with_gradient
from dfmp2.references.response import Response
from dfmp2.results.densities import Densities
from dfmp2.results.gradient import Gradient
from dfmp2.results.provenance import Provenance
from dfmp2.results.result import Result
from dfmp2.results.stages import Precision, Stage
from dfmp2.results.variants import scaled_name
from dfmp2.runfile.file import RunFile
from dfmp2.tensors.held import HeldB
from dfmp2.tensors.problem import Problem, Progress, Work, silent
from dfmp2.workflow.compute import compute
from dfmp2.workflow.pair_products import PairProducts
from dfmp2.workflow.prepare import Prepared

__all__ = ["compute_density", "compute_gradient"]

UNCONVERGED = 1e-6
"""Hartree. An SCF whose Fock matrix couples an occupied orbital with others by more gives gradients
whose errors may be as large."""

ONE_ELECTRON = ("QM/MM", "nelectron=")
"""Beginnings of the names of Hamiltonians whose derivatives are known, as of `hamiltonian`."""

SAME_RESPONSE = (
    *ONE_ELECTRON, "sfX2C1e", "X2C", "own get_hcore", "nuclei of finite size", "nuclear charges",
    "dispersion", "pseudopotential",
)  # fmt: skip
"""The same for Hamiltonians whose response to a density is that of the plain molecule."""


def compute_gradient(
    prepared: Prepared,
    method: str | None = None,
    file: RunFile | None = None,
    progress: Progress = silent,
) -> Gradient:
    """The gradient of the total energy of a method.

    Parameters
    ----------
    prepared : Prepared
    method : str, optional
        Key of ``Result.energies``. Default: the method that ``Result.e_tot`` belongs to.
    file : RunFile, optional
        Run file of this input, open for writing. It holds B and the energies afterwards.
    progress : callable
        Called as progress(stage, steps done, steps in all).

    Returns
    -------
    Gradient

    Raises
    ------
    NotProvidedError
        For references and Hamiltonians without gradients.
    InputError
        If the method is unknown, or the energy has no gradient.
    NotConvergedError
        If the Z-vector equations do not converge.
    """
    _require_provided(prepared, "gradients", ONE_ELECTRON)
    made = _Run(prepared, method, file, progress)
    result = made.over_pairs(derivatives=True)
    return made.gradient(result)


def compute_density(
    prepared: Prepared,
    method: str | None = None,
    relaxed: bool = True,
    file: RunFile | None = None,
    progress: Progress = silent,
) -> tuple[Densities, Result]:
    """The one-particle densities of a method, and the energies of the same pass.

    Parameters
    ----------
    prepared, method, file, progress
        As of `compute_gradient`.
    relaxed : bool
        Make the relaxed density, too.

    Raises
    ------
    NotProvidedError
        For references and Hamiltonians without them.
    InputError, NotConvergedError
        As `compute_gradient`.
    """
    if relaxed:
        _require_provided(prepared, "relaxed densities", SAME_RESPONSE)
    else:
        _require_kind(prepared, "densities")
    made = _Run(prepared, method, file, progress)
    result = made.over_pairs(derivatives=None if not relaxed else False)
    with translated("the relaxed density"):
        relaxation = made.relaxed(result) if relaxed else None
    if relaxation is not None:
        _notes(relaxation, "relaxed density", "atomic units")
    return made.densities(result, relaxation), result


@dataclass(eq=False)
class _Run:
    """One pass over the pairs, and what is made of it.

    Attributes
    ----------
    blocks : list of tuple of ndarray
        dE2/dF of the correlated occupied and virtual orbitals of each spin.
    terms : IntegralTerms
        Derivatives through the integrals of the fit.
    """

    prepared: Prepared
    method: str | None
    file: RunFile | None
    progress: Progress
    blocks: list[tuple[Array, Array]] = field(default_factory=list)
    terms: IntegralTerms = field(init=False)

    def __post_init__(self) -> None:
        from pyscf import lib

        settings = self.prepared.settings
        if self.prepared.choice.precision is Precision.FP32:
            raise InputError(
                "precision fp32 has no gradients, because only auto checks their error; use "
                "precision auto or fp64 (--precision)"
            )
        if self.method is None:
            self.method = "MP2" if settings.scale is None else scaled_name(settings.scale)
        self.terms = no_terms(self.prepared.reference)
        self._weights = weights_of(self.method, settings)
        self._products = PairProducts(self.prepared.choice)
        plan = with_gradient(self.prepared.plan, lib.num_threads())
        self.prepared = replace(self.prepared, choice=self._products.host, plan=plan)

    def over_pairs(self, derivatives: bool | None) -> Result:
        """The energies, with `blocks` and `terms` of the same pass.

        Parameters
        ----------
        derivatives : bool or None
            Whether `terms` has derivatives of integrals. None leaves out `terms`.
        """

        def own_pass(b: HeldB, problem: Problem, work: Work) -> Array:
            made, energies = self._products.densities(b, problem, work, self._weights)
            self.blocks = [(spin.p_occ, spin.p_vir) for spin in made.spins]
            if derivatives is not None:
                with _on_host(work.backend.provenance, Stage.FIT_DERIVATIVES):
                    self.terms = integral_terms(problem, b, made.gamma, work, derivatives)
            made.gamma.close()
            return energies

        prepared = self.prepared
        result = compute(prepared, self.file, progress=self.progress, over_pairs=own_pass)
        if not self.blocks:  # nothing to correlate
            self.blocks = [
                (np.zeros((s.nocc, s.nocc)), np.zeros((s.nvir, s.nvir)))
                for s in prepared.reference.spins
            ]
        return result

    def relaxed(self, result: Result) -> Relaxation:
        """The effective densities of E2."""
        parts = zip(self.blocks, self.terms.x_occ, self.terms.x_vir, strict=True)
        derivatives = [Derivatives(*p, x_occ, x_vir) for p, x_occ, x_vir in parts]
        prepared = self.prepared
        with _on_host(result.provenance, Stage.Z_VECTOR):
            return relax(prepared.reference, prepared.solution, derivatives, _response(prepared))

    def densities(self, result: Result, relaxation: Relaxation | None) -> Densities:
        prepared = self.prepared
        own = None if relaxation is None else relaxation.density
        return densities_of(prepared.solution, prepared.reference, self.blocks, own)

    @translated("the gradient")
    def gradient(self, result: Result) -> Gradient:
        """The gradient, after `over_pairs`."""
        prepared, relaxation = self.prepared, self.relaxed(result)
        with _on_host(result.provenance, Stage.SCF_DERIVATIVES):
            atoms, charges = relaxed_gradient(prepared.solution, relaxation, _response(prepared))
        return Gradient(
            de=atoms + self.terms.gradient,
            de_mm=charges,
            result=result,
            method=str(self.method),
            densities=self.densities(result, relaxation),
            timings={stage.name: stage.seconds for stage in result.provenance.stages},
            notes=_notes(relaxation, "gradient", "Eh/bohr"),
        )


@contextmanager
def _on_host(provenance: Provenance, stage: Stage) -> Iterator[None]:
    """A stage on the CPU, whatever made the pairs: the result names it."""
    start = time.perf_counter()
    with provenance.stage(stage):
        yield
        seconds = time.perf_counter() - start
        provenance.add("contraction", host_where(), "float64", seconds, 0.0)


def _notes(relaxation: Relaxation, what: str, unit: str) -> tuple[str, ...]:
    if relaxation.scf_residual <= UNCONVERGED:
        return ()
    text = (
        f"the SCF is not converged tightly (its Fock matrix couples occupied with other orbitals "
        f"by up to {relaxation.scf_residual:.0e} Eh), and the {what} may have errors of this "
        f"size in {unit}; use conv_tol 1e-10 and conv_tol_grad 1e-7 in the SCF"
    )
    warnings.warn(text, DFMP2Warning, stacklevel=4)
    return (text,)


def _response(prepared: Prepared) -> Response:
    response = prepared.solution.response
    if response is None:  # orbitals without a mean field, which no part of dfmp2 makes
        raise NotProvidedError("relaxed densities and gradients need the mean field of the SCF")
    response.max_memory = prepared.settings.max_memory
    return response


def _require_kind(prepared: Prepared, what: str) -> None:
    kind = prepared.solution.kind
    if kind == "ROHF":
        raise NotProvidedError(
            f"{what} are not provided for an ROHF reference; use a UHF (scf.UHF, --reference uhf)"
        )
    if kind.endswith("KS") or prepared.settings.xc is not None:
        raise NotProvidedError(
            f"{what} are not provided for double hybrids and other Kohn-Sham references; use a "
            "Hartree-Fock reference (RHF or UHF)"
        )


def _require_provided(prepared: Prepared, what: str, hamiltonians: tuple[str, ...]) -> None:
    """Refuse what has no derivatives here, by its name."""
    _require_kind(prepared, what)
    solution = prepared.solution
    other = [name for name in solution.hamiltonian if not name.startswith(hamiltonians)]
    if other:
        raise NotProvidedError(
            f"{what} are not provided for a reference with {', '.join(other)}; use a plain "
            "mean field, with point charges (qmmm.mm_charge) where you need them"
        )
    _response(prepared).require_same_integrals()

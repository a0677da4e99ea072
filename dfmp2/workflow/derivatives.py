"""Gradients and properties of a molecule for the command line, as tasks of `run_job`."""

from __future__ import annotations

from dataclasses import replace

from dfmp2.errors import NotProvidedError
from dfmp2.methods.properties import properties_of
from dfmp2.planning.gradient import with_gradient
from dfmp2.references.scf import scf_kind
from dfmp2.results.gradient import Gradient
from dfmp2.results.properties import GradientRecord
from dfmp2.results.result import Result
from dfmp2.runfile.file import RunFile
from dfmp2.tensors.problem import Progress
from dfmp2.workflow.gradient import compute_density, compute_gradient
from dfmp2.workflow.jobs import Job, Task
from dfmp2.workflow.prepare import Forecast, Prepared

__all__ = ["gradient_task", "properties_task", "require_derivatives"]


def require_derivatives(job: Job, known: Forecast) -> None:
    """Refuse before the SCF what has no gradients and densities, or needs too much memory for them.

    Parameters
    ----------
    job : Job
    known : Forecast

    Raises
    ------
    NotProvidedError
        For ROHF references and double hybrids.
    ResourceError
    """
    if job.settings.xc is not None:
        raise NotProvidedError(
            f"{job.name}: gradients and densities are not provided for double hybrids; leave --xc "
            "out"
        )
    kind = job.solution.kind if job.solution else scf_kind(job.mol, job.settings.reference)
    if kind.lower() == "rohf":
        raise NotProvidedError(
            f"{job.name}: gradients and densities are not provided for an ROHF reference; use "
            "--reference uhf"
        )
    with_gradient(known.plan)


def gradient_task(method: str | None) -> Task:
    """Energies, gradient and properties.

    Parameters
    ----------
    method : str or None
        Key of `Result.energies`; None takes the method of `e_corr`.
    """

    def task(
        prepared: Prepared, file: RunFile | None, resuming: bool, progress: Progress
    ) -> Result:
        return _result_of(prepared, compute_gradient(prepared, method, file, progress))

    return task


def properties_task(
    prepared: Prepared, file: RunFile | None, resuming: bool, progress: Progress
) -> Result:
    """Energies and properties of the method of `e_corr`."""
    densities, result = compute_density(prepared, None, True, file, progress)
    found = properties_of(prepared.solution.mol, densities, result.method)
    return replace(result, properties=found)


def _result_of(prepared: Prepared, gradient: Gradient) -> Result:
    """The result of a gradient as plain data, with the properties of its densities."""
    de_mm = gradient.de_mm
    record = GradientRecord(
        method=gradient.method,
        de=tuple(map(tuple, gradient.de.tolist())),
        de_mm=None if de_mm is None else tuple(map(tuple, de_mm.tolist())),
    )
    found = properties_of(prepared.solution.mol, gradient.densities, gradient.method)
    notes = (*gradient.result.notes, *gradient.notes)
    return replace(gradient.result, gradient=record, properties=found, notes=notes)

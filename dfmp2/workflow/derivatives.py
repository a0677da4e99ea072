"""Gradients and properties of a molecule for the command line, as tasks of `run_job`."""

from __future__ import annotations

from dataclasses import replace

from dfmp2.methods.properties import properties_of
from dfmp2.results.gradient import Gradient
from dfmp2.results.properties import GradientRecord
from dfmp2.results.result import Result
from dfmp2.runfile.file import RunFile
from dfmp2.tensors.problem import Progress
from dfmp2.workflow.gradient import compute_density, compute_gradient
from dfmp2.workflow.jobs import Task
from dfmp2.workflow.prepare import Prepared

__all__ = ["gradient_task", "properties_task", "with_gradient"]


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
        return with_gradient(prepared, compute_gradient(prepared, method, file, progress))

    return task


def properties_task(
    prepared: Prepared, file: RunFile | None, resuming: bool, progress: Progress
) -> Result:
    """Energies and properties of the method of `e_corr`."""
    densities, result = compute_density(prepared, None, True, file, progress)
    found = properties_of(prepared.solution.mol, densities, result.method)
    return replace(result, properties=found)


def with_gradient(prepared: Prepared, gradient: Gradient) -> Result:
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

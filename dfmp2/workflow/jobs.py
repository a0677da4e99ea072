"""The calculation of one molecule for the command line: its forecast, SCF, run file and result.

`forecast_job` and `require_disk` find a lack of memory or disk before the SCF starts. `run_job`
does a job with its run file.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from dfmp2.errors import ResourceError
from dfmp2.foreign_errors import translated
from dfmp2.planning.plan import Plan
from dfmp2.references.converge import Report
from dfmp2.references.hamiltonian import REPEATABLE, of_molecule
from dfmp2.references.kohn_sham import KINDS
from dfmp2.references.scf import checked_again, run_scf, scf_kind, stored_solution
from dfmp2.references.solution import ScfSolution
from dfmp2.references.stability import with_stability
from dfmp2.results.result import Result
from dfmp2.runfile.content import load_scf, store_scf
from dfmp2.runfile.file import RunFile, is_regular
from dfmp2.runfile.identity import basis_field, energy_fields, orbital_fields
from dfmp2.runfile.opening import default_path, open_run
from dfmp2.settings import Settings
from dfmp2.tensors.problem import Progress
from dfmp2.units import BYTES_PER_MB
from dfmp2.workflow.compute import compute
from dfmp2.workflow.continuation import input_of, run_shape
from dfmp2.workflow.prepare import (
    Choice,
    Forecast,
    Prepared,
    forecast,
    prepare,
    require_reusable,
    resized,
)

__all__ = [
    "Done",
    "Job",
    "PlannedJob",
    "StoredJob",
    "Task",
    "compute_job",
    "content_of",
    "energies",
    "finish_job",
    "forecast_job",
    "require_disk",
    "run_job",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """One molecule, ready for its SCF.

    Attributes
    ----------
    name : str
        File name without folder and suffix.
    mol : pyscf.gto.Mole
    settings : Settings
    solution : ScfSolution or None
        Converged orbitals, if they came from a chkfile.
    stated : str
        Charge and spin, and where they came from. Empty if nothing states them.
    notes : tuple of str
        Warnings about the geometry file that belong to the result.
    """

    name: str
    mol: Any
    settings: Settings
    solution: ScfSolution | None = None
    stated: str = ""
    notes: tuple[str, ...] = ()

    @translated("the SCF")
    def converge(self, progress: Report | None = None) -> ScfSolution:
        """The converged orbitals; runs the SCF unless there are some.

        Parameters
        ----------
        progress : callable, optional
            Called with each `dfmp2.references.converge.ScfStep`.

        Raises
        ------
        NotConvergedError
        """
        if self.solution is not None:
            return self.solution
        return run_scf(self.mol, self.settings, progress=progress)


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredJob(Job):
    """A job that converges the SCF of a stored result again, to compare with it."""

    result: Result

    @translated("the SCF")
    def converge(self, progress: Report | None = None) -> ScfSolution:
        """The orbitals of the same Hamiltonian, as of `Job.converge`.

        Raises
        ------
        NotConvergedError
        """
        x2c = REPEATABLE in self.result.hamiltonian
        return run_scf(self.mol, self.settings, x2c=x2c, progress=progress)


@dataclass(frozen=True, eq=False, kw_only=True)
class PlannedJob(Job):
    """A job with its backend and its forecast."""

    choice: Choice
    known: Forecast

    @classmethod
    def of(cls, job: Job, choice: Choice, known: Forecast) -> PlannedJob:
        """The job with what was decided for it."""
        own = {field.name: getattr(job, field.name) for field in fields(Job)}
        return cls(**own, choice=choice, known=known)

    def prepared(self, solution: ScfSolution) -> Prepared:
        """The calculation on converged orbitals."""
        ready = prepare(self.name, solution, self.settings, self.choice, self.known)
        return replace(ready, stated=self.stated)


@dataclass(frozen=True, eq=False)
class Done:
    """A finished job.

    Attributes
    ----------
    result : Result
    solution : ScfSolution
    scf_now : bool
        Whether the SCF was done now. Else its orbitals were read.
    """

    result: Result
    solution: ScfSolution
    scf_now: bool = False

    @property
    def scf_seconds(self) -> float | None:
        """Wall time of the SCF, if dfmp2 did it now."""
        how = self.solution.how
        return how.seconds if self.scf_now and how is not None else None


Task = Callable[[Prepared, RunFile | None, bool, Progress], Result]
"""What is computed once the SCF is done. The parameters are those of `compute`."""


def energies(
    prepared: Prepared, file: RunFile | None, resuming: bool, progress: Progress
) -> Result:
    """The energies alone, the task of `run_job` if no other is given."""
    return compute(prepared, file, resuming, progress)


def forecast_job(job: Job, choice: Choice | None = None) -> Forecast:
    """What the DF-MP2 part of a job needs.

    Parameters
    ----------
    job : Job
    choice : Choice, optional
        The backend; a plan may be made on another machine.

    Raises
    ------
    InputError
        If `frozen` or `auxbasis` do not fit the molecule, or integrals are to be reused that the
        SCF will not have.
    ResourceError
        If the memory is too small.
    """
    known = forecast(job.mol, job.settings, job.solution, choice)
    require_reusable(job.mol, job.settings, known.aux, job.solution)
    return replace(known, notes=(*job.notes, *known.notes))


def require_disk(plan: Plan, settings: Settings) -> None:
    """Refuse a run whose file cannot fit on its disk.

    Raises
    ------
    ResourceError
        With the space needed, the space there is, and the memory that would make the file small.
    """
    from pyscf import lib

    path = Path(settings.checkpoint or ".").absolute()
    exists = is_regular(str(path)) and not settings.restart
    if (plan.in_memory and not settings.keep) or exists:
        return  # no file, or one that has its space
    folder = (
        (path.parent if settings.checkpoint else path) if settings.keep else Path(lib.param.TMPDIR)
    )
    try:
        free = shutil.disk_usage(folder).free / BYTES_PER_MB
    except OSError:
        return  # making the file raises the error
    needed = plan.disk["run file without B"] if plan.in_memory else sum(plan.disk.values())
    if free < needed:
        raise ResourceError(
            f"{folder}: the run file needs {needed:.0f} MB, but {free:.0f} MB are free; name a "
            "file elsewhere with --checkpoint"
            + ("" if plan.in_memory else f", or use --max-memory {plan.least_in_memory:.0f}")
        )


def compute_job(job: PlannedJob, solution: ScfSolution, progress: Progress) -> Result:
    """Do the DF-MP2 part of a job without a run file."""
    return compute(job.prepared(solution), progress=progress)


def run_job(
    job: PlannedJob,
    progress: Progress,
    iterations: Report | None = None,
    task: Task = energies,
) -> Done:
    """Do a job, or what is left of it.

    Parameters
    ----------
    job : PlannedJob
    progress : callable
        Called with the name of a stage, the number of finished steps, and all steps.
    iterations : callable, optional
        Called with each `dfmp2.references.converge.ScfStep`.
    task : callable
        What to compute.

    Returns
    -------
    Done

    Raises
    ------
    NotConvergedError
        If the SCF does not converge.
    CheckpointError
        If its run file cannot be used, or belongs to another input.
    BackendUnavailable, KernelError
        If the backend cannot do the work, or a kernel fails.
    """
    settings, sizes = job.settings, job.known.plan.sizes
    if job.solution is not None and settings.check_stability:
        job = replace(job, solution=with_stability(job.solution))
    if not settings.keep:
        solution = job.converge(iterations)
        progress("SCF", 1, 1)
        result = task(job.prepared(solution), None, False, progress)
        return Done(result, solution, job.solution is None)
    content = content_of(job)
    path = settings.checkpoint or default_path(job.name, content["fields"])
    shape = run_shape(sizes, settings, job.solution)
    file = open_run(path, shape, content, settings.restart)
    return finish_job(file, job, progress, False, iterations, task)


def finish_job(
    file: RunFile,
    job: PlannedJob,
    progress: Progress,
    resuming: bool,
    iterations: Report | None = None,
    task: Task = energies,
) -> Done:
    try:
        orbitals = load_scf(file)
        if orbitals is not None:
            solution = stored_solution(job.mol, job.settings, orbitals)
            if (given := job.solution) is not None:
                solution = replace(
                    solution, hamiltonian=given.hamiltonian, check=given.check, notes=given.notes
                )
            else:
                solution = checked_again(solution, job.settings)
        else:
            solution = job.converge(iterations)
            if solution.nmo != file.shape.nmo:  # linearly dependent functions were dropped
                known = resized(solution, job.settings, job.known)
                job, old = replace(job, known=known), file
                shape = run_shape(known.plan.sizes, job.settings, solution)
                file = RunFile.create(old.path, shape, old.input, replace=True)
                old.close()
            store_scf(file, solution)
        progress("SCF", 1, 1)
        result = task(job.prepared(solution), file, resuming, progress)
        return Done(result, solution, orbitals is None and job.solution is None)
    finally:
        file.close()


def content_of(job: PlannedJob) -> dict[str, Any]:
    """The input of a job as its run file stores it."""
    settings = job.settings
    kind = scf_kind(job.mol, settings.reference)
    fields = {"reference": kind, **settings.identity()}
    if settings.xc is not None:
        fields |= {"reference": KINDS[kind], "grid": settings.grid}
    if job.solution is None:
        fields |= {"density_fit": settings.density_fit, "conv_tol": settings.conv_tol}
        fields["scf_auxbasis"] = basis_field(settings.scf_auxbasis)
        if named := of_molecule(job.mol):
            fields["hamiltonian"] = list(named)
    else:
        solution = job.solution
        fields |= orbital_fields(solution.mo_coeff, solution.mo_energy)
        fields |= energy_fields(solution.e_tot, solution.hamiltonian)
    content = input_of(job.name, job.mol, job.known.aux, job.known.frozen, fields)
    options, calculation = settings.stored("options"), settings.stored("calculation")
    if settings.auxbasis is not None:  # by content: a file may be changed before the run continues
        calculation["auxbasis"] = content["molecule"]["auxbasis"]
    return {
        **content,
        "options": options,
        "calculation": calculation,
        "stated": job.stated,
        "notes": list(job.notes),
    }

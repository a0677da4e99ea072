"""From what a user names on a command line to a result: one job per molecule.

`read_jobs` finds mistakes of the input, `forecast_job` and `require_disk` a lack of memory or disk,
all before the SCF starts. `run_job` does a job with its run file, `resume_job` continues a run
file.
"""

from __future__ import annotations

import shutil
import warnings
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from dfmp2 import defaults
from dfmp2.errors import (
    CheckpointError,
    DFMP2Error,
    DFMP2Warning,
    InputError,
    ResourceError,
    UnsupportedReferenceError,
)
from dfmp2.fitting.auxbasis import choose_auxbasis, scf_auxbasis
from dfmp2.foreign_errors import translated
from dfmp2.molecules.basis import basis_entry
from dfmp2.molecules.build import build_mole, rebuild_mole
from dfmp2.molecules.electrons import choose_electrons
from dfmp2.molecules.files import (
    is_qcschema_input,
    molecule_name,
    read_geometry,
    require_file,
)
from dfmp2.molecules.plain import PlainMolecule
from dfmp2.planning.plan import Plan
from dfmp2.references.chkfile import is_chkfile, load_chkfile
from dfmp2.references.hamiltonian import REPEATABLE, of_molecule
from dfmp2.references.scf import require_closed_shell, run_scf, stored_solution
from dfmp2.references.solution import ScfSolution
from dfmp2.references.stability import with_stability
from dfmp2.results.result import Result, read_results
from dfmp2.runfile.content import load_scf, store_scf
from dfmp2.runfile.file import RunFile, is_regular, is_run_file
from dfmp2.runfile.identity import (
    basis_field,
    difference,
    energy_fields,
    fields_of,
    orbital_fields,
)
from dfmp2.runfile.layout import Shape
from dfmp2.runfile.opening import default_path, open_run
from dfmp2.settings import Settings
from dfmp2.tensors.problem import Progress
from dfmp2.units import BYTES_PER_MB
from dfmp2.workflow.compute import compute
from dfmp2.workflow.continuation import input_of
from dfmp2.workflow.prepare import (
    Choice,
    Forecast,
    Prepared,
    choose,
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
    "compute_job",
    "forecast_job",
    "read_jobs",
    "require_disk",
    "resume_job",
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
    hamiltonian : tuple of str
        What the SCF has beside the molecule, as of `dfmp2.references.hamiltonian`.
    """

    name: str
    mol: Any
    settings: Settings
    solution: ScfSolution | None = None
    stated: str = ""
    notes: tuple[str, ...] = ()
    hamiltonian: tuple[str, ...] = ()

    @translated("the SCF")
    def converge(self) -> ScfSolution:
        """The converged orbitals; runs the SCF unless there are some.

        Raises
        ------
        NotConvergedError
        """
        x2c = REPEATABLE in self.hamiltonian
        return self.solution or run_scf(self.mol, self.settings, x2c=x2c)


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredJob(Job):
    """A job that converges the SCF of a stored result again, to compare with it."""

    result: Result


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
    """

    result: Result
    solution: ScfSolution


_OF_THE_MOLECULE = ("basis", "charge", "spin", "ecp")

_OF_THE_SCF = ("density_fit", "scf_auxbasis", "conv_tol")

_FIXED_BY_CHKFILE = (*_OF_THE_MOLECULE, *_OF_THE_SCF, "max_cycle")

_FIXED_BY_RESULT = (
    *_OF_THE_MOLECULE, *_OF_THE_SCF, "auxbasis", "frozen", "max_memory", "backend", "device",
    "precision", "accuracy", "fused",
)  # fmt: skip
"""Settings that a JSON result fixes. Its SCF is converged again, so `max_cycle` applies."""


def read_jobs(source: str, settings: Settings, given: frozenset[str] = frozenset()) -> list[Job]:
    """Read one argument of the command line.

    Parameters
    ----------
    source : str
        A geometry file, "-" for XYZ on standard input, a PySCF chkfile, or a JSON result of
        dfmp2.
    settings : Settings
    given : frozenset of str
        Settings that were asked for by name, which is an error for those that `source` fixes.

    Returns
    -------
    list of Job
        One, except for JSON with several results.

    Raises
    ------
    InputError
        For anything wrong with the geometry, the basis, charge and spin, or a chkfile.
    UnsupportedReferenceError
        For an open shell, or a result with another reference than RHF.
    NotConvergedError
        If the SCF of a chkfile did not converge.
    CheckpointError, ValidationError
        If a JSON result was not written by dfmp2, or was changed.
    """
    if settings.reference != "rhf":
        raise UnsupportedReferenceError(
            f"reference {settings.reference!r}: this version treats closed shells (rhf) only; "
            "open-shell MP2 is in pyscf.mp.dfump2_native"
        )
    if settings.scf_auxbasis is not None and not settings.density_fit:
        raise InputError(
            "--scf-auxbasis names the auxiliary set of a density-fitted SCF; add --density-fit"
        )
    if source != "-":
        require_file(source)
    if source != "-" and is_chkfile(source):
        if is_run_file(source):
            raise InputError(
                f"{source}: is a run file of dfmp2; continue it with dfmp2 resume, look at it with "
                "dfmp2 show"
            )
        _refuse_fixed(
            f"{source}: a chkfile brings its own molecule and SCF",
            _FIXED_BY_CHKFILE,
            settings,
            given,
        )
        solution = load_chkfile(source, settings)
        return [Job(name=Path(source).stem, mol=solution.mol, settings=settings, solution=solution)]
    if Path(source).suffix.lower() == ".json" and not is_qcschema_input(source):
        _refuse_fixed(
            f"{source}: a result brings its own molecule and settings",
            _FIXED_BY_RESULT,
            settings,
            given,
        )
        return [_stored_job(result, settings, source) for result in read_results(source)]
    geometry = read_geometry(source, settings.unit)
    settings, notes = _with_basis(settings, geometry.basis, source)
    electrons = choose_electrons(geometry.stated, settings.charge, settings.spin, source)
    charge, spin = electrons.charge, electrons.spin
    mol = build_mole(geometry, settings.basis, charge, spin, settings.ecp, source)
    require_closed_shell(mol, source)
    if settings.scf_auxbasis is not None:
        aux = choose_auxbasis(mol, settings.scf_auxbasis)  # finds a wrong set before the SCF
        if any(basis_entry(settings.scf_auxbasis, s) != value for s, value in aux.spec.items()):
            settings = replace(settings, scf_auxbasis=aux.spec)  # the content of a file
    elif settings.density_fit:
        settings = replace(settings, scf_auxbasis=scf_auxbasis(mol))
    name, notes = molecule_name(source), (*notes, *electrons.remarks)
    return [Job(name=name, mol=mol, settings=settings, stated=electrons.label, notes=notes)]


def _with_basis(
    settings: Settings, stated: str | None, source: str
) -> tuple[Settings, tuple[str, ...]]:
    """The settings with the basis that a geometry file states, and notes if it is another one."""
    if settings.basis is None:
        if stated is None:
            raise InputError(f"{source}: no basis given; add for example --basis cc-pvdz")
        return replace(settings, basis=stated), ()
    if stated is None or str(settings.basis).lower() == stated.lower():
        return settings, ()
    note = f"--basis {settings.basis} replaces the basis of the file, {stated}"
    warnings.warn(note, DFMP2Warning, stacklevel=3)
    return settings, (note,)


def _refuse_fixed(
    source: str, fixed: tuple[str, ...], settings: Settings, given: frozenset[str]
) -> None:
    asked = given if settings.basis is None else given | {"basis"}
    for name in fixed:
        if name in asked:
            option = "--fused-energy" if name == "fused" else f"--{name.replace('_', '-')}"
            raise InputError(f"{source}; leave {option} out, or give the geometry")


def _stored_job(result: Result, settings: Settings, source: str) -> StoredJob:
    if result.reference != "RHF":
        raise UnsupportedReferenceError(
            f"{source}: a {result.reference} reference cannot be computed again from its result"
        )
    if unknown := _not_repeatable(result.hamiltonian):
        raise UnsupportedReferenceError(
            f"{source}: was computed with {unknown}, which a JSON result does not describe, so its "
            "SCF cannot be repeated; compare in the script that made it"
        )
    again = replace(
        settings,
        density_fit=bool(result.settings["density_fit"]),
        scf_auxbasis=result.settings.get("scf_auxbasis"),
        conv_tol=min(float(result.settings["conv_tol"]), defaults.CONV_TOL),
    )
    mol = rebuild_mole(result.molecule, source)
    naux = choose_auxbasis(mol, result.molecule.auxbasis).naux
    if (int(mol.nao_nr()), naux) != (result.sizes["nao"], result.sizes["naux"]):
        raise CheckpointError(
            f"{source}: {result.molecule.name} has other numbers of functions than its result; the "
            "file was changed, or the basis sets of PySCF were"
        )
    return StoredJob(
        name=result.molecule.name,
        mol=mol,
        settings=again,
        result=result,
        hamiltonian=result.hamiltonian,
    )


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
    nmo = None if job.solution is None else job.solution.nmo
    known = forecast(job.mol, job.settings, nmo, choice)
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


def run_job(job: PlannedJob, progress: Progress) -> Done:
    """Do a job, or what is left of it.

    Parameters
    ----------
    job : PlannedJob
    progress : callable
        Called with the name of a stage, the number of finished steps, and all steps.

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
        solution = job.converge()
        progress("SCF", 1, 1)
        return Done(compute_job(job, solution, progress), solution)
    content = _content(job)
    path = settings.checkpoint or default_path(job.name, content["fields"])
    nmo = sizes.nao if job.solution is None else job.solution.nmo
    file = open_run(path, Shape(sizes, nmo), content, settings.restart)
    return _finish(file, job, progress, resuming=False)


def resume_job(path: str, changes: dict[str, Any], progress: Progress) -> Done:
    """Continue a run file, also with other settings.

    Parameters
    ----------
    path : str
    changes : dict
        Settings that replace the stored ones.
    progress : callable
        As for `run_job`.

    Returns
    -------
    Done

    Raises
    ------
    CheckpointError
        If the file cannot be continued, or a change would make it the run of another input.
    DFMP2Error
        As `forecast_job` and `run_job`.
    """
    file = RunFile(path)
    try:
        job = _job_of(file, changes)
        choice = choose(job.settings)
        planned = _as_stored(file, PlannedJob.of(job, choice, forecast_job(job, choice)))
    except DFMP2Error:
        file.close()
        raise
    return _finish(file, planned, progress, resuming=True)


def _finish(file: RunFile, job: PlannedJob, progress: Progress, resuming: bool) -> Done:
    try:
        orbitals = load_scf(file)
        if orbitals is not None:
            solution = stored_solution(job.mol, job.settings, orbitals)
            named = job.hamiltonian if job.solution is None else job.solution.hamiltonian
            solution = replace(solution, hamiltonian=named)
            if job.solution is not None:
                solution = replace(solution, check=job.solution.check, notes=job.solution.notes)
        else:
            solution = job.converge()
            if solution.nmo != file.shape.nmo:  # linearly dependent functions were dropped
                known = resized(job.mol, job.settings, job.known, solution.nmo)
                job, old = replace(job, known=known), file
                shape = Shape(known.plan.sizes, solution.nmo)
                file = RunFile.create(old.path, shape, old.input, replace=True)
                old.close()
            store_scf(file, solution)
        progress("SCF", 1, 1)
        return Done(compute(job.prepared(solution), file, resuming, progress), solution)
    finally:
        file.close()


def _job_of(file: RunFile, changes: dict[str, Any]) -> Job:
    """The job that a run file was made for.

    Raises
    ------
    CheckpointError
        If it was begun by a Python script, or with the orbitals of a chkfile that were not stored
        yet: an SCF from the start could converge to others.
    """
    content = file.input
    if content["options"] is None:
        raise CheckpointError(
            f"{file.path}: was begun by DFMP2 in a Python script, and is continued by it"
        )
    if "orbitals" in content["fields"] and "scf" not in file.state:
        raise CheckpointError(
            f"{file.path}: was begun with the orbitals of a chkfile, which are not in it yet; "
            "start again with the chkfile"
        )
    for name, value in Settings.energy_defaults().items():
        stored = content["calculation"].get(name, value)
        if changes.get(name, stored) != stored:
            raise CheckpointError(
                f"{file.path}: was made with {name} = {stored}, which cannot change to "
                f"{changes[name]}; start a new run with dfmp2 run"
            )
    try:
        settings = Settings(**{**content["options"], **content["calculation"], **changes})
    except TypeError as error:
        raise CheckpointError(
            f"{file.path}: has a setting that this dfmp2 does not have ({error}); use the version "
            "that wrote it"
        ) from error
    named = tuple(content["fields"].get("hamiltonian", ()))
    if unknown := _not_repeatable(named):
        raise CheckpointError(
            f"{file.path}: was begun with {unknown}, which a run file does not describe; give the "
            "same input to dfmp2 run again"
        )
    mol = rebuild_mole(PlainMolecule.from_plain(content["molecule"]), str(file.path))
    return Job(
        name=content["name"],
        mol=mol,
        settings=settings,
        stated=content.get("stated", ""),
        notes=tuple(content.get("notes", ())),
        hamiltonian=named,
    )


def _not_repeatable(hamiltonian: tuple[str, ...]) -> str:
    """What cannot be repeated from its name; empty if all can."""
    return ", ".join(name for name in hamiltonian if name != REPEATABLE)


def _as_stored(file: RunFile, job: PlannedJob) -> PlannedJob:
    """The job with the auxiliary basis of its run file, if the default is another one today.

    Raises
    ------
    CheckpointError
        If the molecule cannot be built as it was: a basis file was changed, or PySCF's library.
    """
    stored = file.input["fields"]

    def differs(job: PlannedJob) -> str | None:
        now = fields_of(job.mol, job.known.aux.mol, job.known.frozen)
        return difference({name: stored.get(name) for name in now}, now)

    if differs(job) is None:
        return job
    auxbasis = file.input["molecule"]["auxbasis"]
    again = replace(job, settings=replace(job.settings, auxbasis=auxbasis))
    again = replace(again, known=forecast_job(again, again.choice))
    if (found := differs(again)) is not None:
        raise CheckpointError(
            f"{file.path}: cannot be continued: {found}; a basis file or the basis sets of PySCF "
            "were changed since: restore them, or start a new run with dfmp2 run"
        )
    return again


def _content(job: PlannedJob) -> dict[str, Any]:
    """The input of a job as its run file stores it."""
    settings = job.settings
    fields = {"reference": settings.reference, **settings.identity()}
    if job.solution is None:
        fields |= {"density_fit": settings.density_fit, "conv_tol": settings.conv_tol}
        fields["scf_auxbasis"] = basis_field(settings.scf_auxbasis)
        if named := (*job.hamiltonian, *of_molecule(job.mol)):
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

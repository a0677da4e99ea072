"""From a run file back to its job, which is continued."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dfmp2.errors import CheckpointError, DFMP2Error
from dfmp2.molecules.build import rebuild_mole
from dfmp2.molecules.plain import PlainMolecule
from dfmp2.references.converge import Report
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.identity import difference, fields_of
from dfmp2.settings import Settings
from dfmp2.tensors.problem import Progress
from dfmp2.workflow.jobs import Done, Job, PlannedJob, finish_job, forecast_job
from dfmp2.workflow.prepare import choose

__all__ = ["resume_job"]


def resume_job(
    path: str, changes: dict[str, Any], progress: Progress, iterations: Report | None = None
) -> Done:
    """Continue a run file, also with other settings.

    Parameters
    ----------
    path : str
    changes : dict
        Settings that replace the stored ones.
    progress, iterations : callable
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
    return finish_job(file, planned, progress, resuming=True, iterations=iterations)


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
    if named := content["fields"].get("hamiltonian"):
        raise CheckpointError(
            f"{file.path}: was begun with {', '.join(named)}, which a run file does not describe; "
            "give the same input to dfmp2 run again"
        )
    mol = rebuild_mole(PlainMolecule.from_plain(content["molecule"]), str(file.path))
    return Job(
        name=content["name"],
        mol=mol,
        settings=settings,
        stated=content.get("stated", ""),
        notes=tuple(content.get("notes", ())),
    )


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

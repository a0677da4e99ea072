"""A job of the command line with its run file: made before the SCF, continued where it ended."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfmp2.errors import CheckpointError, DFMP2Error, ResourceError
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.molecules.plain import MoleculeRecord
from dfmp2.references.mean_field import frozen_orbitals
from dfmp2.references.scf import new_scf
from dfmp2.results.result import Result
from dfmp2.runfile.checkpoint import INTERVAL
from dfmp2.runfile.content import load_scf, store_scf
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.identity import fields_of, orbital_fields
from dfmp2.runfile.layout import Shape
from dfmp2.units import BYTES_PER_MB
from dfmp2.workflow.continuation import default_path, open_run
from dfmp2.workflow.jobs import Calculation, Job, JobOptions, mole_of
from dfmp2.workflow.labels import molecule_record

if TYPE_CHECKING:
    from dfmp2.planning.plan import Plan
    from dfmp2.tensors.build import Progress

__all__ = ["Done", "Keep", "check_disk", "resume_job", "run_kept", "stored_job"]


@dataclass(frozen=True)
class Keep:
    """Whether and how a run is kept.

    Attributes
    ----------
    path : str or None
        The run file; None takes the default name.
    enabled : bool
    restart : bool
        Start over.
    interval : float
        Seconds between two commits.
    """

    path: str | None = None
    enabled: bool = True
    restart: bool = False
    interval: float = INTERVAL


@dataclass(frozen=True, eq=False)
class Done:
    """A finished job.

    Attributes
    ----------
    result : Result
    mean_field : pyscf.scf.hf.RHF
    read_from : str or None
        Run file, device and time, if nothing had to be computed.
    """

    result: Result
    mean_field: Any
    read_from: str | None


def check_disk(plan: Plan, keep: Keep) -> None:
    """Refuse a run whose file cannot fit on its disk.

    Raises
    ------
    ResourceError
        Saying what is needed, what there is, and which memory budget would do without.
    """
    from pyscf import lib

    path = Path(keep.path or ".").resolve()
    if (plan.in_memory and not keep.enabled) or (path.is_file() and not keep.restart):
        return  # no file, or one that has its space
    folder = (path.parent if keep.path else path) if keep.enabled else Path(lib.param.TMPDIR)
    if not folder.is_dir():
        return  # making the file will say so
    needed = plan.disk["run file without B"] if plan.in_memory else sum(plan.disk.values())
    free = shutil.disk_usage(folder).free / BYTES_PER_MB
    if free < needed:
        raise ResourceError(
            f"{folder}: the run file needs {needed:.0f} MB, but {free:.0f} MB are free; name a "
            "file elsewhere with --checkpoint"
            + ("" if plan.in_memory else f", or use --max-memory {plan.least_in_memory:.0f}")
        )


def run_kept(job: Job, calculation: Calculation, keep: Keep, progress: Progress) -> Done:
    """Do a job, or what is left of it.

    Raises
    ------
    CheckpointError
        If its run file cannot be used.
    """
    plan, _ = job.forecast(calculation)
    if not keep.enabled:
        mf = job.converge()
        progress("SCF", 1, 1)
        return Done(job.compute(mf, calculation, progress), mf, None)
    content = _content(job, calculation)
    path = keep.path or default_path(job.name, content["fields"])
    nmo = plan.sizes.nao if job.mean_field is None else job.mean_field.mo_coeff.shape[1]
    file = open_run(path, Shape(plan.sizes, nmo), content, keep.restart)
    return _finish(file, job, calculation, keep, progress, resuming=False)


def resume_job(path: str, changes: dict[str, Any], keep: Keep, progress: Progress) -> Done:
    """Continue a run file, also with other settings.

    Parameters
    ----------
    path : str
    changes : dict
        Fields of `Calculation` that are not to be as before.
    keep : Keep
    progress : callable
    """
    file = RunFile(path)
    try:
        job, calculation = stored_job(file)
        calculation = replace(calculation, **changes)
        calculation.require_backend()
    except DFMP2Error:
        file.close()
        raise
    return _finish(file, job, calculation, keep, progress, resuming=True)


def _finish(
    file: RunFile,
    job: Job,
    calculation: Calculation,
    keep: Keep,
    progress: Progress,
    resuming: bool,
) -> Done:
    try:
        mf = new_scf(job.mol, job.options.density_fit, job.options.scf_auxbasis)
        if load_scf(file, mf):
            if calculation.integrals == "scf":
                mf.with_df.build()
        else:
            mf = job.converge()
            if mf.mo_coeff.shape[1] != file.shape.nmo:  # linearly dependent functions were dropped
                plan, _ = replace(job, mean_field=mf).forecast(calculation)
                shape = Shape(plan.sizes, mf.mo_coeff.shape[1])
                old, file = file, RunFile.create(file.path, shape, file.input, replace=True)
                old.close()
            store_scf(file, mf, getattr(mf, "read_from", None))
        progress("SCF", 1, 1)
        driver = job.driver(mf, calculation, progress)
        driver.set(run_file=file, resuming=resuming, checkpoint_interval=keep.interval)
        driver.kernel()
        if driver.result is None:
            raise CheckpointError(f"{file.path}: the run ended without a result")
        return Done(driver.result, mf, driver.read_from)
    finally:
        file.close()


def stored_job(file: RunFile) -> tuple[Job, Calculation]:
    """The job that a run file was made for, and how it was to be done.

    Raises
    ------
    CheckpointError
        If it was begun from a Python script, or with the orbitals of a chkfile that were not stored
        yet: an SCF from the start could come to others.
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
    try:
        options = JobOptions(**content["options"])
        calculation = Calculation(**content["calculation"])
    except TypeError as error:
        raise CheckpointError(
            f"{file.path}: has a setting that this dfmp2 does not know ({error}); use the version "
            "that wrote it"
        ) from error
    mol = mole_of(MoleculeRecord.from_plain(content["molecule"]))
    return Job(content["name"], mol, options), calculation


def _content(job: Job, calculation: Calculation) -> dict[str, Any]:
    mol, options = job.mol, job.options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will say it
        aux = choose_auxbasis(mol, calculation.auxbasis)
    frozen = frozen_orbitals(
        mol, calculation.frozen, int(mol.nao_nr()), int(mol.tot_electrons()) // 2
    )
    fields = {**fields_of(mol, aux.mol, frozen), "reference": options.reference}
    fields["fused"] = calculation.fused
    if job.mean_field is None:
        fields |= {"density_fit": options.density_fit, "conv_tol": options.conv_tol}
        fields["scf_auxbasis"] = options.scf_auxbasis
    else:
        fields |= orbital_fields(job.mean_field.mo_coeff, job.mean_field.mo_energy)
    return {
        "fields": fields,
        "name": job.name,
        "molecule": asdict(molecule_record(job.name, mol, aux)),
        "options": asdict(options),
        "calculation": asdict(calculation),
    }

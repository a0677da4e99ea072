"""Starting, continuing and refusing: how a calculation meets the run file of its name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dfmp2.backends.selection import Selection, require_nki
from dfmp2.errors import BackendUnavailable, CheckpointError
from dfmp2.results.sizes import Sizes
from dfmp2.runfile.content import load_scf, store_scf
from dfmp2.runfile.file import InUseError, RunFile, is_run_file
from dfmp2.runfile.identity import difference, fields_of, fingerprint, orbital_fields
from dfmp2.runfile.layout import Shape
from dfmp2.runfile.pairs import PairTable
from dfmp2.workflow.compute import Request
from dfmp2.workflow.labels import molecule_record

if TYPE_CHECKING:
    from dfmp2.fitting.auxbasis import AuxBasis
    from dfmp2.interfaces.pyscf import DFMP2
    from dfmp2.planning.plan import Plan
    from dfmp2.references.mean_field import Reference
    from dfmp2.runfile.checkpoint import Checkpoint

__all__ = [
    "SUFFIX",
    "check_nki",
    "check_request",
    "default_path",
    "open_run",
    "run_file_of",
    "scratch_run",
    "with_stored_orbitals",
]

SUFFIX = ".dfmp2.h5"

SAME_ENERGY = 1e-9
"""Hartree. An SCF that is run again comes to 1e-12 of itself; another state is farther away."""

SAME_ORBITALS = 1e-7
"""Hartree for orbital energies, which repeat to 1e-11; also how much of the least common direction
of two occupied spaces may be missing."""


def default_path(name: str, fields: dict[str, Any]) -> str:
    """The run file of an input in the current folder; other inputs have other names."""
    return f"{name}-{fingerprint(fields)}{SUFFIX}"


def open_run(path: str, shape: Shape, content: dict[str, Any], restart: bool = False) -> RunFile:
    """Open the run file of this input, or make it.

    Parameters
    ----------
    path : str
    shape : Shape
    content : dict
        Plain data; ``content["fields"]`` is what must agree with a file that exists.
    restart : bool
        Start over: an existing run file is replaced.

    Returns
    -------
    RunFile

    Raises
    ------
    CheckpointError
        If the file belongs to another input (the message names the first field that differs), is
        damaged, in use, no run file, or cannot be written.
    """
    if not Path(path).exists():
        return RunFile.create(path, shape, content)
    if restart:
        if not is_run_file(path):
            raise CheckpointError(f"{path}: is no run file of dfmp2, so it is not replaced")
        try:
            RunFile(path).close()
        except InUseError:
            raise
        except CheckpointError:
            pass  # whatever is wrong with it goes away with it
        return RunFile.create(path, shape, content, replace=True)
    file = RunFile(path)
    differs = difference(file.input["fields"], content["fields"])
    if differs is not None:
        file.close()
        raise CheckpointError(
            f"{path}: is the run file of another input: {differs}; name another file with "
            "--checkpoint, or start over with --restart"
        )
    return file


def run_file_of(driver: DFMP2, reference: Reference, aux: AuxBasis, plan: Plan) -> RunFile:
    """The run file that a `DFMP2` object names, with its orbitals in it."""
    mf = driver._scf
    coeff = mf.mo_coeff if driver.mo_coeff is None else driver.mo_coeff
    fields = {
        **fields_of(reference.mol, aux.mol, reference.frozen),
        "reference": reference.kind,
        **orbital_fields(coeff, np.concatenate([reference.e_occ, reference.e_vir])),
    }
    content = {
        "fields": fields,
        "name": driver.name,
        "molecule": asdict(molecule_record(driver.name, reference.mol, aux)),
        "options": None,
        "calculation": None,
    }
    file = open_run(str(driver.checkpoint), Shape(plan.sizes, coeff.shape[1]), content)
    if "scf" not in file.state and driver.mo_coeff is None:
        store_scf(file, mf, getattr(mf, "read_from", None))
    return file


def with_stored_orbitals(mf: Any, path: str) -> Any:
    """The mean field with the orbitals of a run file, where both are the same determinant.

    A script that is run again converges to other digits in every orbital, and to any rotation of
    degenerate ones. What the file holds was made from its own orbitals, and goes on with them.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF
        Converged.
    path : str
        May not exist.

    Returns
    -------
    pyscf.scf.hf.RHF
        `mf` itself, where the file has no orbitals, or others.
    """
    if not (isinstance(getattr(mf, "mo_coeff", None), np.ndarray) and is_run_file(path)):
        return mf
    stored = mf.copy()
    with RunFile(path, writable=False) as file:
        if not load_scf(file, stored):
            return mf
    if stored.mo_coeff.shape != mf.mo_coeff.shape or not np.array_equal(stored.mo_occ, mf.mo_occ):
        return mf
    overlap = mf.mol.intor_symmetric("int1e_ovlp")
    occupied = mf.mo_occ > 0
    common = stored.mo_coeff[:, occupied].T @ overlap @ mf.mo_coeff[:, occupied]
    same = (
        abs(stored.e_tot - mf.e_tot) < SAME_ENERGY
        and np.abs(stored.mo_energy - mf.mo_energy).max(initial=0.0) < SAME_ORBITALS
        and np.linalg.svd(common, compute_uv=False).min(initial=1.0) > 1 - SAME_ORBITALS
    )
    return stored if same else mf


@contextmanager
def scratch_run(sizes: Sizes) -> Iterator[RunFile]:
    """A run file that is gone afterwards, for a B that does not fit in memory."""
    from pyscf import lib

    with tempfile.TemporaryDirectory(prefix="dfmp2-", dir=lib.param.TMPDIR) as folder:
        path = str(Path(folder) / f"scratch{SUFFIX}")
        with RunFile.create(path, Shape(sizes, sizes.nao), {"fields": {}}) as file:
            yield file


def check_nki(file: RunFile, checkpoint: Checkpoint) -> None:
    """Refuse what torch left in a run file where only NKI may do the arithmetic.

    Raises
    ------
    BackendUnavailable
    """
    if not require_nki():
        return
    pairs = {int(number) for number in np.unique(checkpoint.table.session)}
    rows = checkpoint.rows.sessions() if checkpoint.rows is not None else set()
    for session in file.state["sessions"]:
        if session["id"] in pairs | rows and session["backend"] != "nki":
            raise BackendUnavailable(
                f"DFMP2_REQUIRE_NKI is set, but {'pairs' if session['id'] in pairs else 'B'} in "
                f"{file.path} came from {session['backend']} ({session['mode']}); start over with "
                "--restart"
            )


def check_request(
    file: RunFile,
    table: PairTable,
    request: Request,
    selection: Selection,
    precision: str,
    accuracy: float,
) -> None:
    """Refuse to call pairs the work of a backend or precision that did not compute them.

    Raises
    ------
    CheckpointError
        If a backend, device or precision was asked for by name and committed pairs come from
        another one, or are less accurate than asked for.
    """
    committed = {int(number) for number in np.unique(table.session)} - {0}
    now = selection.backend.where
    for session in file.state["sessions"]:
        if session["id"] not in committed:
            continue
        differs = None
        by_name = request.backend not in (None, "auto") or request.device is not None
        if by_name and (session["backend"], session["mode"]) != (now.backend, now.mode):
            differs = f"by {session['backend']} ({session['mode']}), not {now.backend} ({now.mode})"
        elif request.precision is not None and session["precision"] != precision:
            differs = f"with precision {session['precision']}, not {precision}"
        elif accuracy < session["accuracy"] and session["pairs_in"] != "fp64":
            differs = f"for an accuracy of {session['accuracy']:g} Eh, not {accuracy:g}"
        if differs:
            raise CheckpointError(
                f"{file.path}: pairs in it were computed {differs}; dfmp2 resume continues with "
                "other settings from here on, --restart starts over"
            )

"""Continue or refuse a run file: what it holds against what is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.selection import require_nki
from dfmp2.errors import BackendUnavailable, CheckpointError
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.molecules.plain import describe_molecule
from dfmp2.references.reference import Indices
from dfmp2.references.solution import ScfSolution
from dfmp2.results.result import Result
from dfmp2.results.sizes import Sizes
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.runfile.content import load_result, load_scf, store_scf
from dfmp2.runfile.failures import START_OVER
from dfmp2.runfile.file import RunFile, is_run_file
from dfmp2.runfile.identity import SAME_ENERGY, energy_fields, fields_of, orbital_fields
from dfmp2.runfile.layout import Shape
from dfmp2.runfile.opening import open_run
from dfmp2.settings import Settings
from dfmp2.workflow.prepare import Prepared

__all__ = [
    "finished_result",
    "input_of",
    "run_file_of",
    "run_shape",
    "with_stored_orbitals",
]

SAME_ORBITALS = 1e-7
"""Hartree for orbital energies, which repeat to 1e-11. Also the largest allowed 1 - s, where s is
the smallest singular value of the overlap of both occupied spaces."""


def input_of(
    name: str, mol: Any, aux: AuxBasis, frozen: tuple[Indices, ...], fields: dict[str, Any]
) -> dict[str, Any]:
    """The input that a run file belongs to, as plain data.

    Parameters
    ----------
    name : str
        Of the molecule.
    mol : pyscf.gto.Mole
    aux : AuxBasis
    frozen : tuple of tuple of int
        Orbitals that are not correlated, for each spin block.
    fields : dict
        What must agree with a file that exists, beside the molecule and its basis sets.
    """
    return {
        "fields": {**fields_of(mol, aux.mol, frozen), **fields},
        "name": name,
        "molecule": asdict(describe_molecule(name, mol, aux.mol, aux.spec)),
        "options": None,
        "calculation": None,
    }


def run_shape(sizes: Sizes, settings: Settings, solution: ScfSolution | None = None) -> Shape:
    """Dimensions of the run file of a calculation, with as many orbitals as AOs before its SCF."""
    if solution is None:
        rohf = bool(sizes.spins) and settings.reference == "rohf"
    else:
        rohf = solution.fock is not None
    nmo = sizes.nao if solution is None else solution.nmo
    return Shape(sizes, nmo, len(settings.kappa), rohf)


@contextmanager
def run_file_of(prepared: Prepared, path: str, own_orbitals: bool) -> Iterator[RunFile]:
    """Open or create the run file of a script.

    Parameters
    ----------
    prepared : Prepared
    path : str
    own_orbitals : bool
        The orbitals are those of the mean field, which are stored. Other ones are not.

    Raises
    ------
    CheckpointError
        If it belongs to another input or cannot be used.
    """
    solution, reference = prepared.solution, prepared.reference
    energies = [e for spin in reference.spins for e in (spin.e_occ, spin.e_vir)]
    fields = {
        "reference": solution.kind,
        **prepared.settings.identity(),
        **orbital_fields(solution.mo_coeff, np.concatenate(energies)),
        **energy_fields(solution.e_tot, solution.hamiltonian),
    }
    if prepared.settings.xc is not None:
        fields["grid"] = solution.grid
    content = input_of(prepared.name, solution.mol, prepared.aux, reference.frozen, fields)
    with open_run(
        path, run_shape(prepared.plan.sizes, prepared.settings, solution), content
    ) as file:
        if "scf" not in file.state and own_orbitals:
            store_scf(file, solution)
        yield file


def with_stored_orbitals(solution: ScfSolution, path: str) -> ScfSolution:
    """The orbitals of a run file, if they are the same determinant as those of a script.

    An SCF that is run again gives other last digits, and any rotation of degenerate orbitals. B and
    the pair energies in the file were made from its own orbitals, so the run continues with these.

    Parameters
    ----------
    solution : ScfSolution
    path : str
        May not exist.

    Returns
    -------
    ScfSolution
        `solution` itself, if the file has no orbitals, or others.
    """
    if not is_run_file(path):
        return solution
    with RunFile(path, writable=False) as file:
        orbitals = load_scf(file)
    if orbitals is None or not _same_determinant(solution, orbitals):
        return solution
    return replace(solution, **orbitals)


def _same_determinant(solution: ScfSolution, stored: dict[str, Any]) -> bool:
    coeff: NDArray[np.float64] = stored["mo_coeff"]
    if coeff.shape != solution.mo_coeff.shape:
        return False
    if not np.array_equal(stored["mo_occ"], solution.mo_occ):
        return False
    overlap = solution.mol.intor_symmetric("int1e_ovlp")
    nao, nmo = coeff.shape[-2:]
    energies = np.abs(stored["mo_energy"] - solution.mo_energy)
    same = bool(abs(stored["e_tot"] - solution.e_tot) < SAME_ENERGY)
    same &= bool(energies.max(initial=0.0) < SAME_ORBITALS)
    for spin, own in zip(solution.spins, coeff.reshape(-1, nao, nmo), strict=True):
        common = own[:, spin.occupied].T @ overlap @ spin.mo_coeff[:, spin.occupied]
        smallest = np.linalg.svd(common, compute_uv=False).min(initial=1.0)
        same &= bool(smallest > 1 - SAME_ORBITALS)
    return same


def finished_result(
    prepared: Prepared, file: RunFile, checkpoint: Checkpoint, resuming: bool
) -> Result | None:
    """The result of a run file that is complete; None if there is work left.

    Parameters
    ----------
    prepared : Prepared
    file : RunFile
    checkpoint : Checkpoint
        Of this file.
    resuming : bool
        The backend and the precision may differ from those of the pairs in the file.

    Raises
    ------
    BackendUnavailable
        If NKI is required and torch computed what is in the file.
    CheckpointError
        If another backend, device or precision was asked for by name than that of the pairs.
    """
    _check_nki(file, checkpoint)
    if not resuming:
        _check_request(prepared, file, checkpoint)
    return load_result(file)


def _check_nki(file: RunFile, checkpoint: Checkpoint) -> None:
    """Refuse the work of torch in a run file where only NKI may do the arithmetic."""
    if not require_nki():
        return
    pairs = {int(number) for number in np.unique(checkpoint.table.session)}
    rows = checkpoint.rows.sessions() if checkpoint.rows is not None else set()
    for session in file.state["sessions"]:
        if session["id"] in pairs | rows and session["backend"] != "nki":
            raise BackendUnavailable(
                f"DFMP2_REQUIRE_NKI is set, but {'pairs' if session['id'] in pairs else 'B'} in "
                f"{file.path} came from {session['backend']} ({session['mode']}); "
                f"{START_OVER}"
            )


def _check_request(prepared: Prepared, file: RunFile, checkpoint: Checkpoint) -> None:
    """Refuse pairs of another backend or precision than the one asked for by name."""
    settings, choice = prepared.settings, prepared.choice
    precision, accuracy = choice.precision, settings.accuracy
    committed = {int(number) for number in np.unique(checkpoint.table.session)} - {0}
    now = choice.selection.backend.where
    for session in file.state["sessions"]:
        if session["id"] not in committed:
            continue
        differs = None
        by_name = settings.backend not in (None, "auto") or settings.device is not None
        if by_name and (session["backend"], session["mode"]) != (now.backend, now.mode):
            differs = f"by {session['backend']} ({session['mode']}), not {now.backend} ({now.mode})"
        elif settings.precision is not None and session["precision"] != precision:
            differs = f"with precision {session['precision']}, not {precision}"
        elif accuracy < session["accuracy"] and session["pairs_in"] != "fp64":
            differs = f"for an accuracy of {session['accuracy']:g} Eh, not {accuracy:g}"
        if differs:
            raise CheckpointError(
                f"{file.path}: pairs in it were computed {differs}; dfmp2 resume continues with "
                f"other settings from here on, or {START_OVER}"
            )

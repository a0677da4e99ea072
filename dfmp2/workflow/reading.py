"""From an argument of the command line to jobs. Mistakes of the input are found here."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from dfmp2 import defaults
from dfmp2.errors import CheckpointError, DFMP2Warning, InputError, UnsupportedReferenceError
from dfmp2.fitting.auxbasis import choose_auxbasis, is_orbital_set, scf_auxbasis, scf_misfits
from dfmp2.molecules.basis import basis_entry
from dfmp2.molecules.build import build_mole, rebuild_mole
from dfmp2.molecules.electrons import choose_electrons
from dfmp2.molecules.files import is_qcschema_input, molecule_name, read_geometry, require_file
from dfmp2.references.chkfile import is_chkfile, load_chkfile
from dfmp2.references.hamiltonian import not_repeatable
from dfmp2.references.scf import scf_kind
from dfmp2.results.result import Result, read_results
from dfmp2.runfile.file import is_run_file
from dfmp2.settings import Settings
from dfmp2.workflow.jobs import Job, StoredJob

__all__ = ["read_jobs"]

_OF_THE_MOLECULE = ("basis", "charge", "spin", "unit", "ecp")

_OF_THE_SCF = (
    "density_fit", "scf_auxbasis", "scf_algorithm", "conv_tol", "xc", "grid", "dispersion",
)  # fmt: skip

_FIXED_BY_CHKFILE = (*_OF_THE_MOLECULE, *_OF_THE_SCF, "reference", "max_cycle")

_FIXED_BY_RESULT = (
    *_OF_THE_MOLECULE, *_OF_THE_SCF, "reference", "auxbasis", "frozen", "kappa", "max_memory",
    "backend", "device", "precision", "accuracy", "fused",
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
        For "rhf" of an open shell, or a result with Kohn-Sham orbitals.
    NotConvergedError
        If the SCF of a chkfile did not converge.
    CheckpointError
        If a JSON result was not written by dfmp2, or was changed.
    """
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
        results = read_results(source)
        _refuse_fixed(
            f"{source}: a result brings its own molecule and settings",
            _FIXED_BY_RESULT,
            settings,
            given,
        )
        return [_stored_job(result, settings, source) for result in results]
    geometry = read_geometry(source, settings.unit)
    settings, notes = _with_basis(settings, geometry.basis, source)
    if settings.unit is None and geometry.stated.unit == "bohr" and not source.endswith(".json"):
        notes = (*notes, "the coordinates were read in bohr, as the file states")
    electrons = choose_electrons(geometry.stated, settings.charge, settings.spin, source)
    charge, spin = electrons.charge, electrons.spin
    mol = build_mole(geometry, settings.basis, charge, spin, settings.ecp, source)
    scf_kind(mol, settings.reference, source)  # a wrong one is found before the SCF
    settings, more = _with_scf_auxbasis(settings, mol)
    name, notes = molecule_name(source), (*notes, *more, *electrons.remarks)
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


def _with_scf_auxbasis(settings: Settings, mol: Any) -> tuple[Settings, tuple[str, ...]]:
    """The settings with the auxiliary basis of a density-fitted SCF, and notes about it."""
    if not settings.density_fit:
        return settings, ()
    if settings.scf_auxbasis is None:
        made = scf_auxbasis(mol) or {}
        settings = replace(settings, scf_auxbasis=made or None)
        without = [symbol for symbol, value in made.items() if not isinstance(value, str)]
        note = (
            f"no JK set that fits is known for {', '.join(without)}: the SCF is fitted with an "
            "even-tempered set that is made from the orbital basis, larger than PySCF's own"
        )
        return settings, (note,) if without else ()
    aux = choose_auxbasis(mol, settings.scf_auxbasis)  # finds a wrong set before the SCF
    if any(basis_entry(settings.scf_auxbasis, s) != value for s, value in aux.spec.items()):
        settings = replace(settings, scf_auxbasis=aux.spec)  # the content of a file
    wrong = sorted({name for name in aux.names.values() if is_orbital_set(name)})
    if wrong:
        fault = (
            f"{', '.join(wrong)} of the SCF is an orbital basis, and no auxiliary set: E(HF) can"
        )
        error = "err by more than 1 mEh"
    elif misfits := scf_misfits(mol, aux.mol):
        fault = f"{aux} of the SCF is not made for E(HF), which can"
        error = "err by " + ", ".join(f"{1e3 * abs(e):.1f} mEh ({s})" for s, e in misfits.items())
    else:
        return settings, ()
    note = f"auxiliary basis {fault} {error}; leave --scf-auxbasis out for the default"
    warnings.warn(note, DFMP2Warning, stacklevel=3)
    return settings, (note,)


def _refuse_fixed(
    source: str, fixed: tuple[str, ...], settings: Settings, given: frozenset[str]
) -> None:
    asked = given if settings.basis is None else given | {"basis"}
    for name in fixed:
        if name in asked:
            option = {"fused": "--fused-energy", "dispersion": "--no-dispersion"}.get(
                name, f"--{name.replace('_', '-')}"
            )
            raise InputError(f"{source}; leave {option} out, or give the geometry")


def _stored_job(result: Result, settings: Settings, source: str) -> StoredJob:
    xc, grid = result.settings.get("xc"), result.settings.get("grid")
    if result.reference.endswith("KS") and xc is None:
        raise UnsupportedReferenceError(
            f"{source}: a {result.reference} reference cannot be computed again from its result"
        )
    if unknown := not_repeatable(result.hamiltonian):
        raise UnsupportedReferenceError(
            f"{source}: was computed with {unknown}, which a JSON result does not describe, so its "
            "SCF cannot be repeated; compare in the script that made it"
        )
    if xc is not None:
        if not isinstance(grid, int):
            raise UnsupportedReferenceError(
                f"{source}: was computed with another grid than those of --grid ({grid}), so its "
                "SCF cannot be repeated; compare in the script that made it"
            )
        settings = replace(settings, xc=xc, grid=grid)
    reference = result.reference.lower()
    again = replace(
        settings,
        reference={"rks": "rhf", "uks": "uhf"}.get(reference, reference),
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
    )

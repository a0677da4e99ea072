"""How a run names what it did: labels, versions and the molecule, for its result."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

import dfmp2
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.integrals.libcint import IntegralSource
from dfmp2.molecules.plain import MoleculeRecord, basis_label
from dfmp2.references.mean_field import Frozen, Reference
from dfmp2.results.result import Result

if TYPE_CHECKING:
    from dfmp2.interfaces.pyscf import DFMP2
    from dfmp2.workflow.compute import Outcome

__all__ = [
    "fitted_scf",
    "frozen_label",
    "molecule_record",
    "nothing_to_correlate",
    "result_of",
    "scf_label",
    "versions",
]


def nothing_to_correlate(reference: Reference) -> str:
    """The note of a run without pairs or without virtual orbitals."""
    what = "occupied" if not reference.nocc else "virtual"
    return f"no correlated {what} orbitals: the MP2 correlation energy is zero"


def result_of(
    driver: DFMP2,
    reference: Reference,
    aux: AuxBasis,
    source: IntegralSource,
    outcome: Outcome,
    memory: dict[str, float],
    notes: list[str],
) -> Result:
    """Everything about a finished run of `driver`."""
    mf = driver._scf
    return Result(
        molecule=molecule_record(driver.name, reference.mol, aux),
        reference=reference.kind,
        e_hf=reference.e_ref,
        e_os_pairs=outcome.e_os,
        e_ss_pairs=outcome.e_ss,
        occupied=reference.occupied,
        frozen=reference.frozen,
        sizes={
            "nao": reference.nao,
            "nocc": reference.nocc,
            "nvir": reference.nvir,
            "naux": aux.naux,
        },
        labels={
            "basis": basis_label(reference.mol.basis),
            "auxbasis": str(aux),
            "auxbasis_reason": aux.reason,
            "integrals": source.origin,
            "metric": outcome.metric,
            "precision": outcome.precision_label,
            "ecp": basis_label(reference.mol.ecp, by_element=True) or "none",
            "frozen": frozen_label(driver.frozen, reference.frozen),
            "scf": scf_label(mf, reference.kind),
        },
        settings={
            "fused": driver.fused,
            "precision": outcome.precision,
            "accuracy": driver.accuracy,
            "frozen": list(reference.frozen),
            **fitted_scf(mf),
            "integrals": driver.integrals,
            "conv_tol": float(mf.conv_tol),
        },
        memory=memory,
        provenance=outcome.provenance,
        notes=tuple(notes),
        versions=versions(),
    )


def frozen_label(asked: Frozen, frozen: tuple[int, ...]) -> str:
    """Which orbitals are frozen, and why."""
    how = "the chemical core" if isinstance(asked, str) else "asked for"
    if not frozen:
        return f"none ({how if asked is not None else 'the default'})"
    if frozen == tuple(range(len(frozen))):
        return f"the lowest {len(frozen)} ({how})"
    return f"{', '.join(map(str, frozen))} ({how})"


def scf_label(mf: Any, kind: str) -> str:
    """The reference calculation in one line."""
    if (path := getattr(mf, "read_from", None)) is not None:
        return f"{kind}, read from {path}"  # which does not say how it was converged
    fitted = getattr(mf, "with_df", None)
    integrals = "exact integrals"
    if fitted:
        integrals = (
            f"density-fitted, {basis_label(fitted.auxbasis) if fitted.auxbasis else 'JK set'}"
        )
    return f"{kind}, {integrals}, conv_tol {mf.conv_tol:g}"


def fitted_scf(mf: Any) -> dict[str, Any]:
    """Whether and with which auxiliary set the SCF was density-fitted, as settings of a result."""
    fitted = getattr(mf, "with_df", None)
    if not fitted:
        return {"density_fit": False}
    spec = getattr(fitted, "auxbasis", None)
    symbols = {mf.mol.atom_symbol(i) for i in range(mf.mol.natm)}
    return {"density_fit": True, "scf_auxbasis": _plain(spec, symbols) if spec else None}


def versions() -> dict[str, str]:
    """Versions of what the numbers came through."""
    names = ("pyscf", "torch", "numpy")
    found = {name: metadata.version(name) for name in names}
    return {"dfmp2": dfmp2.__version__, **found, "python": platform.python_version()}


def _plain(basis: Any, symbols: set[str]) -> dict[str, Any]:
    """A basis as element -> name or plain lists."""
    if isinstance(basis, dict):
        return {
            key: value if isinstance(value, str) else _lists(value) for key, value in basis.items()
        }
    return {
        symbol: basis if isinstance(basis, str) else _lists(basis) for symbol in sorted(symbols)
    }


def _lists(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_lists(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def molecule_record(name: str, mol: Any, aux: AuxBasis) -> MoleculeRecord:
    """The molecule with its bases as plain data."""
    symbols = tuple(mol.atom_symbol(i) for i in range(mol.natm))
    x = mol.atom_coords(unit="Bohr")
    return MoleculeRecord(
        name=name,
        symbols=symbols,
        coordinates=tuple((float(a), float(b), float(c)) for a, b, c in x),
        charge=int(mol.charge),
        spin=int(mol.spin),
        basis=_plain(mol.basis, set(symbols)),
        auxbasis=_plain(aux.spec, set(symbols)),
        ecp=_plain(mol.ecp, set(symbols)) if mol.ecp else {},
        cart=bool(mol.cart),
    )

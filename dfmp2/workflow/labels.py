"""The texts and settings that describe a calculation in its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dfmp2.backends.protocol import Array
from dfmp2.molecules.basis import basis_label
from dfmp2.molecules.plain import describe_molecule
from dfmp2.references.reference import SpinBlock
from dfmp2.results.provenance import Provenance
from dfmp2.results.result import Result
from dfmp2.results.stages import Precision
from dfmp2.results.versions import versions
from dfmp2.settings import Frozen
from dfmp2.workflow.prepare import Prepared

__all__ = ["Outcome", "frozen_label", "nothing_to_correlate", "result_of"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the stages of a calculation found.

    Attributes
    ----------
    e_os, e_ss : ndarray, shape (nocc, nocc), float64, hartree
        Pair energies, symmetric.
    metric : str
        How the metric was factored.
    precision : Precision
        Of the pair energies.
    precision_label : str
    provenance : Provenance
    """

    e_os: Array
    e_ss: Array
    metric: str
    precision: Precision
    precision_label: str
    provenance: Provenance


def nothing_to_correlate(spin: SpinBlock) -> str:
    """The note of a calculation without pairs or without virtual orbitals."""
    what = "virtual" if spin.nocc else "occupied"
    return f"no correlated {what} orbitals: the MP2 correlation energy is zero"


def result_of(
    prepared: Prepared, outcome: Outcome, memory: dict[str, float], notes: tuple[str, ...]
) -> Result:
    """The result of a finished calculation.

    Parameters
    ----------
    prepared : Prepared
    outcome : Outcome
    memory : dict of str to float
        MB, as of `Result`.
    notes : tuple of str
    """
    reference, settings, solution = prepared.reference, prepared.settings, prepared.solution
    mol, aux, spin = reference.mol, prepared.aux, reference.closed
    return Result(
        molecule=describe_molecule(prepared.name, mol, aux.mol, aux.spec),
        reference=reference.kind,
        e_hf=reference.e_ref,
        e_os_pairs=outcome.e_os,
        e_ss_pairs=outcome.e_ss,
        occupied=reference.occupied,
        frozen=reference.frozen,
        sizes={
            "nao": reference.nao,
            "nocc": spin.nocc,
            "nvir": spin.nvir,
            "naux": aux.naux,
        },
        labels={
            "basis": basis_label(mol.basis),
            "auxbasis": str(aux),
            "auxbasis_reason": aux.reason,
            "integrals": prepared.source.origin,
            "metric": outcome.metric,
            "precision": outcome.precision_label,
            "ecp": basis_label(mol.ecp, by_element=True) or "none",
            "frozen": frozen_label(settings.frozen, reference.frozen),
            "scf": solution.label,
            "reference_check": solution.check.made,
            **({"electrons": prepared.stated} if prepared.stated else {}),
        },
        settings={
            **settings.identity(),
            "precision": outcome.precision.value,
            "accuracy": settings.accuracy,
            "frozen": list(reference.frozen),
            **solution.fitting,
            "integrals": settings.integrals,
            "conv_tol": solution.conv_tol,
        },
        memory=memory,
        hamiltonian=solution.hamiltonian,
        scf={} if solution.how is None else asdict(solution.how),
        provenance=outcome.provenance,
        notes=notes,
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

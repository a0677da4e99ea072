"""The texts and settings that describe a calculation in its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from dfmp2.backends.protocol import Array
from dfmp2.molecules.basis import basis_label
from dfmp2.molecules.plain import built_basis, describe_molecule
from dfmp2.references.double_hybrids import double_hybrid_of
from dfmp2.references.frozen import plain_frozen
from dfmp2.references.reference import Indices, Reference
from dfmp2.results.provenance import Provenance
from dfmp2.results.result import Result
from dfmp2.results.stages import Precision
from dfmp2.results.variants import Regularised
from dfmp2.results.versions import versions
from dfmp2.settings import Frozen, Settings
from dfmp2.workflow.prepare import Prepared

__all__ = ["Outcome", "frozen_label", "nothing_to_correlate", "result_of"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the stages of a calculation found.

    Attributes
    ----------
    energies : ndarray, shape (2 + 2 nkappa, nocc, nocc), float64, hartree
        Opposite- and same-spin pair energies, symmetric, then both with each kappa.
    metric : str
        How the metric was factored.
    precision : Precision
        Of the pair energies.
    precision_label : str
    provenance : Provenance
    notes : tuple of str
        Warnings that belong to the result.
    """

    energies: Array
    metric: str
    precision: Precision
    precision_label: str
    provenance: Provenance
    notes: tuple[str, ...] = ()


def nothing_to_correlate(reference: Reference) -> str:
    """The note of a calculation without pairs or without virtual orbitals."""
    if len(reference.spins) > 1 and reference.nocc == 1:
        return "only one electron is correlated: the MP2 correlation energy has no pairs"
    what = "virtual" if reference.nocc else "occupied"
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
    mol, aux = reference.mol, prepared.aux
    e_os, e_ss, *regularised = outcome.energies
    sums = [float(energies.sum()) for energies in regularised]
    open_shell, hybrid = len(reference.spins) > 1, double_hybrid_of(settings)
    return Result(
        molecule=describe_molecule(prepared.name, mol, aux.mol, aux.spec),
        reference=reference.kind,
        e_hf=reference.e_ref,
        e_os_pairs=e_os,
        e_ss_pairs=e_ss,
        e_singles=reference.e_singles,
        e_dispersion=prepared.e_dispersion,
        regularised=tuple(
            Regularised(kappa, *sums[2 * k : 2 * k + 2]) for k, kappa in enumerate(settings.kappa)
        ),
        spin_square=solution.spin_square if open_shell else None,
        occupied=reference.occupied if open_shell else reference.occupied[0],
        frozen=reference.frozen if open_shell else reference.frozen[0],
        sizes=prepared.plan.sizes.named(),
        labels={
            "basis": basis_label(built_basis(mol)),
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
            **_double_hybrid_labels(settings),
        },
        settings={
            **settings.identity(),
            "precision": outcome.precision.value,
            "accuracy": settings.accuracy,
            "frozen": plain_frozen(reference.frozen),
            **solution.fitting,
            "integrals": settings.integrals,
            "conv_tol": solution.conv_tol,
            **({"grid": solution.grid} if solution.functional else {}),
            **({"pt2_scale": [hybrid.opposite, hybrid.same]} if hybrid is not None else {}),
        },
        memory=memory,
        hamiltonian=solution.hamiltonian,
        scf={} if solution.how is None else asdict(solution.how),
        provenance=outcome.provenance,
        notes=notes,
        versions=versions(),
    )


def _double_hybrid_labels(settings: Settings) -> dict[str, str]:
    hybrid = double_hybrid_of(settings)
    if hybrid is None:
        return {}
    on = f", with {hybrid.remark}" if hybrid.remark else ""
    labels = {"functional": f"{hybrid.xc} ({hybrid.source}){on}", "dispersion": "none"}
    if hybrid.dispersion is not None:
        named = f"{hybrid.dispersion} ({hybrid.dispersion.source})"
        labels["dispersion"] = named if settings.dispersion else "left out (--no-dispersion)"
    return labels


def frozen_label(asked: Frozen, frozen: tuple[Indices, ...]) -> str:
    """Which orbitals are frozen, and why."""
    how = "the chemical core" if isinstance(asked, str) else "asked for"
    if not any(frozen):
        return f"none ({how if asked is not None else 'the default'})"
    texts = dict.fromkeys(_listed(one) for one in frozen)
    spins = ("alpha ", "beta ") if len(texts) > 1 else ("",)
    named = "; ".join(spin + text for spin, text in zip(spins, texts, strict=True))
    return f"{named} ({how})"


def _listed(frozen: Indices) -> str:
    if not frozen:
        return "none"
    if frozen == tuple(range(len(frozen))):
        return f"the lowest {len(frozen)}"
    return f"orbital {frozen[0]}" if len(frozen) == 1 else ", ".join(map(str, frozen))

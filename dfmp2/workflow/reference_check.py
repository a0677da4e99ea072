"""Whether reference and energy can be trusted, as far as the calculation itself shows it."""

from __future__ import annotations

import warnings
from dataclasses import replace

from dfmp2.errors import DFMP2Warning
from dfmp2.integrals.fock_probe import SHARP, FockProbe
from dfmp2.references.check import CHEAP, FULL, UNCHECKED
from dfmp2.references.reference import Reference
from dfmp2.references.solution import ReferenceCheck, ScfSolution
from dfmp2.results.result import Result
from dfmp2.runfile.file import RunFile

__all__ = ["KEY", "finish_check", "recall_check", "remarks", "with_checks"]

SMALL_GAP = 0.1
"""Hartree. Below it MP2 is doubtful; molecules near their equilibrium have 0.3 and more."""

LARGE_CORRELATION = 0.1
"""Hartree per correlated electron. Atoms and molecules near their equilibrium have up to 0.06."""

KEY = "reference_check"
"""Of the state of a run file."""

REMARKS = "reference_remarks"
"""The same; absent if there are none."""


def remarks(reference: Reference, e_corr: float) -> list[str]:
    """Reasons to doubt an MP2 energy, each also a warning.

    Parameters
    ----------
    reference : Reference
    e_corr : float
        Correlation energy, hartree.
    """
    found: list[str] = []
    if reference.empty:
        return found
    gap = min(
        float(spin.e_vir.min() - spin.e_occ.max())
        for spin in reference.spins
        if spin.nocc and spin.nvir
    )
    if gap < SMALL_GAP:
        found.append(
            f"the gap between occupied and virtual orbitals is only {gap:.3f} Eh: MP2 is not "
            "reliable for such a reference; check the SCF (check_stability, --check-stability), or "
            "use another method"
        )
    electrons = round(2 * reference.electron_pairs)
    if -e_corr > LARGE_CORRELATION * electrons:
        found.append(
            f"the correlation energy is {e_corr:.3f} Eh for {electrons} electrons, more than is "
            "chemically possible: MP2 breaks down for this reference (stretched bonds, or another "
            "state than the ground state)"
        )
    for text in found:
        warnings.warn(text, DFMP2Warning, stacklevel=3)
    return found


def recall_check(check: ReferenceCheck, file: RunFile | None) -> None:
    """Take over the check of these orbitals that an earlier session finished."""
    if file is not None and KEY in file.state and check.made != FULL:
        check.finish(file.state[KEY])
        check.remarks = check.remarks or tuple(file.state.get(REMARKS, ()))


def with_checks(result: Result, solution: ScfSolution) -> Result:
    """The result of a run file, with the checks that were made of its orbitals now."""
    notes, labels = list(result.notes), dict(result.labels)
    if solution.check.made == FULL:
        labels["reference_check"] = FULL
        notes = [note for note in notes if note != UNCHECKED]
    notes += [note for note in (*solution.notes, *solution.check.remarks) if note not in notes]
    return replace(result, labels=labels, notes=tuple(notes))


def finish_check(check: ReferenceCheck, probe: FockProbe | None, file: RunFile | None) -> None:
    """Decide whether the Fock matrix fits, after B was made.

    Parameters
    ----------
    check : ReferenceCheck
    probe : FockProbe or None
        None if nothing is left to check.
    file : RunFile or None

    Raises
    ------
    InputError
        If the whole Fock matrix does not fit, which is built where the probe is not enough: its
        residual is too large, or an earlier session made a part of the integrals.
    """
    if probe is not None and check.exact is not None:
        made = CHEAP
        if not (probe.complete and probe.worst() <= SHARP):
            check.remarks = check.exact()
            made = FULL
        check.finish(made)
    if file is not None and KEY not in file.state and check.made in (CHEAP, FULL):
        file.state[KEY] = check.made
        if check.remarks:
            file.state[REMARKS] = list(check.remarks)
        file.save()

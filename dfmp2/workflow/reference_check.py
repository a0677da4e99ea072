"""The check of the reference that goes on during the calculation, and is kept in the run file."""

from __future__ import annotations

from dfmp2.integrals.fock_probe import FockProbe
from dfmp2.references.check import CHEAP, FULL
from dfmp2.references.solution import ReferenceCheck
from dfmp2.runfile.file import RunFile

__all__ = ["finish_check", "recall_check"]

KEY = "reference_check"
"""Of the state of a run file."""


def recall_check(check: ReferenceCheck, file: RunFile | None) -> None:
    """Take over the check of these orbitals that an earlier session finished."""
    if file is not None and KEY in file.state:
        check.finish(file.state[KEY])


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
        if not probe.complete or probe.fault():
            check.exact()
            made = FULL
        check.finish(made)
    if file is not None and KEY not in file.state:
        file.state[KEY] = check.made
        file.save()

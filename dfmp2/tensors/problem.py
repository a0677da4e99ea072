"""What is computed, and by what: the two objects that B and the methods are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dfmp2.backends.recording import RecordingBackend
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.integrals.blocks import IntegralSource
from dfmp2.integrals.fock_probe import FockProbe
from dfmp2.planning.plan import Plan
from dfmp2.references.reference import Reference
from dfmp2.runfile.checkpoint import Checkpoint
from dfmp2.settings import Settings

__all__ = ["Problem", "Progress", "Work", "silent"]

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, steps done, steps in all)."""


def silent(stage: str, done: int, total: int) -> None:
    """Progress that is not shown."""


@dataclass(frozen=True, eq=False)
class Problem:
    """What is computed.

    Attributes
    ----------
    settings : Settings
    reference : Reference
    aux : AuxBasis
    source : IntegralSource
        Where the three-centre integrals come from.
    plan : Plan
    """

    settings: Settings
    reference: Reference
    aux: AuxBasis
    source: IntegralSource
    plan: Plan


@dataclass(frozen=True, eq=False)
class Work:
    """What computes it, where it is kept, and who is shown how far it is.

    Attributes
    ----------
    backend : RecordingBackend
    checkpoint : Checkpoint
    progress : callable
    probe : FockProbe, optional
        Checks the Fock matrix with the integrals of B.
    """

    backend: RecordingBackend
    checkpoint: Checkpoint
    progress: Progress = silent
    probe: FockProbe | None = None

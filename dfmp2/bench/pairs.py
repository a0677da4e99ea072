"""Run dfmp2 and another program in turn, compare their energies, and compute ratios of their times.

The speed of a shared machine varies by more than the differences to be measured. Every run of a
peer therefore follows a run of dfmp2, and the result is the ratio of the two times. The energies of
each pair are compared; if they differ, the pair is not timed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dfmp2.errors import ValidationError

__all__ = ["Pairs", "Peer", "Run", "check", "interleave"]


@dataclass(frozen=True)
class Run:
    """One DF-MP2 calculation.

    Attributes
    ----------
    seconds : float
        Wall time.
    e_corr : float
        Hartree.
    peak : float or None
        Peak memory in MB above the resident memory at the start. None if it was not measured.
    error : float
        Largest error in hartree that a reduced precision may cause.
    """

    seconds: float
    e_corr: float
    peak: float | None = None
    error: float = 0.0


class Peer(Protocol):
    """Another program with its input for one molecule."""

    name: str
    version: str
    tolerance: float
    """Largest acceptable difference from the energy of dfmp2, in hartree."""
    blas: str
    """Its BLAS libraries with their kernels and threads, known after a run."""

    def run(self) -> Run:
        """Run the DF-MP2 part once."""


@dataclass
class Pairs:
    """Runs of one peer, each with the run of dfmp2 before it."""

    peer: str
    version: str = ""
    own: list[Run] = field(default_factory=list)
    theirs: list[Run] = field(default_factory=list)
    warm_up: Run | None = None

    @property
    def peak(self) -> float | None:
        """Largest peak memory of the peer in MB, with the warm-up, whose heap later runs reuse."""
        runs = self.theirs if self.warm_up is None else [self.warm_up, *self.theirs]
        return max((run.peak for run in runs if run.peak is not None), default=None)

    @property
    def ratios(self) -> list[float]:
        """Wall time of the peer divided by that of dfmp2, for each pair."""
        return [b.seconds / a.seconds for a, b in zip(self.own, self.theirs, strict=True)]

    def add(self, own: Run, theirs: Run, tolerance: float) -> None:
        """Add one pair.

        Parameters
        ----------
        own, theirs : Run
        tolerance : float
            Largest acceptable difference in hartree, in addition to ``own.error``.

        Raises
        ------
        ValidationError
            If the energies differ.
        """
        check(self.peer, own, theirs, tolerance)
        self.own.append(own)
        self.theirs.append(theirs)


def check(peer: str, own: Run, theirs: Run, tolerance: float) -> None:
    """Raise a ValidationError if the energies differ by more than `tolerance` + ``own.error``."""
    allowed = tolerance + own.error
    if not abs(own.e_corr - theirs.e_corr) <= allowed:
        raise ValidationError(
            f"{peer} gives a correlation energy of {theirs.e_corr:.10f} Eh, dfmp2 "
            f"{own.e_corr:.10f} Eh (tolerance {allowed:g} Eh); not timed: the energies differ; "
            "run dfmp2 validate to compare dfmp2 with PySCF"
        )


def interleave(
    own: Callable[[], Run],
    peers: Sequence[Peer],
    pairs: int,
    progress: Callable[[str, int, int], None],
) -> tuple[list[Run], list[Pairs]]:
    """Run dfmp2 and its peers in turn after one warm-up of each.

    Parameters
    ----------
    own : callable
        One run of dfmp2.
    peers : sequence of Peer
    pairs : int
        Timed pairs per peer. Without peers, timed runs of dfmp2.
    progress : callable
        Called as progress(stage, finished steps, all steps).

    Returns
    -------
    own : list of Run
        All timed runs of dfmp2.
    beside : list of Pairs
        One for each peer.

    Raises
    ------
    ValidationError
        If two energies differ.
    """
    first = own()
    beside: list[Pairs] = []
    for peer in peers:
        warm_up = peer.run()
        check(peer.name, first, warm_up, peer.tolerance)
        beside.append(Pairs(peer.name, peer.version, warm_up=warm_up))
    alone: list[Run] = []
    for done in range(pairs):
        for peer, found in zip(peers, beside, strict=True):
            mine = own()
            found.add(mine, peer.run(), peer.tolerance)
        if not peers:
            alone.append(own())
        progress("repetitions", done + 1, pairs)
    return alone + [run for found in beside for run in found.own], beside

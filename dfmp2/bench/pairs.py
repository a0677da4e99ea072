"""Two programs in turn: pairs of runs, their ratios, and the check that they agree.

The speed of a shared machine drifts by more than what is to be measured. Every run of a peer
therefore has a run of dfmp2 right before it, and what counts is the ratio of the two; the energies
of both are compared each time, because a wrong result has no speed.
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
        MB above the resident memory at its start, where that was measured.
    error : float
        Hartree that a reduced precision may cost.
    """

    seconds: float
    e_corr: float
    peak: float | None = None
    error: float = 0.0


class Peer(Protocol):
    """Another program, ready to run on one molecule."""

    name: str
    version: str
    tolerance: float
    """Hartree by which its energy may differ from that of dfmp2."""

    def run(self) -> Run:
        """Do the DF-MP2 part once."""


@dataclass
class Pairs:
    """Runs of one peer, each with the run of dfmp2 next to it."""

    peer: str
    version: str = ""
    own: list[Run] = field(default_factory=list)
    theirs: list[Run] = field(default_factory=list)
    warm_up: Run | None = None

    @property
    def peak(self) -> float | None:
        """Largest peak memory of the peer in MB; the warm-up counts, later runs reuse its heap."""
        runs = self.theirs if self.warm_up is None else [self.warm_up, *self.theirs]
        return max((run.peak for run in runs if run.peak is not None), default=None)

    @property
    def ratios(self) -> list[float]:
        """Wall time of the peer over that of dfmp2, pair by pair."""
        return [b.seconds / a.seconds for a, b in zip(self.own, self.theirs, strict=True)]

    def add(self, own: Run, theirs: Run, tolerance: float) -> None:
        """Take one pair.

        Parameters
        ----------
        own, theirs : Run
        tolerance : float
            Hartree, on top of what the precision of dfmp2's run allows.

        Raises
        ------
        ValidationError
            If the energies differ.
        """
        check(self.peer, own, theirs, tolerance)
        self.own.append(own)
        self.theirs.append(theirs)


def check(peer: str, own: Run, theirs: Run, tolerance: float) -> None:
    """Raise a ValidationError where two energies differ by more than `tolerance` (hartree)."""
    allowed = tolerance + own.error
    if not abs(own.e_corr - theirs.e_corr) <= allowed:
        raise ValidationError(
            f"{peer} gives a correlation energy of {theirs.e_corr:.10f} Eh, dfmp2 "
            f"{own.e_corr:.10f} (tolerance {allowed:g} Eh): a wrong result has no speed"
        )


def interleave(
    own: Callable[[], Run],
    peers: Sequence[Peer],
    pairs: int,
    progress: Callable[[str, int, int], None],
) -> tuple[list[Run], list[Pairs]]:
    """Run dfmp2 and its peers in turn, after one warm-up of each.

    Parameters
    ----------
    own : callable
        One run of dfmp2.
    peers : sequence of Peer
    pairs : int
        Timed pairs per peer; without peers, timed runs of dfmp2.
    progress : callable

    Returns
    -------
    own : list of Run
        All timed runs of dfmp2.
    beside : list of Pairs

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

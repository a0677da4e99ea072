"""Sessions, B and pair energies kept between runs.

A session is the work of one process with one backend in one precision. It is written to the journal
before its first value is committed. So the origin of every number in a run file is known. At least
`interval` seconds pass between two commits, and a kill costs at most that much work. B is written
only if computing it again, or the work that uses it, would take longer than that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2 import defaults
from dfmp2.errors import CheckpointError
from dfmp2.results.provenance import Provenance, Where
from dfmp2.results.stages import PairArithmetic, Precision
from dfmp2.results.versions import versions
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.pairs import PairTable, load_pairs, store_pairs
from dfmp2.runfile.rows import Rows

__all__ = ["Checkpoint"]

_UNLABELLED = {
    PairArithmetic.FP64: "fp64",
    PairArithmetic.FP32: "fp32 pair GEMMs",
    PairArithmetic.NKI: "fp32 by NKI",
}
"""Labels for the pairs of a session that was killed before it wrote a label."""


class Checkpoint:
    """The sessions, the pair energies and B of a run, in memory and in its run file.

    Parameters
    ----------
    file : RunFile or None
        None keeps nothing after this process.
    nocc : int
        Number of correlated occupied orbitals.
    interval : float
        Seconds between two commits. With 0, everything is committed at once.
    kappas : int
        Number of regularised energies of each pair.

    Attributes
    ----------
    table : PairTable
        The pairs that are computed.
    rows : Rows or None
        B in the run file.
    session : int
        Number of the current session. 0 before the first one.
    notes : list of str
        Remarks that belong to the result.
    own_label : str
        Label of this session's pairs, if whoever computed them has a better one than `label` gets.
    """

    def __init__(
        self,
        file: RunFile | None,
        nocc: int,
        interval: float = defaults.CHECKPOINT_INTERVAL,
        kappas: int = 0,
    ) -> None:
        self._file, self._interval = file, interval
        self._own: dict[int, Provenance] = {}
        self._last, self._room = time.monotonic(), True
        self.session = 0
        self.rows: Rows | None = None
        self.notes: list[str] = []
        self.own_label = ""
        self.table = PairTable(nocc, kappas)
        if file is None:
            self._state: dict[str, Any] = {"sessions": []}
            return
        self._state = file.state
        self.rows = Rows(file)
        self.table, damaged = load_pairs(file, file.accepted_sessions)
        if damaged:
            self.notes.append(
                f"{len(damaged)} pairs in {file.path} were damaged and computed again"
            )
        if self.table.known:
            self.notes.append(
                f"{self.table.known} of {nocc * (nocc + 1) // 2} pairs were computed in earlier "
                f"sessions of {file.path}"
            )

    @property
    def _sessions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._state["sessions"]
        return found

    # Sessions

    def begin(
        self, provenance: Provenance, where: Where, precision: Precision, accuracy: float
    ) -> None:
        """Start a session. All values from now on belong to it.

        Parameters
        ----------
        provenance : Provenance
            Provenance of the session. It is written to the journal with every commit.
        where : Where
            The chosen backend.
        precision : Precision
            The chosen precision.
        accuracy : float
            Largest acceptable energy error from reduced precision, hartree.
        """
        self._state.pop("result", None)  # it is no longer valid once a pair is computed again
        self.session = self._unused_number()
        self._own[self.session] = provenance
        self._sessions.append(
            {
                "id": self.session,
                "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "backend": where.backend,
                "mode": where.mode,
                "device": where.device,
                "precision": precision.value,
                "accuracy": accuracy,
                "pairs_in": "",
                "label": "",
                "rejected": False,
                "versions": versions(),
            }
        )

    def _unused_number(self) -> int:
        """A session number that does not occur in the file.

        If one half of the journal is damaged, its last session is lost, but values with the number
        of that session may be in the file. They must not count as values of a new session.
        """
        number = max((s["id"] for s in self._sessions), default=0) + 1
        if self._file is None:
            return number
        names = ("pairs/session", "b/raw_session", "b/row_session")
        taken = {int(n) for name in names for n in np.unique(self._file.read(name))}
        while number in taken:
            number += 1
        return number

    def computing(self, arithmetic: PairArithmetic) -> None:
        """Note in the journal how this session computes pairs."""
        self._sessions[-1]["pairs_in"] = arithmetic.value

    @property
    def pairs_in(self) -> PairArithmetic:
        """How this session computes pairs."""
        return PairArithmetic(self._sessions[-1]["pairs_in"])

    def computed(self, arithmetic: PairArithmetic) -> NDArray[np.bool_]:
        """Pairs that were computed in this arithmetic: bool, shape (nocc, nocc)."""
        return np.isin(self.table.session, self._ids(arithmetic))

    def reject(self, arithmetic: PairArithmetic) -> None:
        """Drop all pairs that were computed in this arithmetic, and mark their sessions."""
        for session in self._sessions:
            session["rejected"] |= session["pairs_in"] == arithmetic
        self.table.forget(self.computed(arithmetic))

    def rejected(self, arithmetic: PairArithmetic, accuracy: float) -> bool:
        """Whether pairs in this arithmetic were rejected before.

        Parameters
        ----------
        arithmetic : PairArithmetic
        accuracy : float
            Hartree. Pairs that were rejected for a stricter accuracy do not count.
        """
        return any(
            s["rejected"] and s["pairs_in"] == arithmetic and s["accuracy"] >= accuracy
            for s in self._sessions
        )

    def forget_uncommitted(self) -> None:
        """Drop the pairs that are not in the file, after their device failed."""
        self.table.forget(~self.table.stored)

    def _ids(self, arithmetic: PairArithmetic) -> list[int]:
        return [s["id"] for s in self._sessions if s["pairs_in"] == arithmetic]

    def label(self, text: str) -> str:
        """Set the label of this session's pairs.

        Parameters
        ----------
        text : str
            Label for all sessions that computed pairs in the arithmetic of this one.

        Returns
        -------
        str
            The labels of all pairs, with the number of pairs if there are several labels.
        """
        text = self.own_label or text
        labels: dict[str, int] = {}
        for session in self._sessions:
            if session["pairs_in"] == self._sessions[-1]["pairs_in"]:
                session["label"] = text
            if count := int(np.count_nonzero(self.table.session == session["id"])):
                own = session["label"] or _UNLABELLED[PairArithmetic(session["pairs_in"])]
                labels[own] = labels.get(own, 0) + count
        if len(labels) > 1:
            text = "; ".join(f"{count} pairs {label}" for label, count in labels.items())
        by_nki = self._sessions[-1]["pairs_in"] == PairArithmetic.NKI
        if self.b_precision is Precision.FP32 and not by_nki:
            text += "; B of the run file in fp32, by NKI"
        return text

    # B

    @property
    def form(self) -> str | None:
        """Form of the auxiliary functions of the B in the file, "plain" or "conditioned"."""
        stored: str | None = self._state.get("b", {}).get("aux")
        return stored

    @property
    def b_precision(self) -> Precision:
        """Precision of the B in the file. FP64 if there is no B."""
        return Precision(self._state.get("b", {}).get("precision", Precision.FP64))

    def begin_b(self, form: str, precision: Precision) -> None:
        """Note in the journal how this session makes B, in case B is written to the file.

        Parameters
        ----------
        form : {"plain", "conditioned"}
            Form of the auxiliary functions.
        precision : Precision
        """
        if self.rows is None:
            return
        if not self.rows.sessions():
            self._state["b"] = {"aux": form, "precision": precision.value}
        elif self.rows.fitted() < self.table.nocc and precision is Precision.FP32:
            self._state["b"]["precision"] = precision.value

    # Commits

    @property
    def due(self) -> bool:
        """Whether `interval` seconds have passed since the last commit."""
        return time.monotonic() - self._last >= self._interval

    def keeps_b(self, seconds: float = 0.0) -> bool:
        """Whether to write a B that is in memory to the run file.

        B is written if a commit is due, or if the work that uses B takes longer than `interval`.
        If the disk is too small, B is not written and the run continues.

        Parameters
        ----------
        seconds : float
            Estimated time of the work that uses B.
        """
        if self.rows is None or not self._room or not (self.due or seconds >= self._interval):
            return False
        try:
            self.rows.reserve()
        except CheckpointError as error:
            self._room = False
            self.notes.append(f"B was not kept: {error}")
        return self._room

    def commit(self, force: bool = False) -> None:
        """Write the pairs and the provenance to the disk.

        Parameters
        ----------
        force : bool
            Also if no commit is due.
        """
        if self._file is None or not (force or self.due):
            return
        self.enter()
        store_pairs(self._file, self.table)
        self._file.sync()
        self._last = time.monotonic()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Commit the pairs at the end, also if the run is interrupted (SIGINT, SIGTERM)."""
        try:
            yield
        except KeyboardInterrupt:
            self.commit(force=True)
            raise
        self.commit(force=True)

    def enter(self) -> None:
        """Write the journal. This must come before any value of this session is written."""
        if self._file is None:
            return
        for session in self._sessions:
            if session["id"] in self._own:
                session["provenance"] = self._own[session["id"]].to_dict()
        self._file.save()

    def merged(self) -> Provenance:
        """The sum of the provenances of all sessions whose values are in the result."""
        merged = Provenance()
        wanted = {int(number) for number in np.unique(self.table.session)}
        wanted |= {s["id"] for s in self._sessions if s["rejected"]} | {self.session}
        if self.rows is not None:
            wanted |= self.rows.sessions()
        for session in self._sessions:
            if session["id"] in wanted:
                own = self._own.get(session["id"])
                stored = session.get("provenance")
                if own is not None:
                    merged.merge(own)
                elif stored is not None:
                    merged.merge(Provenance.from_dict(stored))
        return merged

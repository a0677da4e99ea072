"""What a run remembers across its ends: sessions, B and pair energies, kept when it is due.

A session is one stretch of work by one backend in one precision. It is entered in the journal
before its first value is committed, so that no number in a run file is without its origin. Between
two commits lie at least `interval` seconds, which is also what a kill can cost. B is kept only
where making it again, or what follows from it, would take longer than that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError
from dfmp2.results.provenance import Provenance, Where
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.pairs import PairTable, load_pairs, store_pairs
from dfmp2.runfile.rows import Rows
from dfmp2.workflow.labels import versions

__all__ = ["INTERVAL", "Checkpoint"]

INTERVAL = 30.0
"""Seconds between two commits."""

_UNLABELLED = {"fp64": "fp64", "fp32": "fp32 pair GEMMs", "nki": "fp32 by NKI"}
"""Pairs of a session that ended before it could say how precise they are."""


class Checkpoint:
    """The memory of a run.

    Parameters
    ----------
    file : RunFile or None
        None: nothing is kept beyond this process.
    nocc : int
        Correlated occupied orbitals.
    interval : float
        Seconds between two commits; 0 commits everything at once.

    Attributes
    ----------
    table : PairTable
        The pairs so far.
    rows : Rows or None
        B in the run file.
    notes : list of str
        What a reader of the result should know.
    """

    def __init__(self, file: RunFile | None, nocc: int, interval: float = INTERVAL) -> None:
        self._file, self._interval = file, interval
        self._own: dict[int, Provenance] = {}
        self._last, self._room = time.monotonic(), True
        self.session = 0
        self.rows: Rows | None = None
        self.notes: list[str] = []
        self.table = PairTable(nocc)
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

    def begin(self, provenance: Provenance, where: Where, precision: str, accuracy: float) -> None:
        """Start a session: what is committed from now on was done by `provenance`.

        Parameters
        ----------
        provenance : Provenance
            Is entered in the journal with every commit.
        where : Where
            The backend that was chosen.
        precision : str
            The precision that was chosen: "fp64", "fp32" or "auto".
        accuracy : float
            Hartree.
        """
        self._state.pop("result", None)  # of which a pair is to be computed again
        self.session = self._unused_number()
        self._own[self.session] = provenance
        self._sessions.append(
            {
                "id": self.session,
                "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "backend": where.backend,
                "mode": where.mode,
                "device": where.device,
                "precision": precision,
                "accuracy": accuracy,
                "pairs_in": "",
                "label": "",
                "rejected": False,
                "versions": versions(),
            }
        )

    def _unused_number(self) -> int:
        """A number that nothing in the file bears.

        Values may bear the number of a session whose record was lost with one half of the journal:
        a new session of that number would call them its own.
        """
        number = max((s["id"] for s in self._sessions), default=0) + 1
        if self._file is None:
            return number
        names = ("pairs/session", "b/raw_session", "b/row_session")
        taken = {int(n) for name in names for n in np.unique(self._file.read(name))}
        while number in taken:
            number += 1
        return number

    def computing(self, precision: str) -> None:
        """Say in which precision this session computes pairs."""
        self._sessions[-1]["pairs_in"] = precision

    def computed(self, precision: str) -> NDArray[np.bool_]:
        """Pairs that were computed in this precision."""
        return np.isin(self.table.session, self._ids(precision))

    def reject(self, precision: str) -> None:
        """Take all pairs that were computed in this precision as never computed."""
        for session in self._sessions:
            session["rejected"] |= session["pairs_in"] == precision
        self.table.forget(self.computed(precision))

    def rejected(self, precision: str, accuracy: float) -> bool:
        """Whether a session found this precision too rough for this accuracy (hartree)."""
        return any(
            s["rejected"] and s["pairs_in"] == precision and s["accuracy"] >= accuracy
            for s in self._sessions
        )

    def forget_uncommitted(self) -> None:
        """Take what is not in the file as never computed: its device failed."""
        self.table.forget(~self.table.stored)

    def _ids(self, precision: str) -> list[int]:
        return [s["id"] for s in self._sessions if s["pairs_in"] == precision]

    def label(self, text: str) -> str:
        """Describe the pairs in this session's precision; returns the description of all pairs."""
        labels: dict[str, int] = {}
        for session in self._sessions:
            if session["pairs_in"] == self._sessions[-1]["pairs_in"]:
                session["label"] = text
            if count := int(np.count_nonzero(self.table.session == session["id"])):
                own = session["label"] or _UNLABELLED[session["pairs_in"]]
                labels[own] = labels.get(own, 0) + count
        if len(labels) > 1:
            text = "; ".join(f"{count} pairs {label}" for label, count in labels.items())
        if self.b_precision == "fp32" and self._sessions[-1]["pairs_in"] != "nki":
            text += "; B of the run file in fp32, by NKI"
        return text

    # B

    @property
    def form(self) -> str | None:
        """Form of the auxiliary functions that the B in the file is made with."""
        stored: str | None = self._state.get("b", {}).get("aux")
        return stored

    @property
    def b_precision(self) -> str:
        """Precision of the B in the file, "fp64" where there is none."""
        stored: str = self._state.get("b", {}).get("precision", "fp64")
        return stored

    def begin_b(self, form: str, precision: str) -> None:
        """Say how this session makes B, should it come into the file."""
        if self.rows is None:
            return
        if not self.rows.sessions():
            self._state["b"] = {"aux": form, "precision": precision}
        elif self.rows.fitted() < self.table.nocc:
            known = self._state["b"]
            known["precision"] = min(known["precision"], precision)  # "fp32" < "fp64"

    # Commits

    @property
    def due(self) -> bool:
        """Whether the last commit lies long enough back."""
        return time.monotonic() - self._last >= self._interval

    def keeps_b(self, seconds: float = 0.0) -> bool:
        """Whether B, which is in memory, is kept: so much work follows from it.

        A disk that is too small for B does not end a run that can do without.
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
        """Commit the pairs so far and the record of who computed them, if it is due."""
        if self._file is None or not (force or self.due):
            return
        self.enter()
        store_pairs(self._file, self.table)
        self._file.sync()
        self._last = time.monotonic()

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Commit the pairs at the end, also where the user or the system asks the run to stop."""
        try:
            yield
        except KeyboardInterrupt:
            self.commit(force=True)
            raise
        self.commit(force=True)

    def enter(self) -> None:
        """Write the journal: before values of this session are."""
        if self._file is None:
            return
        for session in self._sessions:
            if session["id"] in self._own:
                session["provenance"] = self._own[session["id"]].to_dict()
        self._file.save()

    def merged(self) -> Provenance:
        """The provenance of every session whose work is in the pairs, this one included."""
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

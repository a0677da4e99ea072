"""The state of a run, read from its run file without the lock and without changing the file.

The run may still be going on. It writes values before their checksums, so a pair that is being
written looks damaged for an instant. The file is then read again.
"""

from __future__ import annotations

import fcntl
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError
from dfmp2.results.result import ROUNDING, Result
from dfmp2.results.sizes import Sizes
from dfmp2.runfile.content import load_centroids, load_result, load_scf
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.pairs import PairTable, load_pairs

__all__ = ["RunStatus", "read_status"]

ATTEMPTS, PAUSE = 5, 0.2
"""How often a file that is being written is read, and the seconds between two readings."""

NAMED = 6
"""How many damaged pairs, rows or functions a message names. It gives the number of all."""


@dataclass(frozen=True, eq=False)
class RunStatus:
    """Content of a run file.

    Attributes
    ----------
    path : str
    in_use : bool
        Whether a run has the file open for writing.
    sizes : Sizes
    input : dict
        Molecule and settings, as plain data.
    state : dict
        Content of the journal: sessions, how B was made, the result.
    e_scf : float or None
        Energy of the SCF, hartree. None if no orbitals are stored, or if they are damaged.
    centroids : ndarray, shape (nocc, 3), float64, bohr, or None
        Charge centroids of the correlated occupied orbitals.
    raw : int
        Number of auxiliary functions whose (P|ia) is stored.
    fitted : int
        Number of rows of B that are stored.
    table : PairTable
        Pairs that match their checksum and whose session was not rejected.
    result : Result or None
        None if the run is not finished.
    damage : tuple of str
        What does not match its checksum. The other attributes do not contain it.
    resumable : bool
        Whether the run can be continued: its orbitals are not damaged.
    """

    path: str
    in_use: bool
    sizes: Sizes
    input: dict[str, Any]
    state: dict[str, Any]
    e_scf: float | None
    centroids: NDArray[np.float64] | None
    raw: int
    fitted: int
    table: PairTable
    result: Result | None
    damage: tuple[str, ...]
    resumable: bool

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """The sessions of the run, oldest first."""
        found: list[dict[str, Any]] = self.state["sessions"]
        return found

    @property
    def scripted(self) -> bool:
        """Whether a Python script started the run with `DFMP2`. Only a script continues it."""
        return self.input.get("options") is None


def read_status(path: str, check_b: bool = False) -> RunStatus:
    """Read the state of a run, also while it is going on.

    Parameters
    ----------
    path : str
    check_b : bool
        Also read B and the factor of the metric, and compare them with their checksums.

    Returns
    -------
    RunStatus

    Raises
    ------
    CheckpointError
        If the file cannot be read, or its input or both copies of its journal are damaged.
    """
    for attempt in range(ATTEMPTS):
        last = attempt == ATTEMPTS - 1
        try:
            in_use = _in_use(path)
            status = _read(path, in_use, check_b)
        except CheckpointError:
            if last or not in_use:
                raise
        else:
            if last or not (in_use and status.damage):
                break
        time.sleep(PAUSE)
    return status


def _in_use(path: str) -> bool:
    """Whether another process has the lock for writing."""
    try:
        with Path(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released when it is closed
    except BlockingIOError:
        return True
    except OSError:  # no such file, or a file system without locks: reading gives the error
        pass
    return False


def _read(path: str, in_use: bool, check_b: bool) -> RunStatus:
    with RunFile(path, writable=False) as file:
        table, pairs = load_pairs(file, file.accepted_sessions)
        damage = [_named("pair", pairs)] if pairs else []
        try:
            scf, resumable = load_scf(file), True
        except CheckpointError:
            scf, resumable = None, False
            damage.append("the orbitals of the SCF")
        centroids = load_centroids(file)
        if centroids is None and "scf" in file.state:
            damage.append("the orbital centroids (only the plot needs them)")
        row, raw = (file.read(f"b/{name}_session") != 0 for name in ("row", "raw"))
        if check_b:
            damage += _damage_of_b(file, row, raw)
        result = None
        try:
            result = load_result(file)
        except CheckpointError:
            damage.append("the result: it contradicts the pair energies or its digest")
        if result is not None and not _agree(file.read("energies"), result):
            damage.append("the dataset energies (the printed ones are sums of the pair energies)")
        return RunStatus(
            path=path,
            in_use=in_use,
            sizes=file.shape.sizes,
            input=file.input,
            state=file.state,
            e_scf=None if scf is None else scf["e_tot"],
            centroids=centroids,
            raw=int(np.count_nonzero(raw)),
            fitted=int(np.count_nonzero(row)),
            table=table,
            result=result,
            damage=tuple(damage),
            resumable=resumable,
        )


def _agree(stored: NDArray[np.float64], result: Result) -> bool:
    found = (result.e_hf, result.e_corr_os, result.e_corr_ss, result.e_corr, result.e_tot)
    return bool(np.all(np.abs(stored - found) <= ROUNDING))  # False for NaN, too


def _damage_of_b(file: RunFile, row: NDArray[np.bool_], raw: NDArray[np.bool_]) -> Iterator[str]:
    """Messages about the metric and about rows of B that do not match their checksum.

    Parameters
    ----------
    file : RunFile
    row : ndarray, shape (nocc,), bool
        Rows of B that are stored.
    raw : ndarray, shape (naux,), bool
        Auxiliary functions whose (P|ia) is stored for the orbitals that are not fitted.
    """
    s = file.shape.sizes
    known = file.state.get("b", {}).get("metric")
    if known is not None and zlib.crc32(file.read("metric/factor")) != known["crc32"]:
        yield "the factor of the metric"
    checksums = file.read("b/row_crc32")
    fitted = np.flatnonzero(row).tolist()
    width = [s.naux * s.nvir_of(i) for i in range(s.nocc)]
    bad = [
        i for i in fitted if zlib.crc32(file.read("b/rows", np.s_[i, : width[i]])) != checksums[i]
    ]
    if bad:
        yield _named("row", bad, " of B")
    checksums, lost = file.read("b/raw_crc32"), np.zeros(s.naux, dtype=bool)
    functions = np.flatnonzero(raw)
    for i in range(len(fitted), s.nocc if len(functions) else 0):
        panel = file.read("b/rows", np.s_[i + file.spare_rows, : width[i]]).reshape(s.naux, -1)
        for p in functions:
            lost[p] |= zlib.crc32(panel[p]) != checksums[i, p]
    if lost.any():
        yield _named("function", np.flatnonzero(lost).tolist(), " of (P|ia)")


def _named(kind: str, which: list[Any], of: str = "") -> str:
    names = ", ".join(str(item).replace(" ", "") for item in which[:NAMED])
    rest = ", ..." if len(which) > NAMED else ""
    return f"{len(which)} {kind}{'s' if len(which) > 1 else ''}{of}: {names}{rest}"

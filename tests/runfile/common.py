"""Helpers for the tests of run files: a small job in many blocks, and an independent reader."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dfmp2.backends.recording import RecordingBackend
from dfmp2.errors import ResourceError
from dfmp2.planning import plan
from dfmp2.results.result import Result
from dfmp2.runfile import layout
from dfmp2.runfile.journal import decode
from dfmp2.settings import Settings
from dfmp2.workflow.jobs import forecast_job
from dfmp2.workflow.reading import read_jobs
from dfmp2.workflow.resuming import resume_job
from tests.runfile.killed import SMALL_BLOCKS
from tests.systems import INPUTS

JOB = ("run", INPUTS / "water.xyz", "--basis", "6-31g", "--auxbasis", "cc-pvdz-ri")
"""5 occupied and 8 virtual orbitals, 84 auxiliary functions."""

FILE = "water.dfmp2.h5"

OPTIONS = ("--device", "cpu", "--checkpoint", FILE, "--checkpoint-interval", 0, "--quiet")

Pairs = dict[tuple[int, int], tuple[int, float, float]]


def out_of_core() -> float:
    """The smallest --max-memory (MB) of the job; B does not fit in it."""
    settings = Settings(basis="6-31g", auxbasis="cc-pvdz-ri")
    job = read_jobs(str(JOB[1]), settings)[0]
    low, high = 0.0, 4000.0
    for _ in range(60):
        middle = (low + high) / 2
        try:
            forecast_job(replace(job, settings=replace(settings, max_memory=middle)))
            high = middle
        except ResourceError:
            low = middle
    found = forecast_job(replace(job, settings=replace(settings, max_memory=high)))
    assert not found.plan.in_memory
    return high


def small_blocks(patch: pytest.MonkeyPatch, **blocks: float) -> None:
    """Divide the job into many blocks. The number of spare rows of B changes the file's layout."""
    for name, value in {**SMALL_BLOCKS, **blocks}.items():
        patch.setattr(plan, name, value)
    patch.setattr(layout, "SOLVED_AT_ONCE", 1)


def quiet(stage: str, done: int, total: int) -> None:
    """A progress function without output."""


def resumed(path: Path | str, **changes: Any) -> Result:
    """The result of ``dfmp2 resume``, with all digits."""
    return resume_job(str(path), {"checkpoint_interval": 0.0, **changes}, quiet).result


# Reading a file without code of dfmp2, except for the journal


def state_of(path: Path | str) -> dict[str, Any]:
    """The content of the journal."""
    with h5py.File(path, "r", locking=False) as file:
        halves = [decode(half) for half in file["journal"][()]]
    return max((half for half in halves if half is not None), key=lambda half: half[0])[1]


def committed_pairs(path: Path | str) -> Pairs:
    """Session and energies of every committed pair, by (i, j)."""
    sessions = {s["id"] for s in state_of(path)["sessions"] if not s["rejected"]}
    found = {}
    with h5py.File(path, "r", locking=False) as file:
        names = ("session", "e_os", "e_ss", "crc32")
        session, os, ss, crc = (file[f"pairs/{name}"][()] for name in names)
    for i, j in zip(*np.triu_indices(len(os)), strict=True):
        entry = (int(session[i, j]), float(os[i, j]), float(ss[i, j]))
        record = struct.pack("<qqqdd", i, j, *entry)
        if entry[0] in sessions and zlib.crc32(record) == crc[i, j]:
            found[int(i), int(j)] = entry
    return found


def fitted_rows(path: Path | str) -> int:
    """Number of orbitals whose B is in the file, counted from the first."""
    metric = state_of(path).get("b", {}).get("metric")
    with h5py.File(path, "r", locking=False) as file:
        for i in range(int(file.attrs["nocc"])):
            if not file["b/row_session"][i] or metric is None:
                return i
            row = file["b/rows"][i]
            assert zlib.crc32(row.tobytes()) == file["b/row_crc32"][i]
        return int(file.attrs["nocc"])


def whole_input(path: Path | str) -> dict[str, Any]:
    """The input stored in a file."""
    with h5py.File(path, "r", locking=False) as file:
        content: dict[str, Any] = json.loads(file["input"][()].tobytes())
    return content


# Counting work


@dataclass
class Work:
    """Number of pairs and orbitals that backends computed."""

    pairs: int = 0
    orbitals: int = 0
    calls: list[str] = field(default_factory=list)


@contextmanager
def counted() -> Iterator[Work]:
    """Count the pairs and the orbitals of metric solves that are computed."""
    work = Work()
    pair_energy, trsm = RecordingBackend.pair_energy, RecordingBackend.trsm

    def count_pairs(self: Any, block: Any) -> Any:
        work.pairs += block.npair
        return pair_energy(self, block)

    def count_orbitals(self: Any, factor: Any, b: Any) -> Any:
        work.orbitals += b.shape[0]
        return trsm(self, factor, b)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RecordingBackend, "pair_energy", count_pairs)
        patch.setattr(RecordingBackend, "trsm", count_orbitals)
        yield work


def extents(path: Path) -> dict[str, tuple[int, int]]:
    """Offset and length of the values of every dataset."""
    found = {}

    def note(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.id.get_offset() is not None:
            found[name] = item.id.get_offset(), item.id.get_storage_size()

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return found

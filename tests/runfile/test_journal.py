"""The journal: two halves, of which at least one is always complete."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from dfmp2.errors import CheckpointError
from dfmp2.results.sizes import Sizes
from dfmp2.runfile.file import RunFile
from dfmp2.runfile.journal import decode, encode
from dfmp2.runfile.layout import JOURNAL_BYTES, Shape
from tests.systems import rng

SHAPE = Shape(Sizes(nao=7, nocc=3, nvir=4, naux=20, aux_shell=3), 7)


@pytest.fixture
def file(tmp_path: Path) -> RunFile:
    """An empty run file of a small job."""
    return RunFile.create(str(tmp_path / "x.dfmp2.h5"), SHAPE, {"fields": {}})


def session(number: int, operations: int = 12) -> dict[str, Any]:
    """A session of realistic length. Each number gives a different one."""
    where = {"backend": "nki", "mode": "device", "device": f"NeuronCore {number % 3}"}
    rows = [
        {"stage": f"stage {k % 4}", "operation": f"operation {k}", "where": where,
         "calls": int(rng(number + k).integers(1 << 40)), "seconds": float(rng(k).uniform())}
        for k in range(operations)
    ]  # fmt: skip
    stages = [{"name": f"stage {k}", "seconds": float(rng(number).uniform())} for k in range(4)]
    provenance = {"reason": "backend auto", "stages": stages, "operations": rows, "failures": []}
    return {"id": number, "rejected": False, "label": "fp64", "provenance": provenance}


def read(path: str) -> dict[str, Any]:
    with RunFile(path, writable=False) as file:
        return file.state


def test_decoding_returns_what_was_encoded() -> None:
    state = {"sessions": [session(1)], "scf": {"crc32": 7}}
    assert decode(encode(state, 5, 1 << 16)) == (5, state)


@pytest.mark.parametrize("where", [0, 7, 8, 16, 23, 24, 60, -1])
def test_one_changed_byte_makes_a_half_unreadable(where: int) -> None:
    half = encode({"sessions": [session(1)]}, 5, 1 << 16)
    half = half.copy()
    half[where] ^= 0x40
    assert decode(half) is None


def test_an_empty_half_is_invalid() -> None:
    assert decode(np.zeros(1000, dtype=np.uint8)) is None


def test_a_length_beyond_the_half_is_invalid() -> None:
    half = encode({"sessions": []}, 5, 1 << 16).copy()
    half[8:16] = 255
    assert decode(half) is None


def test_saves_alternate_and_the_newer_half_is_read(file: RunFile) -> None:
    for number in range(2, 6):
        file.state["mark"] = number
        file.save()
        found = [decode(half) for half in file.read("journal")]
        assert {half[0] for half in found if half} == {number - 1, number}
        assert max((half for half in found if half), key=lambda half: half[0])[1]["mark"] == number


@pytest.mark.parametrize("cut", [1, 8, 20, 24, 100, -1])
def test_a_partial_save_leaves_the_state_before_it(file: RunFile, cut: int) -> None:
    file.state["mark"] = "before"
    file.save()
    path, size = file.path, JOURNAL_BYTES
    file.close()
    half = encode({"sessions": [], "mark": "after" * 20}, 3, size)
    with h5py.File(path, "r+") as raw:
        raw["journal"][0, : len(half[:cut])] = half[:cut]
    assert read(path)["mark"] == "before"
    with RunFile(path) as again:  # the next save overwrites the partial half
        again.state["mark"] = "again"
        again.save()
    assert read(path)["mark"] == "again"
    with h5py.File(path, "r") as raw:
        assert [decode(half)[0] for half in raw["journal"][()]] == [3, 2]  # type: ignore[index]


def test_both_halves_damaged_is_an_error(file: RunFile) -> None:
    file.save()
    file.close()
    with h5py.File(file.path, "r+") as raw:
        raw["journal"][:, 30] ^= 255
    with pytest.raises(CheckpointError, match="both copies of its journal are damaged"):
        RunFile(file.path)


def test_many_sessions_fit() -> None:
    """Text that is too long is compressed, and decoding returns the same text."""
    state = {"sessions": [session(number) for number in range(1, 301)]}
    assert len(json.dumps(state)) > 3 * JOURNAL_BYTES
    found = decode(encode(state, 3, JOURNAL_BYTES))
    assert found == (3, state)


def test_details_are_dropped_but_not_devices() -> None:
    """Details of the oldest sessions are dropped first. All devices and stages must be kept."""
    state = {"sessions": [session(number, operations=40) for number in range(1, 101)]}
    size = len(zlib.compress(json.dumps(state).encode())) // 2
    found = decode(encode(state, 3, size))
    assert found is not None
    kept = [len(s["provenance"]["operations"]) for s in found[1]["sessions"]]
    assert kept[0] == 4
    assert kept[-1] == 40
    assert kept == sorted(kept)
    for number, one in enumerate(found[1]["sessions"], 1):
        devices = {row["where"]["device"] for row in one["provenance"]["operations"]}
        stages = {row["stage"] for row in one["provenance"]["operations"]}
        assert devices == {f"NeuronCore {number % 3}"}
        assert len(stages) == 4


def test_content_that_is_too_long_is_refused() -> None:
    state = {"sessions": [], "text": rng().bytes(4000).hex()}
    with pytest.raises(ValueError, match="the journal holds 1000 bytes"):
        encode(state, 3, 1000)

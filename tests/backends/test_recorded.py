"""What RecordedBackend writes down: rows, calls, dtype and flop counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dfmp2.backends.recording import RecordedBackend
from dfmp2.backends.torch import TorchBackend
from dfmp2.results.provenance import Provenance


@pytest.fixture
def recorded() -> RecordedBackend:
    return RecordedBackend(TorchBackend("cpu"), Provenance())


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.float64)


def b_ones(backend: RecordedBackend, nocc: int, naux: int, nvir: int) -> Any:
    return backend.empty_b(nocc, naux, nvir).fill_(1.0)


def calls(backend: RecordedBackend) -> dict[str, Any]:
    """One call of each operation, with its flops counted by hand."""
    e = -np.ones(3)
    f = np.ones(5)
    b = b_ones(backend, 3, 4, 5)
    out = b_ones(backend, 3, 4, 5)
    return {
        "gemm": (lambda: backend.gemm(ones(2, 3), ones(3, 5)), 2 * 2 * 3 * 5),
        "gemm, transposed": (lambda: backend.gemm(ones(3, 2), ones(3, 5), True), 2 * 2 * 3 * 5),
        "batched_gemm": (lambda: backend.batched_gemm(ones(4, 2, 3), ones(4, 3, 5)), 2 * 120),
        "syrk": (lambda: backend.syrk(ones(4, 3)), 3 * 4 * 5),
        "syrk, transposed": (lambda: backend.syrk(ones(3, 4), True), 3 * 4 * 5),
        "trsm": (lambda: backend.trsm(np.eye(4), b), 4 * 4 * 3 * 5),
        "ao2mo": (
            lambda: backend.ao2mo(ones(4, 6, 6), ones(6, 3), ones(6, 5), out),
            2 * 4 * 6 * 6 * 3 + 2 * 4 * 6 * 3 * 5,
        ),
        "mp2_energy": (lambda: backend.mp2_energy(ones(3, 5, 5), 2 * e, f), 8 * 3 * 25),
        "pair_energy": (lambda: backend.pair_energy(b, b, e, e, f), 9 * 25 * (2 * 4 + 8)),
        "pair_energy, diagonal": (
            lambda: backend.pair_energy(b, b, e, e, f, True),
            6 * 25 * (2 * 4 + 8),
        ),
    }


NAMES = (
    "gemm", "gemm, transposed", "batched_gemm", "syrk", "syrk, transposed", "trsm", "ao2mo",
    "mp2_energy", "pair_energy", "pair_energy, diagonal",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_flops(recorded: RecordedBackend, name: str) -> None:
    call, flops = calls(recorded)[name]
    with recorded.stage("here"):
        call()
    (row,) = recorded.provenance.operations
    assert (row.stage, row.operation) == ("here", name.split(",")[0])
    assert (row.dtype, row.calls, row.fallbacks) == ("float64", 1, 0)
    assert row.flops == flops
    assert row.where == recorded.where
    assert recorded.provenance.stages[0].flops == flops
    assert 0 < row.seconds <= recorded.provenance.stages[0].seconds


def test_every_operation_is_counted(recorded: RecordedBackend) -> None:
    """An operation of the protocol that returns without a row would escape the provenance."""
    arithmetic = {"gemm", "batched_gemm", "syrk", "trsm", "ao2mo", "mp2_energy", "pair_energy"}
    assert {name.split(",")[0] for name in NAMES} == arithmetic
    assert arithmetic <= set(vars(RecordedBackend))


def test_rows_are_kept_by_stage_operation_and_dtype(recorded: RecordedBackend) -> None:
    with recorded.stage("one"):
        recorded.gemm(ones(2, 2), ones(2, 2))
        recorded.gemm(ones(2, 2), ones(2, 2))
        recorded.gemm(ones(2, 2).float(), ones(2, 2).float())
    with recorded.stage("two"):
        recorded.gemm(ones(2, 2), ones(2, 2))
    rows = [(r.stage, r.dtype, r.calls) for r in recorded.provenance.operations]
    assert rows == [("one", "float64", 2), ("one", "float32", 1), ("two", "float64", 1)]
    assert [s.name for s in recorded.provenance.stages] == ["one", "two"]


def test_an_operation_that_raises_leaves_no_row(recorded: RecordedBackend) -> None:
    with recorded.stage("one"), pytest.raises(RuntimeError):
        recorded.gemm(ones(2, 3), ones(2, 3))
    assert recorded.provenance.operations == []
    assert recorded.provenance.device_line() == "nothing was computed"


def test_device_line_is_made_from_rows(recorded: RecordedBackend) -> None:
    recorded.gemm(ones(2, 2), ones(2, 2))
    assert recorded.provenance.device_line() == str(recorded.where)
    assert recorded.provenance.failed("gemm", "broken")
    assert not recorded.provenance.failed("gemm", "broken")
    assert recorded.provenance.device_line() == (
        f"{recorded.where}; FELL BACK to torch 2 times (gemm: broken)"
    )


def test_provenance_survives_json(recorded: RecordedBackend) -> None:
    with recorded.stage("one"):
        recorded.gemm(ones(2, 2), ones(2, 2))
    assert Provenance.from_dict(recorded.provenance.to_dict()) == recorded.provenance

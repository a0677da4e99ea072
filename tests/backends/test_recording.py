"""What RecordingBackend writes down: rows, calls, dtype and flop counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dfmp2.backends.protocol import PairBlock, TBlock
from dfmp2.backends.recording import RecordingBackend
from dfmp2.backends.torch import TorchBackend
from dfmp2.results.provenance import Provenance
from dfmp2.results.stages import Stage


@pytest.fixture
def recorded() -> RecordingBackend:
    return RecordingBackend(TorchBackend("cpu"), Provenance())


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.float64)


def b_ones(backend: RecordingBackend, nocc: int, naux: int, nvir: int) -> Any:
    return backend.empty_b(nocc, naux, nvir).fill_(1.0)


def calls(backend: RecordingBackend) -> dict[str, Any]:
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
        "mp2_energy": (lambda: backend.mp2_energy(TBlock(ones(3, 5, 5), 2 * e, f, f)), 8 * 3 * 25),
        "pair_energy": (
            lambda: backend.pair_energy(PairBlock(b, b, e, e, f, f)),
            9 * 25 * (2 * 4 + 8),
        ),
        "pair_energy, diagonal": (
            lambda: backend.pair_energy(PairBlock(b, b, e, e, f, f, diagonal=True)),
            6 * 25 * (2 * 4 + 8),
        ),
    }


NAMES = (
    "gemm", "gemm, transposed", "batched_gemm", "syrk", "syrk, transposed", "trsm", "ao2mo",
    "mp2_energy", "pair_energy", "pair_energy, diagonal",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_flops(recorded: RecordingBackend, name: str) -> None:
    call, flops = calls(recorded)[name]
    with recorded.stage(Stage.PAIRS):
        call()
    (row,) = recorded.provenance.operations
    assert (row.stage, row.operation) == ("pair energies", name.split(",")[0])
    assert (row.dtype, row.calls, row.fallbacks) == ("float64", 1, 0)
    assert row.flops == flops
    assert row.where == recorded.current.where
    assert recorded.provenance.stages[0].flops == flops
    assert 0 < row.seconds <= recorded.provenance.stages[0].seconds


def test_every_operation_is_counted(recorded: RecordingBackend) -> None:
    """An operation of the protocol that returns without a row would escape the provenance."""
    arithmetic = {"gemm", "batched_gemm", "syrk", "trsm", "ao2mo", "mp2_energy", "pair_energy"}
    assert {name.split(",")[0] for name in NAMES} == arithmetic
    assert arithmetic <= set(vars(RecordingBackend))


def test_rows_are_kept_by_stage_operation_and_dtype(recorded: RecordingBackend) -> None:
    with recorded.stage(Stage.AO2MO):
        recorded.gemm(ones(2, 2), ones(2, 2))
        recorded.gemm(ones(2, 2), ones(2, 2))
        recorded.gemm(ones(2, 2).float(), ones(2, 2).float())
    with recorded.stage(Stage.SOLVE):
        recorded.gemm(ones(2, 2), ones(2, 2))
    rows = [(r.stage, r.dtype, r.calls) for r in recorded.provenance.operations]
    assert rows == [
        ("AO->MO", "float64", 2),
        ("AO->MO", "float32", 1),
        ("metric solve", "float64", 1),
    ]
    assert [s.name for s in recorded.provenance.stages] == ["AO->MO", "metric solve"]


def test_an_operation_that_raises_leaves_no_row(recorded: RecordingBackend) -> None:
    with recorded.stage(Stage.AO2MO), pytest.raises(RuntimeError):
        recorded.gemm(ones(2, 3), ones(2, 3))
    assert recorded.provenance.operations == []
    assert recorded.provenance.device_line() == "nothing was computed"


def test_device_line_is_made_from_rows(recorded: RecordingBackend) -> None:
    recorded.gemm(ones(2, 2), ones(2, 2))
    assert recorded.provenance.device_line() == str(recorded.current.where)
    assert recorded.provenance.failed("gemm", "broken")
    assert not recorded.provenance.failed("gemm", "broken")
    assert recorded.provenance.device_line() == (
        f"{recorded.current.where}; FELL BACK to torch 2 times (gemm: broken)"
    )


def test_provenance_survives_json(recorded: RecordingBackend) -> None:
    with recorded.stage(Stage.AO2MO):
        recorded.gemm(ones(2, 2), ones(2, 2))
    assert Provenance.from_dict(recorded.provenance.to_dict()) == recorded.provenance

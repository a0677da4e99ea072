"""Buckets, needed programs and the ledger of compiled ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dfmp2.backends.buckets import bucket, padded, padded_energies
from dfmp2.backends.compiled import compiled_before, ledger_path, note_compiled
from dfmp2.backends.launching import SimulatorRunner
from dfmp2.backends.nki import NkiBackend
from dfmp2.kernels import simulator
from dfmp2.planning.plan import Sizes, make_plan
from dfmp2.workflow.programs import needed_programs


def test_buckets_hold_their_numbers_and_waste_little() -> None:
    numbers = range(1, 3000)
    assert all(bucket(n) >= n for n in numbers)
    assert all(bucket(bucket(n)) == bucket(n) for n in numbers)
    assert all(bucket(n) <= 1.25 * n for n in numbers if n >= 4)
    assert len({bucket(n) for n in range(1, 1001)}) == 33


def test_padding_is_zeros_and_far_energies() -> None:
    x = padded(np.ones((5, 9), dtype=np.float32), exact=(0,))
    assert x.shape == (5, 10)
    assert x.sum() == 45
    e = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert list(padded_energies(-e)[8:]) == [-0.9, -0.9]
    assert padded_energies(e, virtual=True)[9] > 1e5


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("sizes", [Sizes(24, 5, 19, 84), Sizes(70, 3, 67, 30)], ids=str)
def test_forecast_programs_are_those_that_run(fused: bool, sizes: Sizes) -> None:
    """The plan names exactly the programs that the pipeline then launches."""
    from dfmp2.backends.recording import RecordedBackend
    from dfmp2.methods.pair_energies import pair_energies
    from dfmp2.references.mean_field import Reference
    from dfmp2.results.provenance import Provenance
    from dfmp2.runfile.checkpoint import Checkpoint
    from dfmp2.tensors.held import InMemory

    plan = make_plan(sizes, 4000, aux_block=50)
    runner = SimulatorRunner(simulator.simulate, "bundled")
    backend = RecordedBackend(NkiBackend(runner), Provenance())
    rng = np.random.default_rng(0)
    b = backend.empty_b(sizes.nocc, sizes.naux, sizes.nvir)
    c_occ = backend.asarray(rng.normal(size=(sizes.nao, sizes.nocc)))
    c_vir = backend.asarray(rng.normal(size=(sizes.nao, sizes.nvir)))
    for p0 in range(0, sizes.naux, 50):
        out = b[:, p0 : p0 + 50]
        eri = rng.normal(size=(out.shape[1], sizes.nao, sizes.nao))
        backend.ao2mo(backend.asarray(eri), c_occ, c_vir, out)
    b = backend.trsm(np.eye(sizes.naux), b)
    reference = Reference(
        None, "RHF", 0.0, c_occ, c_vir, -1 - np.arange(1.0, 1 + sizes.nocc),
        np.arange(1.0, 1 + sizes.nvir), (), (), (),
    )  # fmt: skip
    checkpoint = Checkpoint(None, sizes.nocc)
    checkpoint.begin(backend.provenance, backend.where, "fp32", 1e-6)
    pair_energies(InMemory(b), reference, plan, backend, lambda *_: None, fused, checkpoint)
    assert set(needed_programs(plan, fused)) == set(runner.programs)
    if fused:
        assert needed_programs(plan, fused) == dict(runner.programs)


def test_two_molecules_of_one_bucket_share_programs() -> None:
    first = needed_programs(make_plan(Sizes(117, 21, 96, 420), 4000), True)
    second = needed_programs(make_plan(Sizes(110, 23, 87, 400), 4000), True)
    assert {p for p in first if "pair" in p} == {p for p in second if "pair" in p}


def test_nothing_to_compute_needs_no_program() -> None:
    assert needed_programs(make_plan(Sizes(2, 0, 2, 10), 4000), True) == {}


def test_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled_before("trn2") == set()
    note_compiled("trn2", {"a", "b"})
    note_compiled("trn2", {"b", "c"})
    note_compiled("trn1", {"d"})
    assert compiled_before("trn2") == {"a", "b", "c"}
    assert compiled_before("trn1") == {"d"}
    ledger_path().write_text("damaged", encoding="utf-8")
    assert compiled_before("trn2") == set()
    note_compiled("trn2", {"e"})
    assert compiled_before("trn2") == {"e"}


def test_an_unwritable_ledger_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
    note_compiled("trn2", {"a"})
    assert compiled_before("trn2") == set()

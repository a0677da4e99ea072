"""Copies and arithmetic that overlap: right results in every order that the events allow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dfmp2 import DFMP2
from dfmp2.backends.cuda import CudaEngine
from dfmp2.backends.torch import TorchBackend
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.tensors.streamed import HalfTransform, device_blocks, host_blocks
from tests.played_engine import ORDERS, PlayedEngine, PlayedGpu, played_selection
from tests.systems import fitted, mean_field, rng

EPS = np.finfo(np.float64).eps


pytestmark = pytest.mark.usefixtures("nan_memory")


def water() -> tuple[Any, Any]:
    mol = mean_field("water").mol
    return mol, choose_auxbasis(mol).mol


def orbitals(nao: int, nocc: int = 3, nvir: int = 7) -> tuple[np.ndarray, np.ndarray]:
    return rng(1).uniform(-1, 1, (nao, nocc)), rng(2).uniform(-1, 1, (nao, nvir))


def transformed(engine: Any, block: int, backend: TorchBackend | None = None) -> Any:
    """(P|ia) of water by an engine, and the expected values."""
    backend = backend or TorchBackend("cpu")
    mol, auxmol = water()
    c_occ, c_vir = orbitals(mol.nao)
    b = backend.empty_b(3, auxmol.nao, 7)
    work = HalfTransform(backend.ao2mo, [(backend.asarray(c_occ), backend.asarray(c_vir), b)])
    done: list[int] = []
    integrals = ThreeCentreIntegrals(mol, auxmol, block)
    seconds = host_blocks(integrals, engine, work, done.append)
    assert done == list(range(1, len(integrals.blocks) + 1))
    assert len(seconds) == len(done)
    whole = ThreeCentreIntegrals(mol, auxmol, auxmol.nao)
    ((_, eri),) = whole
    expected = np.einsum("Pmn,mi,na->iPa", eri, c_occ, c_vir, optimize=True)
    return backend.to_host(b), expected


def right(found: np.ndarray, expected: np.ndarray) -> bool:
    """Compare within the rounding error of sums over 24 x 24 functions."""
    return bool(
        np.allclose(found, expected, rtol=0, atol=8 * EPS * 24 * 24 * np.abs(expected).max())
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("block", [1, 9, 30, 84])
def test_blocks_are_right_in_any_order(order: str, block: int) -> None:
    found, expected = transformed(PlayedEngine(order), block)
    assert right(found, expected)


@pytest.mark.parametrize(
    ("ignore", "order"),
    [
        ("host", "as late as may be"),  # the host overwrites a block before it is copied
        ("copies", "copies first"),  # a copy overwrites a block before it is transformed
        ("arithmetic", "arithmetic first"),  # a block is transformed before it is copied
    ],
)
def test_each_synchronisation_is_needed(ignore: str, order: str) -> None:
    """Without it B is wrong, so the test above would fail if dfmp2 left it out."""
    found, expected = transformed(PlayedEngine(order, ignore), 9)
    assert not right(found, expected)


def test_host_waits_for_older_copies_and_for_the_end() -> None:
    engine = PlayedEngine("at once")
    transformed(engine, 9)
    mol, auxmol = water()
    blocks = len(ThreeCentreIntegrals(mol, auxmol, 9).blocks)
    assert blocks > 4
    assert engine.waits == blocks - 2 + 1
    assert engine.memory == [9 * 24 * 25 // 2] * 4


def test_blocks_computed_on_the_device() -> None:
    backend = TorchBackend("cpu")
    mol, auxmol = water()
    c_occ, c_vir = orbitals(mol.nao)
    b = backend.empty_b(3, auxmol.nao, 7)
    work = HalfTransform(backend.ao2mo, [(backend.asarray(c_occ), backend.asarray(c_vir), b)])
    blocks = [(x, torch.from_numpy(eri.copy())) for x, eri in ThreeCentreIntegrals(mol, auxmol, 9)]
    engine = PlayedEngine()
    device_blocks(iter(blocks), engine, work, lambda _: None)
    ((_, eri),) = ThreeCentreIntegrals(mol, auxmol, auxmol.nao)
    expected = np.einsum("Pmn,mi,na->iPa", eri, c_occ, c_vir, optimize=True)
    assert right(backend.to_host(b), expected)
    assert engine.waits == 1


def test_nothing_to_transform() -> None:
    target = torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(1, 0, 1)
    work = HalfTransform(lambda *_: None, [target])
    assert device_blocks(iter(()), PlayedEngine(), work, lambda _: None) == []


# A whole run


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("precision", ["fp64", "fp32", "auto"])
def test_whole_run(order: str, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = DFMP2(mean_field("water")).set(backend="pytorch", device="cpu").run()
    monkeypatch.setattr(
        "dfmp2.workflow.prepare.select", played_selection(PlayedGpu(PlayedEngine(order)))
    )
    monkeypatch.setattr("dfmp2.planning.plan.ERI_BLOCK", 8 * 24 * 24 * 20)
    mp = DFMP2(mean_field("water")).run(precision=precision, integrals="libcint")
    assert abs(mp.e_corr - exact.e_corr) < (1e-12 if precision == "fp64" else 1e-7)
    stages = [stage.name for stage in mp.result.provenance.stages]
    assert stages[:2] == ["integrals and AO->MO", "metric"]
    (row,) = [r for r in mp.result.provenance.operations if r.operation == "ao2mo"]
    assert (row.stage, row.dtype) == ("integrals and AO->MO", "float64")
    assert row.calls > 3
    assert row.seconds == 0.25 * row.calls
    (plain,) = [r for r in exact.result.provenance.operations if r.operation == "ao2mo"]
    assert row.flops == plain.flops
    assert mp.result.provenance.device_line() == "a played GPU (pytorch, cuda)"


def test_integrals_of_an_scf_are_copied_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    mf = fitted()
    exact = DFMP2(mf, auxbasis="cc-pvdz-jkfit").set(backend="pytorch", device="cpu").run()
    monkeypatch.setattr(
        "dfmp2.workflow.prepare.select", played_selection(PlayedGpu(PlayedEngine()))
    )
    monkeypatch.setattr("dfmp2.planning.plan.ERI_BLOCK", 8 * 24 * 24 * 37)
    mp = DFMP2(mf, auxbasis="cc-pvdz-jkfit").run(integrals="scf")
    assert abs(mp.e_corr - exact.e_corr) < 1e-12
    assert [s.name for s in mp.result.provenance.stages] == [
        "SCF's integrals and AO->MO", "pair energies",
    ]  # fmt: skip


# On a GPU


ON_CUDA = pytest.mark.parametrize("backend_name", ["torch-cuda"], indirect=True)


@ON_CUDA
@pytest.mark.parametrize("block", [1, 9, 30, 84])
def test_blocks_on_a_gpu(backend: TorchBackend, block: int) -> None:
    engine = backend.engine()
    assert isinstance(engine, CudaEngine)
    found, expected = transformed(engine, block, backend)
    assert right(found, expected)


@ON_CUDA
@pytest.mark.usefixtures("backend")
def test_whole_run_on_a_gpu() -> None:
    exact = DFMP2(mean_field("water")).set(backend="pytorch", device="cpu").run()
    mp = DFMP2(mean_field("water")).set(backend="pytorch", device="cuda").run(integrals="libcint")
    assert abs(mp.e_corr - exact.e_corr) < 1e-11
    assert {row.where.mode for row in mp.result.provenance.operations} == {"cuda"}

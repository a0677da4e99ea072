"""GPU memory of a run: forecast, refusal, and block sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dfmp2 import DFMP2
from dfmp2.backends.selection import computes_on, set_backend
from dfmp2.cli.table import summary
from dfmp2.errors import ResourceError
from dfmp2.planning.gpu import TEMPORARIES, device_memory, device_peak, pairs_at_once
from dfmp2.planning.plan import make_plan
from dfmp2.results.sizes import Sizes
from tests.cli.common import WATER, dfmp2, fact
from tests.played_engine import PlayedEngine, PlayedGpu, played_selection
from tests.systems import mean_field

pytestmark = pytest.mark.usefixtures("own_folder")

LARGE = Sizes(nao=1000, nocc=100, nvir=900, naux=3000, aux_shell=11)


def test_b_is_counted_on_the_gpu_and_not_on_the_host() -> None:
    host, gpu = make_plan(LARGE, 4000.0), make_plan(LARGE, 4000.0, on_gpu=True)
    b = 8 * 100 * 900 * 3000 / 1e6
    assert host.device_memory == {}
    assert host.device_peak == 0
    assert gpu.memory["B[i,P,a]"] == 0
    assert gpu.device_memory["B[i,P,a]"] == pytest.approx(b)
    assert gpu.device_peak > b
    assert gpu.peak < b < host.peak
    assert make_plan(LARGE, 300.0, on_gpu=True).peak <= 300, "B does not count against the host"


def test_host_holds_two_packed_blocks() -> None:
    sizes = Sizes(nao=10, nocc=2, nvir=8, naux=100)
    plan = make_plan(sizes, 4000.0, on_gpu=True, aux_block=1)
    assert plan.memory["integral block"] * 1e6 == pytest.approx(8 * 2 * 55)
    plan = make_plan(sizes, 4000.0, on_gpu=True, aux_block=1, metric_done=True)
    assert plan.memory["integral block"] * 1e6 == pytest.approx(8 * 3 * 55)


def test_peak_counts_only_the_largest_stage() -> None:
    memory = {"B[i,P,a]": 100, "libraries": 10, "one": 7, "other": 9}
    assert device_peak(memory) == 119
    assert device_peak({}) == 0
    assert device_peak(device_memory(LARGE, 8)) < sum(device_memory(LARGE, 8).values())


def test_larger_pair_blocks_than_on_the_host() -> None:
    assert make_plan(LARGE, 4e4, on_gpu=True).occ_block > make_plan(LARGE, 4e4).occ_block


@pytest.mark.parametrize(
    ("nvir", "free", "expected"),
    [
        (100, 10**12, 3200),  # 256 MB
        (100, TEMPORARIES * 80_000 * 7, 7),
        (100, TEMPORARIES * 80_000 * 7 - 1, 6),
        (100, 0, 1),
        (10_000, 10**12, 1),
    ],
)
def test_pairs_at_once(nvir: int, free: int, expected: int) -> None:
    assert pairs_at_once(nvir, free) == expected


@pytest.mark.parametrize(
    ("name", "device", "gpu", "expected"),
    [
        ("auto", None, True, "cuda"),
        ("auto", None, False, "cpu"),
        ("pytorch", "cpu", True, "cpu"),
        ("pytorch", "cuda:1", False, "cuda"),
        ("nki", None, True, "nki"),
        ("simulator", None, True, "nki"),
    ],
)
def test_what_a_request_computes_with(
    name: str, device: str | None, gpu: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert computes_on(name, device) == expected
    try:
        set_backend(name)
        assert computes_on(None, device) == expected
    finally:
        set_backend("auto")


def played(monkeypatch: pytest.MonkeyPatch, free: int) -> DFMP2:
    """A run that is not started yet, on a fake GPU with `free` bytes free."""

    def memory(*_: Any) -> tuple[int, int]:
        return free - 5, 2 * free

    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda *_: 25)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda *_: 20)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda *_: 20 + 3_000_000)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda *_: None)
    monkeypatch.setattr("dfmp2.workflow.prepare.computes_on", lambda *_: "cuda")
    backend = PlayedGpu(PlayedEngine())
    monkeypatch.setattr("dfmp2.workflow.prepare.select", played_selection(backend))
    return DFMP2(mean_field("water")).set(integrals="libcint")


def test_run_that_does_not_fit_is_refused_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("started")

    monkeypatch.setattr("dfmp2.interfaces.pyscf.compute", never)
    needed = played(monkeypatch, 10**12).plan().device_peak
    mp = played(monkeypatch, int(needed * 1e6) - 1)
    says = rf"a played GPU has \d+ MB free, but this run needs {needed:.0f} MB there \(MB: B\["
    with pytest.raises(ResourceError, match=says) as caught:
        mp.run()
    assert "one T block" in str(caught.value)
    assert "use device cpu (--device cpu)" in str(caught.value)


def test_command_line_refuses_before_the_scf(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("the SCF ran")

    played(monkeypatch, 10**6)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    backend = PlayedGpu(PlayedEngine())
    monkeypatch.setattr("dfmp2.workflow.prepare.select", played_selection(backend))
    monkeypatch.setattr("dfmp2.workflow.jobs.run_scf", never)
    done = dfmp2("run", WATER, "--basis", "cc-pvdz", "--device", "cuda")
    assert done.exit_code == 5
    assert "a played GPU has 1 MB free, but this run needs 514 MB there" in done.stderr


def test_run_that_just_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = played(monkeypatch, 10**12).plan().device_peak
    mp = played(monkeypatch, int(needed * 1e6) + 1)
    assert mp.run().e_corr < 0
    assert mp.result.memory["gpu_forecast"] == needed
    assert mp.result.memory["gpu_peak"] == 3.0
    line = fact(summary(mp.result), "peak memory")
    assert line.endswith(f"; on the GPU 3 MB (forecast {needed:.0f} MB)")
    assert mp.result.labels["integrals"] == "computed by libcint on the CPU"


def test_plan_on_the_command_line() -> None:
    text = dfmp2("plan", WATER, "--basis", "cc-pvdz", "--device", "cuda").stdout
    assert fact(text, "memory, B[i,P,a]") == "0.0 MB"
    assert fact(text, "GPU memory, B[i,P,a]") == "0.1 MB"
    assert float(fact(text, "GPU memory, peak (forecast)").split()[0]) > 512
    assert "GPU memory" not in dfmp2("plan", WATER, "--basis", "cc-pvdz", "--device", "cpu").stdout


def test_pair_energies_with_any_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pair energies for GPUs, run on the CPU, must not depend on the size of T blocks."""
    import numpy as np

    from dfmp2.backends.protocol import PairBlock
    from dfmp2.backends.torch import TorchBackend
    from dfmp2.kernels import reference
    from tests.systems import rng

    backend = TorchBackend("cpu")
    host = rng(3).uniform(-1, 1, (5, 7, 9))
    b = backend.empty_b(5, 7, 9)
    b.copy_(torch.from_numpy(host))
    e_occ, e_vir = rng(1).uniform(-2.0, -0.5, 5), rng(2).uniform(0.1, 3.0, 9)
    exact = reference.pair_energy(host, host, e_occ, e_occ, e_vir, True)
    block = PairBlock(b, b, e_occ, e_occ, e_vir, e_vir, diagonal=True)
    for free in (0, TEMPORARIES * 8 * 81 * 2, 10**12):
        monkeypatch.setattr("dfmp2.backends.torch.free_memory", lambda _, free=free: free)
        found = backend._pair_energy_cuda(block)
        for mine, defined in zip(found, exact, strict=True):
            np.testing.assert_allclose(mine, defined, rtol=0, atol=1e-11)

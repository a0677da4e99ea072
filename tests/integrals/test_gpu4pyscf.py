"""Integrals from gpu4pyscf: calls and errors, with a fake module of the same signature.

The signature and the shape are those of `gpu4pyscf.df.int3c2e_bdiv.aux_e2` in gpu4pyscf 1.8.1. The
fake returns the integrals that the tests of gpu4pyscf use as a reference. Nothing here has run on a
GPU.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dfmp2 import DFMP2
from dfmp2.backends.selection import Selection
from dfmp2.backends.torch import TorchBackend
from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.fitting.auxbasis import choose_auxbasis
from dfmp2.integrals.gpu4pyscf import Gpu4PyscfIntegrals, why_not_gpu4pyscf
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.integrals.source import choose_source
from dfmp2.references.mean_field import read_mean_field
from tests.cli.common import WATER, dfmp2, fact
from tests.played_engine import PlayedEngine, PlayedGpu, played_selection
from tests.systems import mean_field, molecule

GLYCINE = "glycine"


class Played:
    """Fake of gpu4pyscf and cupy. `change` alters what `aux_e2` returns, or raises."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []
        self.devices: list[int] = []
        self.given_back = 0
        self.change: Any = lambda eri, call: eri

    def aux_e2(
        self, mol: Any, auxmol: Any, omega: Any = None, lr_factor: Any = None, sr_factor: Any = None
    ) -> np.ndarray:
        from pyscf.df import incore
        from pyscf.gto.mole import NCTR_OF

        assert omega is lr_factor is sr_factor is None
        for one in (mol, auxmol):  # versions before 1.8 refuse general contractions
            assert (one._bas[:, NCTR_OF] == 1).all()
        self.calls.append((mol.nbas, auxmol.nao))
        eri = np.ascontiguousarray(incore.aux_e2(mol, auxmol))
        assert eri.shape == (mol.nao, mol.nao, auxmol.nao)
        changed: np.ndarray = self.change(eri, len(self.calls))
        return changed

    def device(self, index: int) -> Any:
        self.devices.append(index)
        return contextlib.nullcontext()

    def free_all_blocks(self) -> None:
        self.given_back += 1


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Make both fake modules importable."""
    played = Played()
    gpu4pyscf, df = ModuleType("gpu4pyscf"), ModuleType("gpu4pyscf.df")
    bdiv, cupy = ModuleType("gpu4pyscf.df.int3c2e_bdiv"), ModuleType("cupy")
    bdiv.aux_e2 = played.aux_e2
    df.int3c2e_bdiv, gpu4pyscf.df, gpu4pyscf.__version__ = bdiv, df, "1.8.1"
    cupy.cuda = SimpleNamespace(Device=played.device)
    cupy.get_default_memory_pool = lambda: played
    for module in (gpu4pyscf, df, bdiv, cupy):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "dfmp2.integrals.gpu4pyscf.importlib.util.find_spec",
        lambda name, *a: object() if name == "gpu4pyscf" else find(name, *a),
    )
    return played


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfmp2.integrals.gpu4pyscf.importlib.util.find_spec", lambda *_: None)


def on_gpu() -> PlayedGpu:
    return PlayedGpu(PlayedEngine())


def source(mf: Any, backend: TorchBackend | None = None, name: str = "auto") -> Any:
    aux = choose_auxbasis(mf.mol)
    return choose_source(name, read_mean_field(mf), aux, Selection(backend or on_gpu(), "a test"))


# The integrals


@pytest.mark.parametrize("block", [1, 30, 1000])
@pytest.mark.parametrize("name", ["water", "hydrogen_iodide"])
@pytest.mark.filterwarnings("ignore:no RI-MP2 auxiliary set is known for I")
def test_blocks_are_those_of_libcint(
    name: str, block: int, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dfmp2.integrals.gpu4pyscf.GPU_ERI_BLOCK", 0)
    mf = mean_field(name)
    auxmol = choose_auxbasis(mf.mol).mol
    made = source(mf)
    assert made.on_device
    blocks = made.integrals(mf.mol, auxmol, block)
    expected = ThreeCentreIntegrals(mf.mol, auxmol, block)
    assert blocks.blocks == expected.blocks
    for (mine, eri), (theirs, exact) in zip(blocks, expected, strict=True):
        assert mine == theirs
        assert isinstance(eri, torch.Tensor)
        assert eri.is_contiguous()
        np.testing.assert_allclose(eri.numpy(), exact, rtol=0, atol=1e-12)
    assert played.given_back == 2, "after the comparison, and after the last block"
    assert set(played.devices) == {0}


def test_cartesian_functions(played: Played) -> None:
    mol = molecule("O 0 0 0.117; H 0 0.757 -0.47; H 0 -0.757 -0.47", cart=True)
    auxmol = choose_auxbasis(mol).mol
    blocks = Gpu4PyscfIntegrals(mol, auxmol, on_gpu()).integrals(mol, auxmol, 1)
    whole = torch.cat([eri for _, eri in blocks]).numpy()
    ((_, exact),) = ThreeCentreIntegrals(mol, auxmol, auxmol.nao)
    np.testing.assert_allclose(whole, exact, rtol=0, atol=1e-12)


def test_few_large_calls(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks have the size of the forecast, not the smaller one of blocks on the host."""
    mf = mean_field("water")
    auxmol = choose_auxbasis(mf.mol).mol
    made = source(mf)
    assert len(made.integrals(mf.mol, auxmol, 1).blocks) == 1
    monkeypatch.setattr("dfmp2.integrals.gpu4pyscf.GPU_ERI_BLOCK", 8 * 24 * 24 * 20)
    sizes = [b.p1 - b.p0 for b in made.integrals(mf.mol, auxmol, 1).blocks]
    assert max(sizes) <= 20
    assert len(sizes) > 3


def test_whole_run(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfmp2.workflow.prepare.select", played_selection(on_gpu()))
    monkeypatch.setattr("dfmp2.integrals.gpu4pyscf.GPU_ERI_BLOCK", 8 * 24 * 24 * 20)
    monkeypatch.setattr("dfmp2.planning.plan.ERI_BLOCK", 8)
    mp = DFMP2(mean_field("water")).run()
    exact = DFMP2(mean_field("water")).set(integrals="libcint").run()
    assert abs(mp.e_corr - exact.e_corr) < 1e-12
    assert mp.result.labels["integrals"] == (
        "computed by gpu4pyscf 1.8.1 on a played GPU (compared with libcint on one shell of each "
        "kind)"
    )
    (row,) = [r for r in mp.result.provenance.operations if r.operation == "ao2mo"]
    assert row.calls == len(played.calls) - 1 > 3
    assert exact.result.labels["integrals"] == "computed by libcint on the CPU"


# Choice of the source


def test_auto_on_a_cpu_is_libcint(played: Played) -> None:
    made = source(mean_field("water"), TorchBackend("cpu"))
    assert made.origin == "computed by libcint on the CPU"
    assert played.calls == []


def test_auto_on_cuda_without_gpu4pyscf_gives_the_reason(absent: None) -> None:
    made = source(mean_field("water"))
    assert made.origin == (
        "computed by libcint on the CPU (gpu4pyscf not used: it is not installed (pip install "
        "'dfmp2[cuda]'))"
    )


def test_libcint_by_name(played: Played) -> None:
    assert source(mean_field("water"), name="libcint").origin == "computed by libcint on the CPU"
    assert played.calls == []


@pytest.mark.parametrize(
    ("basis", "momentum", "says"),
    [
        ("orbital", 5, "the orbital basis has functions of angular momentum 5, the limit is 4"),
        ("auxiliary", 7, "the auxiliary basis has functions of angular momentum 7, the limit is 6"),
    ],
)
def test_angular_momenta_above_its_limit(
    basis: str, momentum: int, says: str, played: Played
) -> None:
    high = molecule("He 0 0 0", {"He": [[0, [1.0, 1.0]], [momentum, [1.0, 1.0]]]})
    low = molecule("He 0 0 0")
    pair = (high, low) if basis == "orbital" else (low, high)
    assert why_not_gpu4pyscf(*pair) == says
    assert why_not_gpu4pyscf(low, low) == ""
    with pytest.raises(BackendUnavailable, match=says + "; use integrals libcint"):
        Gpu4PyscfIntegrals(*pair, on_gpu())


def test_by_name_without_a_gpu(played: Played) -> None:
    with pytest.raises(InputError, match=r"computes on CUDA devices, .*; use device cuda"):
        source(mean_field("water"), TorchBackend("cpu"), "gpu4pyscf")


def test_by_name_if_it_is_not_installed(absent: None) -> None:
    with pytest.raises(BackendUnavailable, match=r"not installed .*; use integrals libcint"):
        source(mean_field("water"), name="gpu4pyscf")


def test_unknown_source() -> None:
    with pytest.raises(InputError, match="'qcint' is unknown; choose one of auto, libcint, gpu4p"):
        DFMP2(mean_field("water")).run(integrals="qcint")


# Failures: an error, and no change to libcint


def test_integrals_that_differ_are_refused(played: Played) -> None:
    def wrong(eri: np.ndarray, call: int) -> np.ndarray:
        eri[..., -1] *= 1 + 1e-6  # the function of the highest angular momentum
        return eri

    played.change = wrong
    with pytest.raises(BackendUnavailable, match=r"differ from libcint's by .*momentum 3\)"):
        source(mean_field("water"))


def test_nan_is_refused(played: Played) -> None:
    played.change = lambda eri, call: eri * float("nan")
    with pytest.raises(BackendUnavailable, match="differ from libcint's by nan"):
        source(mean_field("water"))


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, AssertionError, TypeError])
def test_failure_half_way_is_an_error(
    error: type[Exception], played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(eri: np.ndarray, call: int) -> np.ndarray:
        if call == 3:
            raise error("kernel failed")
        return eri

    played.change = fails
    monkeypatch.setattr("dfmp2.workflow.prepare.select", played_selection(on_gpu()))
    monkeypatch.setattr("dfmp2.integrals.gpu4pyscf.GPU_ERI_BLOCK", 8 * 24 * 24 * 20)
    monkeypatch.setattr("dfmp2.planning.plan.ERI_BLOCK", 8)
    says = rf"it failed \({error.__name__}: kernel failed\); use integrals libcint"
    mp = DFMP2(mean_field("water"))
    with pytest.raises(BackendUnavailable, match=says):
        mp.run()
    assert len(played.calls) == 3
    assert mp.result is None


def test_another_shape_is_an_error(played: Played) -> None:
    played.change = lambda eri, call: np.ascontiguousarray(eri.transpose(2, 0, 1))
    with pytest.raises(BackendUnavailable, match=r"ValueError: shape .* not \(24, 24, "):
        source(mean_field("water"))


def test_import_that_fails(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailable, match=r"it failed \(ModuleNotFoundError"):
        source(mean_field("water"))


# Command line


def test_command_line() -> None:
    common = ("run", WATER, "--basis", "cc-pvdz", "--backend", "pytorch", "--device", "cpu")
    done = dfmp2(*common, "--integrals", "libcint", "--quiet")
    assert fact(done.stdout, "integrals") == "computed by libcint on the CPU"
    done = dfmp2(*common, "--integrals", "gpu4pyscf", "--quiet")
    assert done.exit_code == 2
    assert "integrals gpu4pyscf: it computes on CUDA devices" in done.stderr

"""Which backend is taken, and what cannot be had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

import dfmp2
from dfmp2 import DFMP2
from dfmp2.backends.selection import BACKENDS, get_backend, select, set_backend
from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.settings import Settings
from dfmp2.workflow.prepare import choose
from tests.systems import mean_field


@pytest.fixture(autouse=True)
def _default_restored() -> Iterator[None]:
    yield
    set_backend("auto")


def test_the_first_default_is_auto() -> None:
    assert get_backend() == "auto"


@pytest.mark.parametrize("name", BACKENDS)
def test_default_is_set(name: str) -> None:
    dfmp2.set_backend(name)
    assert dfmp2.get_backend() == name


def test_unknown_name_changes_nothing() -> None:
    set_backend("pytorch")
    with pytest.raises(InputError, match=r"'tpu' is unknown; choose one of auto, pytorch"):
        set_backend("tpu")
    assert get_backend() == "pytorch"
    with pytest.raises(InputError, match="'tpu' is unknown"):
        select("tpu")


def test_nki_by_name_is_not_replaced() -> None:
    with pytest.raises(BackendUnavailable, match="backend nki"):
        select("nki")
    set_backend("nki")
    with pytest.raises(BackendUnavailable, match="backend nki"):
        DFMP2(mean_field("water")).run()


def test_a_run_wins_over_the_default() -> None:
    set_backend("nki")
    mp = DFMP2(mean_field("water")).set(backend="pytorch", device="cpu").run()
    assert mp.result.provenance.reason == "backend pytorch: pytorch on cpu (asked for by name)"


def test_auto_says_why() -> None:
    selection = select()
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert selection.backend.where.mode == expected
    assert selection.reason.startswith(f"backend auto: pytorch on {expected} (")


def test_device_errors_reach_the_driver() -> None:
    with pytest.raises(BackendUnavailable, match="cuda:99"):
        DFMP2(mean_field("water")).set(device="cuda:99").run()


@pytest.mark.parametrize(("backend", "required"), [("simulator", "0"), ("auto", "1")])
def test_kappa_with_kernels_is_refused(
    backend: str, required: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it, the SCF and B would be lost, or torch would do what NKI was asked to do."""
    monkeypatch.setenv("DFMP2_USE_SIMULATOR", "1")
    monkeypatch.setenv("DFMP2_REQUIRE_NKI", required)
    with pytest.raises(BackendUnavailable, match=r"no regularised energies \(kappa\); use backend"):
        choose(Settings(backend=backend, kappa=(1.45,)))


def test_kappa_with_auto_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, auto would fail where torch can do the work, or not say that it did."""
    monkeypatch.setenv("DFMP2_USE_SIMULATOR", "1")
    assert choose(Settings(backend="auto")).selection.is_nki
    selection = choose(Settings(backend="auto", kappa=(1.45,))).selection
    assert selection.backend.where.mode == "cpu"
    assert "NKI not used: the NKI kernels compute no regularised" in selection.reason

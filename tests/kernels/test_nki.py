"""The choice between AWS's package and the bundled simulator, and its reason."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from types import ModuleType
from typing import Any

import pytest

from dfmp2.kernels import nki as chosen
from dfmp2.kernels import simulator


def find(monkeypatch: Any, version: str | None, *modules: ModuleType) -> Any:
    """Look for NKI where `version` is installed and `modules` are importable."""

    def installed(name: str) -> str:
        assert name == "nki"
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)
    for name in ("nki", "nki.isa", "nki.language"):
        monkeypatch.setitem(sys.modules, name, None)
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return chosen._find()


def package() -> list[ModuleType]:
    """Return modules with the names of AWS's package."""
    modules = [ModuleType(n) for n in ("nki", "nki.isa", "nki.language")]
    vars(modules[0]).update(jit=lambda f: f, simulate=lambda f: f)
    return modules


def test_without_the_package_the_simulator_stands_in(monkeypatch: Any) -> None:
    nki, nisa, nl, version, reason = find(monkeypatch, None)
    assert (nki, nisa, nl) == (simulator, simulator.isa, simulator.language)
    assert (version, reason) == (None, "the package nki is not installed")


@pytest.mark.parametrize("version", ["0.0.1", "0.2.9", "unknown"])
def test_placeholder_and_old_versions_are_not_taken(monkeypatch: Any, version: str) -> None:
    nki, *_, reason = find(monkeypatch, version, *package())
    assert nki is simulator
    assert reason.startswith(f"nki {version} is installed, 0.3.0 is needed")


@pytest.mark.parametrize("version", ["0.3.0", "0.6.1+abc", "1.0"])
def test_the_real_package_is_taken(monkeypatch: Any, version: str) -> None:
    modules = package()
    *got, found, reason = find(monkeypatch, version, *modules)
    assert got == modules
    assert (found, reason) == (version, None)


def test_a_package_that_does_not_import_is_not_taken(monkeypatch: Any) -> None:
    nki, *_, reason = find(monkeypatch, "0.4.0")
    assert nki is simulator
    assert reason.startswith("nki 0.4.0 is installed but does not import: ")


def test_a_package_without_jit_is_not_taken(monkeypatch: Any) -> None:
    modules = package()
    del vars(modules[0])["simulate"]
    nki, *_, reason = find(monkeypatch, "0.4.0", *modules)
    assert nki is simulator
    assert reason == "nki 0.4.0 has no simulate"


def test_module_holds_the_choice() -> None:
    assert (chosen.why_not() is None) == chosen.HAS_NKI
    if not chosen.HAS_NKI:
        assert chosen.nki is simulator
        assert chosen.nki_version is None

"""The simulator's tests choose generation, profile and rules: the environment must not set them."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _default_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURON_PLATFORM_TARGET_OVERRIDE", raising=False)
    monkeypatch.delenv("DFMP2_NKI_PROFILE", raising=False)
    monkeypatch.delenv("DFMP2_SIMULATOR_RULES", raising=False)

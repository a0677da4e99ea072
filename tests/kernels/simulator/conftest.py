"""The simulator's tests choose the generation themselves, so the environment must not set it."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _default_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURON_PLATFORM_TARGET_OVERRIDE", raising=False)

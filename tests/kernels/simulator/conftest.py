"""The simulator's own tests name the generation they are about; the environment's must not."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _default_generation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEURON_PLATFORM_TARGET_OVERRIDE", raising=False)

"""What the tests of backends have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _own_ledger(monkeypatch: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A device that is played leaves nothing in the user's ledger of programs."""
    if request.module.__name__.endswith("test_compiled"):
        return  # it tests where the ledger lies
    monkeypatch.setattr("dfmp2.backends.compiled.ledger_path", lambda: tmp_path / "programs.json")

"""What the tests of backends have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _own_list(monkeypatch: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A device that is played adds nothing to the user's list of programs."""
    if request.module.__name__.endswith("test_compiled"):
        return  # it tests the path of the list
    monkeypatch.setattr("dfmp2.backends.compiled.list_path", lambda: tmp_path / "programs.json")

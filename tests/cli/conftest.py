"""Each test of the command line works in a folder of its own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_folder(own_folder: None) -> None:
    """Use `own_folder` everywhere here."""

"""Each test of the command line runs in an empty folder."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _own_folder(own_folder: None) -> None:
    """Use `own_folder` in all tests of this folder."""

"""Fixtures for the tests of run files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runfile.common import FILE, JOB, OPTIONS
from tests.runfile.killed import Killer


@pytest.fixture(scope="session")
def killer() -> Iterator[Killer]:
    """The process that starts runs in children and kills them."""
    with Killer() as process:
        yield process


@pytest.fixture(scope="session")
def finished(killer: Killer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of a job that was not killed. Tests must copy it."""
    folder = tmp_path_factory.mktemp("finished")
    answer = killer.run(folder, *JOB, *OPTIONS)
    assert answer["exit"] == 0, (folder / "stderr").read_text()
    return folder / FILE

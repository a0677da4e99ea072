"""Files of version 0.1.0, written before its modules were put into folders (commit c8cbd5b).

Water in 6-31G with def2-svp-ri and one frozen orbital, on two cores of an Intel Xeon: the run file
of a run that was interrupted after seven of ten pairs, and the JSON of the whole run. If they could
not be read, an upgrade would make finished work useless.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.common import dfmp2, energy
from tests.runfile.common import committed_pairs
from tests.systems import DATA, INPUTS

OLD = DATA / "version_0_1_0"

E_CORR = -0.1277844951
"""Hartree, printed by that version for the whole run."""

JOB = (
    "run", INPUTS / "water.xyz", "--basis", "6-31g", "--auxbasis", "def2-svp-ri", "--frozen", 1,
)  # fmt: skip


@pytest.fixture
def old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "water.dfmp2.h5"
    path.write_bytes(gzip.decompress((OLD / "water.dfmp2.h5.gz").read_bytes()))
    monkeypatch.chdir(tmp_path)
    return path


def test_show(old_run: Path) -> None:
    text = dfmp2("show", old_run).stdout
    assert "7 of 10 (70.0 %)" in text
    assert "DAMAGED" not in text


@pytest.mark.parametrize("command", ["resume", "run"])
def test_old_run_is_resumed_and_validated(command: str, old_run: Path) -> None:
    """By `resume`, and by the command that started it. Its pairs must not change."""
    before = committed_pairs(old_run)
    assert len(before) == 7
    again = ("resume", old_run) if command == "resume" else (*JOB, "--checkpoint", old_run)
    done = dfmp2(*again, "--validate")
    assert done.exit_code == 0, done.stderr
    assert energy(done.stdout, "E(MP2) correlation") == pytest.approx(E_CORR, abs=1.5e-10, rel=0)
    assert "7 of 10 pairs were computed in earlier sessions" in done.stdout
    after = committed_pairs(old_run)
    assert len(after) == 10
    assert {pair: after[pair] for pair in before} == before


def test_default_name_is_that_of_the_old_version(old_run: Path) -> None:
    """Otherwise the same command would not find the run file of the old version."""
    assert dfmp2(*JOB).exit_code == 0
    assert Path("water-081df16c.dfmp2.h5").is_file()


def test_json_is_read_and_validated() -> None:
    path = OLD / "water.json"
    assert energy(dfmp2("show", path).stdout, "E(MP2) correlation") == E_CORR
    assert dfmp2("validate", path, "--quiet").exit_code == 0
    assert json.loads(path.read_text())["extras"]["dfmp2"]["versions"]["dfmp2"] == "0.1.0"

"""Runs killed at any time are resumed, give the right energy and repeat no committed work.

Half of the kills come from outside at a random time, mostly during the SCF and the integrals. The
others come at a random write, with a random part of its bytes written. Half of the runs are resumed
with other settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from dfmp2.runfile.file import RunFile
from tests.cli.common import PRINTED, dfmp2, energy
from tests.runfile.common import (
    FILE,
    JOB,
    OPTIONS,
    committed_pairs,
    counted,
    fitted_rows,
    out_of_core,
    resumed,
    small_blocks,
    state_of,
)
from tests.runfile.killed import Killer
from tests.systems import rng

FAST, SLOW = range(12), range(12, 212)

NPAIR, NOCC = 15, 5

CUTS = (0.0, 0.5, 0.999, 1.0)


@dataclass(frozen=True)
class Case:
    """How a run is started, killed and resumed."""

    start: tuple[Any, ...]
    changes: dict[str, Any]
    blocks: dict[str, float]
    at_write: bool
    when: float
    cut: float


@cache
def smallest() -> float:
    """The memory budget of runs with B out of core."""
    with pytest.MonkeyPatch.context() as patch:
        small_blocks(patch)
        return out_of_core()


def case(seed: int) -> Case:
    """Settings drawn from a seed. The first twelve seeds cover every combination."""
    random = rng(seed)
    on_disk, fp32 = seed % 2 == 1, seed % 6 == 2
    start: list[Any] = ["--max-memory", smallest()] if on_disk else []
    start += ["--precision", str(random.choice(["fp32", "auto"]))] if fp32 else []
    changes: dict[str, Any] = {}
    blocks: dict[str, float] = {}
    if seed % 4 >= 2:  # resume with other settings
        changes["max_memory"] = 4000.0 if on_disk else smallest()
        blocks = {"PAIR_BLOCK_FLOPS": float(random.choice([1e5, 5e10]))}
        blocks["ERI_BLOCK"] = int(random.choice([1, 20000, 64000000]))
    if seed % 12 in (7, 10):
        changes |= {"backend": "simulator", "device": "bundled", "precision": "auto"}
    elif seed % 12 in (3, 8):
        changes["precision"] = "fp64" if fp32 else "auto"
    at_write = (seed // 4) % 2 == 0
    return Case(
        tuple(start), changes, blocks, at_write, float(random.uniform()), float(random.choice(CUTS))
    )


@cache
def whole_run(killer: Killer, folder: Path, start: tuple[Any, ...]) -> dict[str, Any]:
    """Seconds and writes of a run that is not killed, and its energy."""
    (folder / FILE).unlink(missing_ok=True)
    answer = killer.run(folder, *JOB, *OPTIONS, *start)
    assert answer["exit"] == 0, (folder / "stderr").read_text()
    result = resumed(folder / FILE)
    on_disk = "reading B" in {stage.name for stage in result.provenance.stages}
    assert on_disk == ("--max-memory" in start)
    return {**answer, "e_tot": result.e_tot}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for the files of runs that are not killed."""
    return tmp_path_factory.mktemp("whole")


@pytest.mark.parametrize(
    "seed", [*FAST, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SLOW)]
)
def test_killed_and_resumed(
    seed: int, killer: Killer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The energy is that without a kill. Committed pairs are unchanged and not computed again."""
    this = case(seed)
    whole = whole_run(killer, folder, this.start)
    when = (
        {"write": 1 + int(this.when * whole["writes"]), "cut": this.cut}
        if this.at_write
        else {"after": this.when * whole["seconds"]}
    )
    answer = killer.run(tmp_path, *JOB, *OPTIONS, *this.start, **when)
    assert answer["exit"] == -9 or not this.at_write
    small_blocks(monkeypatch, **this.blocks)
    path = tmp_path / FILE
    if not path.exists():
        monkeypatch.chdir(tmp_path)
        done = dfmp2(*JOB, *OPTIONS, *this.start)
        assert done.exit_code == 0
        assert abs(energy(done.stdout, "E(MP2) total") - whole["e_tot"]) < PRINTED
        return
    before, state = committed_pairs(path), state_of(path)
    rows, had_result = fitted_rows(path), "result" in state
    shown = dfmp2("show", path)
    assert (shown.exit_code, shown.stderr) == (0, "")
    with counted() as work:
        result = resumed(path, **this.changes)
    after, sessions = committed_pairs(path), state_of(path)["sessions"]
    assert len(after) == NPAIR
    assert {pair: after[pair] for pair in before} == before
    reduced = {"fp32", "auto"} & {s["precision"] for s in sessions}
    tolerance = 1e-6 if reduced else 1e-10
    exact = whole_run(killer, folder, ())
    assert abs(result.e_tot - exact["e_tot"]) < tolerance
    total = sum((os + ss) * (1 if i == j else 2) for (i, j), (_, os, ss) in after.items())
    assert abs(result.e_corr - total) < 1e-14
    if "fp32" not in {s["pairs_in"] for s in sessions}:  # its spot check repeats pairs
        assert work.pairs == NPAIR - len(before)
        assert work.orbitals <= NOCC - rows
    if had_result:
        assert work.pairs == work.orbitals == 0
    RunFile(str(path)).close()
    assert resumed(path).e_tot == result.e_tot


@pytest.mark.parametrize("kills", [50, *(pytest.param(n, marks=pytest.mark.slow) for n in (9, 25))])
def test_killed_again_and_again(kills: int, killer: Killer, folder: Path, tmp_path: Path) -> None:
    """Sessions alternate between B in memory and out of core. None may lose committed work."""
    exact = whole_run(killer, folder, ())
    random, settings = rng(kills), (("--max-memory", smallest()), ("--max-memory", 4000))
    pairs, rows, lives, path = {}, 0, 0, tmp_path / FILE
    command: tuple[Any, ...] = (*JOB, *OPTIONS)
    while True:
        write = {"write": int(random.integers(1, 2 * kills)), "cut": float(random.choice(CUTS))}
        answer = killer.run(tmp_path, *command, *settings[lives % 2], **write)
        if answer["exit"] == 0:
            break
        assert answer["exit"] == -9, (tmp_path / "stderr").read_text()
        lives += 1
        assert lives < 200
        if path.exists():
            command = ("resume", path, "--checkpoint-interval", 0, "--quiet")
            found = committed_pairs(path)
            assert {pair: found[pair] for pair in pairs} == pairs
            assert fitted_rows(path) >= rows
            pairs, rows = found, fitted_rows(path)
    assert lives > 1
    assert abs(resumed(path).e_tot - exact["e_tot"]) < 1e-10
    found = committed_pairs(path)
    assert len(found) == NPAIR
    assert {pair: found[pair] for pair in pairs} == pairs


def kinds() -> Iterator[tuple[bool, bool, bool]]:
    """Properties of the fast cases."""
    for seed in FAST:
        this = case(seed)
        yield "--max-memory" in this.start, this.at_write, bool(this.changes)


def test_the_fast_cases_cover_every_combination() -> None:
    """B in memory or on disk, kill by time or at a write, same or other settings."""
    assert len(set(kinds())) == 8

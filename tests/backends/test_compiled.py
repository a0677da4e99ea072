"""What is kept in the cache folder of the user: compiled code, and a list of compiled programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfmp2.backends.compiled import compiled_before, list_path, note_compiled


def test_list_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled_before("trn2") == set()
    note_compiled("trn2", {"a", "b"})
    note_compiled("trn2", {"b", "c"})
    note_compiled("trn1", {"d"})
    assert compiled_before("trn2") == {"a", "b", "c"}
    assert compiled_before("trn1") == {"d"}
    list_path().write_text("damaged", encoding="utf-8")
    assert compiled_before("trn2") == set()
    note_compiled("trn2", {"e"})
    assert compiled_before("trn2") == {"e"}


def test_an_unwritable_list_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
    note_compiled("trn2", {"a"})
    assert compiled_before("trn2") == set()


def test_compiled_code_is_kept_outside_the_package(tmp_path: Path) -> None:
    """pip leaves such files behind. The folder of an uninstalled package hides a later install."""
    code = "from dfmp2.backends.reduction import reduce_pairs; print(reduce_pairs.stats.cache_path)"
    home = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    for name, value, folder in (
        ("XDG_CACHE_HOME", tmp_path / "cache", tmp_path / "cache" / "dfmp2" / "numba"),
        ("NUMBA_CACHE_DIR", tmp_path / "chosen", tmp_path / "chosen"),
    ):
        env = {**home, name: str(value)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
        assert Path(done.stdout.strip()).parent == folder, done.stderr

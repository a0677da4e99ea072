"""What is kept in the cache folder of the user: compiled code, and a list of compiled programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numba
import numpy as np
import pytest

from dfmp2.backends.compiled import compiled_before, list_path, note_compiled
from dfmp2.backends.numba_cache import CachedFunction
from dfmp2.errors import BackendUnavailable


def test_list_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert compiled_before("trn2") == set()
    note_compiled("trn2", {"a", "b"})
    note_compiled("trn2", {"b", "c"})
    note_compiled("trn1", {"d"})
    assert compiled_before("trn2") == {"a", "b", "c"}
    assert compiled_before("trn1") == {"d"}
    for damage in ("damaged", "[]", "{", '{"trn2": 1}'):
        list_path().write_text(damage, encoding="utf-8")
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
    code = "from dfmp2.backends.reduction import reduce_pairs; print(reduce_pairs.folder)"
    home = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    for name, value, folder in (
        ("XDG_CACHE_HOME", tmp_path / "cache", tmp_path / "cache" / "dfmp2" / "numba"),
        ("NUMBA_CACHE_DIR", tmp_path / "chosen", tmp_path / "chosen"),
    ):
        env = {**home, name: str(value)}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
        assert Path(done.stdout.strip()).parent == folder, done.stderr


def doubled(x: np.ndarray[Any, Any]) -> None:
    """Small, so that it compiles fast."""
    for i in range(len(x)):
        x[i] *= 2.0


def result_and_kept() -> tuple[float, bool]:
    """The result of a new `CachedFunction`, and whether it was loaded from the disk."""
    x, function = np.array([21.0]), CachedFunction(doubled)
    function(x)
    loaded = function.folder is not None and not function._compiled.stats.cache_misses
    return float(x[0]), loaded


@pytest.mark.parametrize(
    ("suffix", "damage"), [("nbi", "empty"), ("nbc", "one bit"), ("json", "missing")]
)
def test_damaged_machine_code_is_compiled_again(
    suffix: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every later run failed, or was ended by LLVM without a word."""
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    assert result_and_kept() == (42.0, False)
    assert result_and_kept() == (42.0, True)
    (file,) = tmp_path.glob(f"*/*doubled*.{suffix}")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content if damage == "one bit" else b"")
    assert result_and_kept()[0] == 42.0
    assert result_and_kept() == (42.0, True)


def test_machine_code_that_cannot_be_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, an unwritable folder, and a user without a home folder cost time only."""
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    monkeypatch.setattr("numba.config.CACHE_DIR", str(file / "below"))
    assert result_and_kept() == (42.0, False)
    monkeypatch.setattr("numba.config.CACHE_DIR", str(tmp_path))
    with monkeypatch.context() as patch:
        full = OSError(28, "No space left on device")
        patch.setattr("numba.core.caching.Cache.save_overload", mock.Mock(side_effect=full))
        assert result_and_kept() == (42.0, False)
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", mock.Mock(side_effect=RuntimeError("no home")))
    assert result_and_kept() == (42.0, False)
    note_compiled("trn2", {"a"})
    assert compiled_before("trn2") == set()


def test_a_compiler_that_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was called a fault of dfmp2; Python alone would take hours."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(BackendUnavailable, match="unset NUMBA_DISABLE_JIT"):
        CachedFunction(lambda x: None)

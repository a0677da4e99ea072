"""The list of programs that were compiled before."""

from __future__ import annotations

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

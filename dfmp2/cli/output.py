"""Where JSON goes: checked before the work, replaced as a whole after it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from dfmp2.errors import CheckpointError

__all__ = ["JsonOutput"]


class JsonOutput:
    """The target of ``--json``.

    Parameters
    ----------
    target : str or None
        A path, "-" for stdout, or None for nowhere.

    Raises
    ------
    CheckpointError
        If the file cannot be written: found here, before any work.
    """

    def __init__(self, target: str | None) -> None:
        self._target = target
        self._items: list[dict[str, Any]] = []
        if target in (None, "-"):
            return
        self._path = Path(target)
        existed = self._path.exists()
        try:
            with self._path.open("a", encoding="utf-8"):
                pass
            if not existed:
                self._path.unlink()
        except OSError as error:
            raise CheckpointError(
                f"{target}: cannot be written ({error.strerror}); name another file for --json"
            ) from error

    def echo(self, text: str) -> None:
        """Print a table, unless stdout carries the JSON."""
        if self._target != "-":
            click.echo(text)

    def add(self, item: dict[str, Any]) -> None:
        """Take one finished result; a file holds all results so far after every call."""
        self._items.append(item)
        if self._target in (None, "-"):
            return
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.tmp")
        try:
            draft.write_text(self._text(), encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise CheckpointError(
                f"{self._target}: cannot be written ({error.strerror})"
            ) from error

    def close(self) -> None:
        """Write to stdout, where that was asked for."""
        if self._target == "-" and self._items:
            click.echo(self._text(), nl=False)

    def _text(self) -> str:
        content: Any = self._items[0] if len(self._items) == 1 else self._items
        return json.dumps(content, indent=1) + "\n"

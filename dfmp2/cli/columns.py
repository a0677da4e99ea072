"""Rows as lines of plain text, with values below one another."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence

__all__ = ["aligned", "columns"]


def aligned(rows: Sequence[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Lines of a table of names and values, without a head."""
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{indent}{name:<{width}}  {value}".rstrip() for name, value in rows]


def columns(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Sequence[str] = (),
    indent: str = "  ",
) -> list[str]:
    """Lines of a table, which are never wrapped, cut or coloured.

    Parameters
    ----------
    head : sequence of str
        One name per column.
    rows : iterable of sequence of str
        One cell per column. Brackets are text, not markup.
    right : sequence of str
        Names of the columns that are right-aligned.
    indent : str
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for name in head:
        table.add_column(Text(name), justify="right" if name in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    # The text must not depend on the terminal: the width exceeds that of any table.
    page = io.StringIO()
    Console(file=page, width=10**6, color_system=None, force_terminal=False).print(table)
    return [f"{indent}{line}".rstrip() for line in page.getvalue().splitlines()]

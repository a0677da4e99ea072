"""Tables of the command line: plain text for any content and any terminal width."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dfmp2.cli.columns import aligned, columns
from tests.systems import ROOT

HEAD = ("stage", "seconds", "device")
ROWS = (("AO->MO", "0.5", "a CPU"), ("B[i,P,a]", "1234.5", ""))
LINES = [
    "  stage     seconds  device",
    "  AO->MO        0.5  a CPU",
    "  B[i,P,a]   1234.5",
]


@pytest.fixture(params=["plain", "narrow", "colours", "notebook"])
def _terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "narrow": {"COLUMNS": "10", "LINES": "2"},
        "colours": {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        "notebook": {"JUPYTER_COLUMNS": "10", "JUPYTER_LINES": "2"},
    }
    for name, value in settings.get(request.param, {}).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_terminal")
def test_text_is_the_same_on_every_terminal() -> None:
    assert columns(HEAD, ROWS, right=("seconds",)) == LINES


@pytest.mark.parametrize(
    "cell", ["[bold]x[/bold]", "[/]", ":smile:", "[link=x]", "\\[x]", "x" * 999]
)
def test_markup_in_cells_is_printed_unchanged(cell: str) -> None:
    assert columns(("a",), [(cell,)], indent="") == ["a", cell]


def test_empty_table_and_names_without_head() -> None:
    assert columns(HEAD, [], right=("seconds",)) == ["  stage  seconds  device"]
    assert aligned([]) == []
    assert aligned([("a", "1"), ("long", "")]) == ["  a     1", "  long"]


def test_rich_is_imported_for_tables_only() -> None:
    code = (
        "import sys; from dfmp2.cli import main; main(['--help'], standalone_mode=False); "
        "assert 'rich' not in sys.modules; "
        "main(['kernels'], standalone_mode=False); assert 'rich' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr

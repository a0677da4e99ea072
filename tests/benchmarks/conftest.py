"""Print the comparisons after the tests."""

from __future__ import annotations

import pytest

ROWS: list[str] = []


@pytest.fixture
def report() -> list[str]:
    """Lines that are printed after the tests."""
    return ROWS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.section("dfmp2 beside others (DF-MP2 part only, medians)")
        for row in ROWS:
            terminalreporter.write_line(row)

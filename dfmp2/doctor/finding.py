"""What is checked for, and the result of one check."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path

__all__ = [
    "EVERY",
    "NKI",
    "PYTORCH",
    "SIMULATOR",
    "Asked",
    "Finding",
    "absent",
    "neuron_finding",
    "version_of",
    "why_unwritable",
    "wrong",
]

NKI = ("nki",)
SIMULATOR = ("simulator",)
PYTORCH = ("pytorch",)
EVERY = ("pytorch", "nki", "simulator")


@dataclass(frozen=True)
class Asked:
    """Backend and device of the run that is checked for.

    Attributes
    ----------
    backend, device : str or None
        Arguments of `dfmp2.backends.selection.select`.
    needs_device : bool
        Whether the run needs a Neuron device.
    root : Path
        Folder that holds the machine's files; another one in tests.
    """

    backend: str
    device: str | None = None
    needs_device: bool = False
    root: Path = Path("/")


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes
    ----------
    check : str
        Name of the check.
    status : {"ok", "info", "warn", "fail"}
        "fail": the backend asked for cannot be used. "warn": something is wrong, but the backend
        may still work. "info": neither good nor bad.
    message : str
        What was found.
    remedy : str
        What to do; empty if there is nothing to do.
    backends : tuple of str
        Backends that the check matters for.
    """

    check: str
    status: str
    message: str
    remedy: str = ""
    backends: tuple[str, ...] = EVERY

    def __str__(self) -> str:
        """One line: status, check, message, and the remedy if something is wrong."""
        text = f"{self.status:<4}  {self.check}: {self.message}"
        if self.remedy and self.status in ("warn", "fail"):
            text += f" -> {self.remedy}"
        return " ".join(text.split("\n"))


neuron_finding = partial(Finding, backends=NKI)
"""A `Finding` of a check that matters for Neuron devices only."""


def absent(asked: Asked) -> str:
    """Status if something that only Neuron devices need is missing."""
    return "fail" if asked.needs_device else "info"


def wrong(asked: Asked) -> str:
    """Status if something that only Neuron devices need is present but wrong."""
    return "fail" if asked.needs_device else "warn"


def version_of(distribution: str) -> str | None:
    """Version of an installed distribution, read without importing it; None if not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def why_unwritable(folder: Path) -> str | None:
    """Reason why no file can be made in `folder`, or in its first parent that exists; else None.

    A file is made and removed, because permissions do not show a read-only file system and do not
    apply to root.
    """
    place = next((p for p in (folder, *folder.parents) if p.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return f"{place}: {error.strerror or error}"

"""One line of the report, and what was asked for when it was written."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
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
    """What a run with the same options would ask for.

    Attributes
    ----------
    backend, device : str or None
        As given to `dfmp2.backends.selection.select`.
    needs_device : bool
        Whether only a Neuron device can satisfy it.
    root : Path
        Where the machine's files are; other than ``/`` in tests.
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
        Its name.
    status : {"ok", "info", "warn", "fail"}
        "fail" keeps the backend that was asked for from being used; "warn" does not, or not by
        what can be seen; "info" is neither good nor bad.
    message : str
        What was found.
    remedy : str
        What to do; empty where nothing needs doing.
    backends : tuple of str
        Backends that it matters for.
    """

    check: str
    status: str
    message: str
    remedy: str = ""
    backends: tuple[str, ...] = EVERY

    def __str__(self) -> str:
        """One line: the status first, and the remedy last where something is wrong."""
        text = f"{self.status:<4}  {self.check}: {self.message}"
        if self.remedy and self.status in ("warn", "fail"):
            text += f" -> {self.remedy}"
        return " ".join(text.split("\n"))


def absent(asked: Asked) -> str:
    """Status of something that only a Neuron device needs, and that is not there."""
    return "fail" if asked.needs_device else "info"


def wrong(asked: Asked) -> str:
    """Status of something of a Neuron device's that is there and not right."""
    return "fail" if asked.needs_device else "warn"


def version_of(distribution: str) -> str | None:
    """Version of an installed distribution, without importing it."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def why_unwritable(folder: Path) -> str | None:
    """Why no file can be made in `folder`, or in what is there of its parents; None if one can.

    Tried, not asked: permissions say nothing of a read-only file system, or to root.
    """
    place = next((p for p in (folder, *folder.parents) if p.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return f"{place}: {error.strerror or error}"

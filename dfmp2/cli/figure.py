"""What every figure needs: matplotlib, and a file to go to."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from dfmp2.errors import CheckpointError, InputError

__all__ = ["check_target", "save"]

SUFFIXES = (".png", ".svg")


def check_target(target: str) -> None:
    """Find out before the work whether a figure can be made.

    Raises
    ------
    InputError
        For a suffix that is neither .png nor .svg, or without matplotlib.
    CheckpointError
        If the folder does not exist.
    """
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"plot {target!r}: name a file that ends in {' or '.join(SUFFIXES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(
            "a plot needs matplotlib, which is missing; install it with pip install 'dfmp2[plot]'"
        )
    if not path.parent.is_dir():
        raise CheckpointError(f"{target}: its folder does not exist; name another file")


def save(figure: Any, target: str) -> None:
    """Write a matplotlib figure.

    Raises
    ------
    CheckpointError
        If the file cannot be written.
    """
    try:
        figure.savefig(target, dpi=200)
    except OSError as error:
        raise CheckpointError(f"{target}: cannot be written ({error.strerror})") from error

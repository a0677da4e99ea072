"""The file of a figure: checked before the calculation, written after it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from dfmp2.errors import InputError, OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["check_target", "save"]

SUFFIXES = (".png", ".svg")


def check_target(target: str) -> None:
    """Check before the calculation whether a figure can be made.

    Parameters
    ----------
    target : str
        A .png or .svg file.

    Raises
    ------
    InputError
        If the suffix is another one, matplotlib is not installed or the folder does not exist.
    """
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"plot {target!r}: name a file that ends in {' or '.join(SUFFIXES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise InputError(
            "a plot needs matplotlib, which is missing; install it with pip install 'dfmp2[plot]'"
        )
    if not path.parent.is_dir():
        raise InputError(
            f"plot {target!r}: its folder does not exist; make the folder {str(path.parent)!r} or "
            "name another file for --plot"
        )


def save(figure: Figure, target: str) -> None:
    """Write a figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    target : str
        A .png or .svg file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    try:
        figure.savefig(target, dpi=200)
    except OSError as error:
        raise OutputError(
            f"plot {target!r}: cannot be written ({error.strerror}); name another file for --plot"
        ) from error

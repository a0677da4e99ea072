"""The scaling plot: time of the DF-MP2 part against the number of basis functions."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from dfmp2.bench import Bench
from dfmp2.bench_scaling import exponents, medians
from dfmp2.errors import CheckpointError, InputError

__all__ = ["check_target", "plot"]

SUFFIXES = (".png", ".svg")


def check_target(target: str) -> None:
    """Find out before the work whether a plot can be made.

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
        raise InputError("a plot needs matplotlib, which is missing; install dfmp2[plot]")
    if not path.parent.is_dir():
        raise CheckpointError(f"{target}: its folder does not exist; name another file")


def plot(found: Sequence[Bench], target: str) -> None:
    """Draw dfmp2 and its peers, log-log, with the fitted exponents.

    Parameters
    ----------
    found : sequence of Bench
    target : str
        A .png or .svg file.

    Raises
    ------
    CheckpointError
        If the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    slopes = exponents(found)
    for program, points in medians(found).items():
        slope = slopes[program]
        label = program if slope is None else f"{program}: exponent {slope:.2f}"
        axes.loglog(*zip(*sorted(points), strict=True), marker="o", label=label)
    axes.set_xlabel("basis functions")
    axes.set_ylabel("DF-MP2 part, median wall time (s)")
    result = found[-1].result
    axes.set_title(f"{result.labels['basis']}, {found[-1].threads} threads", fontsize="medium")
    axes.legend()
    try:
        figure.savefig(target)
    except OSError as error:
        raise CheckpointError(f"{target}: cannot be written ({error.strerror})") from error

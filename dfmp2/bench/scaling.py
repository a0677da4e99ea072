"""Growth of the time with the number of basis functions, by program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

import numpy as np

from dfmp2.bench.compare import Bench

__all__ = ["exponent", "exponents", "medians"]


def medians(found: Sequence[Bench]) -> dict[str, list[tuple[int, float]]]:
    """Number of basis functions and median time in seconds of every molecule, by program."""
    points: dict[str, list[tuple[int, float]]] = {}
    for one in found:
        programs = {"dfmp2": one.own, **{pairs.peer: pairs.theirs for pairs in one.beside}}
        for program, runs in programs.items():
            seconds = median(run.seconds for run in runs)
            points.setdefault(program, []).append((one.result.sizes["nao"], seconds))
    return points


def exponents(found: Sequence[Bench]) -> dict[str, float | None]:
    """Exponent of the time in the number of basis functions, by program; None for one size."""
    return {name: exponent(*zip(*points, strict=True)) for name, points in medians(found).items()}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Slope of log(time) against log(size), by least squares.

    Parameters
    ----------
    sizes : sequence of float
        For example numbers of basis functions.
    seconds : sequence of float
        One for each size.

    Returns
    -------
    float or None
        None for fewer than two different sizes.
    """
    if len(set(sizes)) < 2:
        return None
    x, y = ([math.log(value) for value in values] for values in (sizes, seconds))
    return float(np.polyfit(x, y, 1)[0])

"""Figure of `dfmp2 bench`: time of the DF-MP2 part against the number of basis functions."""

from __future__ import annotations

from collections.abc import Sequence

from dfmp2.bench.compare import Bench
from dfmp2.bench.scaling import exponents, medians
from dfmp2.cli.figure import save

__all__ = ["plot"]


def plot(found: Sequence[Bench], target: str) -> None:
    """Draw the times of dfmp2 and its peers on logarithmic axes, with fitted exponents.

    Parameters
    ----------
    found : sequence of Bench
        One for each molecule.
    target : str
        A .png or .svg file.

    Raises
    ------
    OutputError
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
    axes.set(xlabel="basis functions", ylabel="DF-MP2 part, median wall time (s)")
    result = found[-1].result
    axes.set_title(f"{result.labels['basis']}, {found[-1].threads} threads", fontsize="medium")
    axes.legend()
    save(figure, target)

"""Figure of one run: its pair energies, their decay with distance, and the time of each stage.

The distance of two orbitals is that of their charge centroids, which only run files store.
Canonical orbitals extend over the molecule, so their centroids may be close although the orbitals
are not localised. The label of the axis therefore names canonical orbitals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.cli.figure import save
from dfmp2.results.provenance import Provenance
from dfmp2.results.result import Result
from dfmp2.runfile.status import RunStatus
from dfmp2.units import ANGSTROM_PER_BOHR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["PairData", "plot"]

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "0.85"
"""Two colours of Okabe and Ito's colour-blind-safe palette, and grey for missing pairs."""

DECIMALS = 3
"""Decimals of a distance in Å; distances that are equal by symmetry differ by rounding."""

TICKS = 12
"""Largest number of orbitals labelled along an axis."""


@dataclass(frozen=True, eq=False)
class PairData:
    """Data of the figure.

    Attributes
    ----------
    title : str
    energy : ndarray, shape (nocc, nocc)
        Pair energies in hartree, symmetric; the sum over all elements is the correlation energy.
        NaN where a pair was not computed yet.
    occupied : tuple of str
        Indices of the correlated orbitals in the SCF, in the order of `energy`; those of an open
        shell with a letter for the spin.
    centroids : ndarray or None, shape (nocc, 3)
        Charge centroids of the orbitals in Å.
    stages : tuple of (str, float)
        Names and times in seconds.
    """

    title: str
    energy: NDArray[np.float64]
    occupied: tuple[str, ...]
    centroids: NDArray[np.float64] | None
    stages: tuple[tuple[str, float], ...]

    @classmethod
    def of_result(cls, result: Result, centroids: NDArray[np.float64] | None = None) -> PairData:
        """Data of a finished run.

        Parameters
        ----------
        result : Result
        centroids : ndarray, shape (nocc, 3), optional
            Charge centroids of the orbitals in Å.
        """
        title = f"{result.molecule.name}, RI-MP2/{result.labels['basis']}"
        return cls(
            f"{title}, $E_\\mathrm{{corr}}$ = ${result.e_corr:.6f}$ $E_\\mathrm{{h}}$",
            result.e_os_pairs + result.e_ss_pairs,
            _labels(result.occupied),
            centroids,
            _seconds(result.provenance),
        )

    @classmethod
    def of_run(cls, status: RunStatus) -> PairData:
        """Data of a run file; if the run is not finished, of the pairs computed so far."""
        centroids = status.centroids
        if centroids is not None:
            centroids = centroids * ANGSTROM_PER_BOHR
        if status.result is not None:
            return cls.of_result(status.result, centroids)
        table, npair = status.table, status.sizes.npair
        os, ss = table.symmetric()[:2]
        known = table.session != 0
        energy = np.where(known | known.T, os + ss, np.nan)
        frozen = status.input.get("fields", {}).get("frozen", [])
        lists = frozen if status.sizes.spins else [frozen]
        occupied = []
        for left_out, (nocc, _) in zip(lists, status.sizes.blocks, strict=True):
            count = nocc + len(left_out)  # frozen virtual orbitals come after these
            occupied.append(tuple([i for i in range(count) if i not in left_out][:nocc]))
        labels = _labels(tuple(occupied) if status.sizes.spins else occupied[0])
        done = Provenance()
        for session in status.sessions:
            if "provenance" in session:
                done.merge(Provenance.from_dict(session["provenance"]))
        title = f"{status.input.get('name', 'run')}: {table.known} of {npair} pairs, not finished"
        return cls(title, energy, labels, centroids, _seconds(done))


def plot(data: PairData, target: str) -> None:
    """Draw the figure.

    Parameters
    ----------
    data : PairData
    target : str
        A .png or .svg file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, wspace=0.06)
    distances = data.centroids is not None and bool((np.abs(data.energy) > 0).any())
    panels = 3 if distances else 2
    with rc_context({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(5.0 * panels, 4.6), layout=layout)
        axes = figure.subplots(1, panels)
        _matrix(figure, axes[0], data)
        if data.centroids is not None and distances:
            _decay(axes[1], data.energy, data.centroids)
        _times(axes[-1], data.stages)
        figure.suptitle(data.title, fontsize=14)
        save(figure, target)


def _labels(occupied: tuple[Any, ...]) -> tuple[str, ...]:
    """Indices of the correlated orbitals as text; of an open shell those of both spins."""
    if not any(isinstance(one, tuple) for one in occupied):
        return tuple(str(i) for i in occupied)
    return tuple(f"{i}{spin}" for spin, own in zip("αβ", occupied, strict=True) for i in own)


def _seconds(provenance: Provenance) -> tuple[tuple[str, float], ...]:
    return tuple((stage.name, stage.seconds) for stage in provenance.stages)


def _matrix(figure: Figure, axes: Axes, data: PairData) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    size = np.abs(data.energy) * 1e3
    shown = np.ma.masked_invalid(np.where(size > 0, size, np.nan))
    axes.set(
        title="pair energies (sum over all $i$, $j$: $E_\\mathrm{corr}$)",
        xlabel="occupied orbital $j$ (index in the SCF)",
        ylabel="occupied orbital $i$ (index in the SCF)",
    )
    nocc = len(data.occupied)
    ticks = np.arange(0, nocc, max(1, -(-nocc // TICKS)))
    axes.set_xticks(ticks, [data.occupied[i] for i in ticks])
    axes.set_yticks(ticks, [data.occupied[i] for i in ticks])
    if not shown.count():
        axes.text(0.5, 0.5, "no pair energies yet", ha="center", transform=axes.transAxes)
        return
    low, high = float(shown.min()), float(shown.max())
    image = axes.imshow(
        shown,
        norm=LogNorm(low if low < high else high / 10, high),
        cmap=colormaps["viridis"].with_extremes(bad=GREY),
        interpolation="nearest",
    )
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.85)
    _plain_numbers(bar.ax.yaxis, high / low)
    bar.set_label(
        "$|e_{ij}|$ (m$E_\\mathrm{h}$)" + ("; grey: not computed yet" if shown.mask.any() else "")
    )


def _plain_numbers(axis: Axis, span: float) -> None:
    """Label ticks as numbers such as 0.1; if the axis spans less than two decades, also 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if span < 100 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _decay(axes: Axes, energy: NDArray[np.float64], centroids: NDArray[np.float64]) -> None:
    i, j = np.triu_indices(len(energy))
    distance = np.round(np.linalg.norm(centroids[i] - centroids[j], axis=1), DECIMALS)
    size = np.abs(energy[i, j]) * 1e3
    there = np.isfinite(size) & (size > 0)
    for which, marker, colour, label in (
        (there & (i < j), "o", BLUE, "$i < j$"),
        (there & (i == j), "s", ORANGE, "$i = j$"),
    ):
        axes.plot(
            distance[which], size[which], marker, color=colour, alpha=0.6, mew=0, ms=6, label=label
        )
    axes.set_yscale("log")
    _plain_numbers(axes.yaxis, size[there].max() / size[there].min())
    axes.set_xlim(right=max(0.1, 1.05 * float(distance.max())))
    axes.set(
        title="decay with distance",
        xlabel="distance of the canonical orbitals'\ncharge centroids (Å)",
        ylabel="$|e_{ij}|$ (m$E_\\mathrm{h}$)",
    )
    axes.legend(frameon=False)


def _times(axes: Axes, stages: tuple[tuple[str, float], ...]) -> None:
    total = sum(seconds for _, seconds in stages)
    axes.set(
        title="time per stage", xlabel=f"wall time (s)\n{total:.3g} s in all, SCF not included"
    )
    names = [name.replace("->", "→") for name, _ in stages]
    bars = axes.barh(names, [seconds for _, seconds in stages], color=BLUE)
    axes.bar_label(bars, [f"{seconds:.3g}" for _, seconds in stages], padding=3)
    axes.invert_yaxis()
    axes.margins(x=0.15)

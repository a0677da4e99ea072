"""Forecasts of time: how much there is to do in each stage, and how long that takes at known rates.

A rate is work per second. It comes from a measurement of the same kind of work, and a forecast
assumes that it holds for all of it. The work of a stage is its number of floating-point operations
(`Plan.flops`), of integrals or of bytes. The rate of a stage grows with the size of a molecule, so
measurements with about as much work count more than others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, log
from statistics import median

from dfmp2.planning.plan import Plan
from dfmp2.results.stages import Stage
from dfmp2.units import BYTES_PER_DOUBLE

__all__ = [
    "ScfForecast",
    "ScfTimes",
    "Step",
    "Timing",
    "scf_forecast",
    "scf_step",
    "seconds",
    "steps",
    "usable",
]

NEAREST = 5
"""Measurements that one rate is the median of."""

FARTHEST = 30.0
"""Largest ratio of the works of a run and of an earlier one whose rates are used for it: molecules
up to about twice as large. The stages of small molecules take milliseconds, mostly to start, and
gave 198 s for 0.2 s of pair energies."""

ITERATIONS = {"direct": 14, "fitted": 14, "corrected": 15}
"""Fock matrices that are assumed, by algorithm: numbers between those of benzene/cc-pVTZ (direct
12, corrected 13) and (H2O)10/cc-pVDZ (16, 16). The corrected SCF has the exact ones beside them."""

REDUCTION = 1 / 5
"""Assumed ratio of the density changes of two successive iterations of a direct SCF."""

CORRECTED = (1.0, 1e-5, 1e-8)
"""Exact Fock matrices of a corrected fitted SCF: assumed size of the density that each is built
for, in units of the whole density, and of a looser screening of the later ones."""


@dataclass(frozen=True)
class Timing:
    """A measurement: `work` of one kind took `seconds`."""

    work: float
    seconds: float


@dataclass(frozen=True)
class Step:
    """Work that a stage does.

    Attributes
    ----------
    rate : str
        Name of the rate that it is done at.
    work : float
        Number of floating-point operations, integrals or bytes.
    share : float
        The part of this work that is done.
    """

    rate: str
    work: float
    share: float = 1.0


def steps(plan: Plan, pairs_in: str, checked: int = 0) -> dict[str, Step]:
    """The work of the DF-MP2 part by stage.

    Parameters
    ----------
    plan : Plan
    pairs_in : {"float64", "float32"}
        Type of the pair GEMMs.
    checked : int
        Pairs that are computed again in float64.

    Returns
    -------
    dict of str to Step
    """
    s, flops = plan.sizes, plan.flops
    integrals = 0.5 * s.naux * s.nao * (s.nao + 1)
    fitted = not flops[Stage.SOLVE.value]
    source = Stage.SCF_INTEGRALS if fitted else Stage.INTEGRALS
    found: dict[str, Step] = {}
    if plan.device_memory:
        name = source.with_ao2mo.value
        found[name] = Step(name, integrals)
    else:
        found[source.value] = Step(source.value, integrals)
        found[Stage.AO2MO.value] = Step(Stage.AO2MO.value, flops[Stage.AO2MO.value])
    if not fitted:
        found[Stage.METRIC.value] = Step(Stage.METRIC.value, s.naux**3 / 3)  # of Cholesky
        found[Stage.SOLVE.value] = Step(Stage.SOLVE.value, flops[Stage.SOLVE.value])
    if not plan.in_memory:
        size = float(BYTES_PER_DOUBLE * s.nocc * s.nvir * s.naux)
        found[Stage.WRITE_B.value] = Step(Stage.WRITE_B.value, 2 * size)
        found[Stage.READ_B.value] = Step(Stage.READ_B.value, (1 + plan.reads) * size)
    pairs = flops[Stage.PAIRS.value]
    found[Stage.PAIRS.value] = Step(f"{Stage.PAIRS.value}, {pairs_in}", pairs)
    if checked:
        share = checked / max(s.npair, 1)
        found[Stage.SPOT_CHECK.value] = Step(f"{Stage.PAIRS.value}, float64", pairs, share)
    return found


def scf_step(algorithm: str, nao: int, nocc: int) -> Step:
    """The work of a whole SCF, for the rates of earlier runs.

    Parameters
    ----------
    algorithm : {"direct", "fitted", "corrected"}
    nao, nocc : int
        Atomic orbitals and occupied orbitals.
    """
    work = 1.0 * nao**3 * (nocc if algorithm == "fitted" else nao)
    return Step(f"SCF, {algorithm}", work)


def seconds(
    work: Mapping[str, Step], rates: Mapping[str, Sequence[Timing]], farthest: float = inf
) -> dict[str, float]:
    """Forecast of the time of each stage whose rate is known.

    Parameters
    ----------
    work : mapping of str to Step
    rates : mapping of str to sequence of Timing
        Measurements by name of the rate.
    farthest : float
        Measurements of more than this many times the work, or of less by this factor, are not used.

    Returns
    -------
    dict of str to float
        Seconds.
    """
    found = {}
    for name, step in work.items():
        known = [(abs(log(t.work / max(step.work, 1.0))), t) for t in rates.get(step.rate, ())]
        near = sorted((one for one in known if one[0] <= log(farthest)), key=lambda one: one[0])
        if near:  # the median rate of those whose work is nearest
            rate = median(t.work / t.seconds for _, t in near[:NEAREST])
            found[name] = step.share * step.work / rate
    return found


@dataclass(frozen=True)
class ScfTimes:
    """Measured times of the parts of an SCF, in seconds.

    Attributes
    ----------
    exact : float or None
        Fock matrix of a whole density, exact integrals.
    exact_of : tuple of float
        The same for 10^0, 10^-1, ... of the density, as multiples of `exact`: fewer integrals pass
        the screening. Direct SCF only.
    held : float
        Computing the integrals that are held in memory. `exact` is then the work with them.
    fitted : float or None
        Fock matrix with fitted integrals.
    fitting : float
        Computing the fitted integrals.
    rest : float
        Diagonalisation and all else of an iteration.
    """

    exact: float | None
    exact_of: tuple[float, ...] = (1.0,)
    held: float = 0.0
    fitted: float | None = None
    fitting: float = 0.0
    rest: float = 0.0


@dataclass(frozen=True)
class ScfForecast:
    """Forecast of an SCF, in seconds.

    Attributes
    ----------
    total : float
    parts : dict of str to float
        Time of one iteration or matrix of each kind, and of the integrals that are made once.
    assumed : str
        The numbers of iterations that the total assumes.
    """

    total: float
    parts: dict[str, float]
    assumed: str


def scf_forecast(algorithm: str, times: ScfTimes) -> ScfForecast | None:
    """Forecast of an SCF from the times of its parts.

    Parameters
    ----------
    algorithm : {"direct", "fitted", "corrected"}
    times : ScfTimes

    Returns
    -------
    ScfForecast or None
        None if a part was not measured.
    """
    count = ITERATIONS[algorithm]
    parts: dict[str, float] = {}
    builds: list[float] = []
    if algorithm != "direct":
        if times.fitted is None:
            return None
        parts |= {"fitted integrals, once": times.fitting}
        parts |= {"fitted iteration": times.fitted + times.rest}
    if algorithm != "fitted":
        if times.exact is None:
            return None
        sizes = [REDUCTION**k for k in range(count)] if algorithm == "direct" else list(CORRECTED)
        builds = [times.exact * _share(times.exact_of, size) for size in sizes]
        if times.held:
            parts["integrals in memory, once"] = times.held
        parts["exact Fock matrix, first"] = builds[0]
        parts["exact Fock matrix, last"] = builds[-1]
    total = sum(builds) + times.held * bool(builds)
    if algorithm == "direct":
        total += count * times.rest
        assumed = f"{count} iterations"
    else:
        total += times.fitting + count * (times.fitted + times.rest)  # type: ignore[operator]
        exact = f" and {len(builds)} exact Fock matrices" if builds else ""
        assumed = f"{count} fitted iterations{exact}"
    return ScfForecast(total, parts, assumed)


def _share(exact_of: Sequence[float], size: float) -> float:
    """`ScfTimes.exact_of` for any size of the density, linear in its logarithm."""
    place = min(max(-log(size, 10), 0.0), len(exact_of) - 1.0)
    low = min(int(place), max(len(exact_of) - 2, 0))
    high = min(low + 1, len(exact_of) - 1)
    return exact_of[low] + (place - low) * (exact_of[high] - exact_of[low])


def usable(timing: Timing) -> bool:
    """Whether a rate can be taken from a measurement."""
    return all(isfinite(x) and x > 0 for x in (timing.work, timing.seconds))

"""Forecast of the time of one run: from rates measured now, or from those of earlier runs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from dfmp2.errors import InputError
from dfmp2.planning.time import FARTHEST, ScfForecast, scf_forecast, scf_step, seconds
from dfmp2.precision.spot_check import expected_error
from dfmp2.results.stages import Precision
from dfmp2.workflow.jobs import Job
from dfmp2.workflow.prepare import Choice, Forecast, choose_libraries
from dfmp2.workflow.rates import earlier_rates, work_of
from dfmp2.workflow.scf_time import measure_scf, scf_algorithm
from dfmp2.workflow.stage_time import measure_stages

__all__ = ["TimeForecast", "forecast_of_time", "time_from_earlier_runs"]

EARLIER = "from rates of earlier runs on this machine"
NO_RATES = "no rates yet (use --measure, or run once)"


@dataclass(frozen=True)
class TimeForecast:
    """Forecast of the time of a run, in seconds.

    Attributes
    ----------
    origin : str
        Where the rates come from, or that there are none.
    stages : dict of str to float
        Stages of DF-MP2 whose rates are known.
    unknown : tuple of str
        The other stages.
    scf : ScfForecast or None
        None if the SCF is done, or its rate is not known.
    """

    origin: str
    stages: dict[str, float] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    scf: ScfForecast | None = None


def forecast_of_time(
    job: Job, choice: Choice | None, known: Forecast, measure: bool
) -> TimeForecast:
    """Forecast of the time of a job.

    Parameters
    ----------
    job : Job
    choice : Choice or None
        None if this machine does not have the backend.
    known : Forecast
    measure : bool
        Measure the rates on samples of the work, in less than ten seconds.

    Returns
    -------
    TimeForecast

    Raises
    ------
    InputError
        If rates are to be measured, and the backend does not compute on the CPU.
    """
    where = None if choice is None else choice.selection.backend.where
    if not measure:
        if choice is None:
            return TimeForecast("not known, because the backend is not available here")
        return time_from_earlier_runs(job, choice, known)
    if choice is None or where is None or (where.backend, where.mode) != ("pytorch", "cpu"):
        raise InputError(
            "--measure times backend pytorch on the CPU, but this run computes on "
            f"{where or 'a backend that is not available here'}; use --backend pytorch --device "
            "cpu, or leave it out: every run adds the rates of its own device"
        )
    return _measured(job, choice, known)


def time_from_earlier_runs(job: Job, choice: Choice, known: Forecast) -> TimeForecast:
    """Forecast from the rates in the user's cache.

    Parameters
    ----------
    job : Job
    choice : Choice
    known : Forecast

    Returns
    -------
    TimeForecast
    """
    rates = earlier_rates(choice.selection.backend.where)
    work = work_of(known.plan, _single(job, choice, known))
    stages = seconds(work, rates, FARTHEST)
    scf = None
    if job.solution is None and job.settings.xc is None:  # Kohn-Sham SCFs are not forecast
        nao = known.plan.sizes.nao
        step = scf_step(scf_algorithm(job.settings, nao), nao, int(job.mol.nelec[0]))
        for total in seconds({"SCF": step}, rates, FARTHEST).values():
            scf = ScfForecast(total, {}, "as many iterations as in earlier runs")
    if not stages and scf is None:
        return TimeForecast(NO_RATES)
    return TimeForecast(EARLIER, stages, tuple(n for n in work if n not in stages), scf)


def _measured(job: Job, choice: Choice, known: Forecast) -> TimeForecast:
    backend, plan = choice.selection.backend, known.plan
    start = time.perf_counter()
    single = _single(job, choice, known)
    rates = {}
    if plan.sizes.nocc and plan.sizes.nvir:
        choose_libraries(choice, job.settings, plan)
        rates = measure_stages(job.mol, known, backend, single)
    work = work_of(plan, single)
    stages = seconds(work, rates)
    scf = None
    if job.solution is None and job.settings.xc is None:  # Kohn-Sham SCFs are not forecast
        algorithm = scf_algorithm(job.settings, plan.sizes.nao)
        scf = scf_forecast(algorithm, measure_scf(job.mol, job.settings))
    origin = f"from rates measured now in {time.perf_counter() - start:.1f} s"
    return TimeForecast(origin, stages, tuple(n for n in work if n not in stages), scf)


def _single(job: Job, choice: Choice, known: Forecast) -> bool:
    """Whether the pair GEMMs start in float32."""
    if choice.precision is Precision.AUTO:
        sizes = known.plan.sizes
        return expected_error(sizes.nocc / len(sizes.blocks)) <= job.settings.accuracy
    return choice.precision is Precision.FP32

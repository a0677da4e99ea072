"""The rates of this machine: those of earlier runs, kept in the user's cache, and new ones.

The file ``rates.json`` in the cache folder holds, for each processor with its number of threads,
backend and libraries, the work and the seconds of stages. Every finished `dfmp2 run` adds its own.
A file that is damaged or cannot be written is no error: then there are no rates.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from math import log2
from pathlib import Path
from typing import Any

from dfmp2.backends.compiled import cache_folder
from dfmp2.planning.plan import Plan
from dfmp2.planning.time import Step, Timing, scf_step, steps, usable
from dfmp2.precision.spot_check import SAMPLE
from dfmp2.results.provenance import Where
from dfmp2.results.result import Result
from dfmp2.results.stages import Precision, Stage
from dfmp2.results.versions import versions
from dfmp2.workflow.jobs import Done, PlannedJob
from dfmp2.workflow.scf_time import scf_algorithm

__all__ = ["add_rates", "earlier_rates", "keep_rates", "rates_path", "work_of"]

COMPLETE = 0.01
"""Largest relative difference between the operations of a stage and those of the plan. Continued
runs and repeated stages have others."""

KEPT = 5
"""Newest measurements that are kept of one rate and one size of work (a factor of four)."""

Rates = dict[str, list[Timing]]


def rates_path() -> Path:
    """File of the rates."""
    return cache_folder() / "rates.json"


def _key(where: Where) -> str:
    """What the rates depend on. The name of a device contains its number of threads."""
    used = {name: version for name, version in versions().items() if name in ("torch", "pyscf")}
    libraries = ", ".join(f"{name} {version}" for name, version in used.items())
    return f"{where}, {libraries}"


def earlier_rates(where: Where) -> Rates:
    """Rates of earlier runs on this machine with this backend.

    Parameters
    ----------
    where : Where

    Returns
    -------
    dict of str to list of Timing
        Empty if there are none, or the file is damaged.
    """
    kept = _stored().get(_key(where))
    found: Rates = {}
    for name, rows in (kept if isinstance(kept, dict) else {}).items():
        try:
            timings = [Timing(float(work), float(spent)) for work, spent in rows]
        except (TypeError, ValueError):
            continue
        found[name] = [timing for timing in timings if usable(timing)]
    return found


def add_rates(where: Where, new: Mapping[str, Timing]) -> None:
    """Add the measurements of a run. It is no error if they cannot be written.

    Parameters
    ----------
    where : Where
    new : mapping of str to Timing
        By name of the rate.
    """
    rates = earlier_rates(where)
    for name, timing in new.items():
        if usable(timing):
            rates[name] = _newest([*rates.get(name, []), timing])
    rows = {name: [[t.work, t.seconds] for t in timings] for name, timings in rates.items()}
    try:
        stored = {**_stored(), _key(where): rows}
        path = rates_path()
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(stored, indent=1), encoding="utf-8")
        draft.replace(path)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        pass


def _newest(timings: list[Timing]) -> list[Timing]:
    kept: list[Timing] = []
    sizes: list[int] = []
    for timing in reversed(timings):
        sizes.append(round(log2(timing.work) / 2))
        if sizes.count(sizes[-1]) <= KEPT:
            kept.append(timing)
    return kept[::-1]


def _stored() -> dict[str, Any]:
    try:
        found = json.loads(rates_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return found if isinstance(found, dict) else {}


def work_of(plan: Plan, single: bool) -> dict[str, Step]:
    """The work of the DF-MP2 part by stage, as of `dfmp2.planning.time.steps`.

    Parameters
    ----------
    plan : Plan
    single : bool
        The pair GEMMs are in float32, and some pairs are checked in float64.
    """
    checked = min(SAMPLE, plan.sizes.nocc)
    pairs = checked * (checked + 1) // 2
    return steps(plan, "float32", pairs) if single else steps(plan, "float64")


def keep_rates(done: Done, job: PlannedJob) -> None:
    """Add the rates of a finished run to those of this machine."""
    where, solution = job.choice.selection.backend.where, done.solution
    usual = job.settings.blas == "auto" and not done.result.read_from
    found = _rates(done.result, job.known.plan, where) if usual else {}
    if done.scf_seconds is not None:
        nao = solution.mo_coeff.shape[-2]
        step = scf_step(scf_algorithm(job.settings, nao), nao, int(solution.mol.nelec[0]))
        found[step.rate] = Timing(step.work, done.scf_seconds)
    add_rates(where, found)


def _rates(result: Result, plan: Plan, where: Where) -> dict[str, Timing]:
    """Rates of the stages that this backend did completely, and once."""
    stages = {stage.name: stage for stage in result.provenance.stages}
    if {row.where for row in result.provenance.operations} != {where}:
        return {}  # fallbacks, or nothing was computed
    work = work_of(plan, result.settings["precision"] == Precision.FP32.value)
    work.pop(Stage.SPOT_CHECK.value, None)  # at a rate that other stages have, and too short
    if any(
        abs(stages[name].flops / max(flops, 1.0) - 1) > COMPLETE
        for name, flops in plan.flops.items()
        if name in stages
    ):
        return {}
    return {
        work[name].rate: Timing(work[name].work, stage.seconds)
        for name, stage in stages.items()
        if name in work
    }

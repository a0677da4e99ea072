"""A loop of the device: `fori_loop`, whose instructions exist once and run many times.

The body is booked once as program and, as work, as often as it runs. What it allocates is one set
of tiles, live during the whole loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import refuse
from .state import current_run
from .tensor import Register

__all__ = ["fori_loop"]


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any], object], step: int = 1) -> None:
    """Run ``body_fun(i)`` for i = lower, lower + step, ... below upper."""
    call = "nl.fori_loop"
    run = current_run(call)
    if not all(type(n) is int for n in (lower, upper, step)) or step < 1:
        refuse(call, "not-modelled", f"bounds {lower} and {upper}, step {step}; use constants")
    if run.loop is not None:
        # Without the report, nested loops are legal, but they are not simulated.
        rule = "loop-nested" if run.has("loop-nested") else "not-modelled"
        refuse(call, rule, "called in the body of a loop")
    trips = range(lower, upper, step)
    before, start = len(run.storages), run.clock + 1
    run.loop = object()
    for i in trips if run.execute else trips[:1]:
        run.times = len(trips) if i == lower else 0
        if body_fun(Register(i, run.loop)) is not None:
            refuse(call, "argument", "the body of the loop returns a value")
    run.loop, run.times = None, 1
    for number, storage in enumerate(run.storages):
        if storage.last_use >= start:
            storage.last_use = run.clock
            if number >= before:
                storage.first_write = start

"""Loops: unrolled ranges, and dynamic loops that the device runs.

A dynamic loop's body exists once in the program. It is traced once (instructions, live memory);
when executing, further passes run it again without recording. Its index is a register.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .errors import refuse
from .memory import LoopPass
from .registers import VirtualRegister
from .state import LoopFrame, Run, current_run

__all__ = [
    "affine_range",
    "dynamic_range",
    "fori_loop",
    "no_reorder",
    "sequential_range",
    "static_range",
    "while_loop",
]


def _unrolled(call: str, start: Any, stop: Any, step: Any) -> range:
    for x in (start, stop, step):
        if isinstance(x, VirtualRegister):
            refuse(call, "loop-bounds", "an unrolled loop has constant bounds")
    return range(0, start, step) if stop is None else range(start, stop, step)


def static_range(start: Any, stop: Any = None, step: int = 1) -> range:
    """Unroll a loop (Python's range)."""
    return _unrolled("nl.static_range", start, stop, step)


def affine_range(start: Any, stop: Any = None, step: int = 1) -> range:
    """Unroll a loop (an old name of static_range)."""
    return _unrolled("nl.affine_range", start, stop, step)


def sequential_range(start: Any, stop: Any = None, step: int = 1) -> range:
    """Unroll a loop (an old name of static_range)."""
    return _unrolled("nl.sequential_range", start, stop, step)


class no_reorder:
    """Keep program order inside a ``with`` block; the simulator always does."""

    def __enter__(self) -> None:
        current_run("nl.no_reorder").no_reorder += 1

    def __exit__(self, *exc: object) -> None:
        current_run("nl.no_reorder").no_reorder -= 1


def _bound(call: str, run: Run, x: Any) -> int | None:
    """Return a bound's value, None where tracing does not know it."""
    if isinstance(x, VirtualRegister):
        if not x.known:
            refuse(call, "register-uninitialised", "a loop bound holds no value yet")
        return x.value() if run.execute else x.peek()
    if isinstance(x, (int, np.integer)) and not isinstance(x, bool):
        return int(x)
    return refuse(call, "loop-bounds", f"bound is a {type(x).__name__}")


class _Loop:
    """Bookkeeping around one dynamic loop."""

    def __init__(self, call: str, run: Run) -> None:
        if run.no_reorder:
            refuse(call, "loop-no-reorder", "the loop is inside nl.no_reorder()")
        run.account.doubt(f"{call}, a loop on the device", run.recording)
        self.run = run
        self.frame = LoopFrame(run.clock + 1)
        self.recorded = run.recording
        self.repeat = run.repeat
        run.frames.append(self.frame)

    def next_pass(self) -> None:
        """End the present pass: its tensors are gone, and recording is over."""
        self.frame.loop_pass.over = True
        self.frame.loop_pass = LoopPass()
        self.run.recording = False

    def end(self) -> None:
        """Stretch the life of everything the body touches over the whole loop."""
        run = self.run
        run.recording = self.recorded
        run.repeat = self.repeat
        self.frame.loop_pass.over = True
        run.frames.pop()
        for storage in self.frame.touched:
            storage.last_use = run.clock
            if storage.first_write > self.frame.start:
                storage.first_write = self.frame.start
        if run.frames:
            run.frames[-1].touched |= self.frame.touched


def _passes(call: str, lower: Any, upper: Any, step: Any) -> Iterator[VirtualRegister]:
    run = current_run(call)
    if isinstance(step, bool) or not isinstance(step, (int, np.integer)) or step < 1:
        refuse(call, "loop-bounds", f"step {step!r} is no positive integer constant")
    first, last = _bound(call, run, lower), _bound(call, run, upper)
    loop = _Loop(call, run)
    if run.execute:
        assert first is not None
        assert last is not None
        for at, i in enumerate(range(first, last, int(step))):
            if at:
                loop.next_pass()
            yield VirtualRegister(i, frozen=True)
    else:
        count = run.trips
        if first is not None and last is not None:
            count = len(range(first, last, int(step)))
        if count is None:
            refuse(call, "loop-bounds", "tracing needs trips=... where a bound is loaded")
        run.repeat *= count
        index = VirtualRegister(None, frozen=True)
        index.known = True
        if count:
            yield index
    loop.end()


def dynamic_range(start: Any, stop: Any = None, step: int = 1) -> Iterator[VirtualRegister]:
    """Loop on the device (NKI 0.3 to 0.6); the variable is a register."""
    if stop is None:
        return _passes("nl.dynamic_range", 0, start, step)
    return _passes("nl.dynamic_range", start, stop, step)


def fori_loop(
    lower: Any, upper: Any, body_fun: Callable[[VirtualRegister], None], step: int = 1
) -> None:
    """Loop on the device (NKI 0.6 and later): ``body_fun(i)`` with i a register."""
    call = "nl.fori_loop"
    for i in _passes(call, lower, upper, step):
        if body_fun(i) is not None:  # type: ignore[func-returns-value]
            refuse(call, "loop-body", "the body returned a value")


def while_loop(init: Any, body_fun: Callable[[VirtualRegister], VirtualRegister]) -> None:
    """Loop on the device while the register that the body returns is not 0."""
    call = "nl.while_loop"
    run = current_run(call)
    if not isinstance(init, VirtualRegister):
        refuse(call, "loop-bounds", f"init is a {type(init).__name__}, not a register")
    if not init.known:
        refuse(call, "register-uninitialised", "the condition holds no value yet")
    loop = _Loop(call, run)
    if run.execute:
        value = init.value()
        while value != 0:
            value = _while_body(call, body_fun, value).value()
            if value != 0:
                loop.next_pass()
    else:
        if run.trips is None:
            refuse(call, "loop-bounds", "tracing needs trips=... for a while loop")
        run.repeat *= run.trips
        if run.trips:
            _while_body(call, body_fun, None)
    loop.end()


def _while_body(call: str, body_fun: Any, value: int | None) -> VirtualRegister:
    register = VirtualRegister(value)
    register.known = True
    result = body_fun(register)
    if not isinstance(result, VirtualRegister):
        refuse(call, "loop-body", f"the body returned a {type(result).__name__}, not a register")
    return result

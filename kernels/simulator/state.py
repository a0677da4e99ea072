"""One simulated run: clock, storages, loops, registers, and who is running now.

Every instruction passes through `issue`, which advances the clock, notes which storages are
alive, refuses reads of memory that nobody wrote, and books the cost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .account import Account
from .errors import refuse
from .generations import Generation
from .memory import LoopPass, Storage

if TYPE_CHECKING:
    from .tensor import NkiTensor

__all__ = ["LoopFrame", "Run", "current_run", "issue", "run_scope"]


class LoopFrame:
    """A dynamic loop in progress: when it began, what its body touches, the present pass."""

    __slots__ = ("loop_pass", "start", "touched")

    def __init__(self, start: int) -> None:
        self.start = start
        self.loop_pass = LoopPass()
        self.touched: set[Storage] = set()


class Run:
    """The state of one kernel execution.

    Attributes
    ----------
    execute : bool
        False in trace-only mode: shapes and costs, no arithmetic.
    recording : bool
        False in the second and later passes through a dynamic loop's body, which exist on the
        device once: they run, but add neither instructions nor live memory.
    repeat : int
        How often the current instruction is executed, for costs of traced loops.
    """

    def __init__(self, target: Generation, execute: bool, trips: int | None = None) -> None:
        self.target = target
        self.execute = execute
        self.trips = trips
        self.clock = 0
        self.recording = True
        self.repeat = 1
        self.frames: list[LoopFrame] = []
        self.storages: list[Storage] = []
        self.account = Account(target)
        self.no_reorder = 0
        self.scalar_registers: NDArray[np.float32] | None = None
        self.scalar_lanes: tuple[int, int] | None = None
        self.vector_registers: NDArray[np.float32] | None = None
        self.vector_lanes: tuple[int, int, str] | None = None
        self.identities: dict[tuple[int, str], Any] = {}


class _Current(threading.local):
    run: Run | None = None


_CURRENT = _Current()


class run_scope:
    """Make `run` the current one inside a ``with`` block."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._outer: Run | None = None

    def __enter__(self) -> Run:
        self._outer = _CURRENT.run
        _CURRENT.run = self._run
        return self._run

    def __exit__(self, *exc: object) -> None:
        _CURRENT.run = self._outer


def current_run(call: str) -> Run:
    """Return the running simulation; NKI calls outside of one are refused."""
    run = _CURRENT.run
    if run is None:
        refuse(call, "outside-kernel", "called while no kernel is being simulated")
    return run


def issue(
    run: Run,
    call: str,
    engine: str,
    cycles: float,
    reads: Sequence[NkiTensor],
    writes: Sequence[NkiTensor],
) -> None:
    """Book one instruction: liveness, reads of unwritten memory, cost."""
    if run.recording:
        run.clock += 1
    clock = run.clock
    frames = run.frames
    touched = frames[-1].touched if frames and run.recording else None
    for tensor in reads:
        storage = tensor.storage
        if storage.first_write < 0:
            refuse(call, "read-before-write", f"{storage.describe()} is read, nothing wrote it")
        storage.last_use = clock
        if tensor.dynamic is not None:
            _use_index(call, tensor, clock, touched)
        if touched is not None:
            touched.add(storage)
        if storage.loop_pass is not None and storage.loop_pass.over:
            refuse(call, "loop-scope", f"{storage.describe()} belongs to a finished loop pass")
    for tensor in writes:
        storage = tensor.storage
        if 0 in tensor.strides and _repeats(tensor):
            refuse(call, "write-once", f"dst has pattern {tensor.get_pattern()}")
        if storage.first_write < 0:
            storage.first_write = clock
        storage.last_use = clock
        if tensor.dynamic is not None:
            _use_index(call, tensor, clock, touched)
        if touched is not None:
            touched.add(storage)
        if storage.loop_pass is not None and storage.loop_pass.over:
            refuse(call, "loop-scope", f"{storage.describe()} belongs to a finished loop pass")
    run.account.add(call, engine, cycles, run.repeat, run.recording)


def _repeats(tensor: NkiTensor) -> bool:
    return any(n > 1 and s == 0 for n, s in zip(tensor.shape, tensor.strides, strict=True))


def _use_index(call: str, tensor: NkiTensor, clock: int, touched: set[Storage] | None) -> None:
    assert tensor.dynamic is not None
    storage = tensor.dynamic.index_storage
    if storage is None:
        return
    if storage.first_write < 0:
        refuse(call, "read-before-write", f"offset {storage.describe()} was never written")
    storage.last_use = clock
    if touched is not None:
        touched.add(storage)

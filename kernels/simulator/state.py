"""One simulated run: clock, storages, account, and which run is the current one.

Every instruction passes through `issue`, which advances the clock, notes which storages are
alive, refuses reads of memory that was never written, and books the cost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from .account import Account
from .errors import refuse
from .generations import Generation
from .memory import Storage
from .rules import RULES
from .tensor import DynamicOffset, NkiTensor, Register

__all__ = ["Run", "current_run", "issue", "psum_writers", "run_scope"]


class Run:
    """The state of one kernel execution.

    Attributes
    ----------
    rule_set : str
        One of `dfmp2.kernels.simulator.rules.RULE_SETS`.
    execute : bool
        False when tracing: shapes and costs, no arithmetic.
    storages : list of Storage
        All on-chip allocations.
    loop : object
        Identity of the loop of the device that runs now; None outside loops.
    times : int
        How often the instructions that run now count as work. An instruction with 0 is one that
        was counted in an earlier iteration of its loop.
    """

    def __init__(self, target: Generation, rule_set: str, execute: bool) -> None:
        self.target = target
        self.rule_set = rule_set
        self.execute = execute
        self.clock = 0
        self.storages: list[Storage] = []
        self.loop: object = None
        self.times = 1
        self.account = Account(target)

    def has(self, rule: str) -> bool:
        """Return whether `rule` is in the set of rules of this run."""
        return RULES[rule].is_in(self.rule_set)


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
    dst: NkiTensor,
) -> None:
    """Book one instruction: liveness, reads of unwritten memory, writer of PSUM, cost."""
    run.clock += 1
    for tensor in reads:
        storage = tensor.storage
        if storage.first_write < 0:
            refuse(call, "read-before-write", f"{storage.describe()} is read, nothing wrote it")
        storage.last_use = run.clock
        if storage.loop is not run.loop and storage.loop is not None:
            refuse(call, "loop-scope", f"{storage.describe()} was made in the body of a loop")
    storage = dst.storage
    if storage.loop is not run.loop:
        _check_loop(run, call, storage)
    if 0 in dst.strides and any(n > 1 and s == 0 for s, n in dst.pattern):
        refuse(call, "write-once", f"dst has pattern {dst.pattern}")
    for tensor in reads:
        if tensor.storage is storage and _overlap(tensor, dst):
            refuse(call, "overlap", f"a source has some elements of dst {storage.describe()}")
    if storage.first_write < 0:
        storage.first_write = run.clock
    storage.last_use = run.clock
    for tensor in (*reads, dst):
        if tensor.dynamic is not None:
            _note_offset(run, call, tensor.dynamic)
    if storage.space == "psum":
        _mark_psum(dst, 1 if engine == "tensor" else 2)
    run.account.add(call, engine, cycles, run.times)


def _note_offset(run: Run, call: str, dynamic: DynamicOffset) -> None:
    """Book the read of a run-time offset, from a tile or the counter of a loop."""
    if isinstance(dynamic.index, Register):
        if dynamic.index.loop is not run.loop:
            refuse(call, "loop-scope", "the offset is the counter of a loop that is over")
        return
    index = dynamic.index.storage
    if index.first_write < 0:
        refuse(call, "read-before-write", f"offset {index.describe()} was never written")
    index.last_use = run.clock


def _check_loop(run: Run, call: str, storage: Storage) -> None:
    """Refuse a destination that belongs to a loop that is over, or to PSUM outside this one."""
    if storage.loop is not None:
        refuse(call, "loop-scope", f"{storage.describe()} was made in the body of a loop")
    if storage.space == "psum":
        refuse(call, "loop-psum", f"dst is {storage.describe()}, allocated outside the loop")


def _overlap(src: NkiTensor, dst: NkiTensor) -> bool:
    """Return whether two different views of one storage share elements.

    Run-time offsets are not looked at.
    """
    if src.dynamic or dst.dynamic or (src.offset, src.pattern) == (dst.offset, dst.pattern):
        return False
    first, second = _elements(src), _elements(dst)
    return not np.array_equal(first, second) and bool(np.intersect1d(first, second).size)


def _elements(t: NkiTensor) -> NDArray[np.int64]:
    """Return the positions of a view in its storage."""
    at = np.array([t.offset])
    for stride, n in t.pattern:
        at = (at[:, None] + stride * np.arange(n)).reshape(-1)
    return at


def _mark_psum(t: NkiTensor, writer: int) -> None:
    storage = t.storage
    if t.size == prod(storage.shape):
        storage.psum_state = writer
    elif not isinstance(storage.psum_state, int) or storage.psum_state != writer:
        psum_writers(t)[...] = writer


def psum_writers(t: NkiTensor) -> NDArray[np.uint8]:
    """Return the last writer of each element of a PSUM view (see `Storage.psum_state`)."""
    storage = t.storage
    if isinstance(storage.psum_state, int):
        storage.psum_state = np.full(prod(storage.shape), storage.psum_state, dtype=np.uint8)
    return np.ndarray(
        t.shape, np.uint8, buffer=storage.psum_state, offset=t.offset, strides=t.strides
    )

"""Which device did which arithmetic.

Each operation adds to one row per (stage, operation, backend, mode, device, dtype). Every printed
statement about a device is made from these rows alone. They are a log and decide nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from dfmp2.results.stages import Stage

__all__ = ["Failure", "Operation", "Provenance", "StageTime", "Where"]


@dataclass(frozen=True)
class Where:
    """Where an operation ran.

    Attributes
    ----------
    backend : str
        Who does the arithmetic: "pytorch" or "nki".
    mode : str
        How: "cpu", "cuda", "simulator" or "device" (a real Neuron device).
    device : str
        The device's own name, such as the CPU model.
    """

    backend: str
    mode: str
    device: str

    def __str__(self) -> str:
        return f"{self.device} ({self.backend}, {self.mode})"


@dataclass
class Operation:
    """Sum of all calls of one operation in one stage, on one device, in one dtype."""

    stage: str
    operation: str
    where: Where
    dtype: str
    calls: int = 0
    fallbacks: int = 0
    seconds: float = 0.0
    flops: float = 0.0


@dataclass
class StageTime:
    """Wall time of one stage, and the flops counted in it."""

    name: str
    seconds: float = 0.0
    flops: float = 0.0

    @property
    def gflops(self) -> float:
        """GFLOP/s; zero for a stage that counts no flops."""
        return self.flops / self.seconds / 1e9 if self.seconds > 0 else 0.0


@dataclass
class Failure:
    """An error of a NKI kernel whose operation torch took over."""

    operation: str
    error: str
    count: int


@dataclass
class Provenance:
    """Every operation and every stage of one run, in order of first use."""

    operations: list[Operation] = field(default_factory=list)
    stages: list[StageTime] = field(default_factory=list)
    reason: str = ""
    failures: list[Failure] = field(default_factory=list)
    _stage: str = ""

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage; operations inside are recorded under its name."""
        timed = next((s for s in self.stages if s.name == name), None)
        if timed is None:
            timed = StageTime(name.value)
            self.stages.append(timed)
        outer, self._stage = self._stage, name.value
        start = time.perf_counter()
        try:
            yield
        finally:
            timed.seconds += time.perf_counter() - start
            self._stage = outer

    def add(
        self,
        operation: str,
        where: Where,
        dtype: str,
        seconds: float,
        flops: float,
        fallback: bool = False,
    ) -> None:
        """Count one finished operation. Call it after the work is done."""
        row = self._row(self._stage, operation, where, dtype)
        row.calls += 1
        row.fallbacks += fallback
        row.seconds += seconds
        row.flops += flops
        for stage in self.stages:
            if stage.name == self._stage:
                stage.flops += flops

    def _row(self, *key: Any) -> Operation:
        """The row of (stage, operation, where, dtype)."""
        for row in self.operations:
            if (row.stage, row.operation, row.where, row.dtype) == key:
                return row
        self.operations.append(Operation(*key))
        return self.operations[-1]

    def failed(self, operation: str, error: str) -> bool:
        """Count a kernel that raised; returns whether this error is new."""
        for failure in self.failures:
            if (failure.operation, failure.error) == (operation, error):
                failure.count += 1
                return False
        self.failures.append(Failure(operation, error, 1))
        return True

    def device_line(self) -> str:
        """The devices that did the arithmetic, and any fallback, in one line."""
        places = list(dict.fromkeys(str(row.where) for row in self.operations))
        line = "; ".join(places) if places else "nothing was computed"
        if self.failures:
            count = sum(failure.count for failure in self.failures)
            errors = "; ".join(f"{f.operation}: {f.error}" for f in self.failures)
            line += f"; FELL BACK to torch {count} times ({errors})"
        return line

    def merge(self, other: Provenance) -> None:
        """Add the operations of another session; its reason replaces this one."""
        for row in other.operations:
            mine = self._row(row.stage, row.operation, row.where, row.dtype)
            mine.calls += row.calls
            mine.fallbacks += row.fallbacks
            mine.seconds += row.seconds
            mine.flops += row.flops
        for stage in other.stages:
            known = next((s for s in self.stages if s.name == stage.name), None)
            if known is None:
                self.stages.append(StageTime(stage.name, stage.seconds, stage.flops))
            else:
                known.seconds += stage.seconds
                known.flops += stage.flops
        self.failures += [Failure(f.operation, f.error, f.count) for f in other.failures]
        self.reason = other.reason

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and HDF5."""
        return {
            "operations": [asdict(row) for row in self.operations],
            "stages": [asdict(stage) for stage in self.stages],
            "reason": self.reason,
            "failures": [asdict(failure) for failure in self.failures],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Provenance:
        """Inverse of `to_dict`."""
        return cls(
            operations=[
                Operation(**{**row, "where": Where(**row["where"])}) for row in data["operations"]
            ],
            stages=[StageTime(**stage) for stage in data["stages"]],
            reason=data["reason"],
            failures=[Failure(**failure) for failure in data["failures"]],
        )

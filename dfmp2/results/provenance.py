"""The provenance of a result: which device did which arithmetic.

Each operation is added to the row of its stage, operation, backend, mode, device and dtype. Every
printed statement about a device comes from these rows. No decision of a run depends on them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from dfmp2.results.stages import Stage

__all__ = ["Failure", "GemmLibrary", "Operation", "Provenance", "StageTime", "Where"]


@dataclass(frozen=True)
class Where:
    """Where an operation ran.

    Attributes
    ----------
    backend : {"pytorch", "nki"}
    mode : {"cpu", "cuda", "simulator", "device"}
        "device" is a real Neuron device.
    device : str
        Name of the device, such as the CPU model.
    """

    backend: str
    mode: str
    device: str

    def __str__(self) -> str:
        return f"{self.device} ({self.backend}, {self.mode})"


@dataclass
class Operation:
    """Sum of all calls of one operation in one stage, on one device, in one dtype.

    Attributes
    ----------
    stage, operation : str
    where : Where
    dtype : str
        Name of the dtype of the operands.
    calls : int
    fallbacks : int
        Calls that torch did because an NKI kernel failed.
    seconds : float
        Wall time.
    flops : float
        Number of floating-point operations.
    """

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
    """Wall time of one stage in seconds, and the number of its floating-point operations."""

    name: str
    seconds: float = 0.0
    flops: float = 0.0

    @property
    def gflops(self) -> float:
        """GFLOP/s. Zero for a stage without counted flops."""
        return self.flops / self.seconds / 1e9 if self.seconds > 0 else 0.0


@dataclass
class Failure:
    """An error of an NKI kernel, and how many operations torch did because of it."""

    operation: str
    error: str
    count: int


@dataclass(frozen=True)
class GemmLibrary:
    """The library that multiplied matrices in one dtype.

    Attributes
    ----------
    dtype : str
    library : str
        Name, version and kernels.
    gflops : dict of str to float
        GFLOP/s of all threads by library. Empty if they were not measured.
    reason : str
    """

    dtype: str
    library: str
    gflops: dict[str, float]
    reason: str

    def __str__(self) -> str:
        if self.library not in self.gflops:
            return f"{self.library} ({self.reason})"
        others = [f"; {name} {r:.0f}" for name, r in self.gflops.items() if name != self.library]
        return f"{self.library}, {self.gflops[self.library]:.0f} GFLOP/s" + "".join(others)


@dataclass
class Provenance:
    """The operations and stages of one run, in the order of their first use.

    Attributes
    ----------
    operations : list of Operation
    stages : list of StageTime
    reason : str
        Why the backend was chosen.
    failures : list of Failure
    gemm : list of GemmLibrary
        Empty if no CPU was to multiply matrices, and in files of earlier versions.
    """

    operations: list[Operation] = field(default_factory=list)
    stages: list[StageTime] = field(default_factory=list)
    reason: str = ""
    failures: list[Failure] = field(default_factory=list)
    gemm: list[GemmLibrary] = field(default_factory=list)
    _stage: str = ""

    @contextmanager
    def stage(self, name: Stage) -> Iterator[None]:
        """Time a stage. The operations in it are added under its name.

        Parameters
        ----------
        name : Stage
        """
        timed = self._timed(name)
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
        """Add one finished operation.

        Parameters
        ----------
        operation : str
        where : Where
        dtype : str
        seconds : float
            Wall time.
        flops : float
        fallback : bool
            Whether torch did the operation because an NKI kernel failed.
        """
        row = self._row(self._stage, operation, where, dtype)
        row.calls += 1
        row.fallbacks += fallback
        row.seconds += seconds
        row.flops += flops
        for stage in self.stages:
            if stage.name == self._stage:
                stage.flops += flops

    def spend(self, name: Stage, seconds: float) -> None:
        """Add wall time to a stage, where stages share a time.

        Parameters
        ----------
        name : Stage
        seconds : float
        """
        self._timed(name).seconds += seconds

    def _timed(self, name: Stage) -> StageTime:
        """The time of a stage. A new one if there is none."""
        timed = next((s for s in self.stages if s.name == name), None)
        if timed is None:
            timed = StageTime(name.value)
            self.stages.append(timed)
        return timed

    def _row(self, stage: str, operation: str, where: Where, dtype: str) -> Operation:
        """The row of an operation. A new row if there is none."""
        key = (stage, operation, where, dtype)
        for row in self.operations:
            if (row.stage, row.operation, row.where, row.dtype) == key:
                return row
        self.operations.append(Operation(*key))
        return self.operations[-1]

    def failed(self, operation: str, error: str) -> bool:
        """Count an operation whose kernel failed.

        Parameters
        ----------
        operation, error : str
            Name of the operation, and message of the error.

        Returns
        -------
        bool
            Whether this error did not occur before.
        """
        for failure in self.failures:
            if (failure.operation, failure.error) == (operation, error):
                failure.count += 1
                return False
        self.failures.append(Failure(operation, error, 1))
        return True

    def device_line(self) -> str:
        """The devices that did the arithmetic, and the fallbacks to torch, in one line."""
        places = list(dict.fromkeys(str(row.where) for row in self.operations))
        line = "; ".join(places) if places else "nothing was computed"
        if self.failures:
            count = sum(failure.count for failure in self.failures)
            errors = "; ".join(f"{f.operation}: {f.error}" for f in self.failures)
            line += f"; FELL BACK to torch {count} times ({errors})"
        return line

    def gemm_line(self) -> str:
        """The libraries that multiplied matrices on the CPU, in one line; empty if none did."""
        if not any(row.where.mode == "cpu" for row in self.operations):
            return ""
        if len({str(made) for made in self.gemm}) == 1:
            return str(self.gemm[0])
        return " | ".join(f"{made.dtype}: {made}" for made in self.gemm)

    def merge(self, other: Provenance) -> None:
        """Add the provenance of another session. Its reason replaces the present one.

        Parameters
        ----------
        other : Provenance
        """
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
        known_libraries = {(made.dtype, made.library) for made in self.gemm}
        self.gemm += [m for m in other.gemm if (m.dtype, m.library) not in known_libraries]
        self.reason = other.reason

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON and HDF5."""
        return {
            "operations": [asdict(row) for row in self.operations],
            "stages": [asdict(stage) for stage in self.stages],
            "reason": self.reason,
            "failures": [asdict(failure) for failure in self.failures],
            "gemm": [asdict(made) for made in self.gemm],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Provenance:
        """The inverse of `to_dict`."""
        return cls(
            operations=[
                Operation(**{**row, "where": Where(**row["where"])}) for row in data["operations"]
            ],
            stages=[StageTime(**stage) for stage in data["stages"]],
            reason=data["reason"],
            failures=[Failure(**failure) for failure in data["failures"]],
            gemm=[GemmLibrary(**made) for made in data.get("gemm", ())],
        )

"""The account of a run: instructions, cycles, bytes, and live memory per engine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from . import cost, report
from .generations import Generation

__all__ = ["ENGINES", "Account", "DmaTotals"]

K = TypeVar("K")

ENGINES = report.ENGINES


def _scaled(counts: Counter[K], factor: int) -> Counter[K]:
    return Counter({key: n * factor for key, n in counts.items()})


@dataclass
class DmaTotals:
    """What the DMA queues moved.

    Attributes
    ----------
    hbm_read, hbm_written, on_chip : int
        Bytes by direction; an HBM to HBM copy counts in both of the first two.
    transfers : int
        Executed dma_copy calls.
    descriptors : Counter
        Contiguous bytes per element -> number of such elements.
    busy_us : float
        Estimated time of the queues.
    """

    hbm_read: int = 0
    hbm_written: int = 0
    on_chip: int = 0
    transfers: int = 0
    descriptors: Counter[int] = field(default_factory=Counter)
    busy_us: float = 0.0


@dataclass
class Account:
    """Counts of one kernel execution on one core; times are estimates.

    Attributes
    ----------
    target : Generation
    program : Counter
        Instructions of the compiled program by (engine, call): a dynamic loop's body counts once.
    executed : Counter
        Executed instructions by (engine, call).
    cycles : Counter
        Engine cycles by (engine, call).
    matmul_macs : int
        Multiply-adds of matrix products, transposes excluded.
    matmul_passes : Counter
        Matrix products by number of passes (4 for float32).
    sbuf_peak, psum_peak : int
        Most bytes per partition live at one time (PSUM in whole banks).
    unproven : Counter
        Documented constructs that nobody has shown to work on a device.
    """

    target: Generation
    program: Counter[tuple[str, str]] = field(default_factory=Counter)
    executed: Counter[tuple[str, str]] = field(default_factory=Counter)
    cycles: Counter[tuple[str, str]] = field(default_factory=Counter)
    dma: DmaTotals = field(default_factory=DmaTotals)
    matmul_macs: int = 0
    matmul_passes: Counter[int] = field(default_factory=Counter)
    sbuf_peak: int = 0
    psum_peak: int = 0
    unproven: Counter[str] = field(default_factory=Counter)

    def add(self, call: str, engine: str, cycles: float, repeat: int, recording: bool) -> None:
        """Book one instruction, executed `repeat` times."""
        key = (engine, call)
        if recording:
            self.program[key] += 1
        self.executed[key] += repeat
        if cycles:
            self.cycles[key] += int(cycles) * repeat

    def doubt(self, what: str, recording: bool) -> None:
        """Note a construct of the program that nobody has shown to work on a device."""
        if recording:
            self.unproven[what] += 1

    def add_dma(
        self, moved: int, run_bytes: int, reads_hbm: bool, writes_hbm: bool, repeat: int
    ) -> None:
        """Book the bytes of one transfer."""
        dma = self.dma
        total = moved * repeat
        if reads_hbm:
            dma.hbm_read += total
        if writes_hbm:
            dma.hbm_written += total
        if not (reads_hbm or writes_hbm):
            dma.on_chip += total
        dma.transfers += repeat
        dma.descriptors[run_bytes] += total // max(run_bytes, 1)
        dma.busy_us += repeat * cost.dma_us(moved, run_bytes, self.target)

    def add_matmul(self, macs: int, passes: int, repeat: int) -> None:
        """Book one matrix product that is no transpose."""
        self.matmul_macs += macs * repeat
        self.matmul_passes[passes] += repeat

    def times(self, launches: int) -> Account:
        """Return the account of `launches` executions of the same program."""
        dma = self.dma
        scaled = DmaTotals(
            dma.hbm_read * launches,
            dma.hbm_written * launches,
            dma.on_chip * launches,
            dma.transfers * launches,
            _scaled(dma.descriptors, launches),
            dma.busy_us * launches,
        )
        return replace(
            self,
            executed=_scaled(self.executed, launches),
            cycles=_scaled(self.cycles, launches),
            dma=scaled,
            matmul_macs=self.matmul_macs * launches,
            matmul_passes=_scaled(self.matmul_passes, launches),
        )

    def __add__(self, other: Account) -> Account:
        """Return the account of two launches, one after the other.

        Program sizes and live memory are those of the larger one.
        """
        if self.target != other.target:
            raise ValueError(f"accounts of {self.target.name} and {other.target.name}")
        a, b = self.dma, other.dma
        return Account(
            self.target,
            self.program if self.instructions >= other.instructions else other.program,
            self.executed + other.executed,
            self.cycles + other.cycles,
            DmaTotals(
                a.hbm_read + b.hbm_read,
                a.hbm_written + b.hbm_written,
                a.on_chip + b.on_chip,
                a.transfers + b.transfers,
                a.descriptors + b.descriptors,
                a.busy_us + b.busy_us,
            ),
            self.matmul_macs + other.matmul_macs,
            self.matmul_passes + other.matmul_passes,
            max(self.sbuf_peak, other.sbuf_peak),
            max(self.psum_peak, other.psum_peak),
            self.unproven + other.unproven,
        )

    def engine_cycles(self, engine: str, *calls: str) -> int:
        """Return the cycles of an engine, of all its calls or of those named."""
        return sum(
            c
            for (e, name), c in self.cycles.items()
            if e == engine and (not calls or name in calls)
        )

    @property
    def matmul_cycles(self) -> int:
        """TensorE cycles in matrix products, transposes excluded."""
        return self.engine_cycles("tensor", "nisa.nc_matmul")

    @property
    def transpose_cycles(self) -> int:
        """TensorE cycles in transposes."""
        return self.engine_cycles("tensor", "nisa.nc_transpose", "nisa.nc_matmul(is_transpose)")

    @property
    def instructions(self) -> int:
        """Instructions of the compiled program."""
        return sum(self.program.values())

    def busy_us(self) -> dict[str, float]:
        """Return the estimated busy time of each engine in microseconds."""
        t = self.target
        clocks = {
            "tensor": t.tensor_ghz,
            "vector": t.vector_ghz,
            "scalar": t.scalar_ghz,
            "gpsimd": t.gpsimd_ghz,
        }
        busy = {e: self.engine_cycles(e) / (ghz * 1e3) for e, ghz in clocks.items()}
        busy["dma"] = self.dma.busy_us
        return busy

    def bound(self) -> tuple[str, float]:
        """Return the busiest engine and its estimated time in microseconds.

        This is the kernel's time if everything else overlaps with it: a lower bound.
        """
        busy = self.busy_us()
        engine = max(busy, key=lambda e: busy[e])
        return engine, busy[engine]

    def lines(self) -> list[str]:
        """Return the account as text; times are marked as estimates."""
        return report.lines(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the account as plain numbers, for JSON and tables."""
        return report.as_dict(self)

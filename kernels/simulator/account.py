"""The account of a run: instructions, cycles, bytes, and live memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from . import cost
from .generations import Generation

__all__ = ["Account", "DmaTotals"]


@dataclass
class DmaTotals:
    """Bytes that the DMA queues moved.

    Attributes
    ----------
    hbm_read, hbm_written : int
        Bytes by direction; an HBM to HBM copy counts in both.
    transfers : int
        dma_copy calls.
    descriptors : Counter
        Contiguous bytes per element -> number of such elements.
    busy_us : float
        Estimated time of the queues, in microseconds.
    """

    hbm_read: int = 0
    hbm_written: int = 0
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
        Instructions of the compiled program by (engine, call).
    executed : Counter
        How often they are executed in one launch. Python loops are unrolled, so this differs only
        in a loop of the device.
    cycles : Counter
        Engine cycles by (engine, call).
    matmul_macs : int
        Multiply-adds of matrix products, transposes excluded.
    sbuf_peak, psum_peak : int
        Most bytes per partition live at one time (PSUM in whole banks).
    outputs : list of tuple of int
        Shapes of the tensors that the kernel returned.
    unproven : Counter
        Documented constructs for which no run on a device is known.
    """

    target: Generation
    program: Counter[tuple[str, str]] = field(default_factory=Counter)
    executed: Counter[tuple[str, str]] = field(default_factory=Counter)
    cycles: Counter[tuple[str, str]] = field(default_factory=Counter)
    dma: DmaTotals = field(default_factory=DmaTotals)
    matmul_macs: int = 0
    sbuf_peak: int = 0
    psum_peak: int = 0
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    unproven: Counter[str] = field(default_factory=Counter)

    def add(self, call: str, engine: str, cycles: float, times: int = 1) -> None:
        """Book one instruction of the program that runs `times` times; 0: booked before."""
        key = (engine, call)
        if times:
            self.program[key] += 1
            self.executed[key] += times
            if cycles:
                self.cycles[key] += int(cycles) * times

    def add_dma(
        self, moved: int, run_bytes: int, reads_hbm: bool, writes_hbm: bool, times: int = 1
    ) -> None:
        """Book the bytes of one transfer in elements of `run_bytes` contiguous bytes."""
        dma = self.dma
        moved *= times
        if reads_hbm:
            dma.hbm_read += moved
        if writes_hbm:
            dma.hbm_written += moved
        dma.transfers += times
        dma.descriptors[run_bytes] += moved // max(run_bytes, 1)
        dma.busy_us += cost.dma_us(moved, run_bytes, self.target)

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
        """TensorE cycles in transposes: nc_transpose, and nc_matmul in transpose mode."""
        return self.engine_cycles("tensor", "nisa.nc_transpose")

    @property
    def instructions(self) -> int:
        """Instructions of the compiled program."""
        return self.program.total()

    def busy_us(self, pessimistic: bool = False) -> dict[str, float]:
        """Return the estimated busy time of each engine in microseconds.

        The pessimistic estimate adds `cost.VECTOR_START_US` to every instruction of VectorE.
        """
        t = self.target
        clocks = {
            "tensor": t.tensor_ghz,
            "vector": t.vector_ghz,
            "scalar": t.scalar_ghz,
            "gpsimd": t.gpsimd_ghz,
        }
        busy = {e: self.engine_cycles(e) / (ghz * 1e3) for e, ghz in clocks.items()}
        busy["dma"] = self.dma.busy_us
        if pessimistic:
            vector = sum(n for (engine, _), n in self.executed.items() if engine == "vector")
            busy["vector"] += vector * cost.VECTOR_START_US
        return busy

    def bound(self, pessimistic: bool = False) -> tuple[str, float]:
        """Return the busiest engine and its estimated time in microseconds.

        This is the kernel's time if everything else overlaps with it: a lower bound.
        """
        busy = self.busy_us(pessimistic)
        engine = max(busy, key=lambda e: busy[e])
        return engine, busy[engine]

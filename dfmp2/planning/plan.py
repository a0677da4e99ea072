"""Block sizes, and forecasts of memory, disk and work.

``dfmp2 plan`` and ``dfmp2 run`` both use this module, so the plan shows the blocks of the run.
Memory is counted above the resident memory of the process at the start of DF-MP2.

If B fits in memory, it stays there. Otherwise it is in the run file. One block of i is then as
large as memory allows. It is combined with short blocks of j, which are read ahead. Each orbital j
is read once for its own block and once for each block of i before it. So large blocks of i mean few
reads. With bi orbitals i in memory, the GEMMs of one row of B take bi nvir / 400 times as long as
reading the row (at 100 GFLOP/s and 1 GB/s). Reading therefore costs almost no time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, isfinite, sqrt

from dfmp2.errors import InputError, ResourceError
from dfmp2.planning.gpu import device_memory, device_peak
from dfmp2.results.sizes import Sizes
from dfmp2.results.stages import Stage
from dfmp2.runfile.layout import Shape, bytes_on_disk, spare_rows
from dfmp2.units import BYTES_PER_DOUBLE, BYTES_PER_MB

__all__ = ["OVERHEAD", "GradientPlan", "Plan", "gemm_width", "make_plan", "ranges"]

ERI_BLOCK = 64 * BYTES_PER_MB
"""Bytes of one unpacked block of (mn|P). Larger blocks are slower, because their memory pages are
rarely in the caches."""

T_BLOCK = BYTES_PER_MB
"""Bytes of the block of T of one thread, or one T_ij if that is larger. With this size a block is
reduced while it is in the cache of its core."""

OVERHEAD = 48 * BYTES_PER_MB
"""Bytes for what the formulas do not contain: buffers of libcint, packed matrices in BLAS, gaps in
the heap. Measured: between 3 MB (water) and 62 MB (stacked uracil dimer)."""

READ_AHEAD = 16
"""The rows of B in memory are divided by this number for each of the two blocks that are read
ahead."""

GEMM_COLUMNS = 24
"""Columns that a GEMM with 512-bit registers works on together. Measured with MKL on one core of an
AMD EPYC: 192 columns are 11 % faster than 190, in float64 and in float32."""

PAIR_BLOCK_FLOPS = 1e11
"""Floating-point operations of each thread in one block of pairs, about 1.5 s of a core. At the end
of a block threads wait for the last one, half a product of 1e9 operations on average."""


PAIR_BLOCK_FLOPS_GPU = 1e13
"""The same on a GPU: tenths of a second at its float64 rate. The host waits for the GPU once per
block."""

PAIR_BLOCK_FLOPS_NKI = 2e13
"""The same with NKI kernels: about a second of one NeuronCore at its float32 rate. Every block has
launches of its own. All pairs of the published benchmark sizes are one block. If a kernel fails,
torch computes the whole block, which takes minutes."""


@dataclass(frozen=True)
class GradientPlan:
    """What the pair densities of a gradient need beside B.

    Attributes
    ----------
    block : int
        Occupied orbitals in a block of pairs, at most.
    functions : int
        Auxiliary functions in a block of derivatives, at most, but for larger shells.
    in_memory : bool
        Whether gamma[i,P,a] = dE/dB is in memory, or in a temporary file.
    peak : float
        Peak memory of the stage, MB.
    disk : float
        MB of the temporary file.
    """

    block: int
    functions: int
    in_memory: bool
    peak: float
    disk: float


@dataclass(frozen=True)
class Plan:
    """Block sizes, memory forecast and operation counts of one run.

    Attributes
    ----------
    sizes : Sizes
    aux_block : int
        Auxiliary functions per integral block.
    occ_block : int
        Occupied orbitals per pair block, B in memory.
    nki_block : int
        The same where NKI kernels compute the pair energies.
    in_memory : bool
        Whether B stays in memory. Otherwise it is in the run file.
    i_rows, j_rows : int
        Occupied orbitals per pair block, B in the run file.
    solve_rows : int
        Occupied orbitals per metric solve, B in the run file.
    reads : float
        How often the pair stage reads B from the run file.
    memory : dict of str to float
        MB by item.
    peak : float
        Peak memory, MB.
    disk : dict of str to float
        MB of the run file by item.
    flops : dict of str to float
        Floating-point operations by stage.
    max_memory : float
        Memory limit, MB.
    least_in_memory : float
        Smallest memory limit with B in memory, MB.
    device_memory : dict of str to float
        MB by item on the GPU. Empty if B is on the host.
    device_peak : float
        Peak memory on the GPU, MB.
    gradient : GradientPlan or None
        Not None in the plan of a gradient. The memory, the peaks and `flops` then include it.
    """

    sizes: Sizes
    aux_block: int
    occ_block: int
    nki_block: int
    in_memory: bool
    i_rows: int
    j_rows: int
    solve_rows: int
    reads: float
    memory: dict[str, float]
    peak: float
    disk: dict[str, float]
    flops: dict[str, float]
    max_memory: float
    least_in_memory: float
    device_memory: dict[str, float] = field(default_factory=dict)
    device_peak: float = 0.0
    gradient: GradientPlan | None = None

    @property
    def of_gradient(self) -> GradientPlan:
        """The part of a gradient.

        Raises
        ------
        ValueError
            If this is the plan of an energy.
        """
        if self.gradient is None:
            raise ValueError("the plan is that of an energy; use planning.gradient.with_gradient")
        return self.gradient

    def pair_ranges(self, on_nki: bool = False) -> list[tuple[slice, list[slice]]]:
        """The blocks of pairs.

        Parameters
        ----------
        on_nki : bool
            NKI kernels compute the pair energies.

        Returns
        -------
        list of tuple (slice, list of slice)
            Each block of i with its blocks of j. The first block of j is the block of i itself.
            With B in memory all blocks have the same size. With B in the run file one long block
            of i is combined with short blocks of j. No block holds orbitals of two spins.
        """
        block = self.nki_block if on_nki else self.occ_block
        own = _spin_ranges(self.sizes, 0, block if self.in_memory else self.i_rows)
        if self.in_memory:
            return [(i, own[number:]) for number, i in enumerate(own)]
        return [(i, [i, *_spin_ranges(self.sizes, i.stop, self.j_rows)]) for i in own]


def ranges(start: int, stop: int, size: int) -> list[slice]:
    """Divide [start, stop) into ranges of `size` and a remainder.

    Parameters
    ----------
    start, stop, size : int

    Returns
    -------
    list of slice
    """
    return [slice(first, min(first + size, stop)) for first in range(start, stop, size)]


def _spin_ranges(sizes: Sizes, start: int, size: int) -> list[slice]:
    """Ranges of occupied orbitals from `start` on, each of one spin."""
    found, first = [], 0
    for nocc, _ in sizes.blocks:
        found += ranges(max(start, first), first + nocc, size)
        first += nocc
    return found


def gemm_width(nvir: int) -> int:
    """Number of columns of T_ij in memory.

    It is rounded up to a multiple of `GEMM_COLUMNS` if this adds at most 2 %, because the GEMM then
    gains more than the empty columns cost.

    Parameters
    ----------
    nvir : int
        Number of virtual orbitals.
    """
    width = ceil(nvir / GEMM_COLUMNS) * GEMM_COLUMNS
    return width if width - nvir <= nvir // 50 else nvir


@dataclass(frozen=True)
class _Bytes:
    """Memory of the items of a run, in bytes."""

    b: int
    row: int
    metric: int
    t: int
    per_aux: int
    per_aux_disk: int
    squares: int
    tables: int
    check: int

    def peak_in_memory(self, aux_block: int) -> int:
        transform = aux_block * self.per_aux + self.squares
        return OVERHEAD + self.b + max(self.check + max(transform, self.metric), self.t)

    def peak_on_disk(self, aux_block: int, rows: int, solve_rows: int) -> int:
        solve = self.metric + (solve_rows + 1) * self.row
        transform = aux_block * self.per_aux_disk
        pairs = self.t + rows * self.row
        return OVERHEAD + self.tables + max(self.check + max(transform, solve), pairs)


def _bytes(sizes: Sizes, threads: int, metric_done: bool, on_gpu: bool) -> _Bytes:
    nao, nocc, nvir, naux = sizes.nao, sizes.nocc, sizes.nvir, sizes.naux
    d, elements = BYTES_PER_DOUBLE, sizes.elements
    # per auxiliary function: packed, first and second half-transformed integrals. Those of libcint
    # are unpacked one by one if several threads put them into B in memory, else block by block.
    packed = (1 + metric_done + on_gpu) * (nao * (nao + 1) // 2)
    per_aux = d * (packed + (0 if on_gpu else nocc * nao + elements))
    # half-transformed integrals of the vectors of the check, and twice their J and K
    vectors, kept = 0, 0
    for count, occupied in sizes.checked:
        vectors += count
        kept += count * (count + occupied)
    per_aux += d * (vectors * nao + kept)
    unpacked = 0 if on_gpu else d * nao * nao
    by_block = metric_done or threads == 1
    width = gemm_width(nvir)
    t = max(T_BLOCK, d * nvir * width) + (d * width * naux if width > nvir else 0)
    return _Bytes(
        b=0 if on_gpu else d * elements * naux,
        row=d * nvir * naux,
        metric=0 if metric_done else 2 * d * naux * naux,  # (P|Q) and its factor
        t=0 if on_gpu else threads * t,
        per_aux=per_aux + (unpacked if by_block else 0),
        # with the block of B, and once more in the order of the file
        per_aux_disk=per_aux + unpacked + 2 * d * elements,
        squares=0 if by_block else threads * unpacked,
        tables=4 * nocc * naux,  # checksums
        check=d * (kept * naux + 3 * nao * nao) if sizes.checked else 0,
    )


def make_plan(
    sizes: Sizes,
    max_memory: float,
    threads: int = 1,
    aux_block: int | None = None,
    metric_done: bool = False,
    on_gpu: bool = False,
) -> Plan:
    """Choose block sizes that keep the run within its memory limit.

    Parameters
    ----------
    sizes : Sizes
    max_memory : float
        Memory limit in MB (10^6 bytes), above the resident memory at the start of DF-MP2.
    threads : int
        CPU threads. Each has a block of T. 1 where NKI kernels transform whole blocks.
    aux_block : int, optional
        Auxiliary functions per integral block, instead of the best number.
    metric_done : bool
        The integrals are those of an SCF, so the metric is neither computed nor solved. The
        integrals are read one block ahead. B stays in memory.
    on_gpu : bool
        B and the pair energies are on a GPU. The host has two blocks of packed integrals.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        If `max_memory` is infinite or NaN, also in bytes.
    ResourceError
        If even the smallest blocks need more. The message says how much.
    """
    budget = max_memory * BYTES_PER_MB
    if not isfinite(budget):
        raise InputError(f"max_memory is {max_memory:g}, but must be a finite number of MB")
    size = _bytes(sizes, threads, metric_done, on_gpu)
    smallest = min(max(sizes.aux_shell, 1), sizes.naux)
    least_in_memory = size.peak_in_memory(smallest)
    in_memory = least_in_memory <= budget
    _require_budget(size, max_memory, smallest, only_in_memory=metric_done or on_gpu)
    if aux_block is None:
        held, each = (size.b + size.squares, size.per_aux)
        if not in_memory:
            held, each = (size.tables, size.per_aux_disk)
        held += size.check
        at_once = threads * smallest if in_memory and size.squares else smallest
        best = max(ERI_BLOCK // (BYTES_PER_DOUBLE * sizes.nao**2), at_once)
        aux_block = int(max(smallest, min(best, (budget - OVERHEAD - held) // each, sizes.naux)))
    i_rows, j_rows, solve_rows = _rows_from_disk(sizes, size, budget)
    if in_memory:
        peak, reads = size.peak_in_memory(aux_block), 0.0
        memory = {"B[i,P,a]": size.b}
    else:
        peak = size.peak_on_disk(aux_block, i_rows + 2 * j_rows, solve_rows)
        # each block of i reads itself and all orbitals after it
        starts = [i.start for i in _spin_ranges(sizes, 0, i_rows)]
        reads = sum(sizes.nocc - i0 for i0 in starts) / max(sizes.nocc, 1)
        memory = {"rows of B[i,P,a]": (i_rows + 2 * j_rows) * size.row, "checksums": size.tables}
    memory |= {
        "metric and its factor": size.metric,
        "integral block": (
            aux_block * size.per_aux + size.squares if in_memory else aux_block * size.per_aux_disk
        ),
        "T blocks": size.t,
        "libraries": OVERHEAD,
    }
    if size.check:
        memory["check of the Fock matrix"] = size.check
    small, large = bytes_on_disk(Shape(sizes, sizes.nao))
    on_device = device_memory(sizes, aux_block) if on_gpu else {}
    return Plan(
        sizes=sizes,
        aux_block=aux_block,
        occ_block=_occ_block(sizes, PAIR_BLOCK_FLOPS_GPU if on_gpu else threads * PAIR_BLOCK_FLOPS),
        nki_block=_nki_block(sizes),
        in_memory=in_memory,
        i_rows=i_rows,
        j_rows=j_rows,
        solve_rows=solve_rows,
        reads=reads,
        memory=_in_mb(memory),
        peak=peak / BYTES_PER_MB,
        disk=_in_mb({"run file without B": small, "B and the metric's factor": large}),
        flops=_flops(sizes, metric_done),
        max_memory=max_memory,
        least_in_memory=ceil(least_in_memory / BYTES_PER_MB),
        device_memory=_in_mb(on_device),
        device_peak=device_peak(on_device) / BYTES_PER_MB,
    )


def _require_budget(size: _Bytes, max_memory: float, smallest: int, only_in_memory: bool) -> None:
    least, where = size.peak_in_memory(smallest), "in memory"
    if not only_in_memory:
        least, where = min(least, size.peak_on_disk(smallest, 3, 1)), "in the run file"
    if not least <= max_memory * BYTES_PER_MB:  # true for NaN, too
        raise ResourceError(
            f"max_memory is {max_memory:.0f} MB, but this run needs at least "
            f"{-(-least // BYTES_PER_MB)} MB, even with B[i,P,a] ({size.b / BYTES_PER_MB:.0f} MB) "
            f"{where}; raise max_memory (--max-memory) or freeze the core"
        )


def _occ_block(sizes: Sizes, block_flops: float) -> int:
    """Occupied orbitals per pair block with B in memory: blocks of equal size with enough work."""
    most = _most_orbitals(sizes, block_flops)
    return max(1, ceil(sizes.nocc / max(1, ceil(sizes.nocc / most))))


def _nki_block(sizes: Sizes) -> int:
    """The same with NKI kernels.

    All orbitals, or a half, a quarter and so on: a block is padded to the next size that programs
    exist for (`dfmp2.backends.buckets`), and halves are padded by the same share as the whole.
    """
    most, block = _most_orbitals(sizes, PAIR_BLOCK_FLOPS_NKI), max(1, sizes.nocc)
    while block > most:
        block = ceil(block / 2)
    return block


def _most_orbitals(sizes: Sizes, block_flops: float) -> int:
    pair_flops = 2.0 * sizes.naux * sizes.nvir**2
    return max(1, ceil(sqrt(block_flops / max(pair_flops, 1.0))))


def _rows_from_disk(sizes: Sizes, size: _Bytes, budget: float) -> tuple[int, int, int]:
    """Rows of B per block of i, per block of j, and per metric solve, with B in the run file."""
    free = budget - OVERHEAD - size.tables
    rows = int(max(3, (free - size.t) // max(size.row, 1)))
    j_rows = max(1, min(rows // READ_AHEAD, sizes.nocc))
    i_rows = max(1, min(rows - 2 * j_rows, sizes.nocc))
    solve_rows = int((free - size.metric - size.check) // max(size.row, 1)) - 1
    return i_rows, j_rows, max(1, min(solve_rows, spare_rows(sizes)))


def _flops(sizes: Sizes, metric_done: bool) -> dict[str, float]:
    nao, naux, spins = sizes.nao, sizes.naux, sizes.blocks
    elements = 0.0  # of all T_ij
    for number, (nocc, nvir) in enumerate(spins):
        elements += nocc * (nocc + 1) // 2 * nvir * nvir
        elements += sum(nocc * nvir * n * m for n, m in spins[number + 1 :])
    return {
        Stage.AO2MO.value: sum(2.0 * naux * nao * n * (nao + m) for n, m in spins),
        Stage.SOLVE.value: 0.0 if metric_done else 1.0 * naux * naux * sizes.elements,
        Stage.PAIRS.value: elements * (2.0 * naux + 8),
    }


def _in_mb(sizes: dict[str, int]) -> dict[str, float]:
    return {name: size / BYTES_PER_MB for name, size in sizes.items()}

"""The operations by torch, on a CPU or a CUDA GPU.

B[i,P,a] is stored as [i,a,P]. A range of i is then one matrix with contiguous P. So the T blocks of
one i with many j are one large GEMM, the metric solve is one triangular solve in place, and both
half transforms are GEMMs. All are float64, except for pair energies of a float32 B.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from math import ceil
from pathlib import Path
from queue import SimpleQueue
from threading import Barrier, Lock

import numpy as np
import torch

from dfmp2.backends.amplitudes import (
    AmplitudeBlock,
    AmplitudeSums,
    NearOccupied,
    overlaps,
    reduced,
)
from dfmp2.backends.cuda import CudaEngine, free_memory
from dfmp2.backends.gemm_library import (
    Product,
    by_torch,
    choose_library,
    measured_rates,
    product_of,
)
from dfmp2.backends.protocol import (
    Array,
    Engine,
    PairBlock,
    PairCase,
    Target,
    TBlock,
    Tensor,
    ThreadedIntegrals,
)
from dfmp2.backends.substitution import row_solver
from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.kernels.blas import single_thread
from dfmp2.kernels.layout import check_shapes
from dfmp2.planning.gpu import SOLVE_COLUMNS, pairs_at_once
from dfmp2.planning.plan import T_BLOCK, gemm_width
from dfmp2.results.provenance import GemmLibrary, Where
from dfmp2.results.sizes import Sizes

__all__ = ["AUX_AT_ONCE", "TorchBackend", "blocks_at_once", "host_where", "single_threaded"]

AUX_AT_ONCE = 16
"""Auxiliary functions in one GEMM of the second half transform of a CPU thread. With 16 the GEMM
runs at full speed, and each (i,a) of B receives two whole cache lines."""


_starting = Lock()


def single_threaded(threads: int) -> ThreadPoolExecutor:
    """Threads in which operations of torch are single-threaded.

    The number that is set last is also that of threads which use torch for the first time later. So
    it is set to what it was for the caller, when all threads of the pool have read theirs.
    """
    together = Barrier(threads + 1)

    def start() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # a thread reads the number at its first use of torch

    with _starting:
        pool = ThreadPoolExecutor(threads, "dfmp2", start)
        for _ in range(threads):
            pool.submit(together.wait)
        together.wait()
        torch.set_num_threads(threads)
    return pool


class TorchBackend:
    """`dfmp2.backends.protocol.Backend` by torch.

    Parameters
    ----------
    device : str
        "cpu", "cuda" or "cuda:N".

    Attributes
    ----------
    device : torch.device
    where : Where
    threads : int
    libraries : list of GemmLibrary
        Empty until `choose_libraries`. Before, torch multiplies.

    Raises
    ------
    BackendUnavailable
        If torch cannot use that device.
    """

    def __init__(self, device: str = "cpu") -> None:
        try:
            self.device = torch.device(device)
        except RuntimeError as error:
            raise BackendUnavailable(
                f"device {device!r} is unknown to torch; use cpu, cuda or cuda:N"
            ) from error
        if self.device.type == "cuda":
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if (self.device.index or 0) >= count:
                raise BackendUnavailable(
                    f"device {device!r} is not available: torch {torch.__version__} finds {count} "
                    "CUDA devices; use device cpu (--device cpu), or install a torch for the "
                    "driver of this GPU"
                )
            if ":" not in device:  # the current device may change later
                self.device = torch.device("cuda", torch.cuda.current_device())
            # TF32 products have fewer digits than float32. float64 has no such mode.
            torch.backends.cuda.matmul.allow_tf32 = False
            name = torch.cuda.get_device_name(self.device)
        elif self.device.type == "cpu":
            name = host_where().device
        else:
            raise BackendUnavailable(
                f"device {device!r} is not supported in float64; use cpu or cuda (--device)"
            )
        self.where = Where("pytorch", self.device.type, name)
        # Each thread of the pool takes pairs and runs single-threaded GEMMs. A block of T then
        # stays in the cache of its core until it is reduced, and threads do not wait for others.
        self.threads = torch.get_num_threads()
        self._pool = single_threaded(self.threads)
        self._library = {"float64": "torch", "float32": "torch"}
        self.libraries: list[GemmLibrary] = []

    def asarray(self, x: Array) -> Tensor:
        x = np.asarray(x)
        if min(x.strides, default=0) < 0:
            x = np.ascontiguousarray(x)
        return torch.from_numpy(x).to(self.device)  # keeps the order [i,a,P] of B

    def to_host(self, x: Tensor) -> Array:
        array: Array = x.cpu().numpy()
        return array

    def materialize(self, *x: Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def empty_b(self, nocc: int, naux: int, nvir: int) -> Tensor:
        memory = torch.empty((nocc, nvir, naux), dtype=torch.float64, device=self.device)
        return memory.transpose(1, 2)

    def to_float32(self, b: Tensor) -> Tensor:
        wide = b.mT
        narrow = wide.reshape(-1).view(torch.float32)[: wide.numel()].view(wide.shape)
        narrow[:1] = wide[:1].clone()
        done = 1
        while done < len(wide):  # the float64 rows before 2 done are no longer needed
            narrow[done : 2 * done] = wide[done : 2 * done]
            done *= 2
        return narrow.transpose(1, 2)

    def engine(self) -> Engine | None:
        return CudaEngine(self.device) if self.device.type == "cuda" else None

    def warm_up(self) -> None:
        a = torch.eye(64, dtype=torch.float64, device=self.device)
        torch.linalg.solve_triangular(a, a @ a, upper=False)
        self.mp2_energy(TBlock(a[None], np.array([-1.0]), np.ones(64), np.ones(64)))

    def choose_libraries(
        self, asked: str, sizes: Sizes, flops: float, dtypes: Sequence[str]
    ) -> None:
        """Choose the library of the matrix products on the CPU, for each dtype of a run.

        Parameters
        ----------
        asked : str
            One of `dfmp2.settings.BLAS`.
        sizes : Sizes
        flops : float
            Floating-point operations of the run.
        dtypes : sequence of {"float64", "float32"}
        """
        nvir, naux = max(sizes.nvir, 1), sizes.naux
        self.libraries = []
        for dtype in dtypes:
            at_once = blocks_at_once(nvir, np.dtype(dtype).itemsize)
            shape = (at_once * nvir, gemm_width(nvir), naux)
            measure = partial(measured_rates, self._pool, self.threads, shape, dtype)
            share = flops / self.threads
            self._library[dtype], made = choose_library(asked, dtype, share, measure)
            self.libraries.append(made)

    def _product(self, dtype: torch.dtype) -> Product:
        return product_of(self._library[_name(dtype)])

    def _shared(self, work: Callable[[int], None], workers: int) -> None:
        """Run work(0), work(1), ... in threads, each of which computes on one core."""
        with single_thread():
            list(self._pool.map(work, range(workers)))

    def gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        return self._multiplied(a.mT if transpose_a else a, b)

    def _multiplied(self, a: Tensor, b: Tensor) -> Tensor:
        """The product as a new tensor, by all threads of the library."""
        if self._library[_name(a.dtype)] == "numpy":
            return torch.from_numpy(np.matmul(a.numpy(), b.numpy()))
        return a @ b

    def batched_gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        wide = a.expand(len(b), -1, -1)
        return self._multiplied(wide.mT if transpose_a else wide, b)

    def syrk(self, a: Tensor, transpose_a: bool = False) -> Tensor:
        return self._multiplied(a.mT, a) if transpose_a else self._multiplied(a, a.mT)

    def trsm(self, a: Array, b: Tensor) -> Tensor:
        check_shapes("trsm", "PP iPa", a=a, b=b)
        nocc, naux, nvir = b.shape
        if not np.diagonal(a).all():
            raise InputError("trsm: the triangular matrix is singular: a diagonal element is 0")
        factor = self.asarray(a)
        if not b.mT.is_contiguous():  # B came from another backend
            return torch.linalg.solve_triangular(factor, b, upper=False)
        if self._library["float64"] == "numpy":  # it has no triangular solve
            rows, product = b.mT.view(nocc * nvir, naux), self._product(b.dtype)
            self._shared(row_solver(factor, rows, product, self.threads), self.threads)
            return b
        for part in b.mT.split(self._solved_at_once(nocc, nvir)):
            columns = part.view(len(part) * nvir, naux).T  # [P, (i,a)], P contiguous
            torch.linalg.solve_triangular(factor, columns, upper=False, out=columns)
        return b

    def _solved_at_once(self, nocc: int, nvir: int) -> int:
        """Occupied orbitals in one solve. On a GPU a library may copy its input, so this is less
        than all of B."""
        return nocc if self.device.type == "cpu" else max(1, SOLVE_COLUMNS // nvir)

    def ao2mo(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        check_shapes("ao2mo", "Pmm mi ma iPa", eri=eri, c_occ=c_occ, c_vir=c_vir, out=out)
        if self.device.type == "cpu":
            self._ao2mo_cpu(eri, c_occ, c_vir, out)
            return
        nblock, nao, _ = eri.shape
        nocc = c_occ.shape[1]
        half = c_occ.T @ eri.reshape(nblock * nao, nao).T  # [i, (P,m)]
        full = c_vir.T @ half.reshape(nocc * nblock, nao).T  # [a, (i,P)]
        _put_transformed(full, out)

    def _ao2mo_cpu(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        nblock = len(eri)
        workers = min(self.threads, nblock)
        rounds = ceil(nblock / (AUX_AT_ONCE * workers))  # equal work for all threads
        at_once = ceil(nblock / (rounds * workers))
        starts = iter(range(0, nblock, at_once))

        def work(_: int) -> None:
            transform = self._half_transforms([(c_occ, c_vir, out)], at_once)
            for p0 in starts:
                transform(eri[p0 : p0 + at_once], slice(p0, min(p0 + at_once, nblock)))

        self._shared(work, workers)

    def _half_transforms(
        self, targets: Sequence[Target], largest: int
    ) -> Callable[[Iterable[Tensor], slice], None]:
        """Both half transforms in one thread, with memory of this thread for `largest` functions.

        One P after the other, because a single (mn|P) stays in the cache during its GEMM.
        """
        dtype, product = targets[0][0].dtype, self._product(targets[0][0].dtype)
        nao = len(targets[0][0])
        widest = max(b.shape[0] * b.shape[2] for *_, b in targets)
        halves = [torch.empty(len(b) * largest * nao, dtype=dtype) for *_, b in targets]
        full_memory = torch.empty(widest * largest, dtype=dtype)

        def transform(functions: Iterable[Tensor], rows: slice) -> None:
            count = rows.stop - rows.start
            half = [
                memory[: len(b) * count * nao].view(len(b), count, nao)
                for memory, (*_, b) in zip(halves, targets, strict=True)
            ]
            for p, one in enumerate(functions):
                for own, (c_occ, *_) in zip(half, targets, strict=True):
                    product(c_occ.T, one.T, own[:, p])
            for own, (_, c_vir, b) in zip(half, targets, strict=True):
                full = full_memory[: b.shape[2] * len(b) * count].view(b.shape[2], -1)
                product(c_vir.T, own.view(-1, nao).T, full)
                _put_transformed(full, b[:, rows])

        return transform

    def ao2mo_in_threads(
        self, integrals: ThreadedIntegrals, targets: Sequence[Target], workers: int
    ) -> Generator[tuple[int, float, float]]:
        """Make integrals and transform them, each block in one thread.

        Parameters
        ----------
        integrals : ThreadedIntegrals
        targets : sequence of Target
            C_occ, C_vir and B of each spin. B is written, for the auxiliary functions of the
            integrals.
        workers : int
            Threads, at most.

        Yields
        ------
        number : int
            Number of a block that is done.
        made, transformed : float
            Seconds of its thread for both steps.
        """
        largest = max((block.p1 - block.p0 for block in integrals.blocks), default=0)
        left = iter(list(enumerate(integrals.blocks)))
        done: SimpleQueue[tuple[int, float, float] | None] = SimpleQueue()

        def work() -> None:
            try:
                make = integrals.maker()
                transform = self._half_transforms(targets, largest)
                for number, block in left:  # all threads share this iterator
                    start = time.perf_counter()
                    functions = make(block)
                    made = time.perf_counter()
                    transform(map(torch.from_numpy, functions), slice(block.p0, block.p1))
                    done.put((number, made - start, time.perf_counter() - made))
            finally:
                list(left)  # after an error the other threads stop, too
                done.put(None)

        with single_thread():
            running = [self._pool.submit(work) for _ in range(min(workers, self.threads))]
            try:
                for _ in running:
                    yield from iter(done.get, None)
            finally:
                list(left)
                wait(running)
            for thread in running:
                thread.result()

    def mp2_energy(self, block: TBlock) -> Array:
        if self.device.type != "cpu":
            e_ij = torch.as_tensor(block.e_ij).to(block.t.device)
            sums = _energy(block.t, e_ij, self.asarray(block.e_a), self.asarray(block.e_b), block)
            return self.to_host(sums)
        sums = np.zeros((self.threads, *block.energies().shape))

        def share(part: int) -> None:
            own = (part, self.threads)
            _reduce(block.t, block.e_ij, (block.e_a, block.e_b), block, own, sums[part])

        list(self._pool.map(share, range(self.threads)))
        energies: Array = sums.sum(axis=0)
        return energies

    def pair_energy(self, block: PairBlock) -> Array:
        on_cpu = self.device.type == "cpu"
        return self._pair_energy_cpu(block) if on_cpu else self._pair_energy_cuda(block)

    def _pair_energy_cpu(self, block: PairBlock) -> Array:
        b_i, b_j = block.b_i, block.b_j
        (_, naux, nvir), rows = b_i.shape, b_j.shape[2]
        width = gemm_width(nvir)
        energies = block.energies()
        at_once = blocks_at_once(max(nvir, rows), b_i.element_size())
        tasks = iter(list(_rows(block, at_once)))
        product = self._product(b_i.dtype)

        def work(_: int) -> None:
            memory = torch.empty((at_once * rows, width), dtype=b_i.dtype)
            wide = torch.zeros((width, naux), dtype=b_i.dtype) if width > nvir else None
            last = None
            for i, j in tasks:  # all threads share this iterator
                if wide is not None and i != last:
                    wide[:nvir], last = b_i[i].mT, i
                t = _t_block(b_i[i] if wide is None else wide.mT, b_j[j], memory, product)
                e_ij = block.e_i[i] + block.e_j[j]
                own = np.zeros((len(energies), len(e_ij)))
                _reduce(t, e_ij, (block.e_b, block.e_a), block, (0, 1), own)
                energies[:, i, j] = own

        self._shared(work, self.threads)
        return energies

    def _pair_energy_cuda(self, block: PairBlock) -> Array:
        b_i, b_j = block.b_i, block.b_j
        nvir, rows = b_i.shape[2], b_j.shape[2]
        at_once = min(len(b_j), pairs_at_once(max(nvir, rows), free_memory(b_i.device)))
        memory = torch.empty((at_once * rows, nvir), dtype=b_i.dtype, device=b_i.device)
        e_a, e_b = self.asarray(block.e_a), self.asarray(block.e_b)
        e_ij = self.asarray(block.e_i)[:, None] + self.asarray(block.e_j)
        sums = torch.zeros(block.energies().shape, dtype=torch.float64, device=b_i.device)
        for i, j in _rows(block, at_once):
            t = _t_block(b_i[i], b_j[j], memory)
            sums[:, i, j] = _energy(t, e_ij[i, j], e_b, e_a, block)
        return self.to_host(sums)  # waits for the device, once per block

    def amplitudes(self, block: AmplitudeBlock, w: Tensor) -> AmplitudeSums:
        """Write W of a block of T to its place in the tile W[j,b,i,a], and return its sums."""
        if self.device.type != "cpu":
            return reduced(block, w)
        from dfmp2.backends.amplitude_kernel import amplitudes_opposite_spin, amplitudes_square

        own, t, tile = block.weights, block.t.numpy(), w.numpy()
        numbers = (own.direct, own.exchange, own.straight, own.turned, own.kappa, block.counts)
        workers = min(self.threads, len(t))
        made = [AmplitudeSums.zeros(block) for _ in range(workers)]

        def share(part: int) -> None:
            where = (part, workers, *block.place, block.diagonal)
            sums, e_ij = made[part], block.e_i + block.e_j
            near_a = (block.near_a.orbitals, block.near_a.pairs)
            if own.times == 2:  # a and b are the same orbitals
                into = (sums.occ, sums.vir_a, sums.near_a)
                amplitudes_square(t, (e_ij, block.e_a, *near_a), numbers, where, tile, into)
                return
            near_b = (block.near_b.orbitals, block.near_b.pairs)
            both = (sums.occ, sums.vir_a, sums.vir_b, sums.near_a, sums.near_b)
            levels = (e_ij, block.e_a, block.e_b, *near_a, *near_b)
            amplitudes_opposite_spin(t, levels, numbers, where, tile, both)

        list(self._pool.map(share, range(workers)))
        return AmplitudeSums.total(made)

    def overlaps(self, near: NearOccupied, w: Tensor) -> Array:
        """The sum W Z q of each pair over partners and virtual orbitals."""
        if self.device.type != "cpu":
            return overlaps(near, w)
        from dfmp2.backends.amplitude_kernel import near_occupied

        workers = min(self.threads, len(near.e_partners))
        sums = np.zeros((workers, len(near.pairs)))
        energies = (near.e_pairs, near.e_partners, near.e_a, near.e_b)
        own = (near.weights.straight, near.weights.turned, near.weights.kappa)

        def share(part: int) -> None:
            pairs = (near.pairs, near.of_j)
            near_occupied(w.numpy(), pairs, energies, own, (part, workers), sums[part])

        list(self._pool.map(share, range(workers)))
        found: Array = sums.sum(axis=0)
        return found


def _put_transformed(full: Tensor, out: Tensor) -> None:
    """Copy [a, (i,P)] to the [i,P,a] of B."""
    nocc, nblock, nvir = out.shape
    out.mT.copy_(full.view(nvir, nocc, nblock).transpose(0, 1))


def blocks_at_once(nvir: int, itemsize: int) -> int:
    """How many T_ij a CPU thread computes before it reduces them.

    Parameters
    ----------
    nvir : int
        Number of virtual orbitals.
    itemsize : int
        Bytes of one element of T.
    """
    return max(1, T_BLOCK // (itemsize * nvir * nvir))


def _rows(block: PairBlock, at_once: int) -> Iterator[tuple[int, slice]]:
    """Each i of a block with ranges of j. In a diagonal block only j >= i."""
    nj = len(block.e_j)
    for i in range(len(block.e_i)):
        for j0 in range(i if block.diagonal else 0, nj, at_once):
            yield i, slice(j0, min(j0 + at_once, nj))


def _t_block(b_i: Tensor, b_j: Tensor, memory: Tensor, product: Product = by_torch) -> Tensor:
    """T[j,b,a] of one i with several j as one GEMM, with the columns of `b_i`."""
    nj, naux, nvir = b_j.shape
    rows = b_j.mT.reshape(nj * nvir, naux)  # [(j,b), P], a view
    out = memory[: nj * nvir]
    product(rows, b_i, out)
    return out.view(nj, nvir, -1)


def _reduce(
    t: Tensor,
    e_ij: Array,
    virtual: tuple[Array, Array],
    block: PairBlock | TBlock,
    share: tuple[int, int],
    energies: Array,
) -> None:
    """Add the energies of one share of T on the CPU; `virtual` are those of its rows and columns.

    Columns of T beyond the last virtual orbital are not read.
    """
    from dfmp2.backends.reduction import reduce_opposite_spin, reduce_pairs

    kappas = np.array(block.kappas)
    if block.case is PairCase.OPPOSITE_SPIN:
        reduce_opposite_spin(t.numpy(), e_ij, virtual, kappas, share, energies)
        return
    reduce_pairs(t.numpy(), e_ij, virtual[0], kappas, share, energies)
    if block.case is PairCase.SAME_SPIN:
        energies[::2] = 0.0


def _energy(
    t: Tensor, e_ij: Tensor, e_row: Tensor, e_column: Tensor, block: PairBlock | TBlock
) -> Tensor:
    """The energies of T[x,row,column] on the device in float64, shape (2 + 2 nkappa, x)."""
    t = t.to(torch.float64)
    gap = e_row[:, None] + e_column - e_ij[:, None, None]
    opposite, same = t.square().div_(gap), None
    if block.case is not PairCase.OPPOSITE_SPIN:
        same = (t - t.mT).square_().div_(gap)
    sums = torch.zeros((2 + 2 * len(block.kappas), len(t)), dtype=t.dtype, device=t.device)
    for number, kappa in enumerate((None, *block.kappas)):
        factor = 1.0 if kappa is None else (1 - torch.exp(-kappa * gap)).square_()
        if block.case is not PairCase.SAME_SPIN:
            sums[2 * number] = -(opposite * factor).sum((1, 2))
        if same is not None:
            sums[2 * number + 1] = -(same * factor).sum((1, 2)) / 2
    return sums


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def host_where() -> Where:
    """The CPU with the threads of torch."""
    return Where("pytorch", "cpu", f"{_cpu_name()}, {torch.get_num_threads()} threads")


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

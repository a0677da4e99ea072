"""What only TorchBackend has: memory that is used again, float32 arrays, blocks of T, its devices.

That its numbers are right is tested in test_operations.py.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from dfmp2.backends import torch as torch_backend
from dfmp2.backends.protocol import PairBlock, PairCase, TBlock
from dfmp2.backends.reduction import Reduction
from dfmp2.backends.torch import TorchBackend
from dfmp2.errors import BackendUnavailable
from dfmp2.integrals.blocks import AuxBlock
from tests.backends.problems import (
    assert_energies,
    assert_pair_energies,
    assert_solved,
    draw,
    factor,
    orbital_energies,
    put_b,
)
from tests.conftest import F32, F64

pytestmark = pytest.mark.usefixtures("nan_memory")

ON_TORCH = pytest.mark.parametrize("backend_name", ["torch-cpu", "torch-cuda"], indirect=True)


@ON_TORCH
def test_fresh_memory_holds_nan(backend: TorchBackend) -> None:
    """Without it, the tests could not see an element that is never written."""
    assert torch.isnan(backend.empty_b(2, 3, 4)).all()


def test_threads_of_the_process_keep_their_number() -> None:
    """After a calculation, torch would compute with one thread in every thread that starts then."""
    before, seen = torch.get_num_threads(), []
    try:
        torch.set_num_threads(2)
        backend = TorchBackend("cpu")
        backend.warm_up()
        thread = Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert (torch.get_num_threads(), seen) == (2, [2])
        assert set(backend._pool.map(lambda _: torch.get_num_threads(), range(8))) == {1}
    finally:
        torch.set_num_threads(before)


@ON_TORCH
def test_trsm_takes_no_second_b(backend: TorchBackend) -> None:
    """Without it, B could need its memory twice."""
    b = put_b(backend, draw(1, 4, 33, 7))
    address = b.data_ptr()
    assert backend.trsm(factor(33), b).data_ptr() == address


def test_trsm_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU; without it, the last part, which is smaller, could be left out."""
    monkeypatch.setattr(TorchBackend, "_solved_at_once", lambda *_: 2)
    backend = TorchBackend("cpu")
    host, a = draw(2, 5, 17, 3), factor(17)
    solved = backend.trsm(a, put_b(backend, host))
    assert_solved(backend.to_host(solved), a, host, 2 * F64)


@pytest.mark.parametrize("nblock", [1, 5, 70])
@pytest.mark.parametrize("threads", [1, 2, 7, 64])
def test_half_transformed_integrals_take_what_is_planned(
    nblock: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of all threads together are those of the block, but for one function per thread."""
    nao, nocc, nvir = 6, 2, 4
    backend = TorchBackend("cpu")
    backend.threads = threads
    b = backend.empty_b(nocc, nblock, nvir)
    taken: list[int] = []
    poisoned = torch.empty

    def counted(*args: Any, **kwargs: Any) -> torch.Tensor:
        taken.append(poisoned(*args, **kwargs).numel())
        return poisoned(*args, **kwargs)

    monkeypatch.setattr(torch, "empty", counted)
    backend.ao2mo(torch.ones(nblock, nao, nao), torch.ones(nao, nocc), torch.ones(nao, nvir), b)
    workers = len(taken) // 2
    assert workers == min(threads, nblock)
    assert 0 < sum(taken) <= (nblock + workers - 1) * nocc * (nao + nvir)
    assert (b == nao * nao).all()


class Played:
    """Integrals of ones in blocks of two functions. The block `broken` cannot be made."""

    def __init__(self, blocks: int, broken: int = -1) -> None:
        self.blocks = [AuxBlock(-1, -1, p, p + 2) for p in range(0, 2 * blocks, 2)]
        self.broken, self.made = broken, 0

    def maker(self) -> Callable[[AuxBlock], Iterator[np.ndarray]]:
        def make(block: AuxBlock) -> Iterator[np.ndarray]:
            if block.p0 == 2 * self.broken:
                raise OSError("no integrals")
            self.made += 1
            return (np.ones((6, 6)) for _ in range(2))

        return make


def in_threads(integrals: Played) -> tuple[torch.Tensor, Generator[tuple[int, float, float]]]:
    backend = TorchBackend("cpu")
    b = backend.empty_b(2, 2 * len(integrals.blocks), 4)
    target = (torch.ones(6, 2).double(), torch.ones(6, 4).double(), b)
    return b, backend.ao2mo_in_threads(integrals, [target], 2)


def test_integrals_are_made_and_transformed_in_threads() -> None:
    """Without it, a block could be left out, or be reported before it is there."""
    b, working = in_threads(Played(20))
    seen = set()
    for number, made, transformed in working:
        assert (b[:, 2 * number : 2 * number + 2] == 36).all()
        assert made >= 0
        assert transformed > 0
        seen.add(number)
    assert seen == set(range(20))


def test_error_in_a_thread_ends_all_threads() -> None:
    """Without it, the others would go on, or the error would be lost and a part of B be missing."""
    integrals = Played(1000, broken=3)
    _, working = in_threads(integrals)
    with pytest.raises(OSError, match="no integrals"):
        list(working)
    assert integrals.made < 1000


def test_threads_end_where_nobody_waits() -> None:
    """After an error in the run file, integrals that nobody needs would be made to the last."""
    integrals = Played(20_000)
    _, working = in_threads(integrals)
    next(working)
    working.close()
    assert integrals.made < 20_000


@ON_TORCH
@pytest.mark.parametrize("nvir", [1, 63, 64, 65])
def test_mp2_energy_of_float32(backend: TorchBackend, nvir: int) -> None:
    """Without it, the sums over a T of float32 could be float32, too."""
    host = draw(3, 2, nvir, nvir)
    t = backend.asarray(host.astype(np.float32))
    assert t.dtype == torch.float32
    e_occ, e_vir = orbital_energies(4, 2, nvir)
    # Squares and differences are rounded once.
    assert_energies(backend, t, host, 2 * e_occ, e_vir, F32 + F64)


@pytest.mark.parametrize("case", list(PairCase), ids=lambda case: case.value)
def test_damping_of_both_reductions(case: PairCase) -> None:
    """The loops of the CPU, and those of CUDA on the host, beside 1 - exp(-kappa D) as one number.

    Without it, a product of exponentials could overflow, or lose the digits of small kappa D. Each
    of its three exponentials has an error of at most (1 + kappa D) units. With x = kappa D, x
    exp(-x) <= 1 - exp(-x), so 1 - exp(-x) has at most 6 + 6/x relative units, its square twice
    that. The sums have as many units as terms.
    """
    kappas, nvir = (1e-3, 1.45, 1e308), 67 if case is PairCase.OPPOSITE_SPIN else 70
    t = draw(11, 3, 70, nvir)
    (e_occ, e_row), (_, e_column) = orbital_energies(12, 3, 70), orbital_energies(13, 1, nvir)
    if case is not PairCase.OPPOSITE_SPIN:
        e_column = e_row
    block = TBlock(torch.from_numpy(t), 2 * e_occ, e_row, e_column, case, kappas)
    by_tiles = block.energies()
    Reduction(case, (e_row, e_column), kappas).subtract(t, block.e_ij, (0, 1), by_tiles)
    host = [torch.from_numpy(e) for e in (block.e_ij, e_row, e_column)]
    by_operations = torch_backend._energy(block.t, *host, block).numpy()
    gap = e_row[:, None] + e_column - block.e_ij[:, None, None]
    terms = np.zeros((2, *t.shape))
    if case is not PairCase.SAME_SPIN:
        terms[0] = t**2 / gap
    if case is not PairCase.OPPOSITE_SPIN:
        terms[1] = (t - t.swapaxes(1, 2)) ** 2 / gap / 2
    for number, kappa in enumerate(kappas):
        x = min(kappa, 1e3) * gap
        factor = np.expm1(-x)
        expected = -(terms * factor**2).sum((2, 3))
        bound = (2 * (6 + 6 / min(1.0, x.min())) + 2 * terms[0, 0].size) * F64
        own = slice(2 + 2 * number, 4 + 2 * number)
        assert by_tiles[own] == pytest.approx(expected, rel=bound, abs=0)
        assert by_operations[own] == pytest.approx(expected, rel=bound, abs=0)


@ON_TORCH
def test_float32_is_used_where_it_is_asked_for(backend: TorchBackend) -> None:
    """Without it, the GEMMs of a float32 B could cost what those in float64 do."""
    b = put_b(backend, draw(5, 3, 7, 5))
    e_occ, e_vir = orbital_energies(6, 3, 5)
    wide = backend.pair_energy(PairBlock(b, b, e_occ, e_occ, e_vir, e_vir))
    b = backend.to_float32(b)
    narrow = backend.pair_energy(PairBlock(b, b, e_occ, e_occ, e_vir, e_vir))
    difference = np.abs(wide[0] - narrow[0]).max()
    assert difference > 2 * F64 * 25 * np.abs(wide[0]).max()


@ON_TORCH
def test_more_pairs_than_fit_in_one_block_of_t(backend: TorchBackend) -> None:
    """So many j that one i takes several GEMMs, the last of them smaller."""
    host = draw(7, 33, 4, 90)
    b = put_b(backend, host)
    e_occ, e_vir = orbital_energies(8, 33, 90)
    block = PairBlock(b, b, e_occ, e_occ, e_vir, e_vir, diagonal=True)
    assert_pair_energies(backend, block, host, host, 2 * F64)


@ON_TORCH
def test_to_float32_uses_the_same_memory(backend: TorchBackend) -> None:
    """Without it, B could need half its memory again."""
    b = put_b(backend, draw(9, 5, 3, 7))
    address = b.data_ptr()
    narrow = backend.to_float32(b)
    assert narrow.data_ptr() == address
    assert narrow.dtype == torch.float32


def test_asarray_does_not_copy_on_the_host() -> None:
    host = np.arange(6.0).reshape(2, 3)
    tensor = TorchBackend("cpu").asarray(host)
    host[0, 0] = 9.0
    assert tensor[0, 0] == 9.0


def test_where_names_the_device() -> None:
    where = TorchBackend("cpu").where
    assert (where.backend, where.mode) == ("pytorch", "cpu")
    assert f"{torch.get_num_threads()} threads" in where.device


@pytest.mark.parametrize(
    ("device", "says"),
    [("warp", "unknown to torch"), ("meta", "not supported in float64"), ("cuda:99", "finds 0")],
)
def test_unusable_device_is_refused(device: str, says: str) -> None:
    with pytest.raises(BackendUnavailable, match=says):
        TorchBackend(device)

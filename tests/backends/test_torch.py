"""Every operation of TorchBackend beside its definition in dfmp2.kernels.reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dfmp2.backends.protocol import PairBlock
from dfmp2.backends.reduction import TILE
from dfmp2.backends.torch import TorchBackend
from dfmp2.errors import BackendUnavailable
from dfmp2.kernels import reference
from tests.systems import rng

EPS64, EPS32 = np.finfo(np.float64).eps, np.finfo(np.float32).eps

ODD = (1, 2, TILE - 1, TILE, TILE + 1, 71)
"""Virtual orbitals around the tile of the compiled reduction, the smallest numbers, and 71, to
which an empty one is added for the GEMM."""


def close(found: Any, expected: Any, terms: int, scale: float = 1.0, eps: float = EPS64) -> None:
    """Compare sums of `terms` products of size `scale`; roundoff grows at most linearly in them."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=8 * eps * terms * scale)


@pytest.fixture(params=["cpu", "cuda"])
def backend(request: pytest.FixtureRequest) -> TorchBackend:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA GPU")
    return TorchBackend(request.param)


@pytest.fixture(autouse=True)
def _nan_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh memory holds NaN, so that elements never written cannot look right by luck."""
    plain = torch.empty

    def poisoned(*args: Any, **kwargs: Any) -> torch.Tensor:
        memory = plain(*args, **kwargs)
        return memory.fill_(float("nan")) if memory.is_floating_point() else memory

    monkeypatch.setattr(torch, "empty", poisoned)


def b_block(backend: TorchBackend, nocc: int, naux: int, nvir: int, seed: int) -> tuple[Any, Any]:
    """B[i,P,a] on the device in the backend's own memory order, and its host copy."""
    host = rng(seed).uniform(-1, 1, (nocc, naux, nvir))
    b = backend.empty_b(nocc, naux, nvir)
    b.copy_(torch.from_numpy(host))
    return b, host


def orbital_energies(nocc: int, nvir: int) -> tuple[np.ndarray, np.ndarray]:
    return rng(1).uniform(-2.0, -0.5, nocc), rng(2).uniform(0.1, 3.0, nvir)


def test_poison_is_seen(backend: TorchBackend) -> None:
    assert torch.isnan(backend.empty_b(2, 3, 4)).all()


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (5, 1, 3), (1, 9, 1), (65, 63, 64)])
def test_gemm(backend: TorchBackend, m: int, k: int, n: int, transpose_a: bool) -> None:
    a = rng(1).uniform(-1, 1, (k, m) if transpose_a else (m, k))
    b = rng(2).uniform(-1, 1, (k, n))
    c = backend.gemm(backend.asarray(a), backend.asarray(b), transpose_a)
    close(backend.to_host(c), reference.gemm(a, b, transpose_a), k)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize(("x", "m", "k", "n"), [(1, 1, 1, 1), (3, 5, 1, 2), (7, 17, 33, 1)])
def test_batched_gemm(
    backend: TorchBackend, x: int, m: int, k: int, n: int, transpose_a: bool
) -> None:
    a = rng(1).uniform(-1, 1, (x, k, m) if transpose_a else (x, m, k))
    b = rng(2).uniform(-1, 1, (x, k, n))
    c = backend.batched_gemm(backend.asarray(a), backend.asarray(b), transpose_a)
    close(backend.to_host(c), reference.batched_gemm(a, b, transpose_a), k)


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize(("m", "k"), [(1, 1), (1, 7), (7, 1), (64, 65)])
def test_syrk(backend: TorchBackend, m: int, k: int, transpose_a: bool) -> None:
    a = rng(1).uniform(-1, 1, (k, m) if transpose_a else (m, k))
    c = backend.to_host(backend.syrk(backend.asarray(a), transpose_a))
    close(c, reference.syrk(a, transpose_a), k)
    close(c, c.T, k)


@pytest.mark.parametrize(("nocc", "naux", "nvir"), [(1, 1, 1), (3, 17, 1), (1, 8, 5), (4, 33, 7)])
def test_trsm_solves_in_place(backend: TorchBackend, nocc: int, naux: int, nvir: int) -> None:
    b, host = b_block(backend, nocc, naux, nvir, 3)
    lower = np.tril(rng(4).uniform(-1, 1, (naux, naux)), -1) / naux + 2 * np.eye(naux)
    above = lower + np.triu(np.full((naux, naux), np.nan), 1)  # the upper triangle is not read
    address = b.data_ptr()
    assert backend.trsm(backend.asarray(above), b) is b
    assert b.data_ptr() == address
    for i in range(nocc):
        close(backend.to_host(b[i]), reference.trsm(lower, host[i]), naux)


def test_trsm_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU; the last part is smaller."""
    monkeypatch.setattr(TorchBackend, "_solved_at_once", lambda *_: 2)
    backend = TorchBackend("cpu")
    b, host = b_block(backend, 5, 17, 3, 3)
    lower = np.tril(rng(4).uniform(-1, 1, (17, 17)), -1) / 17 + 2 * np.eye(17)
    backend.trsm(lower, b)
    for i in range(5):
        close(backend.to_host(b[i]), reference.trsm(lower, host[i]), 17)


@pytest.mark.parametrize(
    ("nblock", "nao", "nocc", "nvir"), [(1, 2, 1, 1), (3, 5, 2, 3), (65, 13, 5, 8), (2, 3, 3, 1)]
)
def test_ao2mo_writes_its_rows_only(
    backend: TorchBackend, nblock: int, nao: int, nocc: int, nvir: int
) -> None:
    eri = rng(1).uniform(-1, 1, (nblock, nao, nao))
    eri = eri + eri.transpose(0, 2, 1)
    c_occ, c_vir = rng(2).uniform(-1, 1, (nao, nocc)), rng(3).uniform(-1, 1, (nao, nvir))
    b = backend.empty_b(nocc, nblock + 2, nvir)
    device = [backend.asarray(x) for x in (eri, c_occ, c_vir)]
    backend.ao2mo(*device, b[:, 1:-1, :])
    found = backend.to_host(b)
    close(found[:, 1:-1], reference.ao2mo(eri, c_occ, c_vir), nao * nao, 2.0)
    assert np.isnan(found[:, [0, -1]]).all()


@pytest.mark.parametrize("nblock", [1, 5, 70])
@pytest.mark.parametrize("threads", [1, 2, 7, 64])
def test_half_transformed_integrals_take_what_is_planned(
    nblock: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of all threads together are those of the block, but for one function per thread."""
    nao, nocc, nvir = 6, 2, 4
    backend = TorchBackend("cpu")
    backend._threads = threads
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


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("npair", [1, 3])
@pytest.mark.parametrize("nvir", ODD)
def test_mp2_energy(backend: TorchBackend, nvir: int, npair: int, dtype: Any) -> None:
    t = rng(5).uniform(-1, 1, (npair, nvir, nvir)).astype(dtype)
    e_occ, e_vir = orbital_energies(npair, nvir)
    found = backend.mp2_energy(torch.from_numpy(t).to(backend.device), 2 * e_occ, e_vir)
    # T is exact in either dtype; differences of float32 elements round once.
    eps = EPS64 if dtype is np.float64 else EPS32
    for mine, defined in zip(found, reference.mp2_energy(t, 2 * e_occ, e_vir), strict=True):
        assert mine.dtype == np.float64
        close(mine, defined, nvir * nvir, eps=eps)


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize(("ni", "nj"), [(1, 1), (3, 3), (4, 2)])
@pytest.mark.parametrize("nvir", ODD)
def test_pair_energy(backend: TorchBackend, nvir: int, ni: int, nj: int, diagonal: bool) -> None:
    naux = 7
    b_i, host_i = b_block(backend, ni, naux, nvir, 6)
    b_j, host_j = b_block(backend, nj, naux, nvir, 7)
    if diagonal:
        b_j, host_j, nj = b_i, host_i, ni
    e_occ, e_vir = orbital_energies(ni + nj, nvir)
    e_i, e_j = e_occ[:ni], e_occ[:nj] if diagonal else e_occ[ni:]
    found = backend.pair_energy(PairBlock(b_i, b_j, e_i, e_j, e_vir, e_vir, diagonal=diagonal))
    defined = reference.pair_energy(host_i, host_j, e_i, e_j, e_vir, diagonal)
    for mine, exact in zip(found, defined, strict=True):
        close(mine, exact, nvir * nvir * naux, scale=naux)
        if diagonal:
            assert not np.tril(mine, -1).any()


@pytest.mark.parametrize("nvir", [1, TILE, TILE + 1])
def test_pair_energy_in_float32(backend: TorchBackend, nvir: int) -> None:
    naux = 7
    b, host = b_block(backend, 3, naux, nvir, 8)
    e_occ, e_vir = orbital_energies(3, nvir)
    narrow = backend.to_float32(b)
    assert narrow.dtype == torch.float32
    e_os, e_ss = backend.pair_energy(
        PairBlock(narrow, narrow, e_occ, e_occ, e_vir, e_vir, diagonal=True)
    )
    exact_os, exact_ss = reference.pair_energy(host, host, e_occ, e_occ, e_vir, True)
    # Rounding of T (|T| <= naux) in relative terms, squared and summed over nvir^2 elements.
    close(e_os, exact_os, nvir * nvir * naux, scale=naux, eps=EPS32)
    close(e_ss, exact_ss, nvir * nvir * naux, scale=naux, eps=EPS32)
    if nvir > 1:
        assert not np.array_equal(e_os, exact_os), "float32 was asked for, float64 was used"


def test_more_pairs_than_fit_in_one_block_of_t(backend: TorchBackend) -> None:
    """So many j that one i takes several GEMMs, the last of them smaller."""
    nvir, naux, nocc = 90, 4, 33
    b, host = b_block(backend, nocc, naux, nvir, 9)
    e_occ, e_vir = orbital_energies(nocc, nvir)
    found = backend.pair_energy(PairBlock(b, b, e_occ, e_occ, e_vir, e_vir, diagonal=True))
    defined = reference.pair_energy(host, host, e_occ, e_occ, e_vir, True)
    for mine, exact in zip(found, defined, strict=True):
        close(mine, exact, nvir * nvir * naux, scale=naux)


@pytest.mark.parametrize(("nocc", "naux", "nvir"), [(1, 1, 1), (2, 1, 3), (5, 3, 7), (3, 65, 31)])
def test_to_float32_uses_the_same_memory(
    backend: TorchBackend, nocc: int, naux: int, nvir: int
) -> None:
    b, host = b_block(backend, nocc, naux, nvir, 10)
    address = b.data_ptr()
    narrow = backend.to_float32(b)
    assert narrow.data_ptr() == address
    assert narrow.dtype == torch.float32
    np.testing.assert_array_equal(backend.to_host(narrow), host.astype(np.float32))


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

"""The library of the matrix products: which one is chosen, and that both compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from dfmp2.backends import gemm_library
from dfmp2.backends.gemm_library import CLEARLY, WORTH, choose_library
from dfmp2.backends.protocol import PairBlock
from dfmp2.backends.torch import TorchBackend
from dfmp2.kernels import bounds, reference
from dfmp2.results.sizes import Sizes
from tests.backends.problems import (
    assert_pair_energies,
    assert_solved,
    assert_within,
    draw,
    factor,
    orbital_energies,
    put_b,
)
from tests.conftest import F32, F64

pytestmark = pytest.mark.usefixtures("nan_memory")


@pytest.fixture
def backend() -> TorchBackend:
    """A backend whose products are NumPy's."""
    backend = TorchBackend("cpu")
    sizes = Sizes(nao=5, nocc=2, nvir=3, naux=7, aux_shell=1)
    backend.choose_libraries("numpy", sizes, 0.0, ["float64", "float32"])
    return backend


@pytest.mark.parametrize(("nocc", "naux", "nvir"), [(1, 1, 1), (3, 145, 2), (2, 300, 257)])
def test_solve_by_products(backend: TorchBackend, nocc: int, naux: int, nvir: int) -> None:
    """Without it, a block of L, or the last rows of a thread, could be left out."""
    host, a = draw(1, nocc, naux, nvir), factor(naux)
    b = put_b(backend, host)
    address = b.data_ptr()
    solved = backend.trsm(a, b)
    assert solved.data_ptr() == address
    assert_solved(backend.to_host(solved), a, host, 2 * F64)


@pytest.mark.parametrize("nblock", [1, 70])
def test_half_transforms_by_numpy(backend: TorchBackend, nblock: int) -> None:
    """Without it, a product could be written to a copy of its place in B."""
    square = draw(2, nblock, 9, 9)
    eri, c_occ, c_vir = square + square.swapaxes(1, 2), draw(3, 9, 4), draw(4, 9, 5)
    b = backend.empty_b(4, nblock, 5)
    backend.ao2mo(*(backend.asarray(x) for x in (eri, c_occ, c_vir)), b)
    found, limit = backend.to_host(b), bounds.ao2mo(eri, c_occ, c_vir, 2 * F64)
    assert_within(found, reference.ao2mo(eri, c_occ, c_vir), limit)


@pytest.mark.parametrize("unit", [F64, F32])
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("nvir", [5, 143])  # 143 is padded to 144 columns
def test_pair_energies_by_numpy(
    backend: TorchBackend, nvir: int, diagonal: bool, unit: float
) -> None:
    """Without it, a product could be that of other orbitals, or be made in another precision."""
    host_i, host_j = draw(5, 3, 11, nvir), draw(6, 3, 11, nvir)
    host_j = host_i if diagonal else host_j
    e_i, e_vir = orbital_energies(7, 3, nvir)
    b_i, b_j = (put_b(backend, host) for host in (host_i, host_j))
    if unit == F32:
        b_i, b_j = backend.to_float32(b_i), backend.to_float32(b_j)
    block = PairBlock(b_i, b_j, e_i, e_i, e_vir, e_vir, diagonal=diagonal)
    assert_pair_energies(backend, block, host_i, host_j, unit + F64)


def test_single_products_by_numpy(backend: TorchBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unfused pair energies are made of these. Without it, torch could make them."""
    a, b = draw(10, 3, 7, 4), draw(11, 3, 7, 5)
    x, y = backend.asarray(a), backend.asarray(b)
    expected = (a[0].T @ b[0], a[0].T @ b, a[0].T @ a[0])
    products, multiply = [], np.matmul
    monkeypatch.setattr(np, "matmul", lambda *args: products.append(1) or multiply(*args))
    found = backend.gemm(x[0], y[0], True), backend.batched_gemm(x[:1], y, True)
    for mine, exact in zip((*found, backend.syrk(x[0], True)), expected, strict=True):
        np.testing.assert_allclose(backend.to_host(mine), exact, rtol=0, atol=1e-13)
    assert len(products) == 3


def never() -> dict[str, float]:
    raise AssertionError("this was not to be measured")


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_library_asked_for(library: str) -> None:
    """Without it, a library could be replaced by a faster one without a word, or be measured."""
    chosen, made = choose_library(library, "float64", 1e15, never)
    assert (chosen, made.gflops, made.reason) == (library, {}, "asked for")
    assert made.library.lower().startswith(f"{library}'s ")


@pytest.mark.parametrize(("ratio", "best"), [(0.5, "torch"), (1.02, "torch"), (1.5, "numpy")])
def test_fastest_library(ratio: float, best: str) -> None:
    """Without it, the slower library could be taken, or noise could decide."""
    assert 1.02 < CLEARLY < 1.5
    rates = {"torch": 100.0, "numpy": 100.0 * ratio}
    chosen, made = choose_library("auto", "float64", WORTH, lambda: rates)
    assert chosen == best
    assert sorted(made.gflops.values()) == sorted(rates.values())
    assert str(made).startswith(f"{made.library}, {rates[best]:.0f} GFLOP/s; ")


def test_small_runs_measure_nothing() -> None:
    """Without it, a run of milliseconds could wait for a measurement of its library."""
    chosen, made = choose_library("auto", "float64", WORTH / 2, never)
    assert chosen == "torch"
    assert "not measured: the run is small" in str(made)


def test_both_libraries_are_measured() -> None:
    """Without it, an error in the measurement would stop every long run, and no short one."""
    backend = TorchBackend("cpu")
    sizes = Sizes(nao=90, nocc=10, nvir=80, naux=200, aux_shell=1)
    backend.choose_libraries("auto", sizes, 1e15, ["float64", "float32"])
    assert [made.dtype for made in backend.libraries] == ["float64", "float32"]
    for made in backend.libraries:
        assert len(made.gflops) == 2
        assert all(0 < rate < 1e5 for rate in made.gflops.values())


def test_products_write_to_rows_of_a_larger_array() -> None:
    """The half transforms write every n-th row. A copy would lose the product."""
    a, b = torch.from_numpy(draw(8, 4, 6)), torch.from_numpy(draw(9, 5, 6)).T
    for library in ("torch", "numpy"):
        whole: Any = torch.full((4, 3, 5), torch.nan, dtype=torch.float64)
        gemm_library.product_of(library)(a, b, whole[:, 1])
        np.testing.assert_allclose(whole[:, 1], a @ b, rtol=0, atol=1e-13)
        assert torch.isnan(whole[:, ::2]).all()

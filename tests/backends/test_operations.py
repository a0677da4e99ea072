"""Every operation of the `Backend` protocol beside its definition: the same cases on all backends.

Operands are views into larger arrays of NaN, and memory that an operation writes to holds NaN: an
element read outside, or never written, makes a result that is not finite.

The largest difference that is allowed is derived in `dfmp2.kernels.bounds`. Its unit is the sum of
two rounding units: the backend's, for the result, and that of float64, for the definition.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import pytest

from dfmp2.backends.nki import NkiBackend
from dfmp2.backends.protocol import Array, Backend, PairBlock, PairCase, TBlock
from dfmp2.errors import BackendUnavailable, InputError
from dfmp2.kernels import bounds, reference
from tests.backends.problems import (
    assert_energies,
    assert_pair_energies,
    assert_solved,
    assert_within,
    draw,
    factor,
    orbital_energies,
    put_b,
)
from tests.conftest import F32, F64, Row
from tests.systems import rng

pytestmark = pytest.mark.usefixtures("nan_memory")

TRANSPOSED = pytest.mark.parametrize("transpose_a", [False, True], ids=["plain", "transposed"])


@pytest.fixture
def unit(row: Row) -> float:
    """Rounding unit of a result and of its definition together."""
    return row.unit + F64


def test_every_operation_has_a_test() -> None:
    """Without it, an operation that is added to the protocol could stay untested."""
    operations = {name for name, x in vars(Backend).items() if isinstance(x, FunctionType)}
    operations -= {name for name in operations if name.startswith("_")}
    assert {f"test_{name}" for name in operations} <= set(globals())


# Moving data


def test_where(backend: Backend, row: Row) -> None:
    """Without it, results could name a device that did not compute them."""
    assert backend.where.backend == ("nki" if row.launch else "pytorch")
    assert backend.where.mode == row.mode


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "rows": lambda x: x,
    "columns": np.asfortranarray,
    "reversed": lambda x: x[::-1, :, ::-1],
    "every second": lambda x: x[:, ::2],
    "swapped": lambda x: x.swapaxes(1, 2),
    "one column": lambda x: x[:, 0, 0],
    "one element": lambda x: x[:1, :1, :1],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_asarray(backend: Backend, row: Row, layout: str) -> None:
    """Without it, an array that is not contiguous could arrive in another order."""
    x = LAYOUTS[layout](rng(1).standard_normal((3, 4, 5)))
    found = backend.to_host(backend.asarray(x))
    assert_within(found, x, row.unit * np.abs(x))  # rounding to the nearest number


def test_to_host(backend: Backend) -> None:
    """Without it, a slice could come back with its neighbours, or as a tensor."""
    x = draw(2, 4, 5)
    tensor = backend.asarray(x)
    for part, expected in ((tensor[1:, :3], x[1:, :3]), (tensor.swapaxes(0, 1), x.T)):
        found = backend.to_host(part)
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, expected)


def test_materialize(backend: Backend, unit: float) -> None:
    """Without it, a wait for pending work could fail, or change what was computed."""
    a = draw(3, 3, 3)
    product = backend.gemm(backend.asarray(a), backend.asarray(a))
    backend.materialize()
    backend.materialize(product, product[1:])
    assert_within(backend.to_host(product), reference.gemm(a, a), bounds.product(a, a, unit))


def test_engine(backend: Backend, backend_name: str) -> None:
    """Without it, a backend that waits for each operation could claim queues."""
    assert (backend.engine() is not None) is (backend_name == "torch-cuda")


def test_warm_up(backend: Backend) -> None:
    """Without it, an error there would stop every run before its first operation."""
    backend.warm_up()


@pytest.mark.parametrize(("nocc", "naux", "nvir"), [(1, 1, 1), (4, 5, 3), (2, 129, 1)])
def test_empty_b(backend: Backend, nocc: int, naux: int, nvir: int) -> None:
    """Without it, a block written to B could end elsewhere in its memory order."""
    host = draw(4, nocc, naux, nvir)
    b = put_b(backend, host)
    block = draw(5, *host[:, naux // 2 :].shape)
    b[:, naux // 2 :] = backend.asarray(block)
    expected = np.concatenate([host[:, : naux // 2], block], axis=1)
    np.testing.assert_array_equal(backend.to_host(b), expected)
    np.testing.assert_array_equal(backend.to_host(b[nocc // 2 :]), expected[nocc // 2 :])


@pytest.mark.parametrize(("nocc", "naux", "nvir"), [(1, 1, 1), (2, 1, 3), (5, 3, 7), (3, 65, 31)])
def test_to_float32(backend: Backend, nocc: int, naux: int, nvir: int) -> None:
    """Without it, an element could be rounded twice, or overwritten before it was read."""
    host = rng(6).standard_normal((nocc, naux, nvir))
    found = backend.to_host(backend.to_float32(put_b(backend, host)))
    np.testing.assert_array_equal(found, host.astype(np.float32))


# Matrix products


@TRANSPOSED
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 1, 1), (5, 1, 3), (1, 9, 1), (65, 63, 64), (129, 130, 3), (2, 5, 513)]
)
def test_gemm(backend: Backend, unit: float, m: int, k: int, n: int, transpose_a: bool) -> None:
    """Without it, a last row, column or term of a sum could be left out."""
    a, b = draw(7, m, k), draw(8, k, n)
    given = a.T if transpose_a else a
    c = backend.gemm(backend.asarray(given), backend.asarray(b), transpose_a)
    assert_within(backend.to_host(c), reference.gemm(a, b), bounds.product(a, b, unit))


@TRANSPOSED
@pytest.mark.parametrize("of_a", ["one A each", "one A"])
@pytest.mark.parametrize(
    ("x", "m", "k", "n"), [(1, 1, 1, 1), (3, 5, 1, 2), (5, 17, 33, 1), (2, 33, 129, 65)]
)
def test_batched_gemm(
    backend: Backend, unit: float, x: int, m: int, k: int, n: int, of_a: str, transpose_a: bool
) -> None:
    """Without it, an item could be multiplied with the A of another one."""
    a, b = draw(9, 1 if of_a == "one A" else x, m, k), draw(10, x, k, n)
    given = a.swapaxes(1, 2) if transpose_a else a
    c = backend.batched_gemm(backend.asarray(given), backend.asarray(b), transpose_a)
    expected = reference.batched_gemm(a, b)
    assert_within(backend.to_host(c), expected, bounds.product(a, b, unit))


@TRANSPOSED
@pytest.mark.parametrize(("m", "k"), [(1, 1), (1, 7), (7, 1), (64, 65), (129, 3)])
def test_syrk(backend: Backend, unit: float, m: int, k: int, transpose_a: bool) -> None:
    """Without it, the half that is not computed could stay empty."""
    a = draw(11, m, k)
    c = backend.syrk(backend.asarray(a.T if transpose_a else a), transpose_a)
    assert_within(backend.to_host(c), reference.syrk(a), bounds.product(a, a.T, unit))


def test_products_of_parts_of_b(backend: Backend, unit: float) -> None:
    """Without it, a product of one orbital's B could ignore the memory order of B."""
    host = draw(12, 5, 9, 4)
    b = put_b(backend, host)
    one, others = host[1].T, host[2:]
    found = backend.gemm(b[1], b[4], True)
    assert_within(backend.to_host(found), one @ host[4], bounds.product(one, host[4], unit))
    found = backend.syrk(b[1], True)
    assert_within(backend.to_host(found), one @ one.T, bounds.product(one, one.T, unit))
    found = backend.batched_gemm(b[1:2], b[2:], True)
    assert_within(backend.to_host(found), one @ others, bounds.product(one, others, unit))


# Triangular solve and half transforms


@pytest.mark.parametrize(
    ("nocc", "naux", "nvir"), [(1, 1, 1), (3, 17, 1), (1, 8, 5), (4, 33, 7), (2, 129, 3)]
)
def test_trsm(backend: Backend, unit: float, nocc: int, naux: int, nvir: int) -> None:
    """Without it, a column could be solved with another factor, or B keep its old numbers."""
    host, a = draw(15, nocc, naux, nvir), factor(naux)
    b = put_b(backend, host)
    assert backend.trsm(a, b) is b
    assert_solved(backend.to_host(b), a, host, unit)


def test_trsm_of_a_part_of_b(backend: Backend, unit: float) -> None:
    """Without it, a solve of some orbitals could change the others."""
    host, a = draw(16, 5, 6, 3), factor(6)
    b = put_b(backend, host)
    backend.trsm(a, b[1:4])
    found = backend.to_host(b)
    assert_solved(found[1:4], a, host[1:4], unit)
    np.testing.assert_array_equal(found[[0, 4]], host[[0, 4]])


def test_trsm_of_an_array_of_the_host(backend: Backend, unit: float) -> None:
    """Without it, B that another backend made could be solved in the wrong memory order."""
    host, a = draw(17, 3, 6, 4), factor(6)
    solved = backend.trsm(a, backend.asarray(host.copy()))
    assert_solved(backend.to_host(solved), a, host, unit)


@pytest.mark.parametrize(
    ("nblock", "nao", "nocc", "nvir"),
    [(1, 2, 1, 1), (3, 5, 2, 3), (65, 13, 5, 8), (2, 3, 3, 1), (1, 129, 2, 65)],
)
def test_ao2mo(backend: Backend, unit: float, nblock: int, nao: int, nocc: int, nvir: int) -> None:
    """Without it, a block of integrals could be written beside its place in B, or not at all."""
    eri = draw(18, nblock, nao, nao)
    eri += np.tril(eri, -1).swapaxes(1, 2) - np.triu(eri, 1)
    given = (eri, draw(19, nao, nocc), draw(20, nao, nvir))
    b = put_b(backend, np.full((nocc, nblock + 2, nvir), np.nan))
    backend.ao2mo(*(backend.asarray(x) for x in given), b[:, 1:-1])
    found = backend.to_host(b)
    assert_within(found[:, 1:-1], reference.ao2mo(*given), bounds.ao2mo(*given, unit))
    assert np.isnan(found[:, [0, -1]]).all()


# Energies


@pytest.mark.parametrize(
    ("x", "nvir"), [(1, 1), (3, 1), (3, 2), (1, 63), (2, 64), (3, 65), (1, 129)]
)
def test_mp2_energy(backend: Backend, unit: float, x: int, nvir: int) -> None:
    """Without it, an element of T could be counted twice, or paired with a wrong mirror image."""
    t = draw(21, x, nvir, nvir)
    e_occ, e_vir = orbital_energies(22, x, nvir)
    assert_energies(backend, backend.asarray(t), t, 2 * e_occ, e_vir, unit)


@pytest.mark.parametrize(
    ("ni", "nj", "naux", "nvir"),
    [
        (1, 1, 1, 1),
        (4, 2, 7, 1),
        (2, 3, 7, 2),
        (4, 2, 7, 63),
        (1, 1, 7, 64),
        (3, 2, 7, 65),
        (2, 3, 7, 71),
        (1, 2, 3, 129),
        (2, 1, 129, 5),
    ],
)
def test_pair_energy(backend: Backend, unit: float, ni: int, nj: int, naux: int, nvir: int) -> None:
    """Without it, a pair of two blocks could get the energy of another one."""
    host_i, host_j = draw(23, ni, naux, nvir), draw(24, nj, naux, nvir)
    b_i, b_j = put_b(backend, host_i), put_b(backend, host_j)
    e_occ, e_vir = orbital_energies(25, ni + nj, nvir)
    block = PairBlock(b_i, b_j, e_occ[:ni], e_occ[ni:], e_vir, e_vir)
    assert_pair_energies(backend, block, host_i, host_j, unit)


@pytest.mark.parametrize(
    ("nocc", "naux", "nvir"),
    [
        (1, 7, 1),
        (4, 7, 2),
        (3, 7, 63),
        (2, 7, 64),
        (3, 7, 65),
        (2, 7, 71),
        (2, 3, 129),
        (5, 130, 3),
    ],
)
def test_pair_energy_of_a_diagonal_block(
    backend: Backend, unit: float, nocc: int, naux: int, nvir: int
) -> None:
    """Without it, a pair i <= j of one block could be left out."""
    host = draw(26, nocc, naux, nvir)
    b = put_b(backend, host)
    e_occ, e_vir = orbital_energies(27, nocc, nvir)
    block = PairBlock(b, b, e_occ, e_occ, e_vir, e_vir, diagonal=True)
    assert_pair_energies(backend, block, host, host, unit)


@pytest.mark.parametrize("diagonal", [False, True], ids=["off-diagonal", "diagonal"])
def test_pair_energy_of_parts_of_b(backend: Backend, unit: float, diagonal: bool) -> None:
    """Without it, a block could begin at the first orbital of B and not at its own."""
    host = draw(28, 6, 7, 5)
    b = put_b(backend, host)
    e_occ, e_vir = orbital_energies(29, 6, 5)
    i, j = slice(1, 4), slice(1, 4) if diagonal else slice(4, 6)
    block = PairBlock(b[i], b[j], e_occ[i], e_occ[j], e_vir, e_vir, diagonal=diagonal)
    assert_pair_energies(backend, block, host[i], host[j], unit)


@pytest.mark.parametrize("nvir", [1, 64, 65])
def test_pair_energy_in_float32(backend: Backend, row: Row, nvir: int) -> None:
    """Without it, B in float32 could be read as if it were float64."""
    host = draw(30, 3, 7, nvir)
    b = backend.to_float32(put_b(backend, host))
    e_occ, e_vir = orbital_energies(31, 3, nvir)
    block = PairBlock(b, b, e_occ, e_occ, e_vir, e_vir, diagonal=True)
    assert_pair_energies(backend, block, host, host, max(row.unit, F32) + F64)


# Open shells and regularised energies

SPINS = pytest.mark.parametrize("case", list(PairCase), ids=lambda case: case.value)


def _expected(block: PairBlock, b_i: Array, b_j: Array) -> tuple[Array, Array]:
    """All energies of a block from explicit denominators, and bounds of their sizes."""
    t = np.einsum("iPa,jPb->ijab", b_i, b_j)
    size = np.einsum("iPa,jPb->ijab", np.abs(b_i), np.abs(b_j))
    gap = block.e_a[:, None] + block.e_b - (block.e_i[:, None] + block.e_j)[:, :, None, None]
    energies, sizes = block.energies(), block.energies()
    for number, kappa in enumerate((None, *block.kappas)):
        factor = 1.0 if kappa is None else (1 - np.exp(-kappa * gap)) ** 2
        if block.case is not PairCase.SAME_SPIN:
            energies[2 * number] = -(t**2 * factor / gap).sum((2, 3))
            sizes[2 * number] = (size**2 / gap).sum((2, 3))
        if block.case is not PairCase.OPPOSITE_SPIN:
            exchanged = (t - t.swapaxes(2, 3)) ** 2
            energies[2 * number + 1] = -(exchanged * factor / gap).sum((2, 3)) / 2
            sizes[2 * number + 1] = ((size + size.swapaxes(2, 3)) ** 2 / gap).sum((2, 3)) / 2
    return energies, sizes


@SPINS
@pytest.mark.parametrize("kappas", [(), (1.45, 0.2)], ids=["plain", "kappa"])
@pytest.mark.parametrize("nvir", [(1, 1), (7, 4), (66, 65)], ids=str)
def test_spin_cases(
    backend: Backend, unit: float, case: PairCase, kappas: tuple[float, ...], nvir: tuple[int, int]
) -> None:
    """Without it, a pair of two spins could get the energies of a closed shell, or the damping of
    another orbital. Each energy is a sum of squares of sums over P: its error is at most some
    rounding units, as many as there are operations, of the sum of the sizes of all terms."""
    if isinstance(backend, NkiBackend) and kappas:
        pytest.skip("the NKI kernels refuse kappas: see test_nki_refuses_kappas")
    nvir_a, nvir_b = nvir if case is PairCase.OPPOSITE_SPIN else (nvir[0], nvir[0])
    b_i, b_j = draw(41, 3, 5, nvir_a), draw(42, 2, 5, nvir_b)
    (e_i, e_a), (e_j, e_b) = orbital_energies(43, 3, nvir_a), orbital_energies(44, 2, nvir_b)
    if case is not PairCase.OPPOSITE_SPIN:
        e_b = e_a
    block = PairBlock(
        put_b(backend, b_i), put_b(backend, b_j), e_i, e_j, e_a, e_b, case, kappas=kappas
    )
    expected, sizes = _expected(block, b_i, b_j)
    rounded = (2 * 5 + 16 + nvir_a + nvir_b) * unit
    assert_within(backend.pair_energy(block), expected, rounded * sizes)
    t = np.einsum("Pa,jPb->jab", b_i[0], b_j)
    blocks = TBlock(backend.asarray(t), e_i[0] + e_j, e_a, e_b, case, kappas)
    assert_within(backend.mp2_energy(blocks), expected[:, 0], rounded * sizes[:, 0])


# What is refused


def test_nki_refuses_kappas(backend: Backend) -> None:
    """Without it, regularised energies could be zeros, or those without a parameter."""
    if not isinstance(backend, NkiBackend):
        pytest.skip("torch computes them: see test_spin_cases")
    b, e, t = put_b(backend, draw(45, 2, 3, 4)), np.ones(4), backend.asarray(draw(46, 2, 4, 4))
    with pytest.raises(BackendUnavailable, match=r"no regularised energies \(kappa\)"):
        backend.pair_energy(PairBlock(b, b, -e[:2], -e[:2], e, e, kappas=(1.45,)))
    with pytest.raises(BackendUnavailable, match=r"no regularised energies \(kappa\)"):
        backend.mp2_energy(TBlock(t, -e[:2], e, e, kappas=(1.45,)))


def test_singular_factor(backend: Backend) -> None:
    """Without it, the solution would be infinite."""
    a = factor(4)
    a[2, 2] = 0.0
    with pytest.raises(InputError, match="singular"):
        backend.trsm(a, put_b(backend, draw(34, 2, 4, 3)))


def _call(operation: str, *shapes: tuple[int, ...], **options: Any) -> Callable[[Backend], Any]:
    """An operation on tensors of ones."""
    return lambda backend: getattr(backend, operation)(
        *(backend.asarray(np.ones(shape)) for shape in shapes), **options
    )


def _half_transform(out: tuple[int, ...], *shapes: tuple[int, ...]) -> Callable[[Backend], Any]:
    return lambda backend: backend.ao2mo(
        *(backend.asarray(np.ones(shape)) for shape in shapes), put_b(backend, np.ones(out))
    )


def _energies(t: tuple[int, ...], nocc: int, nvir: int) -> Callable[[Backend], Any]:
    virtual = np.ones(nvir)
    return lambda backend: backend.mp2_energy(
        TBlock(backend.asarray(np.ones(t)), -np.ones(nocc), virtual, virtual)
    )


def _pairs(
    b_i: tuple[int, ...], b_j: tuple[int, ...], *energies: int, diagonal: bool = False
) -> Callable[[Backend], Any]:
    """Pair energies where there are `energies` numbers of i, j and a."""
    ni, nj, nvir = energies
    return lambda backend: backend.pair_energy(
        PairBlock(
            put_b(backend, np.ones(b_i)),
            put_b(backend, np.ones(b_j)),
            -np.ones(ni),
            -np.ones(nj),
            np.ones(nvir),
            np.ones(nvir),
            diagonal=diagonal,
        )
    )


MISFITS = {
    "gemm": _call("gemm", (2, 3), (4, 2)),
    "gemm, transposed": _call("gemm", (2, 3), (3, 2), transpose_a=True),
    "batched_gemm, k": _call("batched_gemm", (2, 2, 3), (2, 4, 2)),
    "batched_gemm, items": _call("batched_gemm", (3, 2, 3), (2, 3, 2)),
    "trsm": lambda backend: backend.trsm(np.eye(4), put_b(backend, np.ones((2, 3, 2)))),
    "trsm, no square": lambda backend: backend.trsm(
        np.eye(4)[:3], put_b(backend, np.ones((2, 4, 2)))
    ),
    "ao2mo, no square": _half_transform((2, 3, 3), (3, 4, 5), (4, 2), (4, 3)),
    "ao2mo, occupied": _half_transform((2, 3, 3), (3, 4, 4), (5, 2), (4, 3)),
    "ao2mo, virtual": _half_transform((2, 3, 3), (3, 4, 4), (4, 2), (5, 3)),
    "ao2mo, larger place": _half_transform((2, 4, 3), (3, 4, 4), (4, 2), (4, 3)),
    "ao2mo, smaller place": _half_transform((2, 3, 3), (4, 4, 4), (4, 2), (4, 3)),
    "ao2mo, more virtuals in it": _half_transform((2, 3, 4), (3, 4, 4), (4, 2), (4, 3)),
    "ao2mo, fewer occupied in it": _half_transform((1, 3, 3), (3, 4, 4), (4, 2), (4, 3)),
    "mp2_energy, no square": _energies((2, 3, 4), 2, 3),
    "mp2_energy, more energies": _energies((2, 3, 3), 2, 4),
    "mp2_energy, fewer energies": _energies((2, 3, 3), 2, 2),
    "mp2_energy, more pairs": _energies((2, 3, 3), 3, 3),
    "mp2_energy, fewer pairs": _energies((2, 3, 3), 1, 3),
    "pair_energy, auxiliaries": _pairs((2, 3, 4), (2, 2, 4), 2, 2, 4),
    "pair_energy, virtuals": _pairs((2, 3, 4), (2, 3, 5), 2, 2, 4),
    "pair_energy, more energies": _pairs((2, 3, 4), (2, 3, 4), 2, 2, 5),
    "pair_energy, fewer energies": _pairs((2, 3, 4), (2, 3, 4), 2, 2, 3),
    "pair_energy, more of i": _pairs((2, 3, 4), (2, 3, 4), 3, 2, 4),
    "pair_energy, more of j": _pairs((2, 3, 4), (2, 3, 4), 2, 3, 4),
    "pair_energy, no diagonal": _pairs((2, 3, 4), (3, 3, 4), 2, 3, 4, diagonal=True),
}


@pytest.mark.parametrize("name", MISFITS)
def test_shapes_that_do_not_fit(backend: Backend, row: Row, name: str) -> None:
    """Without it, padding or memory beyond an array would make numbers of them.

    A kernel is not blamed for it: only torch's own errors may come as a `RuntimeError`.
    """
    errors = (InputError,) if row.launch else (InputError, RuntimeError)
    with pytest.raises(errors):
        MISFITS[name](backend)

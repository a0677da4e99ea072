"""The account: counts, cycles, bytes, live memory; estimates from documented formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.simulator import Account, cost, generation, shape_of, simulate, trace
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

F32 = np.float32


def cycles(body: Any, target: str = "trn2") -> dict[tuple[str, str], int]:
    """Return the cycles that `body()` adds after tiles x, y, p were prepared."""

    def kernel() -> None:
        x, y = nl.zeros((64, 200), nl.float32), nl.zeros((64, 200), nl.float32)
        p = nl.zeros((64, 200), nl.float32, nl.psum)
        nisa.tensor_copy(y, p)
        body(x, y, p)

    def empty() -> None:
        nl.zeros((64, 200), nl.float32)
        y = nl.zeros((64, 200), nl.float32)
        p = nl.zeros((64, 200), nl.float32, nl.psum)
        nisa.tensor_copy(y, p)

    chip = generation(target)
    return dict(trace(kernel, target=chip).cycles - trace(empty, target=chip).cycles)


def product(x: Any, y: Any, p: Any) -> None:
    nisa.nc_matmul(nl.ndarray((32, 200), nl.float32, nl.psum), x[:, 0:32], y)


def transpose(x: Any, y: Any, p: Any) -> None:
    nisa.nc_transpose(nl.ndarray((128, 64), nl.float32, nl.psum), x[:, 0:128])


FORMULAS = {
    "float32 product, 4 passes": (product, "tensor", "nisa.nc_matmul", 800),
    "transpose in transpose mode": (transpose, "tensor", "nisa.nc_transpose", 128),
    "both in SBUF": (
        lambda x, y, p: nisa.tensor_tensor(x, x, y, nl.add),
        "vector",
        "nisa.tensor_tensor",
        400,
    ),
    "one in PSUM": (
        lambda x, y, p: nisa.tensor_tensor(x, x, p, nl.add),
        "vector",
        "nisa.tensor_tensor",
        200,
    ),
    "copy": (lambda x, y, p: nisa.tensor_copy(x, y), "vector", "nisa.tensor_copy", 200),
    "small copy": (
        lambda x, y, p: nisa.tensor_copy(x[:, 0:3], y[:, 0:3]),
        "vector",
        "nisa.tensor_copy",
        64,
    ),
    "precise rsqrt": (
        lambda x, y, p: nisa.tensor_scalar(x, y, nl.rsqrt, 0.0),
        "gpsimd",
        "nisa.tensor_scalar",
        800,
    ),
    "precise reciprocal": (
        lambda x, y, p: nisa.reciprocal(x, y),
        "vector",
        "nisa.reciprocal",
        1600,
    ),
    "activation": (
        lambda x, y, p: nisa.activation(x, nl.exp, y),
        "scalar",
        "nisa.activation",
        200,
    ),
    "activation with reduction read": (
        lambda x, y, p: nisa.activation_reduce(
            x, nl.exp, y, nl.add, nl.ndarray((64, 1), nl.float32)
        ),
        "scalar",
        "nisa.activation_reduce",
        264,
    ),
    "iota": (lambda x, y, p: nisa.iota(x, [[1, 200]]), "gpsimd", "nisa.iota", 350),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_cycles(name: str) -> None:
    body, engine, call, expected = FORMULAS[name]
    assert cycles(body) == {(engine, call): expected}


def test_float32_transpose_costs_twice_as_much_on_v2() -> None:
    assert cycles(transpose, "trn1") == {("tensor", "nisa.nc_transpose"): 256}


def kernel(a: Any, b: Any) -> Any:
    """A small product with a transpose, all engines busy."""
    out = nl.ndarray((128, 448), nl.float32, nl.shared_hbm)
    acc = nl.ndarray((128, 448), nl.float32, nl.psum)
    for k in range(2):
        x, y = nl.load(a[k]), nl.load(b[k])
        nisa.nc_matmul(acc, x, y, accumulate=(k > 0))
    done = nl.ndarray((128, 448), nl.float32)
    nisa.activation(done, nl.square, acc)
    turned = nl.ndarray((112, 112), nl.float32, nl.psum)
    nisa.nc_transpose(turned, done[0:112, 0:112])
    nisa.tensor_copy(done[0:112, 0:112], turned)
    nisa.dma_copy(out, done)
    return out


SHAPES = (shape_of((2, 128, 128)), shape_of((2, 128, 448)))


def test_trace_equals_execution() -> None:
    run = simulate(kernel)
    run(np.ones((2, 128, 128), F32), np.ones((2, 128, 448), F32))
    assert run.account is not None
    assert trace(kernel, *SHAPES).as_dict() == run.account.as_dict()


def test_counts_of_a_small_kernel() -> None:
    account = trace(kernel, *SHAPES)
    assert account.matmul_macs == 2 * 128 * 128 * 448
    assert account.matmul_passes == {4: 2}
    assert account.matmul_cycles == 2 * 4 * 448
    assert account.transpose_cycles == 2 * 112
    assert account.engine_cycles("tensor") == account.matmul_cycles + account.transpose_cycles
    assert account.instructions == 10
    assert account.dma.hbm_read == 4 * 2 * 128 * (128 + 448)
    assert account.dma.hbm_written == 4 * 128 * 448
    assert account.dma.transfers == 5
    assert account.dma.descriptors == {4 * 128: 256, 4 * 448: 3 * 128}
    # Live at most: one pair of loaded tiles (512 + 1792) or the result (1792).
    assert account.sbuf_peak == 4 * (128 + 448)
    assert account.psum_peak == 2 * 2048 - 2048


def test_busy_times_follow_the_clocks() -> None:
    account = trace(kernel, *SHAPES, target=generation("trn1"))
    busy = account.busy_us()
    assert busy["tensor"] == pytest.approx(account.engine_cycles("tensor") / 2800)
    assert busy["scalar"] == pytest.approx(448 / 1400)
    assert busy["vector"] == pytest.approx(112 / 1120)
    read = 2 * 128 * 128 * 4 / (272e3 * 0.5)  # 512 B elements: half the peak
    rows = 3 * 128 * 448 * 4 / (272e3 * 0.7)
    assert busy["dma"] == pytest.approx(read + rows)
    assert account.bound() == ("dma", busy["dma"])


def test_estimates_say_so() -> None:
    account = trace(kernel, *SHAPES)
    assert account.as_dict()["estimate"] is True
    assert all("estimate" in line.lower() for line in account.lines()[:1])
    assert any("TensorE" in line for line in account.lines())


@pytest.mark.parametrize(
    ("run_bytes", "share"), [(4, 4 / 516), (256, 1 / 3), (512, 0.5), (2048, 0.7), (65536, 0.7)]
)
def test_short_descriptors_are_slow(run_bytes: int, share: float) -> None:
    chip = generation("trn2")
    assert cost.dma_us(368_000, run_bytes, chip) == pytest.approx(1 / share)


def test_accounts_add_up_over_launches() -> None:
    one = trace(kernel, *SHAPES)
    total = one.times(3) + one
    assert total.matmul_macs == 4 * one.matmul_macs
    assert total.executed["tensor", "nisa.nc_matmul"] == 8
    assert total.dma.hbm_read == 4 * one.dma.hbm_read
    assert total.dma.busy_us == pytest.approx(4 * one.dma.busy_us)
    assert total.sbuf_peak == one.sbuf_peak
    assert total.instructions == one.instructions
    assert isinstance(total, Account)


def test_accounts_of_different_generations_do_not_add() -> None:
    with pytest.raises(ValueError, match="trn2 and trn1"):
        trace(kernel, *SHAPES) + trace(kernel, *SHAPES, target=generation("trn1"))


def test_a_tile_is_live_from_first_write_to_last_use() -> None:
    def reuse(keep: Any) -> None:
        tiles = []
        for _ in range(10):
            t = nl.zeros((128, 1000), nl.float32)
            nisa.tensor_copy(t, t)
            tiles.append(t)
        if keep:
            for t in tiles:
                nisa.tensor_copy(t, t)

    # Python keeps all ten alive either way: only use counts.
    assert trace(reuse, False).sbuf_peak == 4000
    assert trace(reuse, True).sbuf_peak == 40000


def test_large_shapes_trace_in_a_moment() -> None:
    def many(a: Any) -> None:
        acc = nl.ndarray((128, 512), nl.float32, nl.psum)
        x = nl.load(a[0:128, 0:128])
        y = nl.load(a[0:128, 0:512])
        for k in range(5000):
            nisa.nc_matmul(acc, x, y, accumulate=(k > 0))

    account = trace(many, shape_of((100_000, 100_000)))
    assert account.matmul_cycles == 5000 * 2048


def test_what_nobody_has_shown_on_a_device_is_marked() -> None:
    def doubtful(x: Any) -> None:
        rows = nl.ndarray((64, 8), nl.float32)
        nisa.dma_copy(rows, x.ap([[0, 64], [1, 8]]))
        nisa.dma_transpose(nl.ndarray((8, 4), nl.float32), x)
        nl.fori_loop(0, 5, lambda i: nl.store(x, nl.load(x)))

    account = trace(doubtful, shape_of((4, 8)))
    assert account.unproven == {
        "dma_copy that repeats an HBM row over partitions": 1,
        "dma_transpose of 4-byte elements": 1,
        "nl.fori_loop, a loop on the device": 1,
    }
    assert sum("unproven on hardware" in line for line in account.lines()) == 3
    assert account.times(3).unproven == account.unproven

"""The account: counts, cycles, bytes, live memory; estimates from documented formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.simulator import cost, generation, shape_of, simulate, trace
from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .tiles import copied, filled, fresh, load, stored

F32 = np.float32


def cycles(body: Any, target: str = "trn2") -> dict[tuple[str, str], int]:
    """Return the cycles that `body(x, y, p)` adds after the tiles x, y, p were prepared."""

    def kernel(with_body: bool) -> None:
        x, y = filled((64, 200)), filled((64, 200))
        p = filled((64, 200), buffer=nl.psum)
        nisa.tensor_copy(y, p)
        if with_body:
            body(x, y, p)

    chip = generation(target)
    return dict(trace(kernel, True, target=chip).cycles - trace(kernel, False, target=chip).cycles)


def transpose(x: Any, y: Any, p: Any) -> None:
    out = fresh((128, 64), buffer=nl.psum)
    nisa.nc_matmul(out, x[:, 0:128], y[:, 0:64], is_transpose=True, accumulate=False)


FORMULAS = {
    "float32 product, 4 passes": (
        lambda x, y, p: nisa.nc_matmul(fresh((32, 200), buffer=nl.psum), x[:, 0:32], y),
        "tensor",
        "nisa.nc_matmul",
        800,
    ),
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
    "activation": (
        lambda x, y, p: nisa.activation(x, nl.square, y),
        "scalar",
        "nisa.activation",
        200,
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_cycles(name: str) -> None:
    body, engine, call, expected = FORMULAS[name]
    assert cycles(body) == {(engine, call): expected}


def test_float32_transpose_costs_twice_as_much_on_v2() -> None:
    assert cycles(transpose, "trn1") == {("tensor", "nisa.nc_transpose"): 256}


def test_nc_transpose_makes_an_identity_each_time() -> None:
    """Two instructions more than a product in transpose mode, one of them on GpSimdE."""

    def body(x: Any, y: Any, p: Any) -> None:
        nisa.nc_transpose(fresh((128, 64), buffer=nl.psum), x[:, 0:128])

    assert cycles(body) == {
        **cycles(transpose),
        ("vector", "nisa.nc_transpose"): 64,
        ("gpsimd", "nisa.nc_transpose"): 150 + 64,
    }


def kernel(a: Any, b: Any) -> Any:
    """A small product with a transpose, all engines busy."""
    acc = fresh((128, 448), buffer=nl.psum)
    for k in range(2):
        x, y = load(a[k]), load(b[k])
        nisa.nc_matmul(acc, x, y, accumulate=(k > 0))
    done = fresh((128, 448))
    nisa.activation(done, nl.square, acc)
    turned = fresh((112, 112), buffer=nl.psum)
    nisa.nc_transpose(turned, done[0:112, 0:112])
    nisa.tensor_copy(done[0:112, 0:112], turned)
    return stored(done)


SHAPES = (shape_of((2, 128, 128)), shape_of((2, 128, 448)))


def test_trace_equals_execution() -> None:
    run = simulate(kernel)
    run(np.ones((2, 128, 128), F32), np.ones((2, 128, 448), F32))
    assert trace(kernel, *SHAPES) == run.account


def test_counts_of_a_small_kernel() -> None:
    account = trace(kernel, *SHAPES)
    assert account.matmul_macs == 2 * 128 * 128 * 448
    assert account.matmul_cycles == 2 * 4 * 448
    assert account.transpose_cycles == 2 * 112
    assert account.engine_cycles("tensor") == account.matmul_cycles + account.transpose_cycles
    assert account.instructions == 12
    assert account.dma.hbm_read == 4 * 2 * 128 * (128 + 448)
    assert account.dma.hbm_written == 4 * 128 * 448
    assert account.dma.transfers == 5
    assert account.dma.descriptors == {4 * 128: 256, 4 * 448: 3 * 128}
    # Live at most: one pair of loaded tiles (512 + 1792) or the result (1792).
    assert account.sbuf_peak == 4 * (128 + 448)
    assert account.psum_peak == 2048


def test_busy_times_follow_the_clocks() -> None:
    account = trace(kernel, *SHAPES, target=generation("trn1"))
    busy = account.busy_us()
    assert busy["tensor"] == pytest.approx(account.engine_cycles("tensor") / 2800)
    assert busy["scalar"] == pytest.approx(448 / 1400)
    assert busy["vector"] == pytest.approx((112 + 112) / 1120)
    read = 2 * 128 * 128 * 4 / (272e3 * 0.5)  # 512 B elements: half the peak
    rows = 3 * 128 * 448 * 4 / (272e3 * 0.7)
    assert busy["dma"] == pytest.approx(read + rows)
    assert account.bound() == ("dma", busy["dma"])


@pytest.mark.parametrize(
    ("run_bytes", "share"), [(4, 4 / 516), (256, 1 / 3), (512, 0.5), (2048, 0.7), (65536, 0.7)]
)
def test_short_descriptors_are_slow(run_bytes: int, share: float) -> None:
    chip = generation("trn2")
    assert cost.dma_us(368_000, run_bytes, chip) == pytest.approx(1 / share)


def test_a_tile_is_live_from_first_write_to_last_use() -> None:
    def reuse(keep: Any) -> None:
        tiles = []
        for _ in range(10):
            t = filled((128, 1000))
            nisa.tensor_copy(t, t)
            tiles.append(t)
        if keep:
            for t in tiles:
                nisa.tensor_copy(t, t)

    # Python keeps all ten alive either way: only use counts.
    assert trace(reuse, False).sbuf_peak == 4000
    assert trace(reuse, True).sbuf_peak == 40000


def test_a_loop_of_the_device_is_one_program_and_many_runs() -> None:
    """Its body is in the program once; work, bytes and live memory are those of all iterations."""

    def loop(x: Any, trips: Any) -> None:
        kept = filled((1, 100))

        def body(i: Any) -> None:
            t = fresh((1, 1000))
            nisa.dma_copy(t, x.ap([[1000, 1], [1, 1000]], scalar_offset=i))
            nisa.tensor_copy(t, t)
            nisa.memset(fresh((1, 500)), 0.0)

        nisa.tensor_copy(kept, kept)
        nl.fori_loop(0, trips, body)

    x = np.ones((8, 1000), F32)
    once, often = trace(loop, x, 1), trace(loop, x, 8)
    assert once.instructions == often.instructions == 5
    assert often.executed["vector", "nisa.tensor_copy"] == 1 + 8
    assert often.engine_cycles("vector") - once.engine_cycles("vector") == 7 * (1000 + 500)
    assert often.dma.hbm_read == 8 * once.dma.hbm_read == 8 * 4000
    # One set of tiles, both live during the whole loop; `kept` was used for the last time before.
    assert often.sbuf_peak == 4 * (1000 + 500)


def test_large_shapes_trace_in_a_moment() -> None:
    def many(a: Any) -> None:
        acc = fresh((128, 512), buffer=nl.psum)
        x, y = load(a[0:128, 0:128]), load(a[0:128, 0:512])
        for k in range(5000):
            nisa.nc_matmul(acc, x, y, accumulate=(k > 0))

    account = trace(many, shape_of((100_000, 100_000)))
    assert account.matmul_cycles == 5000 * 2048


def test_constructs_without_a_known_run_on_a_device_are_marked() -> None:
    def doubtful(x: Any) -> None:
        rows = fresh((64, 8))
        nisa.dma_copy(rows, x.ap([[0, 64], [1, 8]]))
        copied(rows)

    assert trace(doubtful, shape_of((4, 8))).unproven == {
        "dma_copy that repeats an HBM row over partitions": 1
    }

"""Kernels in the form of AWS's tutorials run unchanged and give NumPy's results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.nki import HAS_NKI, nki, why_not
from dfmp2.kernels.simulator import generation, simulate, trace

from . import tutorials

F32 = np.float32


def random(*shape: int, dtype: Any = F32) -> Any:
    return np.random.default_rng(7).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("target", ["trn1", "trn2", "trn3"])
def test_tensor_addition(target: str) -> None:
    a, b = random(256, 1024), random(256, 1024)[::-1].copy()
    got = simulate(tutorials.tensor_add, target=generation(target))(a, b)
    assert np.array_equal(got, a + b)


def test_transpose_within_partitions() -> None:
    a = np.arange(60, dtype=np.int8).reshape(5, 12)
    got = simulate(tutorials.transpose_2d)(a, (3, 4))
    assert got.dtype == np.int8
    assert np.array_equal(got, a.reshape(5, 3, 4).transpose(0, 2, 1).reshape(5, 12))


def test_average_pooling() -> None:
    x = np.arange(72, dtype=np.float16).reshape(2, 6, 6)
    got = simulate(tutorials.average_pool)(x, 2)
    want = x.reshape(2, 3, 2, 3, 2).astype(F32).mean(axis=(2, 4))
    assert np.array_equal(got, want.astype(np.float16))


def product_bound(a: Any, b: Any) -> Any:
    """Bound of a float32 dot product's error: K u sum |a||b|, u = 2**-24."""
    return a.shape[0] * 2.0**-24 * (np.abs(a).T @ np.abs(b))


def test_matmul_of_one_tile() -> None:
    a, b = random(128, 64), random(128, 512)
    error = np.abs(simulate(tutorials.matmul_one_tile)(a, b) - a.T.astype(float) @ b)
    assert np.all(error <= product_bound(a, b))


@pytest.mark.parametrize(
    "kernel",
    [
        tutorials.matmul_tiled,
        tutorials.matmul_hoisted,
        tutorials.matmul_blocked_free,
        tutorials.matmul_blocked_all,
    ],
    ids=lambda k: k.__name__,
)
def test_tiled_matmul(kernel: Any) -> None:
    a, b = random(512, 256), random(512, 1024)
    error = np.abs(simulate(kernel)(a, b) - a.T.astype(float) @ b)
    assert np.all(error <= product_bound(a, b))


def test_blocking_saves_traffic_as_the_tutorial_promises() -> None:
    a, b = random(512, 256), random(512, 1024)
    read = {
        k.__name__: trace(k, a, b).dma.hbm_read
        for k in (tutorials.matmul_tiled, tutorials.matmul_hoisted, tutorials.matmul_blocked_free)
    }
    once = a.nbytes + b.nbytes
    assert read["matmul_blocked_free"] == once
    assert read["matmul_hoisted"] == a.nbytes + 2 * b.nbytes
    assert read["matmul_tiled"] == 2 * a.nbytes + 2 * b.nbytes


@pytest.mark.aws_simulator
@pytest.mark.skipif(not HAS_NKI, reason=str(why_not()))
@pytest.mark.parametrize(
    ("kernel", "arguments"),
    [
        (tutorials.tensor_add, (random(256, 1024), random(256, 1024))),
        (tutorials.transpose_2d, (random(5, 12), (3, 4))),
        (tutorials.average_pool, (random(2, 6, 6), 2)),
        (tutorials.matmul_one_tile, (random(128, 64), random(128, 512))),
        (tutorials.matmul_tiled, (random(256, 128), random(256, 512))),
        (tutorials.matmul_hoisted, (random(256, 128), random(256, 512))),
        (tutorials.matmul_blocked_free, (random(256, 256), random(256, 1024))),
        (tutorials.matmul_blocked_all, (random(256, 256), random(256, 1024))),
    ],
    ids=lambda k: getattr(k, "__name__", ""),
)
def test_same_source_in_both_simulators(kernel: Any, arguments: Any) -> None:
    theirs = nki.simulate(kernel)(*arguments)
    ours = simulate(kernel)(*arguments)
    assert np.allclose(ours, theirs, rtol=1e-5, atol=1e-4)

"""BLAS runs with one thread during a kernel, and as before afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from dfmp2.kernels.blas import blas_libraries, single_thread
from dfmp2.kernels.simulator import SimulatorError, simulate
from dfmp2.kernels.simulator import language as nl


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """Let OpenBLAS use two threads around the test."""
    if not openblas().info():
        pytest.skip("NumPy does not use the OpenBLAS of its wheels")
    with openblas().limit(limits=2):
        yield


def openblas() -> Any:
    return blas_libraries().select(prefix="libscipy_openblas")


def threads() -> int:
    (count,) = {library["num_threads"] for library in openblas().info()}
    return int(count)


def test_one_thread_inside_a_kernel() -> None:
    seen = []

    def kernel(x: Any) -> None:
        seen.append(threads())

    simulate(kernel)(np.ones((4, 4), np.float32))
    assert seen == [1]
    assert threads() == 2


def test_threads_come_back_after_an_error() -> None:
    with pytest.raises(SimulatorError):
        simulate(lambda: nl.ndarray((200, 4), nl.float32))()
    assert threads() == 2


def test_blocks_that_overlap_restore_once() -> None:
    first, second = single_thread(), single_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__()
    assert threads() == 1
    second.__exit__()
    assert threads() == 2

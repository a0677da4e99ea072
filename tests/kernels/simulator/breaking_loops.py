"""Kernels that break a rule which the newest reports from hardware ask for, each beside one that
obeys."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl
from dfmp2.kernels.simulator import shape_of

from .breaking import F32, breaks, fresh, index, obeys, sbuf
from .tiles import copied, stored

X = np.arange(32, dtype=F32).reshape(4, 8)
FOUR_GIB = shape_of((2**20, 1024))
LESS = shape_of((2**20 - 1, 1024))


def row(x: Any, i: Any) -> Any:
    """Row i of x as a tile, where i is known at run time."""
    tile = fresh((1, 8))
    nisa.dma_copy(tile, x.ap([[8, 1], [1, 8]], scalar_offset=i))
    return tile


# PSUM and loops


@breaks(
    "loop-psum",
    "nisa.nc_matmul",
    "dst is psum tensor [128, 128] float32, allocated outside the loop",
    target="trn1",
)
def psum_from_outside() -> None:
    x, acc = sbuf((128, 128)), fresh((128, 128), buffer=nl.psum)

    def body(i: Any) -> None:
        nisa.nc_matmul(acc, x, x)

    nl.fori_loop(0, 4, body)


@obeys("loop-psum", np.full((4, 1, 8), 8, F32), np.ones((4, 8), F32), target="trn1")
def psum_from_inside(x: Any) -> Any:
    ones = sbuf((8, 8))
    out = fresh((4, 1, 8), buffer=nl.shared_hbm)

    def body(i: Any) -> None:
        column = fresh((8, 1))
        nisa.dma_copy(column, x.ap([[1, 8], [1, 1]], scalar_offset=i))
        acc = fresh((1, 8), buffer=nl.psum)
        nisa.nc_matmul(acc, column, ones)
        nisa.dma_copy(out.ap([[8, 1], [1, 8]], scalar_offset=i), copied(acc))

    nl.fori_loop(0, 4, body)
    return out


@breaks(
    "loop-scope", "nisa.dma_copy", "sbuf tensor [1, 8] float32 was made in the body of a loop", X
)
def tile_leaves_its_loop(x: Any) -> Any:
    kept = []

    def body(i: Any) -> None:
        kept.append(row(x, i))

    nl.fori_loop(0, 4, body)
    return stored(kept[0])


@breaks("loop-scope", "nisa.dma_copy", "the offset is the counter of a loop that is over", X)
def counter_leaves_its_loop(x: Any) -> None:
    kept: list[Any] = []
    nl.fori_loop(0, 4, kept.append)
    row(x, kept[0])


@breaks("loop-scope", "nisa.memset", "sbuf tensor [1, 8] float32 was made in the body of a loop", X)
def tile_of_a_loop_is_written_later(x: Any) -> None:
    kept = []

    def body(i: Any) -> None:
        kept.append(row(x, i))

    nl.fori_loop(0, 4, body)
    nisa.memset(kept[0], 0.0)


def _sum_of_rows(x: Any) -> Any:
    total = sbuf((1, 8))

    def body(i: Any) -> None:
        nisa.tensor_tensor(total, total, row(x, i), nl.add)

    nl.fori_loop(1, 4, body, step=2)
    return stored(total)


@obeys("loop-scope", 1 + X[1:2] + X[3:4], X)
def state_outside(x: Any) -> Any:
    return _sum_of_rows(x)


@breaks("loop-nested", "nl.fori_loop", "called in the body of a loop")
def loop_in_loop() -> None:
    def body(i: Any) -> None:
        nl.fori_loop(0, 2, body)

    nl.fori_loop(0, 2, body)


@obeys("loop-nested", 1 + X[1:2] + X[3:4], X)
def one_loop_after_another(x: Any) -> Any:
    nl.fori_loop(0, 2, lambda i: None)
    return _sum_of_rows(x)


@breaks(
    "loop-input",
    "nisa.dma_copy",
    "src is private_hbm tensor 'x' [4, 8] float32 at a fixed offset",
    X,
)
def input_at_a_fixed_offset(x: Any) -> None:
    def body(i: Any) -> None:
        nisa.dma_copy(fresh((4, 8)), x)

    nl.fori_loop(0, 2, body)


@obeys("loop-input", 1 + X[1:2] + X[3:4], X)
def input_at_the_counter(x: Any) -> Any:
    return _sum_of_rows(x)


@breaks("loop-register", "nl.fori_loop", "the counter is used as a Python number", X)
def condition_on_counter(x: Any) -> None:
    def body(i: Any) -> None:
        if i > 0:
            row(x, i)

    nl.fori_loop(0, 2, body)


@breaks("loop-register", "nl.fori_loop", "the counter is used as a Python number", X)
def arithmetic_on_counter(x: Any) -> None:
    nl.fori_loop(0, 2, lambda i: row(x, i + 1) and None)


@obeys("loop-register", 1 + X[1:2] + X[3:4], X)
def counter_as_offset(x: Any) -> Any:
    return _sum_of_rows(x)


@breaks("not-modelled", "nl.fori_loop", "bounds 0 and True, step 1; use constants")
def bound_of_another_type() -> None:
    nl.fori_loop(0, True, lambda i: None)


@breaks("argument", "nl.fori_loop", "the body of the loop returns a value")
def body_returns() -> None:
    nl.fori_loop(0, 1, lambda i: 3)  # type: ignore[arg-type, return-value]


# Run-time offsets


@breaks(
    "dynamic-operand",
    "nisa.tensor_copy",
    "src is NkiTensor(shape=(4, 1), dtype=float32, buffer=sbuf) at a run-time offset",
    target="trn1",
)
def operand_at_run_time_on_trn1() -> None:
    column = sbuf((4, 8)).ap([[8, 4], [1, 1]], scalar_offset=index(3), indirect_dim=1)
    nisa.tensor_copy(fresh((4, 1)), column)


@breaks(
    "dynamic-operand",
    "nisa.tensor_scalar",
    "operand0 is NkiTensor(shape=(4, 1), dtype=float32, buffer=sbuf) at a run-time offset",
    target="trn1",
)
def scalar_at_run_time_on_trn1() -> None:
    column = sbuf((4, 8)).ap([[8, 4], [1, 1]], scalar_offset=index(3), indirect_dim=1)
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.add, column)


@obeys("dynamic-operand", X[2:3], X, target="trn1")
def transfer_at_run_time_on_trn1(x: Any) -> Any:
    return stored(row(x, index(2)))


@obeys("dynamic-operand", np.ones((4, 1), F32), target="trn2")
def operand_at_run_time_on_trn2() -> Any:
    column = sbuf((4, 8)).ap([[8, 4], [1, 1]], scalar_offset=index(3), indirect_dim=1)
    return stored(copied(column))


@breaks(
    "offset-range",
    "NkiTensor.ap",
    "private_hbm tensor 'x' [1048576, 1024] float32 has 4294967296 bytes; run-time offsets reach "
    "4294967296",
    FOUR_GIB,
)
def offset_of_33_bits(x: Any) -> None:
    x.ap([[1024, 1], [1, 8]], scalar_offset=index(3))


@obeys("offset-range", (1, 8), LESS)
def offset_of_32_bits(x: Any) -> Any:
    tile = fresh((1, 8))
    nisa.dma_copy(tile, x.ap([[1024, 1], [1, 8]], scalar_offset=index(3)))
    return stored(tile)


@obeys("offset-range", (1, 8), FOUR_GIB)
def fixed_offset_of_33_bits(x: Any) -> Any:
    tile = fresh((1, 8))
    nisa.dma_copy(tile, x.ap([[1024, 1], [1, 8]], offset=2**30 - 8))
    return stored(tile)


# Activations


@breaks("activation-shape", "nisa.activation", "data is (4, 8), dst is (4, 2, 4)")
def activation_to_another_rank() -> None:
    nisa.activation(fresh((4, 2, 4)), nl.square, sbuf((4, 8)))


@obeys("activation-shape", np.ones((4, 2, 4), F32))
def activation_to_the_same_rank() -> Any:
    out = fresh((4, 8))
    nisa.activation(out, nl.square, sbuf((4, 8)))
    return stored(out.reshape((4, 2, 4)))

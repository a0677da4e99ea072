"""Kernels that break a rule of program structure: loops, registers, arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .breaking import F32, breaks, fresh, sbuf

ONES = np.ones((4, 8), F32)
ASKED = (
    "Python asked for the value (if/while, int(), arithmetic or comparison); use it as "
    "scalar_offset, or nl.fori_loop / nl.while_loop for control flow"
)


@breaks("register-opaque", "VirtualRegister", ASKED)
def arithmetic_on_index() -> None:
    def body(i: Any) -> None:
        sbuf((4, 8))[:, i + 1]

    nl.fori_loop(0, 2, body)


@breaks("register-opaque", "VirtualRegister", ASKED)
def condition_on_index() -> None:
    for i in nl.dynamic_range(2):
        if i:
            sbuf((4, 8))


@breaks("register-opaque", "VirtualRegister", ASKED)
def comparison_of_register() -> None:
    if nisa.register_alloc(3) == 3:
        sbuf((4, 8))


@breaks("register-uninitialised", "nl.fori_loop", "a loop bound holds no value yet")
def loop_to_nothing() -> None:
    nl.fori_loop(0, nisa.register_alloc(), print)


@breaks("register-uninitialised", "nisa.register_store", "src holds no value yet")
def store_nothing() -> None:
    nisa.register_store(fresh((1, 1), nl.int32), nisa.register_alloc())


@breaks("register-frozen", "nisa.register_move", "the loop owns this register")
def write_index() -> None:
    for i in nl.dynamic_range(2):
        nisa.register_move(i, 5)


@breaks("loop-bounds", "nl.dynamic_range", "step 0 is no positive integer constant")
def step_zero() -> None:
    for _ in nl.dynamic_range(0, 4, 0):
        sbuf((4, 8))


@breaks("loop-bounds", "nl.fori_loop", "bound is a float")
def float_bound() -> None:
    nl.fori_loop(0, 2.0, print)


@breaks("loop-bounds", "nl.affine_range", "an unrolled loop has constant bounds")
def unrolled_to_register() -> None:
    nl.affine_range(nisa.register_alloc(3))


@breaks("loop-body", "nl.fori_loop", "the body returned a value")
def body_returns() -> None:
    nl.fori_loop(0, 2, lambda i: i)  # type: ignore[arg-type,return-value]


@breaks("loop-body", "nl.while_loop", "the body returned a NoneType, not a register")
def while_body_returns_nothing() -> None:
    nl.while_loop(nisa.register_alloc(1), lambda r: None)  # type: ignore[arg-type,return-value]


@breaks("loop-left", "leave_loop", "a dynamic loop was left before its end")
def leave_loop() -> None:
    for _ in nl.dynamic_range(4):
        sbuf((4, 8))
        break


@breaks("loop-no-reorder", "nl.dynamic_range", "the loop is inside nl.no_reorder()")
def loop_in_no_reorder() -> None:
    with nl.no_reorder():
        for _ in nl.dynamic_range(2):
            sbuf((4, 8))


@breaks(
    "loop-scope",
    "nisa.tensor_copy",
    "sbuf tensor [4, 8] float32 belongs to a finished loop pass",
)
def tensor_escapes_loop() -> None:
    made = []
    for _ in nl.dynamic_range(2):
        made.append(sbuf((4, 8)))
    nisa.tensor_copy(fresh((4, 8)), made[-1])


@breaks(
    "loop-scope",
    "nisa.tensor_copy",
    "sbuf tensor [4, 8] float32 belongs to a finished loop pass",
)
def tensor_carried_between_passes() -> None:
    made = []
    for _ in nl.dynamic_range(2):
        made.append(sbuf((4, 8)))
        nisa.tensor_copy(fresh((4, 8)), made[0])


@breaks("keyword-enum", "nisa.dma_copy", "dge_mode=2, oob_mode=<oob_mode.error: 0>", ONES)
def bare_integer_mode(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x, dge_mode=2)


@breaks("keyword-enum", "nisa.tensor_copy", "engine=5")
def bare_integer_engine() -> None:
    nisa.tensor_copy(fresh((4, 8)), sbuf((4, 8)), engine=5)


@breaks("argument", "shape", "a list; pass a tuple", [4, 8])
def list_argument(shape: Any) -> None:
    fresh(tuple(shape))


@breaks("argument", "nisa.memset", "dst is a float, not a tensor")
def number_for_tensor() -> None:
    nisa.memset(1.0, 0.0)


@breaks("not-modelled", "nisa.nc_matmul", "tile_position, tile_size and perf_mode")
def tiled_array() -> None:
    x = sbuf((64, 64))
    out = fresh((64, 64), buffer=nl.psum)
    nisa.nc_matmul(out, x, x, tile_position=(64, 0), tile_size=(64, 128))


@breaks("not-modelled", "nl.matmul", "transpose_x=False")
def matmul_without_transposed_x() -> None:
    nl.matmul(sbuf((64, 64)), sbuf((64, 64)))

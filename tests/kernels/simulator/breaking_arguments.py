"""Kernels whose arguments no instruction takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .breaking import F32, breaks, fresh, index, product, sbuf

ONES = np.ones((4, 8), F32)


@breaks("argument", "nisa.tensor_scalar", "operand0 is a str")
def text_operand() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.add, "2")


@breaks("argument", "nisa.tensor_scalar", "operand1 without op1")
def operand_without_operator() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, operand1=2.0)


@breaks("argument", "nisa.dma_copy", "src is a float, not a tensor")
def dma_of_number() -> None:
    nisa.dma_copy(fresh((4, 8)), 1.0)


@breaks(
    "not-modelled",
    "nl.add",
    "called as a function; pass op=nl.add to an instruction of nki.isa",
)
def add_tiles() -> None:
    nl.add(sbuf((4, 8)), sbuf((4, 8)))


@breaks("argument", "nl.ndarray", "shape is 4")
def shape_of_one_number() -> None:
    fresh(4)  # type: ignore[arg-type]


@breaks("shape", "nl.ndarray", "shape (4, 0)")
def empty_shape() -> None:
    fresh((4, 0))


@breaks("shape", "nisa.tensor_reduce", "dst (4, 2) for a reduction to (4,)")
def reduction_shape() -> None:
    nisa.tensor_reduce(fresh((4, 2)), nl.add, sbuf((4, 8)), axis=1)


@breaks("shape", "nisa.nc_transpose", "dst (4, 8) for the transpose of (4, 8)")
def transpose_shape() -> None:
    nisa.nc_transpose(fresh((4, 8), buffer=nl.psum), sbuf((4, 8)))


@breaks("alu-op", "nisa.tensor_tensor", "rsqrt takes one operand")
def unary_on_two_tiles() -> None:
    nisa.tensor_tensor(fresh((4, 8)), sbuf((4, 8)), sbuf((4, 8)), nl.rsqrt)


@breaks("not-modelled", "nisa.dma_copy", "parameter dge_mode, engine", ONES)
def dma_engine(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x, dge_mode=nisa.dge_mode.hwdge, engine=nisa.engine.scalar)


@breaks("memset-value", "nisa.memset", "value is a str")
def text_value() -> None:
    nisa.memset(fresh((4, 8)), "0")


@breaks("memset-value", "nisa.memset", "0.5 into int32")
def fraction_into_integers() -> None:
    nisa.memset(fresh((4, 8), nl.int32), 0.5)


@breaks("not-modelled", "NkiTensor.ap", "negative strides in pattern [[8, 4], [-1, 8]]", ONES)
def backwards(x: Any) -> None:
    x.ap([[8, 4], [-1, 8]], offset=7)


@breaks("not-modelled", "nisa.dma_copy", "parameter priority, oob_mode", ONES)
def skipping(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x, priority=0, oob_mode=nisa.oob_mode.skip)


@breaks("not-modelled", "nisa.activation", "parameter bias, scale")
def scaled_activation() -> None:
    nisa.activation(fresh((4, 8)), nl.square, sbuf((4, 8)), bias=sbuf((4, 1)), scale=2.0)


@breaks("not-modelled", "nisa.activation", "parameter reduce_op, reduce_res, reduce_cmd")
def reducing_activation() -> None:
    nisa.activation(
        fresh((4, 8)),
        nl.square,
        sbuf((4, 8)),
        reduce_op=nl.add,
        reduce_res=fresh((4, 1)),
        reduce_cmd=nisa.reduce_cmd.reset_reduce,
    )


@breaks("not-modelled", "nisa.tensor_scalar", "parameter reverse0, reverse1")
def reversed_operands() -> None:
    nisa.tensor_scalar(
        fresh((4, 8)), sbuf((4, 8)), nl.subtract, 1.0, True, nl.add, 1.0, reverse1=True
    )


@breaks("not-modelled", "nisa.tensor_reduce", "parameter negate, keepdims")
def negated_reduction() -> None:
    nisa.tensor_reduce(fresh((4, 1)), nl.add, sbuf((4, 8)), 1, negate=True, keepdims=True)


@breaks("not-modelled", "nl.sum", "parameter keepdims")
def sum_that_keeps_dimensions() -> None:
    nl.sum(sbuf((4, 8)), axis=1, keepdims=True)


@breaks("not-modelled", "nl.ds", "start is a NkiTensor, not an int")
def dynamic_slice() -> None:
    nl.ds(index(1), 2)


@breaks("not-modelled", "NkiTensor.permute", "this method is not modelled; use ap")
def unknown_method() -> None:
    fresh((128, 4)).permute((1, 0))


@breaks("not-modelled", "NkiTensor.ap", "vector_offset and dtype", ONES)
def gather(x: Any) -> None:
    x.ap([[8, 4], [1, 8]], vector_offset=sbuf((4, 1), nl.int32))


@breaks(
    "not-modelled",
    "NkiTensor[...] =",
    "assignment; use nisa.tensor_copy on chip and nisa.dma_copy to or from HBM",
)
def assignment() -> None:
    fresh((4, 8))[:, :] = sbuf((4, 8))


@breaks("indirect", "NkiTensor.ap", "scalar_offset is a str", ONES)
def text_offset(x: Any) -> None:
    x.ap([[8, 1], [1, 8]], scalar_offset="1")


@breaks(
    "indirect",
    "NkiTensor.ap",
    "scalar_offset is NkiTensor(shape=(1, 2), dtype=int32, buffer=sbuf), not a (1, 1) SBUF tile",
    ONES,
)
def offset_of_two(x: Any) -> None:
    x.ap([[8, 1], [1, 8]], scalar_offset=sbuf((1, 2), nl.int32))


@breaks(
    "indirect",
    "NkiTensor.ap",
    "dimension 0 of NkiTensor(shape=(4, 4), dtype=float32, buffer=private_hbm) is not dense",
    ONES,
)
def dynamic_offset_into_gaps(x: Any) -> None:
    x[:, 0:4].ap([[8, 1], [1, 4]], scalar_offset=index(1))


@breaks("view", "NkiTensor[...]", "str is no index")
def text_index() -> None:
    fresh((4, 8))["0"]


@breaks("tensor-value", "NkiTensor", "compared by an operator of Python")
def comparison_of_a_tensor() -> None:
    if product() == 0.0:  # without the rule this is always false
        fresh((4, 8))


@breaks("argument", "nl.ndarray", "shape is (4, 8.5)")
def half_a_column() -> None:
    fresh((4, 8.5))  # type: ignore[arg-type]


@breaks(
    "argument", "NkiTensor.ap", "pattern [[8, 1], [1, 2.9]] from None, not pairs of integers", ONES
)
def half_an_element(x: Any) -> None:
    x.ap([[8, 1], [1, 2.9]])


@breaks("argument", "NkiTensor.ap", "pattern [[8, 1, 2]] from None, not pairs of integers", ONES)
def pattern_of_three(x: Any) -> None:
    x.ap([[8, 1, 2]])


@breaks("view", "NkiTensor.ap", "the pattern is empty", ONES)
def empty_pattern(x: Any) -> None:
    x.ap([])


@breaks("indirect", "NkiTensor.ap", "indirect_dim is -2, the tensor has shape (4, 8)", ONES)
def dimension_from_the_end(x: Any) -> None:
    x.ap([[8, 1], [1, 8]], scalar_offset=index(1), indirect_dim=-2)


@breaks("reduce-axis", "nisa.tensor_reduce", "axis 3 of (4, 8)")
def reduction_over_a_missing_axis() -> None:
    nisa.tensor_reduce(fresh((4, 1)), nl.add, sbuf((4, 8)), 3)


@breaks("memset-value", "nisa.memset", "300 into uint8")
def value_out_of_range() -> None:
    nisa.memset(fresh((4, 8), nl.uint8), 300)


@breaks("tensor-value", "NkiTensor", "used as a condition of if or while")
def condition_on_tensor() -> None:
    if product():
        fresh((4, 8))


@breaks(
    "argument", "x", "a Foreign; pass a NumPy array", type("Foreign", (), {"__array__": None})()
)
def foreign_array(x: Any) -> None:
    fresh((4, 8))


@breaks("keyword-enum", "nisa.tensor_copy", "engine=5")
def bare_integer_engine() -> None:
    nisa.tensor_copy(fresh((4, 8)), sbuf((4, 8)), engine=5)


@breaks("argument", "shape", "a list; pass a tuple", [4, 8])
def list_argument(shape: Any) -> None:
    fresh(tuple(shape))


@breaks("argument", "nisa.memset", "dst is a float, not a tensor")
def number_for_tensor() -> None:
    nisa.memset(1.0, 0.0)


@breaks("not-modelled", "nisa.nc_matmul", "parameter tile_position, tile_size")
def tiled_array() -> None:
    x = sbuf((64, 64))
    out = fresh((64, 64), buffer=nl.psum)
    nisa.nc_matmul(out, x, x, tile_position=(64, 0), tile_size=(64, 128))

"""Kernels whose arguments no instruction takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .breaking import F32, breaks, fresh, product, sbuf

ONES = np.ones((4, 8), F32)


@breaks("argument", "nisa.activation", "scale is a str")
def text_scale() -> None:
    nisa.activation(fresh((4, 8)), nl.copy, sbuf((4, 8)), scale="2")


@breaks("argument", "nisa.activation", "bias is a str")
def text_bias() -> None:
    nisa.activation(fresh((4, 8)), nl.copy, sbuf((4, 8)), bias="2")


@breaks("argument", "nisa.tensor_scalar", "operand0 is a str")
def text_operand() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.add, "2")


@breaks("argument", "nisa.tensor_scalar", "operand1 without op1")
def operand_without_operator() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, operand1=2.0)


@breaks("argument", "nisa.dma_copy", "src is a float, not a tensor")
def dma_of_number() -> None:
    nisa.dma_copy(fresh((4, 8)), 1.0)


@breaks("argument", "nisa.register_move", "dst is a int, not a register")
def move_into_number() -> None:
    nisa.register_move(1, 2)


@breaks("argument", "nisa.register_move", "src is a float")
def move_float() -> None:
    nisa.register_move(nisa.register_alloc(), 2.0)


@breaks("argument", "nisa.register_load", "src is a int, not a tensor")
def load_number() -> None:
    nisa.register_load(nisa.register_alloc(), 2)


@breaks("argument", "nisa.register_alloc", "x is a float")
def register_of_float() -> None:
    nisa.register_alloc(2.0)  # type: ignore[arg-type]


@breaks("argument", "nl.add", "neither operand is a tensor")
def add_numbers() -> None:
    nl.add(1.0, 2.0)


@breaks("argument", "nl.ndarray", "shape is 4")
def shape_of_one_number() -> None:
    fresh(4)  # type: ignore[arg-type]


@breaks("shape", "nl.ndarray", "shape (4, 0)")
def empty_shape() -> None:
    fresh((4, 0))


@breaks("shape", "nl.add", "(4, 8) and (4, 1): broadcast_to first")
def broadcast_in_language() -> None:
    nl.add(sbuf((4, 8)), sbuf((4, 1)))


@breaks("shape", "nl.broadcast_to", "(4, 8) to (4, 16)")
def broadcast_of_eight() -> None:
    nl.broadcast_to(sbuf((4, 8)), (4, 16))


@breaks(
    "shape",
    "nisa.register_load",
    "src is NkiTensor(shape=(1, 2), dtype=int32, buffer=sbuf), not one element in SBUF or HBM",
)
def load_two_elements() -> None:
    nisa.register_load(nisa.register_alloc(), sbuf((1, 2), nl.int32))


@breaks("shape", "nisa.iota", "pattern [(1, 4)] for dst (4, 8)")
def short_iota() -> None:
    nisa.iota(fresh((4, 8), nl.int32), [[1, 4]])


@breaks("shape", "nisa.tensor_reduce", "dst (4, 2) for a reduction to (4,)")
def reduction_shape() -> None:
    nisa.tensor_reduce(fresh((4, 2)), nl.add, sbuf((4, 8)), axis=1)


@breaks("shape", "nisa.nc_transpose", "dst (4, 8) for the transpose of (4, 8)")
def transpose_shape() -> None:
    nisa.nc_transpose(fresh((4, 8), buffer=nl.psum), sbuf((4, 8)))


@breaks("shape", "nisa.tensor_partition_reduce", "dst (4, 8) for a reduction of (4, 8)")
def partition_reduction_shape() -> None:
    nisa.tensor_partition_reduce(fresh((4, 8)), nl.add, sbuf((4, 8)))


@breaks("free-rank", "nisa.iota", "pattern [(1, 2), (1, 2), (1, 2), (1, 1), (1, 1)]")
def five_dimensional_iota() -> None:
    nisa.iota(fresh((4, 8), nl.int32), [[1, 2], [1, 2], [1, 2], [1, 1], [1, 1]])


@breaks("reduce-op", "nisa.tensor_partition_reduce", "multiply")
def product_over_partitions() -> None:
    nisa.tensor_partition_reduce(fresh((1, 8)), nl.multiply, sbuf((4, 8)))


@breaks("reduce-op", "nisa.tensor_scalar_reduce", "subtract")
def subtracting_reduction() -> None:
    nisa.tensor_scalar_reduce(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, nl.subtract)


@breaks("reduce-op", "nisa.activation", "reduce_cmd.reset_reduce without reduce_op")
def reduce_without_operator() -> None:
    nisa.activation(fresh((4, 8)), nl.copy, sbuf((4, 8)), reduce_cmd=nisa.reduce_cmd.reset_reduce)


@breaks("reduce-registers", "nisa.activation", "load_reduce is not a command of ScalarE here")
def load_into_scalar_registers() -> None:
    nisa.activation(
        fresh((4, 8)),
        nl.copy,
        sbuf((4, 8)),
        reduce_op=nl.add,
        reduce_cmd=nisa.reduce_cmd.load_reduce,
    )


@breaks(
    "reduce-registers",
    "nisa.tensor_scalar_reduce",
    "reduce_init belongs to reduce_cmd.load_reduce",
)
def initial_value_without_load() -> None:
    nisa.tensor_scalar_reduce(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, nl.add, reduce_init=1.0)


@breaks("reduce-registers", "nisa.tensor_scalar_reduce", "reduce_cmd.idle is not supported here")
def idle_reduction() -> None:
    nisa.tensor_scalar_reduce(
        fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, nl.add, reduce_cmd=nisa.reduce_cmd.idle
    )


@breaks("alu-op", "nisa.affine_select", "add is no comparison")
def select_by_sum() -> None:
    nisa.affine_select(fresh((4, 8)), [[1, 8]], 0, sbuf((4, 8)), 0.0, cmp_op=nl.add)


@breaks("alu-op", "nisa.tensor_tensor", "square takes one operand")
def unary_on_two_tiles() -> None:
    nisa.tensor_tensor(fresh((4, 8)), sbuf((4, 8)), sbuf((4, 8)), nl.square)


@breaks("alu-op", "nisa.scalar_tensor_tensor", "add, square: binary arithmetic operators only")
def unary_in_fused_instruction() -> None:
    nisa.scalar_tensor_tensor(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, nl.square, sbuf((4, 8)))


@breaks("alu-op", "nisa.tensor_scalar_reduce", "bitwise_and")
def bits_in_reduction() -> None:
    x = sbuf((4, 8), nl.int32)
    nisa.tensor_scalar_reduce(fresh((4, 8), nl.int32), x, nl.bitwise_and, 1, nl.add)


@breaks("keyword-enum", "nisa.dma_copy", "engine=1", ONES)
def dma_engine_number(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x, engine=1)


@breaks("keyword-enum", "nisa.activation", "reduce_cmd=3")
def reduce_command_number() -> None:
    nisa.activation(fresh((4, 8)), nl.copy, sbuf((4, 8)), reduce_op=nl.add, reduce_cmd=3)


@breaks("keyword-enum", "nisa.tensor_scalar_reduce", "reduce_cmd=3")
def vector_reduce_command_number() -> None:
    nisa.tensor_scalar_reduce(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, nl.add, reduce_cmd=3)


@breaks("memset-value", "nisa.memset", "value is a str")
def text_value() -> None:
    nisa.memset(fresh((4, 8)), "0")


@breaks("memset-value", "nisa.memset", "0.5 into int32")
def fraction_into_integers() -> None:
    nisa.memset(fresh((4, 8), nl.int32), 0.5)


@breaks("not-modelled", "NkiTensor.ap", "negative strides in pattern [[8, 4], [-1, 8]]", ONES)
def backwards(x: Any) -> None:
    x.ap([[8, 4], [-1, 8]], offset=7)


@breaks("not-modelled", "nisa.dma_copy", "oob_mode.skip", ONES)
def skipping(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x, oob_mode=nisa.oob_mode.skip)


@breaks("not-modelled", "nl.shared_constant", "a constant of type str")
def constant_from_file() -> None:
    nl.shared_constant("matrix.npy")


@breaks("not-modelled", "NkiTensor.view", "bits of bfloat16 as uint16")
def bits_of_bfloat16() -> None:
    fresh((4, 8), nl.bfloat16).view(nl.uint16)


@breaks("not-modelled", "NkiTensor.ap", "bits of bfloat16 as uint16")
def pattern_over_bits_of_bfloat16() -> None:
    fresh((4, 8), nl.bfloat16).ap([[8, 4], [1, 8]], dtype=nl.uint16)


@breaks("not-modelled", "NkiTensor.ap", "a dynamic offset with float32 seen as int16", ONES)
def dynamic_offset_into_other_type(x: Any) -> None:
    x.ap([[8, 1], [1, 8]], scalar_offset=nisa.register_alloc(1), dtype=nl.int16)


@breaks("not-modelled", "NkiTensor[...] =", "assignment of a float")
def assign_number() -> None:
    fresh((4, 8))[:, :] = 1.0  # type: ignore[call-overload]


@breaks("dge", "nisa.dma_transpose", "hwdge transposes two-byte types, src is float32", ONES)
def hardware_transpose_of_float32(x: Any) -> None:
    nisa.dma_transpose(fresh((8, 4)), x, dge_mode=nisa.dge_mode.hwdge)


@breaks("dtype-transpose", "nisa.dma_transpose", "src is float32, dst bfloat16", ONES)
def casting_dma_transpose(x: Any) -> None:
    nisa.dma_transpose(fresh((8, 4), nl.bfloat16), x)


@breaks("dtype-scalar", "nisa.activation", "bias is tfloat32")
def tfloat32_bias() -> None:
    nisa.activation(fresh((4, 8)), nl.copy, sbuf((4, 8)), bias=sbuf((4, 1), nl.tfloat32))


@breaks("indirect", "dynamic offset", "scalar_offset is a str", ONES)
def text_offset(x: Any) -> None:
    x.ap([[8, 1], [1, 8]], scalar_offset="1")


@breaks(
    "indirect",
    "dynamic offset",
    "scalar_offset is NkiTensor(shape=(1, 2), dtype=int32, buffer=sbuf), not a (1, 1) SBUF tile",
    ONES,
)
def offset_of_two(x: Any) -> None:
    x.select(0, sbuf((1, 2), nl.int32))


@breaks("indirect", "NkiTensor.ap", "more than one dynamic offset", ONES)
def scalar_and_vector_offset(x: Any) -> None:
    one = nisa.register_alloc(1)
    x.ap([[8, 4], [1, 8]], scalar_offset=one, vector_offset=sbuf((4, 1), nl.int32))


@breaks(
    "indirect",
    "NkiTensor.ap",
    "vector_offset is NkiTensor(shape=(3, 1), dtype=int32, buffer=sbuf), 4 rows",
    ONES,
)
def too_few_indices(x: Any) -> None:
    x.ap([[8, 4], [1, 8]], vector_offset=sbuf((3, 1), nl.int32))


@breaks("indirect", "NkiTensor.vector_select", "dimension 1 is not 0", ONES)
def gather_columns(x: Any) -> None:
    x.vector_select(1, sbuf((4, 1), nl.int32))


@breaks(
    "indirect",
    "NkiTensor.ap",
    "dimension 0 of NkiTensor(shape=(4, 4), dtype=float32, buffer=private_hbm) is not dense",
    ONES,
)
def dynamic_offset_into_gaps(x: Any) -> None:
    x[:, 0:4].ap([[8, 1], [1, 4]], scalar_offset=nisa.register_alloc(1))


@breaks("indirect", "NkiTensor[...]", "dimension 0 is already dynamic", ONES)
def slice_of_gather(x: Any) -> None:
    x.vector_select(0, sbuf((4, 1), nl.int32))[0:2]


@breaks("view", "NkiTensor[...]", "str is no index")
def text_index() -> None:
    fresh((4, 8))["0"]


@breaks("view", "NkiTensor.permute", "(0, 0) is no permutation of 2 dimensions")
def no_permutation() -> None:
    fresh((4, 8)).permute((0, 0))


@breaks("view", "NkiTensor.broadcast", "dimension 1 of (4, 8) is not 1")
def broadcast_eight() -> None:
    fresh((4, 8)).broadcast(1, 16)


@breaks(
    "broadcast",
    "NkiTensor.broadcast",
    "NkiTensor(shape=(1, 8), dtype=float32, buffer=sbuf) over 4 partitions",
)
def broadcast_view_over_partitions() -> None:
    fresh((1, 8)).broadcast(0, 4)


@breaks(
    "view",
    "NkiTensor.expand_dim",
    "dimension 0 of NkiTensor(shape=(4, 8), dtype=float32, buffer=sbuf) is the partition",
)
def expand_partitions() -> None:
    fresh((4, 8)).expand_dim(0)


@breaks("view", "NkiTensor.squeeze_dim", "dimension 1 of (4, 8) is not 1")
def squeeze_eight() -> None:
    fresh((4, 8)).squeeze_dim(1)


@breaks("view", "NkiTensor.reshape_dim", "8 elements into (3, 3)")
def split_unevenly() -> None:
    fresh((4, 8)).reshape_dim(1, (3, 3))


@breaks("view", "NkiTensor.view", "the last dimension is not contiguous, or the view is dynamic")
def bits_of_strided() -> None:
    fresh((4, 8))[:, ::2].view(nl.int32)


@breaks("view", "NkiTensor.view", "(4, 3) of uint8 does not divide into float32")
def bits_that_do_not_divide() -> None:
    fresh((4, 3), nl.uint8).view(nl.float32)


@breaks("view", "NkiTensor.rearrange", "sizes of ['b', 'c'] are not given")
def rearrange_without_sizes() -> None:
    fresh((4, 8)).rearrange(("a", ("b", "c")), ("a", "b", "c"))


@breaks("view", "NkiTensor.rearrange", "('a', 'd') does not name ['a', 'b']")
def rearrange_to_other_names() -> None:
    fresh((4, 8)).rearrange(("a", "b"), ("a", "d"))


@breaks("register-opaque", "NkiTensor", "a tensor has no value while a kernel is built")
def condition_on_tensor() -> None:
    if product():
        fresh((4, 8))


@breaks("register-uninitialised", "nisa.register_move", "src holds no value yet")
def move_nothing() -> None:
    nisa.register_move(nisa.register_alloc(), nisa.register_alloc())


@breaks("register-uninitialised", "VirtualRegister", "the register holds no value yet", ONES)
def offset_of_nothing(x: Any) -> None:
    nisa.dma_copy(fresh((1, 8)), x.select(0, nisa.register_alloc()))


@breaks("register-uninitialised", "nl.while_loop", "the condition holds no value yet")
def while_nothing() -> None:
    nl.while_loop(nisa.register_alloc(), lambda r: r)


@breaks("loop-bounds", "nl.while_loop", "init is a int, not a register")
def while_number() -> None:
    nl.while_loop(3, lambda r: r)


@breaks(
    "argument", "x", "a Foreign; pass a NumPy array", type("Foreign", (), {"__array__": None})()
)
def foreign_array(x: Any) -> None:
    fresh((4, 8))

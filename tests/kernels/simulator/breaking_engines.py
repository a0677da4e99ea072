"""Kernels that break a rule of types or engines."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .breaking import F32, breaks, fresh, product, psum, sbuf

ONES = np.ones((4, 8), F32)
ALL = "bool_, int8, int16, int32, uint8, uint16, uint32, float16, bfloat16, tfloat32, float32"


@breaks("dtype", "x", f"dtype 'float64' is none of {ALL}", np.ones((4, 8)))
def float64_argument(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x)


@breaks("dtype", "nl.ndarray", f"dtype 'float8_e4m3' is none of {ALL}")
def unknown_dtype() -> None:
    fresh((4, 8), "float8_e4m3")


@breaks("dtype-matmul", "nisa.nc_matmul", "stationary bfloat16, moving float32")
def mixed_product() -> None:
    out = fresh((128, 128), buffer=nl.psum)
    nisa.nc_matmul(out, sbuf((128, 128), nl.bfloat16), sbuf((128, 128)))


@breaks("dtype-matmul", "nisa.nc_matmul", "stationary int32, moving int32")
def integer_product() -> None:
    out = fresh((128, 128), buffer=nl.psum)
    nisa.nc_matmul(out, sbuf((128, 128), nl.int32), sbuf((128, 128), nl.int32))


@breaks("dtype-matmul", "nisa.nc_matmul", "dst is bfloat16 on trn2")
def bfloat16_result() -> None:
    out = fresh((128, 128), nl.bfloat16, nl.psum)
    nisa.nc_matmul(out, sbuf((128, 128)), sbuf((128, 128)))


@breaks("dtype-transpose", "nisa.nc_transpose", "data is bfloat16, dst float32")
def transpose_casts() -> None:
    nisa.nc_transpose(fresh((64, 64), buffer=nl.psum), sbuf((64, 64), nl.bfloat16))


@breaks("dtype-scalar", "nisa.tensor_scalar", "operand0 is bfloat16")
def narrow_operand() -> None:
    nisa.tensor_scalar(fresh((64, 4)), sbuf((64, 4)), nl.add, sbuf((64, 1), nl.bfloat16))


@breaks("dtype-scalar", "nisa.activation", "scale is int32")
def integer_scale() -> None:
    nisa.activation(fresh((64, 4)), nl.copy, sbuf((64, 4)), scale=sbuf((64, 1), nl.int32))


@breaks("dtype-bitvec", "nisa.tensor_tensor", "bitwise_and with float32")
def bits_of_floats() -> None:
    nisa.tensor_tensor(fresh((64, 4)), sbuf((64, 4)), sbuf((64, 4)), nl.bitwise_and)


@breaks("dtype-bitvec", "nisa.tensor_scalar", "bitwise_and with add")
def bits_then_add() -> None:
    x = sbuf((64, 4), nl.int32)
    nisa.tensor_scalar(fresh((64, 4), nl.int32), x, nl.bitwise_and, 1, op1=nl.add, operand1=1.0)


@breaks("memset-value", "nisa.memset", "1.0 into int32")
def float_into_integers() -> None:
    nisa.memset(fresh((4, 8), nl.int32), 1.0)


@breaks("engine", "nisa.tensor_tensor", "power runs on GpSimdE")
def power_on_vector_engine() -> None:
    x = sbuf((4, 8))
    nisa.tensor_tensor(fresh((4, 8)), x, x, nl.power, engine=nisa.engine.vector)


@breaks("engine", "nisa.tensor_tensor", "engine scalar, possible are vector, gpsimd")
def sum_on_scalar_engine() -> None:
    x = sbuf((4, 8))
    nisa.tensor_tensor(fresh((4, 8)), x, x, nl.add, engine=nisa.engine.scalar)


@breaks(
    "engine",
    "nisa.tensor_copy",
    "ScalarE copies with activation(op=nl.copy) on NeuronCore-v2",
    target="trn1",
)
def scalar_copy_on_v2() -> None:
    nisa.tensor_copy(fresh((4, 8)), sbuf((4, 8)), engine=nisa.engine.scalar)


@breaks("engine", "nisa.tensor_scalar", "('subtract', None) on ScalarE of trn2")
def subtract_on_scalar_engine() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.subtract, 1.0, engine=nisa.engine.scalar)


@breaks(
    "engine",
    "nisa.tensor_scalar",
    "('add', None) on gpsimd: GpSimdE does rsqrt and nothing else here",
)
def add_on_gpsimd() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, engine=nisa.engine.gpsimd)


@breaks("matmul-tile", "nisa.nc_matmul", "stationary (128, 129), moving (128, 64) on trn2")
def stationary_too_wide() -> None:
    nisa.nc_matmul(fresh((128, 64), buffer=nl.psum), sbuf((128, 129)), sbuf((128, 64)))


@breaks("matmul-tile", "nisa.nc_matmul", "stationary (128, 128), moving (128, 513) on trn2")
def moving_too_wide() -> None:
    nisa.nc_matmul(fresh((128, 513), buffer=nl.psum), sbuf((128, 128)), sbuf((128, 513)))


@breaks("matmul-tile", "nisa.nc_matmul", "stationary (128, 128), moving (64, 512) on trn2")
def contractions_differ() -> None:
    nisa.nc_matmul(fresh((128, 512), buffer=nl.psum), sbuf((128, 128)), sbuf((64, 512)))


@breaks(
    "matmul-tile",
    "nisa.nc_matmul",
    "stationary starts at partition 0, moving at 64: rows of the array are partitions",
)
def rows_differ() -> None:
    x = sbuf((128, 64))
    nisa.nc_matmul(fresh((64, 64), buffer=nl.psum), x[0:64], x[64:128])


@breaks("transpose-tile", "nisa.nc_transpose", "64 x 32 on the vector engine")
def vector_transpose_too_large() -> None:
    nisa.nc_transpose(fresh((32, 64)), sbuf((64, 32)))


@breaks("transpose-tile", "nl.load_transpose2d", "shape (256, 64)", np.ones((256, 64), F32))
def load_transpose_too_large(x: Any) -> None:
    nl.load_transpose2d(x)


@breaks("transpose-identity", "nisa.nc_matmul", "moving (128, 128) is no identity")
def transpose_with_ones() -> None:
    x = sbuf((128, 128))
    nisa.nc_matmul(fresh((128, 128), buffer=nl.psum), x, x, is_transpose=True)


@breaks("accumulate", "nisa.nc_matmul", "a transpose onto psum tensor [128, 512] float32")
def transpose_accumulates() -> None:
    x = sbuf((128, 128))
    nisa.nc_matmul(product()[:, 0:128], x, x, is_transpose=True, accumulate=True)


@breaks(
    "accumulate",
    "nisa.nc_matmul",
    "dst (128, 128) of psum tensor [128, 128] float32 was never written",
)
def accumulate_on_nothing() -> None:
    x = sbuf((128, 128))
    nisa.nc_matmul(fresh((128, 128), buffer=nl.psum), x, x, accumulate=True)


@breaks(
    "accumulate",
    "nisa.nc_matmul",
    "dst (128, 128) of psum tensor [128, 128] float32 was written by another engine",
)
def accumulate_on_zeros() -> None:
    x = sbuf((128, 128))
    nisa.nc_matmul(nl.zeros((128, 128), nl.float32, nl.psum), x, x, accumulate=True)


@breaks(
    "accumulate",
    "nisa.nc_matmul",
    "dst (128, 512) of psum tensor [128, 512] float32 is partly begun, partly not",
)
def accumulate_on_half() -> None:
    x, y = sbuf((128, 128)), sbuf((128, 512))
    out = fresh((128, 512), buffer=nl.psum)
    nisa.nc_matmul(out[:, 0:128], x, x)
    nisa.nc_matmul(out, x, y)


@breaks(
    "accumulate-loop",
    "nisa.nc_matmul",
    "accumulate=None onto psum tensor [128, 128] float32",
)
def inferred_accumulation_in_loop() -> None:
    x = sbuf((128, 128))
    out = fresh((128, 128), buffer=nl.psum)

    def body(i: Any) -> None:
        nisa.nc_matmul(out, x, x)

    nl.fori_loop(0, 2, body)


@breaks("alu-op", "nisa.tensor_tensor", "divide is no operator of the engines")
def division() -> None:
    x = sbuf((4, 8))
    nisa.tensor_tensor(fresh((4, 8)), x, x, nl.divide)


@breaks("alu-op", "nl.divide", "the engines have no division; multiply by a reciprocal")
def division_by_name() -> None:
    nl.divide(sbuf((4, 8)), sbuf((4, 8)))


@breaks("alu-op", "nisa.tensor_scalar", "rsqrt stands alone, with operand0=0.0")
def rsqrt_after_add() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, op1=nl.rsqrt, operand1=0.0)


@breaks("alu-op", "nisa.tensor_scalar", "square takes no operand0, got 2.0")
def unary_with_operand() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.square, 2.0)


@breaks("reduce-op", "nisa.tensor_reduce", "power")
def reduce_by_power() -> None:
    nisa.tensor_reduce(fresh((4, 1)), nl.power, sbuf((4, 8)), axis=1)


@breaks("reduce-op", "nisa.activation", "ScalarE reduces with add, not maximum")
def scalar_engine_maximum() -> None:
    nisa.activation(
        fresh((4, 8)),
        nl.copy,
        sbuf((4, 8)),
        reduce_op=nl.maximum,
        reduce_res=fresh((4, 1)),
        reduce_cmd=nisa.reduce_cmd.reset_reduce,
    )


@breaks("reduce-axis", "nisa.tensor_reduce", "axis 0 of (4, 8)")
def reduce_partitions() -> None:
    nisa.tensor_reduce(fresh((4, 8)), nl.add, sbuf((4, 8)), axis=0)


@breaks("reduce-axis", "nisa.tensor_reduce", "axis 1 of (4, 8, 2)")
def reduce_middle_axis() -> None:
    nisa.tensor_reduce(fresh((4, 2)), nl.add, sbuf((4, 8, 2)), axis=1)


@breaks(
    "reduce-registers",
    "nisa.activation",
    "registers hold (first lane, lanes) None, this needs (0, 4)",
)
def reduce_without_reset() -> None:
    nisa.activation(
        fresh((4, 8)), nl.copy, sbuf((4, 8)), reduce_op=nl.add, reduce_cmd=nisa.reduce_cmd.reduce
    )


@breaks(
    "reduce-registers",
    "nisa.tensor_scalar_reduce",
    "registers hold (0, 4, 'add'), wanted (0, 4, 'maximum')",
)
def reduction_changes_operator() -> None:
    x = sbuf((4, 8))
    nisa.tensor_scalar_reduce(fresh((4, 8)), x, nl.add, 1.0, nl.add)
    nisa.tensor_scalar_reduce(
        fresh((4, 8)), x, nl.add, 1.0, nl.maximum, reduce_cmd=nisa.reduce_cmd.reduce
    )


@breaks("activation-op", "nisa.activation", "maximum is not modelled or no function of ScalarE")
def unknown_activation() -> None:
    nisa.activation(fresh((4, 8)), nl.maximum, sbuf((4, 8)))


@breaks(
    "activation-range",
    "nisa.activation",
    "sqrt with arguments -1..-1, valid are 1.20371e-35..3.32307e+35",
)
def root_of_negative() -> None:
    nisa.activation(fresh((4, 8)), nl.sqrt, sbuf((4, 8)), scale=-1.0)


@breaks(
    "activation-range",
    "nisa.activation",
    "reciprocal with magnitudes 0..0, valid are 2.27374e-13..4.39805e+12",
)
def reciprocal_of_zero() -> None:
    nisa.activation(fresh((4, 8)), nl.reciprocal, nl.zeros((4, 8), nl.float32))


@breaks(
    "activation-bias",
    "nisa.activation",
    "bias=1.0 is a constant on NeuronCore-v2",
    target="trn1",
)
def constant_bias_on_v2() -> None:
    nisa.activation(fresh((4, 8)), nl.exp, sbuf((4, 8)), bias=1.0)


@breaks(
    "activation-bias",
    "nisa.activation",
    "reciprocal with a bias on NeuronCore-v2",
    target="trn1",
)
def reciprocal_with_bias_on_v2() -> None:
    nisa.activation(fresh((4, 8)), nl.reciprocal, sbuf((4, 8)), bias=sbuf((4, 1)))


@breaks("dma-transpose", "nisa.dma_transpose", "dst (4, 8), src (4, 8), axes (1, 0)", ONES)
def dma_transpose_shape(x: Any) -> None:
    nisa.dma_transpose(fresh((4, 8)), x)


@breaks(
    "dma-transpose",
    "nisa.dma_transpose",
    "axes (0, 1) of (4, 8) into sbuf tensor [8, 4] float32",
    ONES,
)
def dma_transpose_axes(x: Any) -> None:
    nisa.dma_transpose(fresh((8, 4)), x, axes=(0, 1))


@breaks("dma-size", "nisa.dma_copy", "src (4, 8), dst (4, 4)", ONES)
def dma_sizes_differ(x: Any) -> None:
    nisa.dma_copy(fresh((4, 4)), x)


@breaks("dge", "nisa.dma_copy", "hwdge on trn2, float32 to bfloat16, gather False", ONES)
def hardware_descriptors_cast(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8), nl.bfloat16), x, dge_mode=nisa.dge_mode.hwdge)


@breaks("dge", "nisa.dma_copy", "engine scalar with dge_mode unknown", ONES)
def engine_without_hardware_descriptors(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x, engine=nisa.engine.scalar)


@breaks("dge", "nisa.dma_copy", "a dynamic offset needs descriptors made at run time", ONES)
def dynamic_offset_without_descriptors(x: Any) -> None:
    row = x.select(0, nisa.register_alloc(1))
    nisa.dma_copy(fresh((1, 8)), row, dge_mode=nisa.dge_mode.none)


@breaks(
    "generation",
    "nisa.dma_copy",
    "vector_offset needs NeuronCore-v3",
    ONES,
    target="trn1",
)
def gather_on_v2(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x.vector_select(0, sbuf((4, 1), nl.int32)))


@breaks("generation", "nisa.dma_copy", "priority on trn2", ONES)
def priority_on_v3(x: Any) -> None:
    nisa.dma_copy(fresh((4, 8)), x, priority=0)


@breaks("shape", "nisa.tensor_copy", "src is (4, 8), dst is (4, 4)")
def copy_sizes_differ() -> None:
    nisa.tensor_copy(fresh((4, 4)), psum((4, 8)))


@breaks(
    "engine-memory",
    "nisa.nc_transpose",
    "data is psum tensor [128, 512] float32, TensorE reads SBUF",
)
def tensor_engine_transposes_psum() -> None:
    nisa.nc_transpose(
        fresh((128, 128), buffer=nl.psum), product()[:, 0:128], engine=nisa.engine.tensor
    )

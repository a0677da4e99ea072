"""Kernels that break a rule of types or engines."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .breaking import F32, breaks, filled, fresh, obeys, product, psum, sbuf
from .tiles import copied, load, stored

ONES = np.ones((4, 8), F32)
EIGHT = np.arange(32, dtype=F32).reshape(8, 4)
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


@breaks("memset-value", "nisa.memset", "1.0 into int32")
def float_into_integers() -> None:
    nisa.memset(fresh((4, 8), nl.int32), 1.0)


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


@breaks(
    "not-modelled",
    "nisa.nc_matmul",
    "parameter is_stationary_onezero, is_moving_onezero",
)
def hints_of_ones_and_zeros() -> None:
    x = sbuf((128, 128))
    nisa.nc_matmul(fresh((128, 128), buffer=nl.psum), x, x, True, True)


@breaks("transpose-identity", "nisa.nc_matmul", "moving is sbuf tensor [64, 64] float32")
def transpose_with_ones() -> None:
    x = sbuf((64, 64))
    nisa.nc_matmul(fresh((64, 64), buffer=nl.psum), x, x, is_transpose=True, accumulate=False)


@breaks("transpose-identity", "nisa.nc_matmul", "moving is (64, 32), stationary has 64 rows")
def transpose_with_half_an_identity() -> None:
    x = sbuf((64, 64))
    out = fresh((64, 32), buffer=nl.psum)
    nisa.nc_matmul(out, x, x[:, 0:32], is_transpose=True, accumulate=False)


@breaks("dtype-transpose", "nisa.nc_matmul", "data is bfloat16, dst float32", np.eye(64, dtype=F32))
def product_that_transposes_and_casts(unit: Any) -> None:
    out, data = fresh((64, 64), buffer=nl.psum), sbuf((64, 64), nl.bfloat16)
    nisa.nc_matmul(out, data, copied(load(unit), nl.bfloat16), is_transpose=True, accumulate=False)


@breaks("accumulate", "nisa.nc_matmul", "accumulate=None in transpose mode", np.eye(64, dtype=F32))
def transpose_that_may_accumulate(unit: Any) -> None:
    nisa.nc_matmul(fresh((64, 64), buffer=nl.psum), sbuf((64, 64)), load(unit), is_transpose=True)


@obeys("transpose-identity", EIGHT.T, EIGHT, np.eye(8, dtype=F32))
def transpose_with_the_identity(x: Any, unit: Any) -> Any:
    out = fresh((4, 8), buffer=nl.psum)
    nisa.nc_matmul(out, load(x), load(unit), is_transpose=True, accumulate=False)
    return stored(copied(out))


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
    nisa.nc_matmul(filled((128, 128), buffer=nl.psum, value=0), x, x, accumulate=True)


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


@breaks("alu-op", "nisa.tensor_tensor", "divide is not modelled or no operator of the engines")
def division() -> None:
    x = sbuf((4, 8))
    nisa.tensor_tensor(fresh((4, 8)), x, x, np.divide)


@breaks(
    "alu-op",
    "nisa.tensor_scalar",
    "rsqrt is the only operator of its instruction, with operand0=0.0",
)
def rsqrt_after_add() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.add, 1.0, op1=nl.rsqrt, operand1=0.0)


@breaks("alu-op", "nisa.tensor_scalar", "rsqrt takes no operand0, got 2.0")
def unary_with_operand() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.rsqrt, 2.0)


@breaks("alu-op", "nisa.tensor_scalar", "square is not modelled or no operator of the engines")
def activation_on_vector_engine() -> None:
    nisa.tensor_scalar(fresh((4, 8)), sbuf((4, 8)), nl.square, 0.0)


@breaks("reduce-op", "nisa.tensor_reduce", "rsqrt")
def reduce_by_root() -> None:
    nisa.tensor_reduce(fresh((4, 1)), nl.rsqrt, sbuf((4, 8)), axis=1)


@breaks("reduce-axis", "nisa.tensor_reduce", "axis 0 of (4, 8)")
def reduce_partitions() -> None:
    nisa.tensor_reduce(fresh((4, 8)), nl.add, sbuf((4, 8)), axis=0)


@breaks("reduce-axis", "nisa.tensor_reduce", "axis 1 of (4, 8, 2)")
def reduce_middle_axis() -> None:
    nisa.tensor_reduce(fresh((4, 2)), nl.add, sbuf((4, 8, 2)), axis=1)


@breaks("activation-op", "nisa.activation", "add is not modelled or no function of ScalarE")
def unknown_activation() -> None:
    nisa.activation(fresh((4, 8)), nl.add, sbuf((4, 8)))


@breaks("dma-size", "nisa.dma_copy", "src (4, 8), dst (4, 4)", ONES)
def dma_sizes_differ(x: Any) -> None:
    nisa.dma_copy(fresh((4, 4)), x)


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

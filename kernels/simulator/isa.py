"""The stand-in for `nki.isa`: names, parameter names and order as in NKI 0.3 to 0.6."""

from __future__ import annotations

from .enums import (
    dge_mode,
    dma_engine,
    engine,
    matmul_perf_mode,
    nc_version,
    oob_mode,
    reduce_cmd,
)
from .isa_dma import dma_copy, dma_transpose
from .isa_gpsimd import affine_select, iota, tensor_partition_reduce
from .isa_reduce import tensor_reduce, tensor_scalar_reduce
from .isa_registers import register_alloc, register_load, register_move, register_store
from .isa_scalar import activation, activation_reduce
from .isa_tensor import nc_matmul, nc_transpose
from .isa_vector import (
    memset,
    reciprocal,
    scalar_tensor_tensor,
    tensor_copy,
    tensor_scalar,
    tensor_tensor,
)
from .registers import VirtualRegister
from .state import current_run

__all__ = [
    "VirtualRegister",
    "activation",
    "activation_reduce",
    "affine_select",
    "dge_mode",
    "dma_copy",
    "dma_engine",
    "dma_transpose",
    "engine",
    "get_nc_version",
    "gpsimd_engine",
    "iota",
    "matmul_perf_mode",
    "memset",
    "nc_matmul",
    "nc_transpose",
    "nc_version",
    "oob_mode",
    "reciprocal",
    "reduce_cmd",
    "register_alloc",
    "register_load",
    "register_move",
    "register_store",
    "scalar_engine",
    "scalar_tensor_tensor",
    "tensor_copy",
    "tensor_engine",
    "tensor_partition_reduce",
    "tensor_reduce",
    "tensor_scalar",
    "tensor_scalar_reduce",
    "tensor_tensor",
    "unknown_engine",
    "vector_engine",
]

tensor_engine = engine.tensor
vector_engine = engine.vector
scalar_engine = engine.scalar
gpsimd_engine = engine.gpsimd
unknown_engine = engine.unknown


def get_nc_version() -> nc_version:
    """Return the NeuronCore generation of the simulated target."""
    return nc_version(current_run("nisa.get_nc_version").target.version)

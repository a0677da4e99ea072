"""The stand-in for `nki.isa`: names, parameter names and order as in NKI 0.3 to 0.6."""

from __future__ import annotations

from .enums import dge_mode, engine, matmul_perf_mode, oob_mode, reduce_cmd
from .isa_dma import dma_copy
from .isa_scalar import activation
from .isa_tensor import nc_matmul, nc_transpose
from .isa_vector import memset, tensor_copy, tensor_reduce, tensor_scalar, tensor_tensor

__all__ = [
    "activation",
    "dge_mode",
    "dma_copy",
    "engine",
    "matmul_perf_mode",
    "memset",
    "nc_matmul",
    "nc_transpose",
    "oob_mode",
    "reduce_cmd",
    "tensor_copy",
    "tensor_reduce",
    "tensor_scalar",
    "tensor_tensor",
]

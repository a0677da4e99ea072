"""The stand-in for `nki.language`: names, parameter names and order as in NKI 0.3 to 0.6."""

from __future__ import annotations

from typing import Any

from .dtypes import DTYPES
from .generations import current_generation
from .language_ops import *  # noqa: F403
from .language_ops import __all__ as _ops_all
from .language_tensors import (
    broadcast_to,
    ds,
    empty_like,
    expand_dims,
    full,
    load,
    load_transpose2d,
    matmul,
    ndarray,
    ones,
    shared_constant,
    shared_identity_matrix,
    store,
    transpose,
    zeros,
    zeros_like,
)
from .loops import (
    affine_range,
    dynamic_range,
    fori_loop,
    no_reorder,
    sequential_range,
    static_range,
    while_loop,
)
from .memory import MemoryRegion, hbm, private_hbm, psum, sbuf, shared_hbm
from .state import current_run
from .tensor import NkiTensor

__all__ = [
    "MemoryRegion",
    "NKIObject",
    "NkiTensor",
    "affine_range",
    "bfloat16",
    "bool_",
    "broadcast_to",
    "device_print",
    "ds",
    "dynamic_range",
    "empty_like",
    "expand_dims",
    "float16",
    "float32",
    "fori_loop",
    "full",
    "hbm",
    "int8",
    "int16",
    "int32",
    "load",
    "load_transpose2d",
    "matmul",
    "ndarray",
    "no_reorder",
    "num_programs",
    "ones",
    "private_hbm",
    "program_id",
    "program_ndim",
    "psum",
    "sbuf",
    "sequential_range",
    "shared_constant",
    "shared_hbm",
    "shared_identity_matrix",
    "static_range",
    "store",
    "tfloat32",
    "tile_size",
    "transpose",
    "uint8",
    "uint16",
    "uint32",
    "while_loop",
    "zeros",
    "zeros_like",
    *_ops_all,
]

bool_ = DTYPES["bool_"]
int8, int16, int32 = DTYPES["int8"], DTYPES["int16"], DTYPES["int32"]
uint8, uint16, uint32 = DTYPES["uint8"], DTYPES["uint16"], DTYPES["uint32"]
float16, bfloat16 = DTYPES["float16"], DTYPES["bfloat16"]
tfloat32, float32 = DTYPES["tfloat32"], DTYPES["float32"]


class NKIObject:
    """Base of classes that kernels may use."""


class _TileSize:
    """Hardware tile sizes of the target generation."""

    pmax = 128
    psum_fmax = 512
    psum_bank_fmax = 512
    psum_bank_fmax_bytes = 2048
    gemm_stationary_fmax = 128
    gemm_moving_fmax = 512
    psum_num_banks = 8

    @property
    def sbuf_fmax_bytes(self) -> int:
        """Usable SBUF bytes per partition."""
        return current_generation().sbuf_usable_bytes

    @property
    def sbuf_fmax(self) -> int:
        """Usable SBUF per partition in float32 elements."""
        return self.sbuf_fmax_bytes // 4

    @property
    def sbuf_size_bytes(self) -> int:
        """SBUF of all partitions in bytes."""
        return 128 * current_generation().sbuf_bytes

    @property
    def total_available_sbuf_size(self) -> int:
        """Old name of sbuf_fmax_bytes."""
        return self.sbuf_fmax_bytes


tile_size = _TileSize()


# -- program --------------------------------------------------------------------------------
def program_id(axis: int = 0) -> int:
    """Return the index of this program; the simulator runs one core."""
    current_run("nl.program_id")
    return 0


def num_programs(axes: Any = 0) -> int:
    """Return the number of programs; the simulator runs one core."""
    current_run("nl.num_programs")
    return 1


def program_ndim() -> int:
    """Return the rank of the launch grid: none."""
    current_run("nl.program_ndim")
    return 0


def device_print(print_prefix: str, tensor: NkiTensor) -> None:
    """Accept a device print; the simulator keeps quiet (use Python's print to look inside)."""
    current_run("nl.device_print")

"""Public calls have the names, parameter names, order and defaults that AWS documents."""

from __future__ import annotations

import inspect
from enum import Enum
from typing import Any

import pytest

from dfmp2.kernels.simulator import isa, language

# nki.isa and nki.language API reference, SDK 2.32 (NKI 0.6). Enum defaults by member name.
ISA = {
    "activation": "dst op data bias=None scale=1.0 reduce_op=None reduce_res=None "
    "reduce_cmd=idle name=None",
    "activation_reduce": "dst op data reduce_op reduce_res bias=None scale=1.0 name=None",
    "affine_select": "dst pattern channel_multiplier on_true_tile on_false_value cmp_op=equal "
    "offset=0 name=None",
    "dma_copy": "dst src priority=None oob_mode=error dge_mode=unknown engine=unknown name=None",
    "dma_transpose": "dst src axes=None priority=None dge_mode=unknown oob_mode=error name=None",
    "get_nc_version": "",
    "iota": "dst pattern offset=0 channel_multiplier=0 name=None",
    "memset": "dst value engine=unknown name=None",
    "nc_matmul": "dst stationary moving is_stationary_onezero=False is_moving_onezero=False "
    "is_transpose=False accumulate=None tile_position=() tile_size=() perf_mode=none name=None",
    "nc_transpose": "dst data engine=unknown name=None",
    "reciprocal": "dst data name=None",
    "register_alloc": "x=None",
    "register_load": "dst src",
    "register_move": "dst src",
    "register_store": "dst src",
    "scalar_tensor_tensor": "dst data op0 operand0 op1 operand1 reverse0=False reverse1=False "
    "name=None",
    "tensor_copy": "dst src engine=unknown name=None",
    "tensor_partition_reduce": "dst op data name=None",
    "tensor_reduce": "dst op data axis negate=False keepdims=False name=None",
    "tensor_scalar": "dst data op0 operand0 reverse0=False op1=None operand1=None reverse1=False "
    "engine=unknown name=None",
    "tensor_scalar_reduce": "dst data op0 operand0 reduce_op reduce_res=None reverse0=False "
    "reduce_cmd=reset_reduce reduce_init=None reduce_res_negate=False name=None",
    "tensor_tensor": "dst data1 data2 op engine=unknown name=None",
}
BINARY = (
    "abs_max abs_min add bitwise_and bitwise_or bitwise_xor divide equal greater greater_equal "
    "left_shift less less_equal logical_and logical_or logical_xor maximum minimum multiply "
    "not_equal power right_shift subtract"
)
UNARY = (
    "abs arctan copy erf exp gelu invert log negative reciprocal relu rsqrt sigmoid sign silu "
    "sin softplus sqrt square tanh"
)
LANGUAGE = {
    **dict.fromkeys(BINARY.split(), "x y dtype=None"),
    **dict.fromkeys(UNARY.split(), "x dtype=None"),
    **dict.fromkeys(("max", "min", "sum"), "x axis dtype=None keepdims=False"),
    **dict.fromkeys(
        ("affine_range", "dynamic_range", "sequential_range", "static_range"),
        "start stop=None step=1",
    ),
    **dict.fromkeys(("zeros", "ones"), "shape dtype buffer=sbuf name="),
    **dict.fromkeys(("zeros_like", "empty_like"), "x dtype=None buffer=None name="),
    "broadcast_to": "x shape dtype=None",
    "device_print": "print_prefix tensor",
    "ds": "start size",
    "expand_dims": "x axis",
    "fori_loop": "lower upper body_fun step=1",
    "full": "shape fill_value dtype buffer=sbuf name=",
    "load": "src dtype=None",
    "load_transpose2d": "src dtype=None",
    "matmul": "x y transpose_x=False",
    "ndarray": "shape dtype buffer=sbuf name= address=None",
    "num_programs": "axes=0",
    "program_id": "axis=0",
    "program_ndim": "",
    "shared_constant": "constant",
    "shared_identity_matrix": "n dtype=uint8 dst=None",
    "store": "dst value",
    "transpose": "x dtype=None",
    "while_loop": "init body_fun",
}
METHODS = {
    "ap": "pattern offset=None scalar_offset=None vector_offset=None indirect_dim=0 dtype=None",
    "broadcast": "dim size",
    "expand_dim": "dim",
    "flatten_dims": "start_dim end_dim",
    "get_pattern": "",
    "is_contiguous": "",
    "is_indirect": "",
    "permute": "dims",
    "rearrange": "src_pattern dst_pattern fixed_sizes=None",
    "reshape": "shape",
    "reshape_dim": "dim shape",
    "select": "dim index",
    "slice": "dim start end step=1",
    "squeeze_dim": "dim",
    "vector_select": "dim vector_offset",
    "view": "dtype",
}


def described(function: Any) -> str:
    """Return parameters and defaults in the notation of the tables."""
    parts = []
    for p in inspect.signature(function).parameters.values():
        default = p.default
        if isinstance(default, Enum):
            default = default.name
        elif callable(default) and default is not p.empty:
            default = default.__name__
        parts.append(p.name if p.default is p.empty else f"{p.name}={default}")
    return " ".join(parts)


@pytest.mark.parametrize("name", ISA)
def test_isa_signature(name: str) -> None:
    assert described(getattr(isa, name)) == ISA[name]


@pytest.mark.parametrize("name", LANGUAGE)
def test_language_signature(name: str) -> None:
    assert described(getattr(language, name)) == LANGUAGE[name]


@pytest.mark.parametrize("name", METHODS)
def test_tensor_method_signature(name: str) -> None:
    assert (
        described(getattr(language.NkiTensor, name)).removeprefix("self").strip() == METHODS[name]
    )


def test_every_public_call_is_compared() -> None:
    classes = {"VirtualRegister", "MemoryRegion", "NKIObject", "NkiTensor", "no_reorder"}
    for module, table in ((isa, ISA), (language, LANGUAGE)):
        public = {
            n
            for n in module.__all__
            if callable(getattr(module, n)) and not isinstance(getattr(module, n), str)
        }
        enums = {n for n in public if inspect.isclass(getattr(module, n))}
        assert public - enums - classes == set(table)

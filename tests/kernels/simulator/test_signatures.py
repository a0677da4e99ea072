"""Public calls have the names, parameter names, order and defaults that AWS documents."""

from __future__ import annotations

import inspect
from enum import Enum
from typing import Any

import pytest

from dfmp2.kernels.simulator import isa, language
from dfmp2.kernels.simulator.tensor import NkiTensor

# nki.isa and nki.language API reference, SDK 2.32 (NKI 0.6). Enum defaults by member name.
ISA = {
    "activation": "dst op data bias=None scale=1.0 reduce_op=None reduce_res=None "
    "reduce_cmd=idle name=None",
    "dma_copy": "dst src priority=None oob_mode=error dge_mode=unknown engine=unknown name=None",
    "memset": "dst value engine=unknown name=None",
    "nc_matmul": "dst stationary moving is_stationary_onezero=False is_moving_onezero=False "
    "is_transpose=False accumulate=None tile_position=() tile_size=() perf_mode=none name=None",
    "nc_transpose": "dst data engine=unknown name=None",
    "tensor_copy": "dst src engine=unknown name=None",
    "tensor_reduce": "dst op data axis negate=False keepdims=False name=None",
    "tensor_scalar": "dst data op0 operand0 reverse0=False op1=None operand1=None reverse1=False "
    "engine=unknown name=None",
    "tensor_tensor": "dst data1 data2 op engine=unknown name=None",
}
LANGUAGE = {
    "affine_range": "start stop=None step=1",
    "ds": "start size",
    "fori_loop": "lower upper body_fun step=1",
    "ndarray": "shape dtype buffer=sbuf name= address=None",
    "sequential_range": "start stop=None step=1",
    "sum": "x axis dtype=None keepdims=False",
}
METHODS = {
    "ap": "pattern offset=None scalar_offset=None vector_offset=None indirect_dim=0 dtype=None",
    "reshape": "shape",
}


def described(function: Any) -> str:
    """Return parameters and defaults in the notation of the tables."""
    parts = []
    for p in inspect.signature(function).parameters.values():
        default = p.default
        if isinstance(default, Enum):
            default = default.name
        parts.append(p.name if p.default is p.empty else f"{p.name}={default}")
    return " ".join(parts)


SPACES = {"isa": (isa, ISA), "language": (language, LANGUAGE), "tensor": (NkiTensor, METHODS)}


@pytest.mark.parametrize(
    ("space", "name"), [(space, name) for space, (_, table) in SPACES.items() for name in table]
)
def test_signature(space: str, name: str) -> None:
    owner, table = SPACES[space]
    assert described(getattr(owner, name)).removeprefix("self ") == table[name]


def test_every_public_call_is_compared() -> None:
    for module, table in ((isa, ISA), (language, LANGUAGE)):
        public = {n for n in module.__all__ if inspect.isfunction(getattr(module, n))}
        assert public == set(table)

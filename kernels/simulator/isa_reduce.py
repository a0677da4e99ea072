"""VectorE: reductions over the free axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cost
from .alu import apply, check_operand, is_bitvec
from .enums import reduce_cmd as cmd_enum
from .errors import refuse
from .operands import (
    HANDLE,
    Instruction,
    f32,
    free_size,
    mark_psum,
    per_partition,
    put,
    reduce_free,
    same_elements,
    scalar_value,
    tile,
)
from .ops import alu_op
from .state import current_run, issue
from .tensor import NkiTensor

__all__ = ["tensor_reduce", "tensor_scalar_reduce"]

F32 = np.float32


def tensor_reduce(
    dst: Any,
    op: Any,
    data: Any,
    axis: Any,
    negate: bool = False,
    keepdims: bool = False,
    name: str | None = None,
) -> Instruction:
    """Reduce over the last free axes on VectorE."""
    call = "nisa.tensor_reduce"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "data", data)
    alu = alu_op(call, op)
    if alu.reduces is None:
        refuse(call, "reduce-op", alu.name)
    bits = is_bitvec(call, alu, dst, data)
    axes = tuple(sorted(a + data.ndim if a < 0 else a for a in _axes(axis)))
    if not axes or axes != tuple(range(data.ndim - len(axes), data.ndim)) or axes[0] == 0:
        refuse(call, "reduce-axis", f"axis {axis} of {data.shape}")
    kept = data.shape[: axes[0]]
    kept = kept + (1,) * len(axes) if keepdims else kept
    if dst.shape[0] != data.shape[0] or dst.size * _prod(data.shape[axes[0] :]) != data.size:
        refuse(call, "shape", f"dst {dst.shape} for a reduction to {kept}")
    issue(run, call, "vector", cost.vector(free_size(data)), (data,), (dst,))
    mark_psum(dst, 2)
    if run.execute:
        values = data.read() if bits else f32(data)
        lines = values.reshape(_prod(data.shape[: axes[0]]), -1)
        result = reduce_free(alu.reduces, lines)
        put(dst, (-result if negate and not bits else result).reshape(dst.shape))
    return HANDLE


def _axes(axis: Any) -> tuple[int, ...]:
    return (axis,) if isinstance(axis, int) else tuple(axis)


def _prod(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


_SCALAR_REDUCES = ("add", "multiply", "maximum", "minimum")


def tensor_scalar_reduce(
    dst: Any,
    data: Any,
    op0: Any,
    operand0: Any,
    reduce_op: Any,
    reduce_res: Any = None,
    reverse0: bool = False,
    reduce_cmd: Any = cmd_enum.reset_reduce,
    reduce_init: Any = None,
    reduce_res_negate: bool = False,
    name: str | None = None,
) -> Instruction:
    """Apply one operator and reduce the result over the free axes, on VectorE."""
    call = "nisa.tensor_scalar_reduce"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "data", data)
    same_elements(call, "data", data, "dst", dst)
    alu, red = alu_op(call, op0), alu_op(call, reduce_op)
    if alu.kind == "bitvec" or alu.name == "rsqrt":
        refuse(call, "alu-op", alu.name)
    if red.name not in _SCALAR_REDUCES or red.reduces is None:
        refuse(call, "reduce-op", red.name)
    if reverse0:
        refuse(call, "not-modelled", "reverse0 is documented as unsupported")
    if not isinstance(reduce_cmd, cmd_enum):
        refuse(call, "keyword-enum", f"reduce_cmd={reduce_cmd!r}")
    if reduce_cmd in (cmd_enum.idle, cmd_enum.reset):
        refuse(call, "reduce-registers", f"reduce_cmd.{reduce_cmd.name} is not supported here")
    if (reduce_cmd is cmd_enum.load_reduce) != (reduce_init is not None):
        refuse(call, "reduce-registers", "reduce_init belongs to reduce_cmd.load_reduce")
    p = data.shape[0]
    lanes = (data.start_partition, p, red.name)
    if reduce_cmd is cmd_enum.reduce and run.vector_lanes != lanes:
        refuse(call, "reduce-registers", f"registers hold {run.vector_lanes}, wanted {lanes}")
    reads = (data, *check_operand(call, "operand0", alu, operand0, data))
    if isinstance(reduce_init, NkiTensor):
        reads += (per_partition(call, "reduce_init", reduce_init, data),)
    writes: tuple[NkiTensor, ...] = (dst,)
    if reduce_res is not None:
        writes += (per_partition(call, "reduce_res", reduce_res, data, float32=False),)
    cycles = cost.vector(free_size(data)) + (cost.ACCUMULATOR_READ if reduce_res is not None else 0)
    issue(run, call, "vector", cycles, reads, writes)
    for t in writes:
        mark_psum(t, 2)
    run.vector_lanes = lanes
    if run.execute:
        y = apply(alu, f32(data), operand0, False)
        put(dst, y)
        total = reduce_free(red.reduces, y)
        if reduce_cmd is cmd_enum.load_reduce:
            total = red.fn(np.broadcast_to(scalar_value(reduce_init, 2), total.shape), total)
        elif reduce_cmd is cmd_enum.reduce:
            total = red.fn(run.vector_registers, total)
        run.vector_registers = total.astype(F32)
        if reduce_res is not None:
            put(reduce_res, -total if reduce_res_negate else total)
    return HANDLE

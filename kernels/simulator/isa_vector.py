"""VectorE and GpSimdE: copies, element-wise operations, reductions over the free axes."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import cost
from .dtypes import cast
from .enums import engine as engine_enum
from .errors import refuse
from .operands import (
    begin,
    choose_engine,
    f32,
    free_size,
    is_number,
    not_modelled,
    per_partition,
    put,
    refuse_psum,
    same_elements,
    scalar_value,
)
from .operators import Operator, alu_op
from .state import issue
from .tensor import NkiTensor

__all__ = ["memset", "tensor_copy", "tensor_reduce", "tensor_scalar", "tensor_tensor"]

F32 = np.float32
_INT32 = ("int32", "uint32")


def tensor_copy(
    dst: Any, src: Any, engine: Any = engine_enum.unknown, name: str | None = None
) -> None:
    """Copy a tile on VectorE, ScalarE (not on v2) or GpSimdE."""
    call = "nisa.tensor_copy"
    run = begin(call, dst=dst, src=src)
    same_elements(call, "src", src, "dst", dst)
    chosen = choose_engine(call, engine, "vector", ("vector", "scalar", "gpsimd"))
    if chosen == "scalar" and run.target.version == 2:
        refuse(call, "engine", "ScalarE copies with activation(op=nl.copy) on NeuronCore-v2")
    refuse_psum(call, chosen, dst, src)
    issue(run, call, chosen, cost.vector(free_size(src)), (src,), dst)
    if run.execute:
        through = chosen == "scalar" or src.dtype != dst.dtype
        put(dst, f32(src) if through else src.array())


def memset(
    dst: Any, value: Any, engine: Any = engine_enum.unknown, name: str | None = None
) -> None:
    """Fill a tile with a constant of its dtype's kind."""
    call = "nisa.memset"
    run = begin(call, dst=dst)
    chosen = choose_engine(call, engine, "vector", ("vector", "gpsimd"))
    refuse_psum(call, chosen, dst)
    if not is_number(value):
        refuse(call, "memset-value", f"value is a {type(value).__name__}")
    if not dst.dtype.is_float and isinstance(value, (float, np.floating)):
        refuse(call, "memset-value", f"{value!r} into {dst.dtype}")
    if not dst.dtype.is_float:
        info = np.iinfo(dst.dtype.np_dtype)
        if not info.min <= value <= info.max:
            refuse(call, "memset-value", f"{value!r} into {dst.dtype}")
    issue(run, call, chosen, cost.vector(free_size(dst)), (), dst)
    if run.execute:
        if dst.dtype.is_float:
            value = cast(np.asarray([value], dtype=F32), dst.dtype)[0]
        dst.array()[...] = value


def tensor_tensor(
    dst: Any,
    data1: Any,
    data2: Any,
    op: Any,
    engine: Any = engine_enum.unknown,
    name: str | None = None,
) -> None:
    """Combine two tiles element by element; at most one of them in PSUM."""
    call = "nisa.tensor_tensor"
    run = begin(call, dst=dst, data1=data1, data2=data2)
    same_elements(call, "data1", data1, "data2", data2)
    same_elements(call, "data1", data1, "dst", dst)
    alu = alu_op(call, op)
    if alu.kind != "binary":
        refuse(call, "alu-op", f"{alu.name} takes one operand")
    spaces = (data1.storage.space, data2.storage.space)
    if spaces == ("psum", "psum"):
        refuse(call, "both-psum", f"{data1.storage.describe()}, {data2.storage.describe()}")
    integers = all(t.dtype in _INT32 for t in (dst, data1, data2))
    in_sbuf = "psum" not in (*spaces, dst.storage.space)
    default = "gpsimd" if integers and in_sbuf else "vector"
    chosen = choose_engine(call, engine, default, ("vector", "gpsimd"))
    refuse_psum(call, chosen, dst, data1, data2)
    wide = any(t.dtype.itemsize > 2 for t in (data1, data2))
    cycles = cost.tensor_tensor(free_size(data1), spaces == ("sbuf", "sbuf"), wide)
    issue(run, call, chosen, cycles, (data1, data2), dst)
    if run.execute:
        exact = integers and chosen == "gpsimd"
        x, y = (t.array() if exact else f32(t) for t in (data1, data2))
        put(dst, alu.fn(x, y.reshape(x.shape)))


_SCALAR_ENGINE_OPS = {("multiply", "add"), ("multiply", None), ("add", None)}


def _check_operand(
    call: str, arg: str, op: Operator, operand: Any, data: NkiTensor
) -> tuple[NkiTensor, ...]:
    """Check a constant or (P, 1) operand; return it as a read if it is a tile."""
    if op.kind == "unary":
        if isinstance(operand, NkiTensor) or operand not in (None, 0, 0.0):
            refuse(call, "alu-op", f"{op.name} takes no {arg}, got {operand!r}")
        return ()
    if isinstance(operand, NkiTensor):
        return (per_partition(call, arg, operand, data),)
    if not is_number(operand):
        refuse(call, "argument", f"{arg} is a {type(operand).__name__}")
    return ()


def _apply(op: Operator, x: NDArray[Any], operand: Any) -> NDArray[Any]:
    """Apply `op` to values and a constant or (P, 1) tile."""
    return op.fn(x) if op.kind == "unary" else op.fn(x, scalar_value(operand, x.ndim))


def tensor_scalar(
    dst: Any,
    data: Any,
    op0: Any,
    operand0: Any,
    reverse0: bool = False,
    op1: Any = None,
    operand1: Any = None,
    reverse1: bool = False,
    engine: Any = engine_enum.unknown,
    name: str | None = None,
) -> None:
    """Apply one or two operators with constants or (P, 1) tiles."""
    call = "nisa.tensor_scalar"
    run = begin(call, dst=dst, data=data)
    not_modelled(call, reverse0=reverse0, reverse1=reverse1)
    same_elements(call, "data", data, "dst", dst)
    first = alu_op(call, op0)
    reads = (data, *_check_operand(call, "operand0", first, operand0, data))
    second = None
    if op1 is not None:
        second = alu_op(call, op1)
        reads += _check_operand(call, "operand1", second, operand1, data)
    elif operand1 is not None:
        refuse(call, "argument", "operand1 without op1")
    names = (first.name, second.name if second else None)
    rsqrt = names == ("rsqrt", None)
    if "rsqrt" in names and not rsqrt:
        refuse(call, "alu-op", "rsqrt is the only operator of its instruction, with operand0=0.0")
    chosen = choose_engine(
        call, engine, "gpsimd" if rsqrt else "vector", ("vector", "scalar", "gpsimd")
    )
    if (chosen == "gpsimd") != rsqrt:
        refuse(call, "engine", f"{names} on {chosen}: GpSimdE does rsqrt and nothing else here")
    if chosen == "scalar" and (run.target.version < 3 or names not in _SCALAR_ENGINE_OPS):
        refuse(call, "engine", f"{names} on ScalarE of {run.target.name}")
    refuse_psum(call, chosen, dst, *reads)
    n = free_size(data)
    issue(run, call, chosen, cost.gpsimd_rsqrt(n) if rsqrt else cost.vector(n), reads, dst)
    if run.execute:
        y = _apply(first, f32(data), operand0)
        put(dst, y if second is None else _apply(second, y, operand1))


def tensor_reduce(
    dst: Any,
    op: Any,
    data: Any,
    axis: Any,
    negate: bool = False,
    keepdims: bool = False,
    name: str | None = None,
) -> None:
    """Reduce over the last free axes on VectorE."""
    call = "nisa.tensor_reduce"
    run = begin(call, dst=dst, data=data)
    not_modelled(call, negate=negate, keepdims=keepdims)
    alu = alu_op(call, op)
    if alu.reduces is None:
        refuse(call, "reduce-op", alu.name)
    given = (axis,) if isinstance(axis, int) else tuple(axis)
    if not all(isinstance(a, int) and -data.ndim <= a < data.ndim for a in given):
        refuse(call, "reduce-axis", f"axis {axis} of {data.shape}")
    axes = tuple(sorted(a % data.ndim for a in given))
    if not axes or axes != tuple(range(data.ndim - len(axes), data.ndim)) or axes[0] == 0:
        refuse(call, "reduce-axis", f"axis {axis} of {data.shape}")
    kept = data.shape[: axes[0]]
    if dst.shape[0] != data.shape[0] or dst.size != prod(kept):
        refuse(call, "shape", f"dst {dst.shape} for a reduction to {kept}")
    issue(run, call, "vector", cost.vector(free_size(data)), (data,), dst)
    if run.execute:
        # One addition after the other: the order of the device is not documented, and this is
        # the least accurate plausible one.
        lines = f32(data).reshape(prod(kept), -1)
        put(dst, alu.reduces.reduce(np.ascontiguousarray(lines.T), axis=0).reshape(dst.shape))

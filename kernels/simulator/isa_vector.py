"""VectorE (and what else runs there): copies, element-wise operations, reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cost
from .alu import apply, check_operand, is_bitvec
from .dtypes import cast
from .enums import engine as engine_enum
from .errors import refuse
from .operands import (
    HANDLE,
    Instruction,
    choose_engine,
    f32,
    free_size,
    gpsimd_sees,
    mark_psum,
    put,
    same_elements,
    tile,
)
from .ops import alu_op
from .state import current_run, issue

__all__ = [
    "memset",
    "reciprocal",
    "scalar_tensor_tensor",
    "tensor_copy",
    "tensor_scalar",
    "tensor_tensor",
]

F32 = np.float32
_INT32 = ("int32", "uint32")


def tensor_copy(
    dst: Any, src: Any, engine: Any = engine_enum.unknown, name: str | None = None
) -> Instruction:
    """Copy a tile on VectorE, ScalarE (not on v2) or GpSimdE."""
    call = "nisa.tensor_copy"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "src", src)
    same_elements(call, "src", src, "dst", dst)
    chosen = choose_engine(call, engine, "vector", ("vector", "scalar", "gpsimd"))
    if chosen == "scalar" and run.target.version == 2:
        refuse(call, "engine", "ScalarE copies with activation(op=nl.copy) on NeuronCore-v2")
    gpsimd_sees(call, chosen, dst, src)
    issue(run, call, chosen, cost.vector(free_size(src)), (src,), (dst,))
    mark_psum(dst, 2)
    if run.execute:
        values = src.read()
        through = chosen == "scalar" or src.dtype != dst.dtype
        put(dst, values.astype(F32) if through and values.dtype != F32 else values)
    return HANDLE


def memset(
    dst: Any, value: Any, engine: Any = engine_enum.unknown, name: str | None = None
) -> Instruction:
    """Fill a tile with a constant of its dtype's kind."""
    call = "nisa.memset"
    run = current_run(call)
    tile(call, "dst", dst)
    chosen = choose_engine(call, engine, "vector", ("vector", "gpsimd"))
    gpsimd_sees(call, chosen, dst)
    if not isinstance(value, (int, float, np.integer, np.floating)):
        refuse(call, "memset-value", f"value is a {type(value).__name__}")
    if not dst.dtype.is_float and float(value) != int(value):
        refuse(call, "memset-value", f"{value!r} into {dst.dtype}")
    if not dst.dtype.is_float and isinstance(value, (float, np.floating)):
        refuse(call, "memset-value", f"{value!r} into {dst.dtype}")
    issue(run, call, chosen, cost.vector(free_size(dst)), (), (dst,))
    mark_psum(dst, 2)
    if run.execute:
        if dst.dtype.is_float:
            dst.array()[...] = cast(np.asarray([value], dtype=F32), dst.dtype)[0]
        else:
            dst.array()[...] = value
    return HANDLE


def tensor_tensor(
    dst: Any,
    data1: Any,
    data2: Any,
    op: Any,
    engine: Any = engine_enum.unknown,
    name: str | None = None,
) -> Instruction:
    """Combine two tiles element by element; at most one of them in PSUM."""
    call = "nisa.tensor_tensor"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "data1", data1)
    tile(call, "data2", data2)
    same_elements(call, "data1", data1, "data2", data2)
    same_elements(call, "data1", data1, "dst", dst)
    alu = alu_op(call, op)
    if alu.kind == "unary" or alu.name == "invert":
        refuse(call, "alu-op", f"{alu.name} takes one operand")
    spaces = (data1.storage.space, data2.storage.space)
    if spaces == ("psum", "psum"):
        refuse(call, "both-psum", f"{data1.storage.describe()}, {data2.storage.describe()}")
    bits = is_bitvec(call, alu, dst, data1, data2)
    integers = all(t.dtype in _INT32 for t in (dst, data1, data2))
    on_chip_psum = "psum" in (*spaces, dst.storage.space)
    default = "gpsimd" if alu.name == "power" or (integers and not on_chip_psum) else "vector"
    if bits:
        default = "vector"
    chosen = choose_engine(call, engine, default, ("vector", "gpsimd"))
    if alu.name == "power" and chosen != "gpsimd":
        refuse(call, "engine", "power runs on GpSimdE")
    gpsimd_sees(call, chosen, dst, data1, data2)
    wide = any(t.dtype.itemsize > 2 for t in (data1, data2))
    cycles = cost.tensor_tensor(free_size(data1), spaces == ("sbuf", "sbuf"), wide)
    issue(run, call, chosen, cycles, (data1, data2), (dst,))
    mark_psum(dst, 2)
    if run.execute:
        if bits or (integers and chosen == "gpsimd"):
            x, y = data1.read(), data2.read()
        else:
            x, y = f32(data1), f32(data2)
        if y.shape != x.shape:
            y = y.reshape(x.shape)
        put(dst, alu.fn(x, y))
    return HANDLE


_SCALAR_ENGINE_OPS = {("multiply", "add"), ("multiply", None), ("add", None)}


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
) -> Instruction:
    """Apply one or two operators with constants or (P, 1) tiles."""
    call = "nisa.tensor_scalar"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "data", data)
    same_elements(call, "data", data, "dst", dst)
    first = alu_op(call, op0)
    reads = (data, *check_operand(call, "operand0", first, operand0, data))
    second = None
    if op1 is not None:
        second = alu_op(call, op1)
        reads += check_operand(call, "operand1", second, operand1, data)
        if (second.kind == "bitvec") != (first.kind == "bitvec"):
            refuse(call, "dtype-bitvec", f"{first.name} with {second.name}")
    elif operand1 is not None:
        refuse(call, "argument", "operand1 without op1")
    names = (first.name, second.name if second else None)
    rsqrt = names == ("rsqrt", None)
    if "rsqrt" in names and not rsqrt:
        refuse(call, "alu-op", "rsqrt stands alone, with operand0=0.0")
    bits = is_bitvec(call, first, dst, data)
    chosen = choose_engine(
        call, engine, "gpsimd" if rsqrt else "vector", ("vector", "scalar", "gpsimd")
    )
    if (chosen == "gpsimd") != rsqrt:
        refuse(call, "engine", f"{names} on {chosen}: GpSimdE does rsqrt and nothing else here")
    if chosen == "scalar" and (run.target.version < 3 or names not in _SCALAR_ENGINE_OPS):
        refuse(call, "engine", f"{names} on ScalarE of {run.target.name}")
    gpsimd_sees(call, chosen, dst, *reads)
    n = free_size(data)
    cycles = cost.gpsimd_rsqrt(n) if rsqrt else cost.vector(n)
    issue(run, call, chosen, cycles, reads, (dst,))
    mark_psum(dst, 2)
    if run.execute:
        x = data.read() if bits else f32(data)
        y = apply(first, x, operand0, reverse0)
        if second is not None:
            y = apply(second, y, operand1, reverse1)
        put(dst, y)
    return HANDLE


def scalar_tensor_tensor(
    dst: Any,
    data: Any,
    op0: Any,
    operand0: Any,
    op1: Any,
    operand1: Any,
    reverse0: bool = False,
    reverse1: bool = False,
    name: str | None = None,
) -> Instruction:
    """Compute ``(data op0 operand0) op1 operand1`` with a tile as operand1, on VectorE."""
    call = "nisa.scalar_tensor_tensor"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "data", data)
    tile(call, "operand1", operand1)
    same_elements(call, "data", data, "operand1", operand1)
    same_elements(call, "data", data, "dst", dst)
    first, second = alu_op(call, op0), alu_op(call, op1)
    if "bitvec" in (first.kind, second.kind) or second.kind == "unary":
        refuse(call, "alu-op", f"{first.name}, {second.name}: binary arithmetic operators only")
    spaces = (data.storage.space, operand1.storage.space)
    if spaces == ("psum", "psum"):
        refuse(call, "both-psum", f"{data.storage.describe()}, {operand1.storage.describe()}")
    reads = (data, operand1, *check_operand(call, "operand0", first, operand0, data))
    cycles = cost.tensor_tensor(free_size(data), True, True)
    issue(run, call, "vector", cycles, reads, (dst,))
    mark_psum(dst, 2)
    if run.execute:
        x = apply(first, f32(data), operand0, reverse0)
        y = f32(operand1).reshape(x.shape)
        put(dst, second.fn(y, x) if reverse1 else second.fn(x, y))
    return HANDLE


def reciprocal(dst: Any, data: Any, name: str | None = None) -> Instruction:
    """Compute 1/x on VectorE: precise and slow."""
    call = "nisa.reciprocal"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "data", data)
    same_elements(call, "data", data, "dst", dst)
    issue(run, call, "vector", cost.vector_reciprocal(free_size(data)), (data,), (dst,))
    mark_psum(dst, 2)
    if run.execute:
        put(dst, F32(1) / f32(data))
    return HANDLE

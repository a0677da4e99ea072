"""ScalarE: activation functions with fused scale, bias and reduction."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cost
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
from .ops import Activation, activation_op, alu_op
from .state import Run, current_run, issue
from .tensor import NkiTensor

__all__ = ["activation", "activation_reduce"]

F32 = np.float32


def _check_range(call: str, fn: Activation, x: Any) -> None:
    """Refuse arguments outside the valid range; NaN is poison and passes on."""
    if fn.low == -np.inf and fn.high == np.inf:
        return
    v = np.abs(x) if fn.magnitude else x
    low, high = np.fmin.reduce(v, axis=None), np.fmax.reduce(v, axis=None)
    if low < fn.low or high > fn.high:
        what = "magnitudes" if fn.magnitude else "arguments"
        refuse(
            call,
            "activation-range",
            f"{fn.name} with {what} {float(low):.6g}..{float(high):.6g}, valid are "
            f"{fn.low:.6g}..{fn.high:.6g}",
        )


def activation(
    dst: Any,
    op: Any,
    data: Any,
    bias: Any = None,
    scale: Any = 1.0,
    reduce_op: Any = None,
    reduce_res: Any = None,
    reduce_cmd: Any = cmd_enum.idle,
    name: str | None = None,
) -> Instruction:
    """Compute ``op(data * scale + bias)`` and optionally add it up per partition."""
    return _activation(
        "nisa.activation", dst, op, data, bias, scale, reduce_op, reduce_res, reduce_cmd
    )


def activation_reduce(
    dst: Any,
    op: Any,
    data: Any,
    reduce_op: Any,
    reduce_res: Any,
    bias: Any = None,
    scale: Any = 1.0,
    name: str | None = None,
) -> Instruction:
    """Do as `activation` with ``reduce_cmd.reset_reduce``."""
    return _activation(
        "nisa.activation_reduce",
        dst,
        op,
        data,
        bias,
        scale,
        reduce_op,
        reduce_res,
        cmd_enum.reset_reduce,
    )


def _activation(
    call: str,
    dst: Any,
    op: Any,
    data: Any,
    bias: Any,
    scale: Any,
    reduce_op: Any,
    reduce_res: Any,
    reduce_cmd: Any,
) -> Instruction:
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "data", data)
    same_elements(call, "data", data, "dst", dst)
    fn = activation_op(call, op)
    if not isinstance(reduce_cmd, cmd_enum):
        refuse(call, "keyword-enum", f"reduce_cmd={reduce_cmd!r}")
    reads: tuple[NkiTensor, ...] = (data,)
    reads += _bias(call, run, fn, bias, data)
    if isinstance(scale, NkiTensor):
        reads += (per_partition(call, "scale", scale, data),)
    elif not isinstance(scale, (int, float, np.integer, np.floating)):
        refuse(call, "argument", f"scale is a {type(scale).__name__}")
    _registers(call, run, data, reduce_op, reduce_res, reduce_cmd)
    writes: tuple[NkiTensor, ...] = (dst,)
    if reduce_res is not None:
        writes += (per_partition(call, "reduce_res", reduce_res, data, float32=False),)
    cycles = cost.activation(free_size(data), reduce_res is not None)
    issue(run, call, "scalar", cycles, reads, writes)
    for t in writes:
        mark_psum(t, 2)
    if run.execute:
        x = f32(data)
        if isinstance(scale, NkiTensor) or scale != 1.0:
            x = x * scalar_value(scale, x.ndim)
        if bias is not None:
            x = x + scalar_value(bias, x.ndim)
        _check_range(call, fn, x)
        y = fn.fn(x)
        put(dst, y)
        _reduce(run, y, reduce_res, reduce_cmd)
    return HANDLE


def _bias(call: str, run: Run, fn: Activation, bias: Any, data: NkiTensor) -> tuple[NkiTensor, ...]:
    if bias is None:
        return ()
    if run.target.version == 2 and fn.name == "reciprocal":
        refuse(call, "activation-bias", "reciprocal with a bias on NeuronCore-v2")
    if isinstance(bias, NkiTensor):
        if bias.dtype == "tfloat32":
            refuse(call, "dtype-scalar", "bias is tfloat32")
        return (per_partition(call, "bias", bias, data, float32=False),)
    if not isinstance(bias, (int, float, np.integer, np.floating)):
        refuse(call, "argument", f"bias is a {type(bias).__name__}")
    if run.target.version == 2:
        refuse(call, "activation-bias", f"bias={bias!r} is a constant on NeuronCore-v2")
    return ()


def _registers(
    call: str, run: Run, data: NkiTensor, reduce_op: Any, reduce_res: Any, reduce_cmd: Any
) -> None:
    """Follow the state of the 128 reduce registers."""
    reduces = reduce_cmd in (cmd_enum.reduce, cmd_enum.reset_reduce)
    if reduce_cmd is cmd_enum.load_reduce:
        refuse(call, "reduce-registers", "load_reduce is not a command of ScalarE here")
    if reduce_op is not None and alu_op(call, reduce_op).name != "add":
        refuse(call, "reduce-op", f"ScalarE reduces with add, not {alu_op(call, reduce_op).name}")
    if reduces and reduce_op is None:
        refuse(call, "reduce-op", f"reduce_cmd.{reduce_cmd.name} without reduce_op")
    lanes = (data.start_partition, data.shape[0])
    if reduce_cmd in (cmd_enum.reset, cmd_enum.reset_reduce):
        run.scalar_lanes = lanes
    elif (reduces or reduce_res is not None) and run.scalar_lanes != lanes:
        refuse(
            call,
            "reduce-registers",
            f"registers hold (first lane, lanes) {run.scalar_lanes}, this needs {lanes}",
        )


def _reduce(run: Run, y: Any, reduce_res: Any, reduce_cmd: Any) -> None:
    if reduce_cmd is cmd_enum.reset:
        run.scalar_registers = np.zeros((y.shape[0], 1), F32)
    elif reduce_cmd is cmd_enum.reset_reduce:
        run.scalar_registers = reduce_free(np.add, y)
    elif reduce_cmd is cmd_enum.reduce:
        assert run.scalar_registers is not None
        run.scalar_registers = run.scalar_registers + reduce_free(np.add, y)
    if reduce_res is not None:
        assert run.scalar_registers is not None
        put(reduce_res, run.scalar_registers)

"""What element-wise instructions share: operand checks and application of operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import refuse
from .operands import per_partition, scalar_value
from .ops import AluOp
from .tensor import NkiTensor

__all__ = ["apply", "check_operand", "is_bitvec"]


def is_bitvec(call: str, op: AluOp, *tensors: NkiTensor) -> bool:
    """Tell whether `op` works on bits; then all tensors must be integers."""
    if op.kind != "bitvec":
        return False
    for t in tensors:
        if t.dtype.is_float:
            refuse(call, "dtype-bitvec", f"{op.name} with {t.dtype}")
    return True


def check_operand(
    call: str, arg: str, op: AluOp, operand: Any, data: NkiTensor
) -> tuple[NkiTensor, ...]:
    """Check a constant or (P, 1) operand; return it as a read if it is a tile."""
    if op.kind == "unary":
        if isinstance(operand, NkiTensor) or operand not in (None, 0, 0.0):
            refuse(call, "alu-op", f"{op.name} takes no {arg}, got {operand!r}")
        return ()
    if isinstance(operand, NkiTensor):
        return (per_partition(call, arg, operand, data, float32=op.kind != "bitvec"),)
    if not isinstance(operand, (int, float, np.integer, np.floating)):
        refuse(call, "argument", f"{arg} is a {type(operand).__name__}")
    return ()


def apply(op: AluOp, x: Any, operand: Any, reverse: bool) -> Any:
    """Apply `op` to values and a constant or (P, 1) tile."""
    if op.kind == "unary":
        return op.fn(x)
    if op.kind == "bitvec":
        y = operand.read() if isinstance(operand, NkiTensor) else x.dtype.type(operand)
    else:
        y = scalar_value(operand, x.ndim)
    return op.fn(y, x) if reverse else op.fn(x, y)

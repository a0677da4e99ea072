"""ScalarE: activation functions."""

from __future__ import annotations

from typing import Any

from . import cost
from .enums import reduce_cmd as cmd_enum
from .errors import refuse
from .operands import begin, f32, free_size, not_modelled, put, same_elements
from .operators import activation_op
from .state import issue

__all__ = ["activation"]


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
) -> None:
    """Compute ``op(data)``; scale, bias and the reduce registers are not modelled."""
    call = "nisa.activation"
    run = begin(call, dst=dst, data=data)
    if data.shape != dst.shape:
        same_elements(call, "data", data, "dst", dst)
        refuse(call, "activation-shape", f"data is {data.shape}, dst is {dst.shape}")
    fn = activation_op(call, op)
    not_modelled(
        call,
        bias=bias is not None,
        scale=scale != 1.0,
        reduce_op=reduce_op is not None,
        reduce_res=reduce_res is not None,
        reduce_cmd=reduce_cmd is not cmd_enum.idle,
    )
    issue(run, call, "scalar", cost.vector(free_size(data)), (data,), dst)
    if run.execute:
        put(dst, fn.fn(f32(data)))

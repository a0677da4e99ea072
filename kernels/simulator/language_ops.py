"""The element-wise functions of `nki.language`, which also name operators for `nki.isa`.

Called with tiles they make a tile in SBUF with one instruction; passed as ``op=`` they only
name the operator. `nki.language`'s mathematics is experimental: equal shapes, no division.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import ops
from .errors import refuse
from .memory import sbuf
from .tensor import NkiTensor

Function = Callable[..., Any]

__all__ = [
    "abs",
    "abs_max",
    "abs_min",
    "add",
    "arctan",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "copy",
    "divide",
    "equal",
    "erf",
    "exp",
    "gelu",
    "greater",
    "greater_equal",
    "invert",
    "left_shift",
    "less",
    "less_equal",
    "log",
    "logical_and",
    "logical_or",
    "logical_xor",
    "max",
    "maximum",
    "min",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "power",
    "reciprocal",
    "relu",
    "right_shift",
    "rsqrt",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softplus",
    "sqrt",
    "square",
    "subtract",
    "sum",
    "tanh",
]


def _result(x: NkiTensor, dtype: Any, shape: tuple[int, ...] | None = None) -> NkiTensor:
    from .allocate import allocate

    return allocate("nl", shape or x.shape, dtype or x.dtype, sbuf, "")


def _binary(name: str) -> Function:
    def function(x: Any, y: Any, dtype: Any = None) -> NkiTensor:
        from . import isa_vector

        if not isinstance(x, NkiTensor):
            if not isinstance(y, NkiTensor):
                refuse(f"nl.{name}", "argument", "neither operand is a tensor")
            out = _result(y, dtype)
            isa_vector.tensor_scalar(out, y, function, x, reverse0=True)
        elif not isinstance(y, NkiTensor):
            out = _result(x, dtype)
            isa_vector.tensor_scalar(out, x, function, y)
        else:
            if x.shape != y.shape:
                refuse(f"nl.{name}", "shape", f"{x.shape} and {y.shape}: broadcast_to first")
            out = _result(x, dtype)
            isa_vector.tensor_tensor(out, x, y, function)
        return out

    return _named(function, name)


def _activated(name: str) -> Function:
    def function(x: Any, dtype: Any = None) -> NkiTensor:
        from . import isa_scalar

        out = _result(x, dtype)
        isa_scalar.activation(out, function, x)
        return out

    return _named(function, name)


def _named(function: Function, name: str) -> Function:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Apply {name} element by element, or name the operator."
    ops.register(function, name)
    return function


add = _binary("add")
subtract = _binary("subtract")
multiply = _binary("multiply")
maximum = _binary("maximum")
minimum = _binary("minimum")
power = _binary("power")
abs_max = _binary("abs_max")
abs_min = _binary("abs_min")
equal = _binary("equal")
not_equal = _binary("not_equal")
greater = _binary("greater")
greater_equal = _binary("greater_equal")
less = _binary("less")
less_equal = _binary("less_equal")
logical_and = _binary("logical_and")
logical_or = _binary("logical_or")
logical_xor = _binary("logical_xor")
bitwise_and = _binary("bitwise_and")
bitwise_or = _binary("bitwise_or")
bitwise_xor = _binary("bitwise_xor")
left_shift = _binary("left_shift")
right_shift = _binary("right_shift")

exp = _activated("exp")
log = _activated("log")
sqrt = _activated("sqrt")
tanh = _activated("tanh")
sigmoid = _activated("sigmoid")
relu = _activated("relu")
gelu = _activated("gelu")
silu = _activated("silu")
softplus = _activated("softplus")
erf = _activated("erf")
sin = _activated("sin")
arctan = _activated("arctan")
sign = _activated("sign")
square = _activated("square")
abs = _activated("abs")


def divide(x: Any, y: Any, dtype: Any = None) -> NkiTensor:
    """Refuse: the engines have no division; use a reciprocal."""
    refuse("nl.divide", "alu-op", "the engines have no division; multiply by a reciprocal")


def copy(x: Any, dtype: Any = None) -> NkiTensor:
    """Copy a tile to SBUF on VectorE (NKI 0.6), or name ScalarE's identity."""
    from . import isa_vector

    out = _result(x, dtype)
    isa_vector.tensor_copy(out, x)
    return out


def reciprocal(x: Any, dtype: Any = None) -> NkiTensor:
    """Compute 1/x on VectorE, or name the operator."""
    from . import isa_vector

    out = _result(x, dtype)
    isa_vector.reciprocal(out, x)
    return out


def rsqrt(x: Any, dtype: Any = None) -> NkiTensor:
    """Compute 1/sqrt(x) on GpSimdE (NKI 0.5 and later), or name the operator."""
    from . import isa_vector

    out = _result(x, dtype)
    isa_vector.tensor_scalar(out, x, rsqrt, 0.0)
    return out


def invert(x: Any, dtype: Any = None) -> NkiTensor:
    """Flip the bits of integers, or name the operator."""
    from . import isa_vector

    out = _result(x, dtype)
    isa_vector.tensor_scalar(out, x, bitwise_xor, -1 if x.dtype.startswith("int") else 2**32 - 1)
    return out


def negative(x: Any, dtype: Any = None) -> NkiTensor:
    """Change the sign."""
    from . import isa_vector

    out = _result(x, dtype)
    isa_vector.tensor_scalar(out, x, multiply, -1.0)
    return out


def _reduced(name: str, op: Function) -> Function:
    def function(x: Any, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
        from . import isa_reduce

        given = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
        axes = {int(a) % x.ndim for a in given}
        kept = tuple(
            1 if a in axes else n for a, n in enumerate(x.shape) if keepdims or a not in axes
        )
        out = _result(x, dtype, kept if len(kept) > 1 else (*kept, 1))
        isa_reduce.tensor_reduce(out, op, x, axis, keepdims=keepdims)
        return out

    return _named(function, name)


sum = _reduced("sum", add)
max = _reduced("max", maximum)
min = _reduced("min", minimum)
for _function in (copy, reciprocal, rsqrt, invert):
    ops.register(_function)

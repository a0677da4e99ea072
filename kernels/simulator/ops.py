"""Operator and function tables of the engines.

Kernels name an operator by its `nki.language` function (``op=nl.add``). `register` ties such a
function to its entry here. Arithmetic is float32, as VectorE, ScalarE and GpSimdE compute.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import refuse

__all__ = ["ACTIVATIONS", "ALU", "Activation", "AluOp", "activation_op", "alu_op", "register"]

F32 = np.float32
Array = NDArray[Any]


@dataclass(frozen=True)
class AluOp:
    """A math operator of VectorE or GpSimdE.

    Attributes
    ----------
    kind : str
        ``arith``, ``unary`` or ``bitvec``.
    fn : callable
        The operation on float32 (bitvec: integer) arrays.
    reduces : ufunc or None
        The ufunc whose ``reduce`` is the reduction, None where the operator does not reduce.
    identity : float
        Start value of a reduction.
    """

    name: str
    kind: str
    fn: Callable[..., Any]
    reduces: np.ufunc | None = None
    identity: float = 0.0


def _compare(ufunc: np.ufunc) -> Callable[[Array, Array], Array]:
    def run(x: Array, y: Array) -> Array:
        return np.asarray(ufunc(x, y)).astype(F32)

    return run


def _rsqrt(x: Array, _: Any = None) -> Array:
    return F32(1) / np.sqrt(x)


def _abs_max(x: Array, y: Array) -> Array:
    return np.asarray(np.maximum(np.abs(x), np.abs(y)))


def _abs_min(x: Array, y: Array) -> Array:
    return np.asarray(np.minimum(np.abs(x), np.abs(y)))


_ARITH: list[AluOp] = [
    AluOp("add", "arith", np.add, np.add, 0.0),
    AluOp("subtract", "arith", np.subtract, np.subtract, 0.0),
    AluOp("multiply", "arith", np.multiply, np.multiply, 1.0),
    AluOp("maximum", "arith", np.maximum, np.maximum, -math.inf),
    AluOp("minimum", "arith", np.minimum, np.minimum, math.inf),
    AluOp("power", "arith", np.power),
    AluOp("abs_max", "arith", _abs_max),
    AluOp("abs_min", "arith", _abs_min),
    AluOp("equal", "arith", _compare(np.equal)),
    AluOp("not_equal", "arith", _compare(np.not_equal)),
    AluOp("greater_equal", "arith", _compare(np.greater_equal)),
    AluOp("greater", "arith", _compare(np.greater)),
    AluOp("less_equal", "arith", _compare(np.less_equal)),
    AluOp("less", "arith", _compare(np.less)),
    AluOp("logical_and", "arith", _compare(np.logical_and), np.logical_and, 1.0),
    AluOp("logical_or", "arith", _compare(np.logical_or), np.logical_or, 0.0),
    AluOp("logical_xor", "arith", _compare(np.logical_xor), np.logical_xor, 0.0),
]
_UNARY: list[AluOp] = [
    AluOp("abs", "unary", lambda x, _=None: np.abs(x)),
    AluOp("square", "unary", lambda x, _=None: np.square(x)),
    AluOp("relu", "unary", lambda x, _=None: np.maximum(x, F32(0))),
    AluOp("rsqrt", "unary", _rsqrt),
    AluOp("reciprocal", "unary", lambda x, _=None: F32(1) / x),
]
_BITVEC: list[AluOp] = [
    AluOp("invert", "bitvec", lambda x, _=None: np.invert(x)),
    AluOp("bitwise_and", "bitvec", np.bitwise_and, np.bitwise_and),
    AluOp("bitwise_or", "bitvec", np.bitwise_or, np.bitwise_or),
    AluOp("bitwise_xor", "bitvec", np.bitwise_xor, np.bitwise_xor),
    AluOp("left_shift", "bitvec", np.left_shift),
    AluOp("right_shift", "bitvec", np.right_shift),
]
ALU: dict[str, AluOp] = {op.name: op for op in (*_ARITH, *_UNARY, *_BITVEC)}
# nl.max and nl.min name the same reductions in tensor_scalar_reduce and tensor_reduce.
_ALU_ALIASES = {"max": "maximum", "min": "minimum", "sum": "add"}


@dataclass(frozen=True)
class Activation:
    """A function of ScalarE with its valid range (of the argument, or of its magnitude)."""

    name: str
    fn: Callable[[Array], Array]
    low: float = -math.inf
    high: float = math.inf
    magnitude: bool = False


def _sigmoid(x: Array) -> Array:
    return F32(1) / (F32(1) + np.exp(-x))


def _erf(x: Array) -> Array:
    return np.asarray(np.vectorize(math.erf, otypes=[np.float64])(x)).astype(F32)


def _gelu(x: Array) -> Array:
    return F32(0.5) * x * (F32(1) + _erf(x * F32(math.sqrt(0.5))))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(F32(0), x)).astype(F32)


ACTIVATIONS: dict[str, Activation] = {
    a.name: a
    for a in (
        Activation("copy", lambda x: x),
        Activation("square", np.square),
        Activation("sigmoid", _sigmoid),
        Activation("relu", lambda x: np.asarray(np.maximum(x, F32(0)))),
        Activation("gelu", _gelu),
        Activation("silu", lambda x: x * _sigmoid(x)),
        Activation("tanh", np.tanh),
        Activation("softplus", _softplus),
        Activation("erf", _erf),
        Activation("exp", np.exp),
        Activation("log", np.log, 2.0**-64, 2.0**64),
        Activation("sin", np.sin, -math.pi, math.pi),
        Activation("arctan", np.arctan, -math.pi / 2, math.pi / 2),
        Activation("sqrt", np.sqrt, 2.0**-116, 2.0**118),
        Activation("rsqrt", _rsqrt, 2.0**-87, 2.0**97),
        Activation("reciprocal", lambda x: F32(1) / x, 2.0**-42, 2.0**42, magnitude=True),
        Activation("sign", np.sign),
        Activation("abs", np.abs),
    )
}

_NAMES: dict[Any, str] = {}


def register(function: Callable[..., Any], name: str | None = None) -> None:
    """Let `function` stand for the operator of its name."""
    _NAMES[function] = name or function.__name__


def _name(op: Any) -> str:
    name = _NAMES.get(op)
    if name is None:
        name = getattr(op, "__name__", repr(op))
    return name


def alu_op(call: str, op: Any) -> AluOp:
    """Return the ALU operator that `op` names."""
    name = _name(op)
    found = ALU.get(_ALU_ALIASES.get(name, name))
    if found is None:
        refuse(call, "alu-op", f"{name} is no operator of the engines")
    return found


def activation_op(call: str, op: Any) -> Activation:
    """Return the ScalarE function that `op` names."""
    found = ACTIVATIONS.get(_name(op))
    if found is None:
        refuse(call, "activation-op", f"{_name(op)} is not modelled or no function of ScalarE")
    return found

"""Operators of the engines, under the names that kernels pass as ``op=nl.add``.

Arithmetic is float32, as VectorE, ScalarE and GpSimdE compute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import refuse

__all__ = ["Operator", "activation_op", "add", "alu_op", "multiply", "rsqrt", "square", "subtract"]


@dataclass(frozen=True)
class Operator:
    """An operator of VectorE, GpSimdE or ScalarE.

    Attributes
    ----------
    kind : str
        ``binary`` or ``unary`` for operators of VectorE and GpSimdE, ``activation`` for a
        function of ScalarE.
    fn : callable
        The operation on float32 arrays (binary operators: also on int32).
    reduces : ufunc or None
        The ufunc whose ``reduce`` is the reduction. None if the operator does not reduce.
    """

    name: str
    kind: str
    fn: Callable[..., NDArray[Any]]
    reduces: np.ufunc | None = None

    def __call__(self, *operands: Any, **options: Any) -> Any:
        """Refuse the call: element-wise functions of `nki.language` are not modelled."""
        refuse(
            f"nl.{self.name}",
            "not-modelled",
            f"called as a function; pass op=nl.{self.name} to an instruction of nki.isa",
        )


def _rsqrt(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.float32(1) / np.sqrt(x))


add = Operator("add", "binary", np.add, np.add)
subtract = Operator("subtract", "binary", np.subtract, np.subtract)
multiply = Operator("multiply", "binary", np.multiply, np.multiply)
rsqrt = Operator("rsqrt", "unary", _rsqrt)
square = Operator("square", "activation", np.square)


def _name(op: Any) -> str:
    return str(getattr(op, "name", None) or getattr(op, "__name__", None) or repr(op))


def alu_op(call: str, op: Any) -> Operator:
    """Return `op` if it is an operator of VectorE or GpSimdE, else refuse it."""
    if not isinstance(op, Operator) or op.kind == "activation":
        refuse(call, "alu-op", f"{_name(op)} is not modelled or no operator of the engines")
    return op


def activation_op(call: str, op: Any) -> Operator:
    """Return `op` if it is a function of ScalarE, else refuse it."""
    if not isinstance(op, Operator) or op.kind != "activation":
        refuse(call, "activation-op", f"{_name(op)} is not modelled or no function of ScalarE")
    return op

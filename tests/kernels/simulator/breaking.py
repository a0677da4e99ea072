"""Minimal kernels that break one rule each, collected by rule.

A case is a kernel decorated with `breaks`, which gives the rule, the call that refuses it and the
exact detail of the error. `obeys` decorates a kernel that does the same within the rule, and gives
its result. `test_rules` runs all cases and checks that every rule has one that breaks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl

from .tiles import filled, fresh

F32 = np.float32


@dataclass(frozen=True)
class Case:
    """One kernel that must be refused."""

    kernel: Callable[..., Any]
    rule: str
    call: str
    detail: str
    args: tuple[Any, ...]
    target: str

    @property
    def name(self) -> str:
        """The test's name."""
        return f"{self.rule}-{self.kernel.__name__}"


@dataclass(frozen=True)
class Obeying:
    """One kernel that must be accepted; `result` is an array, or a shape for a traced kernel."""

    kernel: Callable[..., Any]
    rule: str
    result: Any
    args: tuple[Any, ...]
    target: str


CASES: list[Case] = []
OBEYING: list[Obeying] = []


def breaks(
    rule: str, call: str, detail: str, *args: Any, target: str = "trn2"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Collect a kernel that breaks `rule`."""

    def collect(kernel: Callable[..., Any]) -> Callable[..., Any]:
        CASES.append(Case(kernel, rule, call, detail, args, target))
        return kernel

    return collect


def obeys(
    rule: str, result: Any, *args: Any, target: str = "trn2"
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Collect a kernel that obeys `rule`."""

    def collect(kernel: Callable[..., Any]) -> Callable[..., Any]:
        OBEYING.append(Obeying(kernel, rule, result, args, target))
        return kernel

    return collect


def sbuf(shape: tuple[int, ...], dtype: Any = nl.float32) -> Any:
    """Return a tile of ones in SBUF."""
    return filled(shape, dtype)


def psum(shape: tuple[int, ...]) -> Any:
    """Return a tile of ones in PSUM, written by VectorE."""
    return filled(shape, buffer=nl.psum)


def product(n: int = 512, k: int = 128) -> Any:
    """Return a PSUM tile that TensorE wrote."""
    out = fresh((128, n), buffer=nl.psum)
    nisa.nc_matmul(out, sbuf((k, 128)), sbuf((k, n)))
    return out


def index(value: int) -> Any:
    """Return a (1, 1) int32 tile in SBUF."""
    return filled((1, 1), nl.int32, value=value)

"""Binding kernels to this simulator, also if they were written for AWS's package.

Kernel modules import ``nki, nisa, nl`` once. Where AWS's package is installed, these names stand
for AWS's modules. To run such a kernel here, the kernel and its helpers are copied, and the names
in the copies stand for the simulator. The originals are not changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from .errors import refuse

__all__ = ["bind", "plain_function"]

_AWS = {"nki": "", "nki.isa": ".isa", "nki.language": ".language"}
_WRAPPED = ("func", "__wrapped__", "fn", "function", "_func")
_BOUND: WeakKeyDictionary[Callable[..., Any], Callable[..., Any]] = WeakKeyDictionary()


def plain_function(kernel: Any) -> Callable[..., Any]:
    """Return the function inside a decorated kernel, ours or AWS's."""
    if isinstance(kernel, FunctionType):
        return kernel
    for name in _WRAPPED:
        inner = getattr(kernel, name, None)
        if isinstance(inner, FunctionType):
            return inner
    return refuse("simulate", "argument", f"{type(kernel).__name__} holds no Python function")


def bind(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function`, or a copy that uses the simulator if it uses AWS's package."""
    if not isinstance(function, FunctionType) or not any(n in sys.modules for n in _AWS):
        return function
    bound = _BOUND.get(function)
    if bound is None:
        bound = _BOUND[function] = _Binder(function.__module__.split(".")[0]).function(function)
    return bound


def _stand_in(name: str) -> Any:
    return sys.modules[f"{__package__}{_AWS[name]}"]


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


class _Binder:
    """Copies of one package's functions."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._functions: dict[FunctionType, FunctionType] = {}

    def function(self, f: FunctionType) -> FunctionType:
        """Copy a function with the simulator's names in its globals."""
        copy = self._functions.get(f)
        if copy is None:
            scope = dict(f.__globals__)
            copy = FunctionType(f.__code__, scope, f.__name__, f.__defaults__, f.__closure__)
            copy.__kwdefaults__, copy.__module__ = f.__kwdefaults__, f.__module__
            self._functions[f] = copy
            for name in set(_names(f.__code__)) & scope.keys():
                scope[name] = self.value(scope[name])
        return copy

    def value(self, value: Any) -> Any:
        """Return what a global stands for in the simulator."""
        if isinstance(value, ModuleType):
            if value.__name__ in _AWS:
                return _stand_in(value.__name__)
            return _Module(self, value) if self._own(value.__name__) else value
        home = getattr(value, "__module__", None)
        if isinstance(home, str) and home in _AWS and hasattr(value, "__name__"):
            return getattr(_stand_in(home), value.__name__)
        if isinstance(value, FunctionType) and self._own(value.__module__):
            return self.function(value)
        return value

    def _own(self, module: str) -> bool:
        ours = f"{module}.".startswith(f"{__package__}.")
        return module.split(".")[0] == self._package and not ours


class _Module:
    """A module of the kernel's package; its functions are bound at first use."""

    def __init__(self, binder: _Binder, module: ModuleType) -> None:
        self._binder = binder
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return self._binder.value(getattr(self._module, name))

"""The part of the subset check that looks at calls into `nki.isa` and `nki.language`."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from enum import Enum
from types import ModuleType
from typing import Any

from . import isa, language

__all__ = ["check_call", "namespace_of"]

_SPACES = {"nisa": isa, "nl": language}
_MODULES = {
    "nki.isa": "nisa",
    "nki.language": "nl",
    isa.__name__: "nisa",
    language.__name__: "nl",
}


def namespace_of(module: Any) -> str:
    """Return ``nisa`` or ``nl`` where `module` is that namespace, ours or AWS's."""
    return _MODULES.get(module.__name__, "") if isinstance(module, ModuleType) else ""


def _target(func: ast.expr, resolve: Callable[[ast.AST], Any]) -> tuple[str, str]:
    """Return namespace and name of a call into NKI, empty strings for any other call."""
    if isinstance(func, ast.Attribute):
        return namespace_of(resolve(func.value)), func.attr
    value = resolve(func)
    for space, module in _SPACES.items():
        short = getattr(value, "__name__", "")
        if value is not None and getattr(module, short, None) is value:
            return space, short
    return "", ""


def check_call(call: ast.Call, resolve: Callable[[ast.AST], Any]) -> Iterator[tuple[str, str]]:
    """Yield (rule, detail) for what is wrong with one call."""
    space, short = _target(call.func, resolve)
    if not space:
        return
    name = f"{space}.{short}"
    target = getattr(_SPACES[space], short, None)
    if target is None or short not in _SPACES[space].__all__:
        yield "unknown-call", name
        return
    parameters = list(inspect.signature(target).parameters)
    if len(call.args) > len(parameters):
        yield "keyword", f"{name} takes {len(parameters)} arguments, got {len(call.args)}"
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg not in parameters:
            yield "keyword", f"{name} has no parameter {keyword.arg}"
    bound = dict(zip(parameters, call.args, strict=False))
    bound.update({k.arg: k.value for k in call.keywords if k.arg is not None})
    defaults = {p.name: p.default for p in inspect.signature(target).parameters.values()}
    for parameter, value in bound.items():
        if not isinstance(value, ast.Constant) or value.value is None:
            continue
        if parameter == "buffer":
            yield "buffer-name", f"{name}(buffer={value.value!r})"
        elif isinstance(defaults.get(parameter), Enum):
            yield "enum", f"{name}({parameter}={value.value!r})"

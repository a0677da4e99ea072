"""Static check that a kernel stays inside the Python subset of the NKI compiler.

`check_subset` walks the source of a kernel and of every function of its own package that it
calls, and reports what the compiler would refuse. AWS's simulator and ours run any Python, so
without this check such code fails only on a machine with the compiler.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from .errors import SubsetError
from .subset_calls import check_call, namespace_of
from .subset_syntax import check_syntax

__all__ = ["Violation", "check_subset", "violations"]


class Violation(NamedTuple):
    """One place that the compiler would refuse."""

    function: str
    line: int
    rule: str
    detail: str


def check_subset(kernel: Any) -> None:
    """Raise `SubsetError` for the first construct that the compiler would refuse.

    Parameters
    ----------
    kernel : Kernel or function
        Decorated or not; its helpers are found through its globals.
    """
    for found in violations(kernel):
        raise SubsetError(f"{found.function}, line {found.line}", found.rule, found.detail)


def violations(kernel: Any) -> list[Violation]:
    """Return everything in a kernel and its helpers that the compiler would refuse."""
    function = getattr(kernel, "func", kernel)
    found: list[Violation] = []
    todo: list[Callable[..., Any]] = [function]
    seen: set[Any] = set()
    while todo:
        f = todo.pop(0)
        if f in seen:
            continue
        seen.add(f)
        found.extend(_check_function(f, todo, f is function))
    return found


def _definition(f: Callable[..., Any]) -> tuple[ast.FunctionDef, int]:
    try:
        lines, first = inspect.getsourcelines(f)
    except (OSError, TypeError) as error:
        raise SubsetError(f.__name__, "source", str(error)) from error
    tree = ast.parse(textwrap.dedent("".join(lines)))
    node = next((n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)), None)
    if node is None:
        raise SubsetError(f.__name__, "source", "no def statement found")
    return node, first


def _check_function(
    f: Callable[..., Any], todo: list[Callable[..., Any]], is_kernel: bool
) -> Iterator[Violation]:
    node, first = _definition(f)
    name = f.__name__

    def report(at: ast.AST, rule: str, detail: str) -> Violation:
        return Violation(name, first + getattr(at, "lineno", 1) - 1, rule, detail)

    closure = getattr(f, "__code__", None)
    if closure is not None and closure.co_freevars:
        yield report(node, "closure", f"captures {', '.join(closure.co_freevars)}")
    scope = _Scope(f, node)
    for at, rule, detail in check_syntax(node, is_kernel, scope.namespace_call):
        yield report(at, rule, detail)
    for child in _inside(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
            value = scope.resolve(child)
            if isinstance(value, (list, dict, set, bytearray)) or _is_array(value):
                yield report(child, "pure", f"reads the global {child.id}")
        if isinstance(child, (ast.Name, ast.Attribute)):
            value = scope.resolve(child)
            if _is_jitted(value):
                yield report(child, "nested-jit", f"{ast.unparse(child)} is a kernel")
            elif _same_package(f, value):
                todo.append(value)
        if isinstance(child, ast.Call):
            for rule, detail in check_call(child, scope.resolve):
                yield report(child, rule, detail)


class _Scope:
    """Names of a function: which are local, and what the others are."""

    def __init__(self, f: Callable[..., Any], node: ast.FunctionDef) -> None:
        self.globals: dict[str, Any] = getattr(f, "__globals__", {})
        self.locals: set[str] = set()
        for n in ast.walk(node):
            if isinstance(n, ast.arguments):
                self.locals.update(a.arg for a in _all(n))
            elif isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
                self.locals.add(n.id)
            elif isinstance(n, ast.FunctionDef) and n is not node:
                self.locals.add(n.name)

    def resolve(self, node: ast.AST) -> Any:
        """Return the global object that a dotted name stands for, None for anything else."""
        if isinstance(node, ast.Name):
            return None if node.id in self.locals else self.globals.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.resolve(node.value)
            return getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else None
        return None

    def namespace_call(self, node: ast.AST) -> str:
        """Return ``nl.name`` or ``nisa.name`` for a call into them, else an empty string."""
        if not isinstance(node, ast.Call):
            return ""
        func = node.func
        if isinstance(func, ast.Attribute):
            space = namespace_of(self.resolve(func.value))
            return f"{space}.{func.attr}" if space else ""
        value = self.resolve(func)
        return f"helper.{ast.unparse(func)}" if isinstance(value, FunctionType) else ""


def _all(arguments: ast.arguments) -> list[ast.arg]:
    extra = [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra]


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array_interface__") and getattr(value, "ndim", 0) > 0


def _is_jitted(value: Any) -> bool:
    return type(value).__name__ == "Kernel" and not isinstance(value, type)


def _inside(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Walk parameters and body; decorators are Python's business."""
    for part in (node.args, *node.body):
        yield from ast.walk(part)


def _same_package(f: Callable[..., Any], value: Any) -> bool:
    """Tell whether `value` is a function that the kernel's own code base defines."""
    if not isinstance(value, FunctionType):
        return False
    if f"{value.__module__}.".startswith((f"{__package__}.", "nki.")):
        return False
    return value.__module__.split(".")[0] == f.__module__.split(".")[0]

"""Static check that a kernel stays inside the Python subset of the NKI compiler.

`check_subset` walks the source of a kernel and of every function of its own package that it
calls, and reports what a front end of the compiler would refuse (`subset_rules`). Both simulators
run any Python, so without this check such code would fail only on a machine with the compiler.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from enum import Enum
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from . import isa, language
from .errors import SubsetError
from .rules import RULE_SETS, current_rule_set
from .subset_rules import SUBSET_RULES, current_profile
from .subset_syntax import check_syntax

__all__ = ["Violation", "check_subset", "violations"]

_SPACES = {"nisa": isa, "nl": language}
_MODULES = {
    "nki.isa": "nisa",
    "nki.language": "nl",
    isa.__name__: "nisa",
    language.__name__: "nl",
}


class Violation(NamedTuple):
    """One place that the compiler would refuse."""

    function: str
    line: int
    rule: str
    detail: str


def check_subset(kernel: Any) -> None:
    """Raise `SubsetError` for the first construct that the current profile and rules refuse.

    Parameters
    ----------
    kernel : Kernel or function
        Decorated or not; its helpers are found through its globals.
    """
    for found in violations(kernel, current_profile(), current_rule_set()):
        raise SubsetError(f"{found.function}, line {found.line}", found.rule, found.detail)


def violations(kernel: Any, profile: str, rule_set: str = RULE_SETS[0]) -> list[Violation]:
    """Return what the front end `profile` would refuse in a kernel and its helpers.

    The rules are those of `rule_set`.
    """
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
    rules = {v: SUBSET_RULES[v.rule] for v in found}
    return [v for v in found if profile in rules[v].profiles and rules[v].is_in(rule_set)]


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

    def report(at: ast.AST, rule: str, detail: str) -> Violation:
        return Violation(f.__name__, first + getattr(at, "lineno", 1) - 1, rule, detail)

    code = getattr(f, "__code__", None)
    if code is not None and code.co_freevars:
        yield report(node, "closure", f"captures {', '.join(code.co_freevars)}")
    scope = _Scope(f, node)
    for at, rule, detail in check_syntax(node, is_kernel):
        yield report(at, rule, detail)
    for child in _inside(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
            value = scope.resolve(child)
            if isinstance(value, (list, dict, set, bytearray)) or _is_array(value):
                yield report(child, "pure", f"reads the global {child.id}")
        if isinstance(child, ast.Attribute):
            space = _namespace_of(scope.resolve(child.value))
            if space and child.attr not in _SPACES[space].__all__:
                yield report(child, "unknown-call", f"{space}.{child.attr}")
        if isinstance(child, (ast.Name, ast.Attribute)):
            value = scope.resolve(child)
            if _is_jitted(value):
                yield report(child, "nested-jit", f"{ast.unparse(child)} is a kernel")
            elif _same_package(f, value):
                todo.append(value)
        if isinstance(child, ast.Call):
            for rule, detail in _check_call(child, scope):
                yield report(child, rule, detail)
        if isinstance(child, (ast.ListComp, ast.DictComp)):
            calls = [scope.called(n.func) for n in ast.walk(child) if isinstance(n, ast.Call)]
            made = [c for c in calls if c]
            if made:
                yield report(child, "comprehension", f"calls {', '.join(made)}")


def _namespace_of(module: Any) -> str:
    """Return ``nisa`` or ``nl`` where `module` is that namespace, ours or AWS's."""
    return _MODULES.get(module.__name__, "") if isinstance(module, ModuleType) else ""


class _Scope:
    """Names of a function: which are local, and what the others are."""

    def __init__(self, f: Callable[..., Any], node: ast.FunctionDef) -> None:
        self.globals: dict[str, Any] = getattr(f, "__globals__", {})
        self.locals: set[str] = set()
        for n in ast.walk(node):
            if isinstance(n, ast.arg):
                self.locals.add(n.arg)
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

    def nki_call(self, func: ast.expr) -> tuple[str, str]:
        """Return namespace and name of a call into NKI, empty strings for any other call."""
        if isinstance(func, ast.Attribute):
            return _namespace_of(self.resolve(func.value)), func.attr
        value = self.resolve(func)
        short = getattr(value, "__name__", "")
        for space, module in _SPACES.items():
            if value is not None and getattr(module, short, None) is value:
                return space, short
        return "", ""

    def called(self, func: ast.expr) -> str:
        """Name a call into NKI or of a helper; an empty string for any other call."""
        space, short = self.nki_call(func)
        if space:
            return f"{space}.{short}"
        return ast.unparse(func) if isinstance(self.resolve(func), FunctionType) else ""


def _check_call(call: ast.Call, scope: _Scope) -> Iterator[tuple[str, str]]:
    """Yield (rule, detail) for wrong arguments of a call into `nki.isa` or `nki.language`."""
    space, short = scope.nki_call(call.func)
    if not space or short not in _SPACES[space].__all__:
        return
    name = f"{space}.{short}"
    if name in ("nl.affine_range", "nl.sequential_range"):
        yield "deprecated-range", name
    if name == "nl.fori_loop":
        yield "device-loop", name
    signature = inspect.signature(getattr(_SPACES[space], short)).parameters
    parameters = list(signature)
    if len(call.args) > len(parameters):
        yield "keyword", f"{name} takes {len(parameters)} arguments, got {len(call.args)}"
    for keyword in call.keywords:
        if keyword.arg is not None and keyword.arg not in parameters:
            yield "keyword", f"{name} has no parameter {keyword.arg}"
    bound = dict(zip(parameters, call.args, strict=False))
    bound.update({k.arg: k.value for k in call.keywords if k.arg in parameters})
    for parameter, value in bound.items():
        if not isinstance(value, ast.Constant) or value.value is None:
            continue
        if parameter == "buffer":
            yield "buffer-name", f"{name}(buffer={value.value!r})"
        elif isinstance(signature[parameter].default, Enum):
            yield "enum", f"{name}({parameter}={value.value!r})"


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array_interface__") and getattr(value, "ndim", 0) > 0


def _is_jitted(value: Any) -> bool:
    return type(value).__name__ == "Kernel" and not isinstance(value, type)


def _inside(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Walk parameters and body, without decorators, which are not compiled."""
    for part in (node.args, *node.body):
        yield from ast.walk(part)


def _same_package(f: Callable[..., Any], value: Any) -> bool:
    """Return whether `value` is a function that the kernel's own code base defines."""
    if not isinstance(value, FunctionType):
        return False
    if f"{value.__module__}.".startswith((f"{__package__}.", "nki.")):
        return False
    return value.__module__.split(".")[0] == f.__module__.split(".")[0]

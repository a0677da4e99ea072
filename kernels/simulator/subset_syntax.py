"""The part of the subset check that needs syntax only."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

__all__ = ["check_syntax"]

Found = tuple[ast.AST, str, str]

_STATEMENTS = (
    ast.Assign,
    ast.AugAssign,
    ast.AnnAssign,
    ast.Assert,
    ast.Break,
    ast.Continue,
    ast.Expr,
    ast.For,
    ast.FunctionDef,
    ast.If,
    ast.Pass,
    ast.Return,
    ast.While,
)
_EXPRESSIONS = (
    ast.Await,
    ast.GeneratorExp,
    ast.NamedExpr,
    ast.Set,
    ast.SetComp,
    ast.Yield,
    ast.YieldFrom,
)
_COMPREHENSIONS = (ast.ListComp, ast.DictComp)
_LOOPS = {"nl.fori_loop": 2, "nl.while_loop": 1}


def check_syntax(
    node: ast.FunctionDef, is_kernel: bool, namespace_call: Callable[[ast.AST], str]
) -> Iterator[Found]:
    """Yield (node, rule, detail) for what the compiler's grammar does not have."""
    yield from _signature(node, is_kernel)
    bodies = set(_loop_bodies(node, namespace_call))
    for child in ast.walk(node):
        if child is node:
            continue
        if isinstance(child, ast.stmt):
            yield from _statement(child, bodies, namespace_call)
        elif isinstance(child, ast.expr):
            yield from _expression(child, namespace_call)
    yield from _registers(node, bodies, namespace_call)


def _signature(node: ast.FunctionDef, is_kernel: bool) -> Iterator[Found]:
    a = node.args
    if a.kwonlyargs:
        yield node, "keyword-only", ", ".join(arg.arg for arg in a.kwonlyargs)
    for star in (a.vararg, a.kwarg):
        if star is not None:
            yield node, "keyword-only", f"* or ** parameter {star.arg}"
    for default in a.defaults:
        if is_kernel and isinstance(default, ast.List):
            yield node, "list-default", ast.unparse(default)


def _loop_bodies(node: ast.FunctionDef, namespace_call: Callable[[ast.AST], str]) -> Iterator[str]:
    """Yield the names of functions that are handed to a dynamic loop as its body."""
    for call in ast.walk(node):
        at = _LOOPS.get(namespace_call(call))
        if at is None or not isinstance(call, ast.Call):
            continue
        given = [k.value for k in call.keywords if k.arg == "body_fun"] + call.args[at : at + 1]
        yield from (g.id for g in given if isinstance(g, ast.Name))


def _statement(
    s: ast.stmt, bodies: set[str], namespace_call: Callable[[ast.AST], str]
) -> Iterator[Found]:
    if isinstance(s, ast.With):
        for item in s.items:
            if namespace_call(item.context_expr) != "nl.no_reorder":
                yield s, "statement", f"with {ast.unparse(item.context_expr)}"
    elif isinstance(s, ast.FunctionDef):
        if s.name not in bodies or s.decorator_list:
            yield s, "inner-function", s.name
        yield from _signature(s, False)
    elif not isinstance(s, _STATEMENTS):
        yield s, "statement", type(s).__name__.lower()


def _expression(e: ast.expr, namespace_call: Callable[[ast.AST], str]) -> Iterator[Found]:
    if isinstance(e, ast.Lambda):
        yield e, "lambda", ast.unparse(e)
    elif isinstance(e, _EXPRESSIONS):
        yield e, "expression", ast.unparse(e)
    elif isinstance(e, _COMPREHENSIONS):
        calls = [namespace_call(n) for n in ast.walk(e)]
        made = [c for c in calls if c and not c.startswith("helper.math")]
        if made:
            yield e, "comprehension", f"calls {', '.join(made)}"
    elif isinstance(e, ast.Compare):
        for op in e.ops:
            if isinstance(op, (ast.Is, ast.IsNot)):
                yield e, "identity", ast.unparse(e)
    elif isinstance(e, ast.Dict):
        for key in e.keys:
            if isinstance(key, ast.Constant) and not isinstance(key.value, str):
                yield e, "expression", f"dictionary key {key.value!r}"
    elif isinstance(e, ast.Constant):
        value = e.value
        if isinstance(value, (bytes, complex)) or (
            isinstance(value, int) and not -(2**31) <= value < 2**32
        ):
            yield e, "expression", repr(value)


def _registers(
    node: ast.FunctionDef, bodies: set[str], namespace_call: Callable[[ast.AST], str]
) -> Iterator[Found]:
    """Find Python arithmetic and conditions on the index of a dynamic loop."""
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef) and child.name in bodies and child.args.args:
            yield from _uses(child.body, child.args.args[0].arg)
        elif (
            isinstance(child, ast.For)
            and namespace_call(child.iter) == "nl.dynamic_range"
            and isinstance(child.target, ast.Name)
        ):
            yield from _uses(child.body, child.target.id)


def _uses(body: list[ast.stmt], register: str) -> Iterator[Found]:
    for child in (n for s in body for n in ast.walk(s)):
        operands: list[ast.expr] = []
        if isinstance(child, ast.BinOp):
            operands = [child.left, child.right]
        elif isinstance(child, ast.Compare):
            operands = [child.left, *child.comparators]
        elif isinstance(child, (ast.If, ast.While, ast.IfExp)):
            operands = [child.test]
        elif isinstance(child, ast.UnaryOp):
            operands = [child.operand]
        elif isinstance(child, ast.BoolOp):
            operands = child.values
        if any(isinstance(o, ast.Name) and o.id == register for o in operands):
            yield child, "register", ast.unparse(child).splitlines()[0]

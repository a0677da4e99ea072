"""The part of the subset check that needs syntax only."""

from __future__ import annotations

import ast
from collections.abc import Iterator

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


def check_syntax(node: ast.FunctionDef, is_kernel: bool) -> Iterator[Found]:
    """Yield (node, rule, detail) for syntax that the compiler does not have."""
    a = node.args
    if a.kwonlyargs:
        yield node, "keyword-only", ", ".join(arg.arg for arg in a.kwonlyargs)
    for star in (a.vararg, a.kwarg):
        if star is not None:
            yield node, "keyword-only", f"* or ** parameter {star.arg}"
    for default in a.defaults:
        if is_kernel and isinstance(default, ast.List):
            yield node, "list-default", ast.unparse(default)
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef):
            if child is not node:
                yield child, "inner-function", child.name
        elif isinstance(child, ast.With):
            yield child, "statement", f"with {ast.unparse(child.items[0].context_expr)}"
        elif isinstance(child, ast.stmt):
            if not isinstance(child, _STATEMENTS):
                yield child, "statement", type(child).__name__.lower()
        elif isinstance(child, ast.expr):
            yield from _expression(child)


def _expression(e: ast.expr) -> Iterator[Found]:
    if isinstance(e, ast.Lambda):
        yield e, "lambda", ast.unparse(e)
    elif isinstance(e, _EXPRESSIONS):
        yield e, "expression", ast.unparse(e)
    elif isinstance(e, ast.Compare):
        if any(isinstance(op, (ast.Is, ast.IsNot)) for op in e.ops):
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

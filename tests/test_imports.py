"""The structure of the package: a module imports only from folders above its own.

Imports inside functions and for annotations are counted as well. Without these tests a module for
an early stage of a calculation could depend on one for a later stage.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.systems import ROOT

ORDER = (
    "units", "errors", "foreign_errors", "defaults", "settings", "kernels", "molecules",
    "references", "fitting", "results", "runfile", "planning", "backends", "integrals", "tensors",
    "methods", "precision", "workflow", "composite", "interfaces", "bench", "doctor", "cli",
)  # fmt: skip
"""Top to bottom. The package itself (`__init__`, `__main__`) is below all of them."""

MEAN_FIELDS = {"references", "interfaces", "bench"}
"""Folders that handle mean-field objects of PySCF. All others take an `ScfSolution`."""


def _modules() -> dict[str, Path]:
    found = {}
    for top, prefix in (("dfmp2", "dfmp2"), ("kernels", "dfmp2.kernels")):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT / top).with_suffix("").parts
            if top == "dfmp2" and parts[0] == "kernels":
                continue  # the link to kernels/
            names = [prefix, *parts]
            found[".".join(names[:-1] if names[-1] == "__init__" else names)] = path
    return found


MODULES = _modules()


@cache
def tree(name: str) -> ast.Module:
    """The syntax tree of a module."""
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def _package(name: str) -> str:
    """The package that relative imports of a module start from."""
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def imports(name: str) -> Iterator[str]:
    """Modules of this project that a module imports anywhere in its text."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            start = _package(name).split(".")
            above = start[: len(start) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                member = f"{source}.{alias.name}"
                if member in MODULES:
                    yield member
                elif source in MODULES:
                    yield source


def folder(name: str) -> str:
    """The folder of a module, or its own name if it is at the top."""
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize("name", [name for name in MODULES if folder(name) not in ("", "__main__")])
def test_imports_point_upwards(name: str) -> None:
    rank = ORDER.index(folder(name))
    for source in imports(name):
        if source != "dfmp2":  # the version of the package
            above = ORDER.index(folder(source))
            assert above <= rank, f"{name} imports {source}, which is below it"


def test_every_folder_is_in_the_order() -> None:
    assert {folder(name) for name in MODULES} - {"", "__main__"} == set(ORDER)


def test_no_cycles() -> None:
    """Modules in a cycle cannot be read one after the other, and can fail when an import moves."""
    graph = {name: set(imports(name)) - {name, "dfmp2"} for name in MODULES}
    while graph:
        free = {name for name, sources in graph.items() if not sources & set(graph)}
        assert free, f"in a cycle or below one: {sorted(graph)}"
        graph = {name: sources for name, sources in graph.items() if name not in free}


def test_only_some_folders_handle_mean_fields() -> None:
    """Otherwise a method would work with one class of PySCF only."""
    users = {folder(n) for n in MODULES if "dfmp2.references.mean_field" in imports(n)}
    assert users <= MEAN_FIELDS
    for name in MODULES:
        if folder(name) in MEAN_FIELDS:
            continue
        for node in ast.walk(tree(name)):
            assert not (isinstance(node, ast.arg) and node.arg == "mf"), f"{name}:{node.lineno}"


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("dfmp2.kernels")])
def test_functions_take_at_most_six_parameters(name: str) -> None:
    """Values that belong together must be grouped into objects. Click commands are exempt."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef) and folder(name) != "cli":
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            own = [a for a in arguments if a.arg not in ("self", "cls")]
            assert len(own) <= 6, f"{name}.{node.name}, line {node.lineno}"

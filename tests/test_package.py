"""The package as a whole: imports, layout, command line and documentation."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import dfmp2
from dfmp2 import errors
from dfmp2.cli import COMMANDS, main
from tests.systems import ROOT

MODULES = sorted(
    p for top in ("dfmp2", "kernels") for p in (ROOT / top).rglob("*.py")
    if "dfmp2/kernels" not in p.relative_to(ROOT).as_posix()  # the link to kernels/
)  # fmt: skip
LIBRARY = [p for p in MODULES if "cli" not in p.parts]
HEAVY = ("torch", "pyscf", "numba", "scipy", "h5py", "nki", "qcelemental")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python(*args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, cwd=ROOT, timeout=timeout
    )


# Imports


@pytest.mark.parametrize(
    "statement", ["import dfmp2", "import dfmp2; dir(dfmp2)", "import dfmp2.cli"]
)
def test_import_loads_no_heavy_packages(statement: str) -> None:
    done = python("-c", f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & set(HEAVY)


def test_import_beside_a_folder_of_the_same_name(tmp_path: Path) -> None:
    """A folder that holds a clone named dfmp2 hides the package from no script in it."""
    (tmp_path / "dfmp2").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", "import dfmp2; dfmp2.__version__"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_public_names_exist() -> None:
    for name in dfmp2.__all__:
        assert getattr(dfmp2, name) is not None
    assert set(dfmp2.__all__) <= set(dir(dfmp2))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dfmp2.nonsense  # noqa: B018


def test_help_is_fast() -> None:
    """Below 0.3 s with the interpreter; the best of several. A heavy import would make it slower.

    CPU time is measured, so that other work on the machine has no influence.
    """
    resource = pytest.importorskip("resource")

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return float(usage.ru_utime + usage.ru_stime)

    times = []
    for _ in range(5):
        before = spent()
        assert "Usage: dfmp2" in python("-m", "dfmp2", "--help").stdout
        times.append(spent() - before)
    assert 0 < min(times) < 0.3


# Layout


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_library_neither_prints_nor_parses_arguments(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "exit", "quit"), f"line {node.lineno}"
            continue
        else:
            continue
        for name in names:
            assert name.split(".")[0] not in ("click", "rich"), f"line {node.lineno}"
            if path != ROOT / "dfmp2" / "__main__.py":
                assert not name.startswith("dfmp2.cli"), f"line {node.lineno}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "kernels")],
                         ids=name_of)  # fmt: skip
def test_kernels_import_only_kernels_and_errors(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        if module.startswith("dfmp2"):
            assert module.startswith(("dfmp2.kernels", "dfmp2.errors")), f"line {node.lineno}"


@pytest.mark.parametrize("path", [p for p in MODULES if p.is_relative_to(ROOT / "dfmp2")],
                         ids=name_of)  # fmt: skip
def test_modules_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    if path.name not in ("__main__.py",) and len(tree.body) > 1:
        assigned = {ast.unparse(t) for n in tree.body if isinstance(n, ast.Assign)
                    for t in n.targets}  # fmt: skip
        assert "__all__" in assigned


def test_no_assert_checks_user_input() -> None:
    """Python removes `assert` with -O. The two places that use it narrow types."""
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        if path.is_relative_to(ROOT / "dfmp2")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert)
    ]
    assert len(found) <= 2, found


# Command line


def test_commands_and_modules_agree() -> None:
    context = click.Context(main)
    assert main.list_commands(context) == list(COMMANDS)
    assert main.get_command(context, "nonsense") is None


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert isinstance(command, click.Command)
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]}"
            assert parameter.help.endswith("."), f"{name} {parameter.opts[0]}"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_option_has_an_optional_value(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    for parameter in command.params:
        assert not getattr(parameter, "_flag_needs_value", False), parameter.name


PINNED = {
    "--basis", "--auxbasis", "--charge", "--spin", "--reference", "--frozen", "--fused-energy",
    "--no-fused-energy", "--backend", "--device", "--precision", "--accuracy", "--max-memory",
    "--threads", "--validate", "--validate-exact", "--tolerance", "--json", "--quiet", "--verbose",
    "--ecp", "--conv-tol", "--density-fit",
}  # fmt: skip


def test_pinned_options_of_run() -> None:
    command = main.get_command(click.Context(main), "run")
    assert command is not None
    names = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    assert names >= PINNED


def test_exit_codes_of_errors_are_documented() -> None:
    text = main.get_help(click.Context(main))
    documented = {int(code) for code in re.findall(r"(?:^|\s)(\d)  [a-zA-Z]", text)}
    classes = [
        kind for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.DFMP2Error)
    ]  # fmt: skip
    used = {kind.exit_code for kind in classes if kind is not errors.DFMP2Error}
    assert used == {2, 3, 4, 5, 6, 7}
    assert documented == used | {0}


def test_every_package_is_installed() -> None:
    """A package that is not listed works from the repository, but is missing once installed."""
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^packages = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block
    listed = set(re.findall(r'"([\w.]+)"', block[1]))
    found = {p.parent.relative_to(ROOT).as_posix().replace("/", ".") for p in MODULES
             if p.name == "__init__.py"}  # fmt: skip
    assert {name.removeprefix("dfmp2.") for name in listed} == {
        name.removeprefix("dfmp2.") for name in found
    }


def test_run_file_is_documented() -> None:
    """The README of the format names all datasets, their dimensions and units."""
    from dfmp2.results.sizes import Sizes
    from dfmp2.runfile.layout import Shape, _datasets

    text = (ROOT / "dfmp2" / "runfile" / "README.md").read_text(encoding="utf-8")
    rows = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = line.replace("\\|", "/").split("|")[1:4]
            names, shape, unit = (cell.strip() for cell in cells)
            rows.update(dict.fromkeys(re.findall(r"`([\w/]+)`", names), (shape, unit)))
    found = _datasets(Shape(Sizes(nao=11, nocc=3, nvir=5, naux=17), 10), 7)
    assert set(rows) == set(found)
    for name, (shape, unit) in rows.items():
        dataset = found[name]
        assert dataset.description
        assert len(shape.split(", ")) == len(dataset.shape), name
        plain = {"hartree^½": "hartree^(1/2)"}.get(unit, unit)
        assert dataset.unit.split(",")[0] == plain, name
    for attribute in ("format", "schema_version", "nao", "nocc", "nvir", "naux", "aux_shell",
                      "input_crc32"):  # fmt: skip
        assert f"`{attribute}`" in text

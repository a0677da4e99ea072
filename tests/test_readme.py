"""The documents and the examples: every command and every code block works without changes.

Commands that take minutes end in `# minutes`. They are not run: their options are parsed, or their
tests are collected.
The code blocks of kernels/README.md are run by tests/kernels/test_readme.py.
"""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from dfmp2.cli import main
from tests.cli.common import dfmp2

ROOT = Path(__file__).parents[1]
RUN_FILE = "dfmp2/runfile/README.md"
PYTHON_BLOCKS = {
    "README.md": 2,
    RUN_FILE: 3,
    "kernels/README.md": 3,
    "tests/benchmarks/README.md": 0,
    "examples/trainium/README.md": 0,
}
"""Python blocks by document. Each has a test below, or in tests/kernels/test_readme.py."""

ENERGIES = r"^ *E\(.*$|^ *(?:opposite|same) spin.*$"


def _text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def _blocks(document: str, kind: str) -> list[str]:
    """The fenced blocks of this language."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", _text(document), flags=re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language == kind]


def _lines(document: str) -> list[str]:
    """The lines of all shell blocks."""
    return [line for text in _blocks(document, "sh") for line in text.splitlines() if line]


def _is_long(line: str) -> bool:
    return line.endswith("# minutes")


def _words(line: str) -> list[str]:
    return shlex.split(line, comments=True)


LENGTHY = ("dfmp2 bench ", "dfmp2 kernels --estimate ")
"""Commands of many seconds, which are run with the slow tests. tests/bench, tests/cli/test_bench.py
and tests/cli/test_kernels.py run them on less."""

LINES = [(document, line) for document in PYTHON_BLOCKS for line in _lines(document)]
SHORT = [(d, line) for d, line in LINES if line.startswith("dfmp2 ") and not _is_long(line)]
COMMANDS = [(d, line) for d, line in SHORT if not line.startswith(LENGTHY)]
OTHERS = [(d, line) for d, line in LINES if (d, line) not in COMMANDS]


def _run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in `cwd`, outside the repository, where it would leave files."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )


def _executed(script: str) -> dict[str, Any]:
    """The names of a script, which is run in this process: a new one imports for seconds."""
    names: dict[str, Any] = {"__name__": "__main__", "__file__": "script.py"}
    exec(compile(script, "script.py", "exec"), names)
    return names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with links to the folders that the commands name."""
    for folder in ("inputs", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Commands


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("document", sorted({d for d, _ in COMMANDS}))
def test_commands(document: str) -> None:
    """The commands of a document work in its order. Later ones read files of earlier ones."""
    for command in (line for d, line in COMMANDS if d == document):
        _command_works(command)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("command", [line for _, line in SHORT if line.startswith(LENGTHY)])
def test_lengthy_command(command: str) -> None:
    _command_works(command)


def _command_works(command: str) -> None:
    done = dfmp2(*_words(command)[1:])
    assert done.exit_code == 0, f"{command}\n{done.stderr}"
    assert done.stdout, command


@pytest.mark.parametrize(
    ("document", "line"), [row for row in OTHERS if not row[1].startswith("pytest ")]
)
def test_line_that_is_only_checked(document: str, line: str) -> None:
    """Long commands have known options, and files and packages that other lines name exist."""
    if line.startswith("python3 -m venv "):
        assert document == "README.md"  # test_set_up_commands
        return
    first, *words = _words(line)
    if first == "dfmp2":
        command = main.get_command(click.Context(main), words[0])
        assert command is not None
        molecules = command.make_context(words[0], words[1:]).params.get("molecules", ())
        assert all((ROOT / molecule).is_file() for molecule in molecules)
    elif first == "python" and words[0] == "-m":
        assert importlib.util.find_spec(words[1]) is not None
    elif first == "pip":
        assert "-e" in words
        extras = re.findall(r"[a-z]+", words[words.index("-e") + 1])
        project = _text("pyproject.toml")
        assert all(re.search(f"^{extra} = ", project, re.MULTILINE) for extra in extras)
    else:
        assert (ROOT / (words[0] if first == "python" else first)).is_file()


def _marks(file: ModuleType) -> Iterator[set[str]]:
    """The names of the marks of each test of a file."""
    of_file = getattr(file, "pytestmark", [])
    for test in (value for name, value in vars(file).items() if name.startswith("test_")):
        marks = [*(of_file if isinstance(of_file, list) else [of_file]),
                 *getattr(test, "pytestmark", [])]  # fmt: skip
        rows = [row for m in marks if m.name == "parametrize" for row in m.args[1]]
        of_rows = [mark for row in rows for mark in getattr(row, "marks", ())]
        yield {mark.name for mark in [*marks, *of_rows]}


@pytest.mark.parametrize("line", [line for _, line in OTHERS if line.startswith("pytest ")])
def test_pytest_line_selects_tests(line: str) -> None:
    """Lines that start long tests select some."""
    _, path, option, expression = _words(line)
    assert option == "-m"
    file = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    known = dict.fromkeys(re.findall(r"\w+", expression), False)
    chosen = (eval(expression, known | dict.fromkeys(marks, True)) for marks in _marks(file))
    assert any(chosen)


def test_set_up_commands() -> None:
    """The two set-up commands make a virtual environment and install the pinned versions."""
    set_up = [text.strip() for text in _blocks("README.md", "sh") if "venv" in text]
    assert len(set_up) == 2
    main_job, tests = set_up
    for command in (main_job, tests):
        assert command.startswith(
            "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt"
        )
        assert "\n" not in command
    assert main_job.endswith(".venv/bin/dfmp2 run inputs/water.xyz --basis cc-pvdz --fused-energy")
    assert tests.endswith(".venv/bin/pytest -n 2")


# Code blocks


@pytest.mark.parametrize(("document", "number"), PYTHON_BLOCKS.items())
def test_every_python_block_is_tested(document: str, number: int) -> None:
    assert len(_blocks(document, "python")) == number


@pytest.mark.usefixtures("here")
def test_readme_class(capsys: pytest.CaptureFixture[str]) -> None:
    script, _ = _blocks("README.md", "python")
    _executed(script)
    assert len(capsys.readouterr().out.splitlines()) > 2


@pytest.mark.usefixtures("here")
def test_readme_regression_test() -> None:
    _, text = _blocks("README.md", "python")
    (test,) = (value for name, value in _executed(text).items() if name.startswith("test_"))
    test()


@pytest.mark.usefixtures("here")
def test_run_file_of_a_script() -> None:
    """The script continues its own run file: the second run reads the result from it."""
    script, _, _ = _blocks(RUN_FILE, "python")
    first, second = (_executed(script)["mp2"] for _ in range(2))
    assert first.e_tot == second.e_tot
    assert (bool(first.read_from), bool(second.read_from)) == (False, True)


@pytest.mark.usefixtures("here")
def test_run_file_by_h5py(capsys: pytest.CaptureFixture[str]) -> None:
    """The lines for plain h5py read the printed energies, the orbitals and B."""
    _, script, journal = _blocks(RUN_FILE, "python")
    assert set(re.findall(r"^import (\w+)", script, flags=re.MULTILINE)) == {
        "json",
        "h5py",
        "numpy",
    }
    made = dfmp2(
        "run", "inputs/ammonia.xyz", "--basis", "cc-pvdz",
        "--frozen", "auto", "--checkpoint", "ammonia.dfmp2.h5", "--checkpoint-interval", "0",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    checks = """
assert done[np.triu_indices(len(done))].all()
assert abs(pairs.sum() - e_corr) < 1e-12
assert abs(e_corr_os + e_corr_ss - e_corr) < 1e-12 and abs(e_hf + e_corr - e_tot) < 1e-11
assert occupied.tolist() == [1, 2, 3, 4] and c_occ.shape[1] == len(pairs)
# e_os of the first pair, from B and the orbital energies
with h5py.File("ammonia.dfmp2.h5", "r") as f:
    energy, first = f["scf/mo_energy"][:], f["pairs/e_os"][0, 0]
t = b0.T @ b0
e_vir = energy[len(energy) - nvir:]
d = e_vir[:, None] + e_vir - 2 * energy[occupied[0]]
assert b0.shape == (naux, nvir) and abs(-(t**2 / d).sum() - first) < 1e-13
print(f"{e_tot:.10f}")
"""
    _executed(script + checks)
    assert capsys.readouterr().out.strip() in made.stdout
    _executed(journal)
    assert re.fullmatch(r"1 \d{4}-\S+ .* fp64\n", capsys.readouterr().out)


@pytest.mark.usefixtures("here")
def test_readme_output() -> None:
    """The samples in the README and in --help have the energies and lines that a run prints."""
    (sample,) = (text for text in _blocks("README.md", "text") if "E(HF)" in text)
    command = ["run", "inputs/water.xyz", "--basis", "cc-pvdz"]
    printed = dfmp2(*command).stdout
    energies = re.findall(ENERGIES, sample, flags=re.MULTILINE)
    assert len(energies) == 9
    helped = dfmp2("run", "--help").stdout
    of_help = re.findall(ENERGIES, helped, flags=re.MULTILINE)
    assert len(of_help) == 2
    assert "dfmp2 " + " ".join(command) in helped
    for line in energies + of_help:
        name, value = line.rsplit(maxsplit=1)
        (found,) = [row for row in printed.splitlines() if row.strip().startswith(name.strip())]
        # Two BLAS libraries may differ in the last of ten digits.
        assert float(found.split()[-1]) == pytest.approx(float(value), abs=2e-10, rel=0)
    labels = [line[2:18].strip() for line in sample.splitlines() if re.match(r"  [a-zA-Z]", line)]
    for label in labels:
        assert label in printed


# Names and links


def _anchors(text: str) -> set[str]:
    """The names that GitHub gives headings in links."""
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("document", PYTHON_BLOCKS)
def test_links(document: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", _text(document)):
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file.read_text(encoding="utf-8")), target


def test_layout() -> None:
    """Each folder has a row in the layout table, and each named function is in the named file."""
    layout = _text("README.md").split("\n## Layout\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", layout, flags=re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([a-z]+/?)`", row)]
    top = ROOT / "dfmp2"
    folders = {p.parent.name + "/" for p in top.glob("*/__init__.py")} - {"kernels/"}
    assert {name for name in named if name.endswith("/")} == folders
    assert all((top / f"{name}.py").is_file() for name in named if not name.endswith("/"))
    for name, path in re.findall(r"^\| .* \| `(\w+)` in `(\S+)` \|$", layout, flags=re.MULTILINE):
        pattern = rf"^(?:def |class )?{name}\b"
        assert re.search(pattern, (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), path
    for path in re.findall(r"`((?:dfmp2|kernels)/\S+\.py)`", layout):
        assert (ROOT / path).is_file(), path


# Examples

EXAMPLES = sorted(p.name for p in (ROOT / "examples").iterdir() if p.suffix in (".py", ".sh"))


def _script(name: str) -> str:
    return (ROOT / "examples" / name).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: str, here: Path) -> None:
    """Without changes, as a user runs it. The tests below run the same steps on less."""
    if example.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    elif example.endswith(".sh"):
        wrapper = here / "bin" / "dfmp2"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dfmp2 "$@"\n')
        wrapper.chmod(0o755)
        command = ["env", f"PATH={wrapper.parent}:/usr/bin:/bin", "bash"]
    else:
        command = [sys.executable]
    done = _run([*command, f"examples/{example}"], here)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_has_a_test() -> None:
    """The commands of command_line.sh are those of the README."""
    assert EXAMPLES == [
        "command_line.sh", "natural_orbitals.py", "open_shell.py", "pyscf_script.py", "resume.sh",
        "test_energy_regression.py",
    ]  # fmt: skip


@pytest.mark.usefixtures("here")
def test_pyscf_script(capsys: pytest.CaptureFixture[str]) -> None:
    script = _script("pyscf_script.py")
    assert script.count('"aug-cc-pvdz"') == 1
    _executed(script.replace('"aug-cc-pvdz"', '"cc-pvdz"'))
    *energies, last = capsys.readouterr().out.splitlines()
    assert len(energies) == 3
    assert re.fullmatch(r"interaction energy -\d\.\d{3} kcal/mol", last)


@pytest.mark.usefixtures("here")
def test_open_shell_script(capsys: pytest.CaptureFixture[str]) -> None:
    _executed(_script("open_shell.py"))
    assert "singles" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_natural_orbitals_script(capsys: pytest.CaptureFixture[str]) -> None:
    script = _script("natural_orbitals.py")
    assert script.count('"cc-pvdz"') == 1
    _executed(script.replace('"cc-pvdz"', '"6-31g"'))
    assert "CASSCF(6,6)" in capsys.readouterr().out
    assert Path("n2.molden").read_text().startswith("[Molden Format]")


@pytest.mark.usefixtures("here")
def test_commands_of_the_resume_script() -> None:
    """Without the kill, which tests/runfile/test_kill_and_resume.py does at many times."""
    script = _script("resume.sh").replace('"$work/', '"').replace("$file", "job.h5")
    lines = re.findall(r"^ *dfmp2 (.*?)(?: &)?$", script.replace("benzene", "water"), re.MULTILINE)
    assert [line.split()[0] for line in lines] == ["run", "show", "resume", "run", "show"]
    for line in lines:
        done = dfmp2(*shlex.split(line))
        assert done.exit_code == 0, f"{line}\n{done.stderr}"


@pytest.mark.usefixtures("here")
def test_energy_regression_script() -> None:
    """The first of its molecules."""
    test = runpy.run_path("examples/test_energy_regression.py")["test_correlation_energy"]
    (mark,) = test.pytestmark
    test(*mark.args[1][0])

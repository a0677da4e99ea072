"""README and examples: every command in them works as it stands."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.common import dfmp2

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENERGIES = r"^ *E\(.*$|^ *(?:opposite|same) spin.*$"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, flags=re.DOTALL)


def _dfmp2_commands() -> list[str]:
    """Lines of the README's shell blocks that call an installed dfmp2."""
    lines = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
    return [line for line in lines if line.startswith("dfmp2 ")]


def _run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run in a folder other than the repository, where nothing is to be left behind."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )


def _writers() -> dict[str, str]:
    """Lines that leave a file, by its name."""
    lines = [line for line in _dfmp2_commands() if re.search("--json|--checkpoint", line)]
    return {shlex.split(line)[-1]: line for line in lines}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the lines that leave one; tests copy them."""
    folder = _linked(tmp_path_factory.mktemp("written"))
    for line in _writers().values():
        done = _run([sys.executable, "-m", *shlex.split(line)], folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    return folder


@pytest.mark.parametrize(
    "command", [line for line in _dfmp2_commands() if line not in _writers().values()]
)
def test_readme_command(
    command: str, here: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this a command of the README could have an option that is gone."""
    # What an earlier line of the README wrote, a later one may read.
    for name in _writers():
        if name in command:
            shutil.copy(written / name, here)
    monkeypatch.chdir(here)
    done = dfmp2(*shlex.split(command)[1:])
    assert done.exit_code == 0, done.stderr
    assert done.stdout


def test_readme_commands_that_leave_a_file(written: Path) -> None:
    """Each in a process of its own, as a user runs it."""
    assert len(_writers()) >= 2
    for name in _writers():
        assert (written / name).stat().st_size > 0


def test_readme_set_up_commands() -> None:
    """The two set-up commands make a virtual environment, use the pins and do the job."""
    set_up = [text.strip() for kind, text in BLOCKS if kind == "sh" and "venv" in text]
    assert len(set_up) == 2
    main_job, tests = set_up
    for command in (main_job, tests):
        assert command.startswith(
            "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt"
        )
        assert "\n" not in command
    assert main_job.endswith(".venv/bin/dfmp2 run inputs/water.xyz --basis cc-pvdz --fused-energy")
    assert tests.endswith(".venv/bin/pytest")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty folder with what the README's commands name."""
    return _linked(tmp_path)


def _linked(folder: Path) -> Path:
    for name in ("inputs", "examples"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def test_readme_python(here: Path) -> None:
    _, script = [text for kind, text in BLOCKS if kind == "python"]
    done = _run([sys.executable, "-c", script], here)
    assert done.returncode == 0, done.stderr


def test_readme_h5py(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines for plain h5py find the energies that are printed, the orbitals and B."""
    script, _ = [text for kind, text in BLOCKS if kind == "python"]
    assert set(re.findall(r"^import (\w+)", script, flags=re.MULTILINE)) == {
        "json",
        "h5py",
        "numpy",
    }
    monkeypatch.chdir(here)
    made = dfmp2(
        "run", "inputs/ammonia.xyz", "--basis", "cc-pvdz", "--frozen", "auto",
        "--checkpoint", "ammonia.dfmp2.h5", "--checkpoint-interval", "0",
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
    done = _run([sys.executable, "-c", script + checks], here)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in made.stdout
    text = (ROOT / "dfmp2" / "runfile" / "README.md").read_text(encoding="utf-8")
    (journal,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    done = _run([sys.executable, "-c", journal], here)
    assert re.fullmatch(r"1 \d{4}-\S+ .* fp64\n", done.stdout), done.stderr


def test_readme_output(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples here and in --help are what the program prints: same energies, same lines."""
    sample = next(text for kind, text in BLOCKS if kind == "text" and "E(HF)" in text)
    monkeypatch.chdir(here)
    command = ["run", "inputs/water.xyz", "--basis", "cc-pvdz"]
    printed = dfmp2(*command).stdout
    energies = re.findall(ENERGIES, sample, flags=re.MULTILINE)
    assert len(energies) == 7
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


LONG = ("resume.sh", "test_energy_regression.py")
"""Examples whose molecule is benzene. Two tests below run them with water."""

EXAMPLES = sorted(p.name for p in (ROOT / "examples").iterdir() if p.suffix in (".py", ".sh"))


@pytest.mark.parametrize(
    "example",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in EXAMPLES],
)
def test_example(example: str, here: Path) -> None:
    """As it stands."""
    _run_example(f"examples/{example}", here)


def test_resume_example_with_water(here: Path) -> None:
    """Without this a wrong line of the example would be seen in the slow lane only."""
    text = (ROOT / "examples" / "resume.sh").read_text(encoding="utf-8")
    assert "benzene" in text
    (here / "resume.sh").write_text(text.replace("benzene", "water"), encoding="utf-8")
    _run_example("resume.sh", here)


def test_regression_example_of_water() -> None:
    """The first case of the example, without a pytest of its own."""
    path = ROOT / "examples" / "test_energy_regression.py"
    test = runpy.run_path(str(path))["test_correlation_energy"]
    (mark,) = test.pytestmark
    assert mark.args[1][0][0] == "water"
    test(*mark.args[1][0])


def _run_example(script: str, here: Path) -> None:
    if Path(script).name.startswith("test_"):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    elif script.endswith(".sh"):
        wrapper = here / "bin" / "dfmp2"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dfmp2 "$@"\n')
        wrapper.chmod(0o755)
        command = ["env", f"PATH={wrapper.parent}:/usr/bin:/bin", "bash"]
    else:
        command = [sys.executable]
    done = _run([*command, script], here)
    assert done.returncode == 0, done.stdout + done.stderr

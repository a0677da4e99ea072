"""``dfmp2 show`` on stored results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pytest

from tests.cli.common import AMMONIA, WATER, dfmp2, fact, file_with


@pytest.fixture(scope="module")
def run_of_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A JSON file of two molecules, and the output of the run that wrote it."""
    target = tmp_path_factory.mktemp("results") / "two.json"
    done = dfmp2("run", WATER, AMMONIA, "--basis", "cc-pvdz", "--json", target, "--quiet",
                 "--no-checkpoint")  # fmt: skip
    return target, done.stdout


@pytest.fixture
def results(run_of_two: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A copy of the JSON file, which a test may change, and the output of the run."""
    return Path(shutil.copy(run_of_two[0], tmp_path)), run_of_two[1]


def test_show_prints_what_run_printed(results: tuple[Path, str]) -> None:
    target, printed = results
    done = dfmp2("show", target)
    assert done.exit_code == 0
    origin = f"  read from {target}, not computed now\n"
    assert done.stdout.count(origin) == 2
    assert done.stdout.replace(origin, "") == printed


def test_show_verbose(results: tuple[Path, str]) -> None:
    text = dfmp2("show", results[0], "--verbose").stdout
    assert text.count("pair_energy") == 2


def test_show_several_files(results: tuple[Path, str]) -> None:
    single = results[0].with_name("single.json")
    single.write_text(json.dumps(json.loads(results[0].read_text())[0]))
    done = dfmp2("show", single, results[0])
    assert done.stdout.count("not computed now") == 3


def test_show_needs_no_pyscf(results: tuple[Path, str]) -> None:
    """A result must be readable on a machine without the programs that computed it."""
    import subprocess
    import sys

    from tests.systems import ROOT

    code = (
        "import sys; sys.modules.update(dict.fromkeys(('pyscf', 'torch'), None)); "
        f"from dfmp2.cli import main; main(['show', {str(results[0])!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert fact(done.stdout, "basis") == "cc-pvdz"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("{}", "is not a result of dfmp2 (it has no extras.dfmp2)"),
        ("[1, 2]", "is not a result of dfmp2"),
        ("[]", "is an empty list of results"),
        ('{"extras": {"dfmp2": {"molecule": []}}}', "is not a result of dfmp2"),
    ],
)
def test_other_files(tmp_path: Path, content: str, says: str) -> None:
    path = file_with(tmp_path, "other.json", content)
    done = dfmp2("show", path)
    assert done.exit_code == 6
    assert f"{path}: {says}" in done.stderr
    assert done.stdout == ""


def test_run_file_that_was_cut(tmp_path: Path) -> None:
    """HDF5 cannot open it any more. Its first bytes still tell that it is no JSON file."""
    path = tmp_path / "cut.h5"
    with h5py.File(path, "w") as file:
        file["x"] = range(1000)
    path.write_bytes(path.read_bytes()[:500])
    done = dfmp2("show", path)
    assert done.exit_code == 6
    assert f"{path}: is an HDF5 file, but no run file of dfmp2 that can be read" in done.stderr


def test_missing_file(tmp_path: Path) -> None:
    done = dfmp2("show", tmp_path / "none.json")
    assert done.exit_code == 6
    assert "cannot be read (No such file or directory)" in done.stderr


def test_integrals_that_were_not_recorded(results: tuple[Path, str]) -> None:
    """Older results have no label "integrals". The table must not name a program for them."""
    content = json.loads(results[0].read_text())
    for item in content:
        del item["extras"]["dfmp2"]["labels"]["integrals"], item["extras"]["dfmp2"]["digest"]
    results[0].write_text(json.dumps(content))
    assert fact(dfmp2("show", results[0]).stdout, "integrals") == "not recorded"


@pytest.mark.parametrize("lost", ["labels", "settings", "sizes", "memory_mb", "versions"])
def test_result_with_a_missing_part(results: tuple[Path, str], lost: str) -> None:
    content = json.loads(results[0].read_text())
    content[1]["extras"]["dfmp2"][lost] = {}
    del content[1]["extras"]["dfmp2"]["digest"]
    results[0].write_text(json.dumps(content))
    done = dfmp2("show", results[0])
    if lost == "versions":  # only a label
        assert done.exit_code == 0
        return
    assert done.exit_code == 6, lost
    assert "is not a result of dfmp2" in done.stderr

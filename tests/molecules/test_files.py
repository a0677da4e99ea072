"""Where geometries come from: paths, standard input, and formats of other programs."""

from __future__ import annotations

import io
import os
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dfmp2.errors import InputError
from dfmp2.molecules.files import LARGEST, read_geometry
from dfmp2.settings import Settings
from dfmp2.workflow.reading import read_jobs

HELIUM = "1\nhelium\nHe 0 0 0\n"
LI = "1\ncharge=1\nLi 0 0 0\n"


def error_of(source: str) -> str:
    with pytest.raises(InputError) as raised:
        read_jobs(source, Settings(basis="sto-3g"))
    assert len(str(raised.value)) < 600
    return str(raised.value)


class _Stdin(io.TextIOWrapper):
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", _Stdin(b"\xef\xbb\xbf" + LI.encode()))
    assert read_geometry("-").charge == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO(LI))  # without bytes below
    assert read_geometry("-").charge == 1


def test_standard_input_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # what Python makes of a closed one
    assert error_of("-").startswith("standard input is closed")
    monkeypatch.setattr(sys, "stdin", _Stdin(b"\x7fELF\x02\x01\x00\xff\xfe"))
    assert error_of("-").startswith("<stdin>: is not a text file")
    closed = _Stdin(b"")
    closed.close()
    monkeypatch.setattr(sys, "stdin", closed)
    assert error_of("-").startswith("standard input cannot be read")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_input_without_end_is_read_up_to_a_stated_size(monkeypatch: pytest.MonkeyPatch) -> None:
    says = f"is larger than {LARGEST // 10**6} MB, which is no geometry"
    assert says in error_of("/dev/zero")
    with Path("/dev/zero").open("rb") as endless:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(endless))
        assert says in error_of("-")


def test_pipe(tmp_path: Path) -> None:
    """As from process substitution in a shell: the content can be read only once."""
    pipe = tmp_path / "pipe.xyz"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(LI,))
    writer.start()
    (job,) = read_jobs(str(pipe), Settings(basis="sto-3g"))
    writer.join()
    assert job.mol.charge == 1


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    loop = tmp_path / "loop.xyz"
    loop.symlink_to(loop)
    file = tmp_path / "he.xyz"
    file.write_text(HELIUM)
    assert error_of(str(loop)) == f"{loop}: is a loop of symbolic links; check them"
    assert "the name is too long for the file system" in error_of("a" * 5000 + ".xyz")
    assert "cannot be read (Not a directory)" in error_of(str(file / "inner.xyz"))
    assert "cannot be read (embedded null byte)" in error_of("a\0b.xyz")
    assert "is a folder" in error_of(str(tmp_path))
    if os.geteuid():
        file.chmod(0)
        assert "cannot be read (Permission denied)" in error_of(str(file))


def test_deleted_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert error_of("he.xyz") == "he.xyz: the current folder was deleted; change to another one"


def test_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"w\xff\nx.xyz")
    (tmp_path / name).write_text(HELIUM)
    (job,) = read_jobs(str(tmp_path / name), Settings(basis="sto-3g"))
    assert job.name == "w__x"
    job.name.encode()


def test_many_atoms_are_compared_in_time(tmp_path: Path) -> None:
    """A loop over all pairs of these atoms would take ten seconds."""
    rows = [f"He {3 * (k % 200)} {3 * (k // 200)} 0\n" for k in range(8_000)]
    path = tmp_path / "many.xyz"
    path.write_text(f"{len(rows)}\n\n{''.join(rows)}")
    assert len(read_geometry(str(path)).atoms) == len(rows)
    path.write_text(f"{len(rows) + 1}\n\n{''.join(rows)}{rows[5]}")
    assert ":8003: He lies 0.000 Å from He of line 8;" in error_of(str(path))


# Formats of other programs


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mol.mol2", "the Tripos mol2 format is not read; convert it. Read are .xyz"),
        ("MOL.INP", "the program input format is not read"),
        ("mol.xyz.gz", "the compressed format is not read"),
        ("coord", "the Turbomole coord format is read through ASE, which is not installed: pip"),
        ("mol.coord", "the Turbomole coord format is read through ASE"),
        ("mol.gjf", "the Gaussian input format is read through ASE"),
        ("mol.pdb", "Without it are read .xyz"),
    ],
)
def test_formats_that_are_not_read(
    name: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ase.io", None)  # as if it were not installed
    (tmp_path / name).write_text(HELIUM)
    assert says in error_of(str(tmp_path / name))


class _Image:
    """What ASE returns, as far as it is used."""

    def __init__(self, periodic: bool) -> None:
        self.pbc = np.array([False, False, periodic])

    def get_chemical_symbols(self) -> list[str]:
        return ["Li", "H"]

    def get_positions(self) -> Any:
        return np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.6]])


def _with_reader(monkeypatch: pytest.MonkeyPatch, read: Any) -> None:
    package, module = ModuleType("ase"), ModuleType("ase.io")
    module.read = read  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ase", package)
    monkeypatch.setitem(sys.modules, "ase.io", module)


def test_geometry_through_ase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ASE drops the charge that such a file states, so the user gives it."""
    path = str(tmp_path / "coord")
    Path(path).write_text("$coord\n")
    calls = []

    def read(source: str, **options: Any) -> list[_Image]:
        calls.append((source, options["format"], options["index"]))
        return [_Image(periodic=False)]

    _with_reader(monkeypatch, read)
    assert "give --charge and --spin" in error_of(path)
    (job,) = read_jobs(path, Settings(basis="sto-3g", charge=0, spin=0))
    assert calls[-1] == (path, "turbomole", ":")
    assert (job.mol.natm, job.mol.nelectron) == (2, 4)
    assert abs(job.mol.atom_coord(1)[2] - 1.6 / 0.529177210903) < 1e-8
    _with_reader(monkeypatch, lambda *_, **__: [_Image(periodic=True)])
    assert "is periodic, but dfmp2 computes molecules" in error_of(path)
    _with_reader(monkeypatch, lambda *_, **__: [_Image(False), _Image(False)])
    assert "holds 2 geometries; name a file with one" in error_of(path)

    for head in ("$coord angs", "$coord  frac", "$periodic 3\n$coord"):
        Path(path).write_text(f"{head}\n")
        assert "is not understood by ASE's reader" in error_of(path)  # it would take bohr
    Path(path).write_text("$coord natoms=2\n")

    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("list index out of range")

    _with_reader(monkeypatch, fail)
    assert "ASE cannot read it as Turbomole coord (IndexError: list index out of" in error_of(path)

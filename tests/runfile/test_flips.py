"""Bytes flipped in run files, JSON results and chkfiles, and files cut short.

Every command must give the right energy or a documented error. A traceback, exit code 1 or another
energy is a fault. The files are those of hydrogen in a small basis, so that many seeds take little
time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.common import H2, PRINTED, dfmp2, energy, file_with
from tests.runfile.common import FILE
from tests.systems import rng

SEEDS = [range(30), *(pytest.param(range(n, n + 97), marks=pytest.mark.slow)
                      for n in range(30, 1000, 97))]  # fmt: skip

CODES = {0, 2, 3, 4, 6}
"""Success, input, validation, convergence, files."""

BASIS = ("--basis", "6-31g", "--auxbasis", "cc-pvdz-ri")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run file, its JSON, an old JSON without digest, and a chkfile."""
    from pyscf import gto, scf

    folder = tmp_path_factory.mktemp("whole")
    xyz = file_with(folder, "h2.xyz", H2)
    done = dfmp2("run", xyz, *BASIS, "--checkpoint", folder / FILE, "--json", folder / "new.json",
                 "--quiet")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    old = json.loads((folder / "new.json").read_text())
    del old["extras"]["dfmp2"]["digest"]
    (folder / "old.json").write_text(json.dumps(old))
    mf = scf.RHF(gto.M(atom=str(xyz), basis="6-31g", verbose=0))
    mf.chkfile, mf.conv_tol = str(folder / "h2.chk"), 1e-12
    mf.kernel()
    return folder


@pytest.fixture(scope="module")
def right(whole: Path) -> float:
    """The total energy of hydrogen, as it was printed."""
    return energy(dfmp2("show", whole / "new.json").stdout, "E(MP2) total")


def damage(source: Path, target: Path, seed: int) -> None:
    """Copy a file with one to three bytes changed, or for every tenth seed cut short."""
    random = rng(3000 + seed)
    content = bytearray(source.read_bytes())
    if seed % 10 == 9:
        target.write_bytes(content[: int(random.integers(len(content)))])
        return
    places = np.arange(len(content))
    if source.suffix == ".chk":
        places = np.array(_molecule(source))
    if source.suffix == ".h5" and seed % 2:  # half of the flips in bytes that are used
        places = np.flatnonzero(np.frombuffer(content, dtype=np.uint8))
    for where in random.choice(places, size=1 + seed % 3):
        content[where] ^= int(random.integers(1, 256))
    target.write_bytes(content)


def _molecule(chkfile: Path) -> range:
    """The bytes of a chkfile that hold the molecule as text.

    Other bytes are numbers, which only physics can check, and structures of HDF5, which has no
    checksums here and can crash for damaged ones.
    """
    content = chkfile.read_bytes()
    return range(content.index(b'{"'), content.index(b"}", content.rindex(b'"_built"')) + 1)


def check(args: tuple[object, ...], right: float) -> bool:
    """Run a command. Returns whether it succeeded."""
    done = dfmp2(*args)  # raises exceptions other than exits
    assert done.exit_code in CODES, (done.exit_code, done.stderr)
    if done.exit_code == 0 and "E(MP2) total" in done.stdout:
        assert abs(energy(done.stdout, "E(MP2) total") - right) < PRINTED
    if done.exit_code:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("Warning")]
        assert len(lines) <= 4, done.stderr
        assert lines[-1].startswith("Error: ")
    return done.exit_code == 0


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: str(seeds.start))
@pytest.mark.parametrize("name", ["new.json", "old.json"])
def test_json(name: str, seeds: Iterable[int], whole: Path, right: float, tmp_path: Path) -> None:
    """`show` reads every damaged file, `validate` every tenth, because it runs the SCF."""
    copy = tmp_path / name
    for seed in seeds:
        damage(whole / name, copy, seed)
        if check(("show", copy), right) and seed % 10 == 0:
            check(("validate", copy, "--quiet"), right)


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: str(seeds.start))
def test_run_file(seeds: Iterable[int], whole: Path, right: float, tmp_path: Path) -> None:
    copy = tmp_path / FILE
    for seed in seeds:
        damage(whole / FILE, copy, seed)
        check(("show", copy), right)
        check(("resume", copy, "--quiet"), right)


@pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: str(seeds.start))
def test_chkfile(seeds: Iterable[int], whole: Path, tmp_path: Path) -> None:
    """In the text of the molecule, which PySCF evaluates, with arrays that libcint trusts."""
    copy = tmp_path / "h2.chk"
    options = (*BASIS[2:], "--no-checkpoint", "--quiet")
    right = energy(dfmp2("run", whole / "h2.chk", *options).stdout, "E(MP2) total")
    for seed in seeds:
        damage(whole / "h2.chk", copy, seed)
        check(("run", copy, *options), right)

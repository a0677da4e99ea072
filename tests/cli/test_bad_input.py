"""Errors in the input: the documented exit code, few lines, no traceback, and a message that names
the error, its place and a remedy."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from dfmp2.cli import COMMANDS, main
from dfmp2.errors import InputError
from dfmp2.references.frozen import parse_frozen
from tests.cli.common import WATER, dfmp2, energy, in_own_process

BASIS = ("--basis", "cc-pvdz")

# name: (content of mol.xyz or None, further arguments, exit code, texts in stderr);
# FILE stands for the path.
CASES: dict[str, tuple[str | bytes | None, tuple[str, ...], int, tuple[str, ...]]] = {
    # the file
    "missing": (None, BASIS, 2, ("FILE: no such file",)),
    "empty": ("", BASIS, 2, ("FILE: the file is empty", "starts with its number of atoms")),
    "blank": ("\n\n", BASIS, 2, ("FILE: the file is empty",)),
    "no count": ("water\n\nO 0 0 0\n", BASIS, 2, ("FILE:1: expected the number of atoms",)),
    "no atoms": ("0\n\n", BASIS, 2, ("FILE:1: ", "must be at least 1, found 0")),
    "only a count": ("1", BASIS, 2, ("FILE:1: 1 atoms announced, but 0 atom lines follow",)),
    "negative count": ("-2\n\n", BASIS, 2, ("FILE:1: ", "at least 1")),
    "huge count": ("999999999999\n\nHe 0 0 0\n", BASIS, 2, ("FILE:1: ", "but 1 atom lines")),
    "too few": ("2\n\nH 0 0 0\n", BASIS, 2, ("FILE:1: 2 atoms announced, but 1 atom lines",)),
    "gap": ("2\n\nH 0 0 0\n\nH 0 0 1\n", BASIS, 2, ("FILE:1: 2 atoms announced",)),
    "too many": ("1\n\nHe 0 0 0\nHe 0 0 3\n", BASIS, 2, ("FILE:4: unexpected text after",)),
    "three fields": ("1\n\nHe 0 0\n", BASIS, 2, ("FILE:3: expected 'symbol x y z'",)),
    "no number": ("1\n\nHe 0 zero 0\n", BASIS, 2, ("FILE:3: a coordinate is not a number",)),
    "nan": ("1\n\nHe 0 nan 0\n", BASIS, 2, ("FILE:3: a coordinate is not finite",)),
    "overflow": ("1\n\nHe 0 1e999 0\n", BASIS, 2, ("FILE:3: a coordinate is not finite",)),
    "unknown element": ("2\n\nHe 0 0 0\nQq 0 0 3\n", BASIS, 2, ("FILE:4: unknown element 'Qq'",)),
    "element 0": ("1\n\n0 0 0 0\n", BASIS, 2, ("FILE:3: unknown element '0'",)),
    "element 999": ("1\n\n999 0 0 0\n", BASIS, 2, ("FILE:3: unknown element '999'",)),
    "overlap": (
        "2\n\nH 0 0 0\nH 0 0 0.1\n", BASIS, 2,
        ("FILE:4: H lies 0.100 Å from H of line 3; check", "--unit"),
    ),
    "binary": (b"\x7fELF\x02\x00\xff", BASIS, 2, ("FILE: is not a text file",)),
    "charge text": ("1\ncharge=one\nHe 0 0 0\n", BASIS, 2, ("FILE:2: charge must be an integer",)),
    "spin 0.5": ("1\nspin=0.5\nHe 0 0 0\n", BASIS, 2, ("FILE:2: spin must be an integer",)),
    # electrons
    "odd electrons": (
        "1\n\nH 0 0 0\n", BASIS, 2,
        ("FILE: 1 electrons cannot have spin 0", "check --charge and --spin"),
    ),
    "H2+": ("2\n\nH 0 0 0\nH 0 0 1\n", (*BASIS, "--charge", "1"), 2, ("1 electrons cannot",)),
    "impossible spin": ("1\n\nHe 0 0 0\n", (*BASIS, "--spin", "4"), 2, ("spin 4", "impossible")),
    "simulator without backend": (
        "1\n\nHe 0 0 0\n", (*BASIS, "--device", "bundled"), 2, ("use backend simulator (--backend",)
    ),
    "negative weight": ("1\n\nHe 0 0 0\n", (*BASIS, "--scale-os", "-1"), 2, ("0<=x<=100",)),
    "negative spin": ("1\n\nHe 0 0 0\n", (*BASIS, "--spin", "-2"), 2, ("spin -2", "impossible")),
    "open shell": (
        "1\n\nO 0 0 0\n", (*BASIS, "--spin", "2", "--reference", "rhf"), 2,
        ("FILE: reference rhf, but spin 2", "use reference uhf or rohf (--reference)"),
    ),
    "charge too high": ("1\n\nHe 0 0 0\n", (*BASIS, "--charge", "3"), 2, ("check --charge",)),
    # bases
    "no basis": ("1\n\nHe 0 0 0\n", (), 2, ("FILE: no basis given; add for example --basis",)),
    "unknown basis": (
        "1\n\nHe 0 0 0\n", ("--basis", "cc-pvxz"), 2,
        ("FILE: basis 'cc-pvxz'", "name another basis"),
    ),
    "basis lacks element": (
        "1\n\nXe 0 0 0\n", ("--basis", "6-31g"), 2,
        ("FILE: basis '6-31g'", "Xe", "name another basis"),
    ),
    "basis dict lacks element": (
        "2\n\nHe 0 0 0\nNe 0 0 3\n", ("--basis", "He=cc-pvdz"), 2,
        ("FILE: the basis has no entry for Ne and no 'default'",),
    ),
    "basis dict malformed": (
        "1\n\nHe 0 0 0\n", ("--basis", "He="), 2,
        ("basis 'He=' is not understood", "ELEMENT=NAME,default=NAME"),
    ),
    "unknown auxbasis": (
        "1\n\nHe 0 0 0\n", (*BASIS, "--auxbasis", "cc-pvxz-ri"), 2,
        ("auxiliary basis 'cc-pvxz-ri' is unknown", "leave auxbasis out"),
    ),
    "basis too small": (
        "1\n\nBr 0 0 0\n", ("--basis", "lanl2dz", "--ecp", "Br=none", "--charge", "-1"), 2,
        ("18 electron pairs do not fit into 8 orbitals; check the charge (-1) and the basis",),
    ),
    "ECP of another element": (
        "1\n\nHe 0 0 0\n", (*BASIS, "--ecp", "Zz=lanl2dz"), 2, ("'Zz' is no element",),
    ),
    "unknown ECP": (
        "1\n\nHe 0 0 0\n", (*BASIS, "--ecp", "nonsense"), 2,
        ("ECP 'nonsense' is unknown", "use --ecp auto"),
    ),
    # correlated orbitals
    "frozen = nocc": (
        "1\n\nNe 0 0 0\n", (*BASIS, "--frozen", "5"), 2,
        ("frozen=5 leaves nothing to correlate: there are 5 occupied",),
    ),
    "frozen all": (
        "1\n\nBe 0 0 0\n", (*BASIS, "--frozen", "0,1"), 2,
        ("frozen=[0, 1] leaves nothing to correlate",),
    ),
    "frozen text": (
        "1\n\nNe 0 0 0\n", (*BASIS, "--frozen", "core"), 2,
        ("frozen 'core' is not understood; use a number, a list",),
    ),
    "frozen beyond": (
        "1\n\nNe 0 0 0\n", (*BASIS, "--frozen", "0,99"), 2,
        ("frozen orbital 99 does not exist: there are 14, counted from 0",),
    ),
    # resources
    "memory": (
        "1\n\nNe 0 0 0\n", (*BASIS, "--max-memory", "1"), 5,
        ("max_memory is 1 MB, but this run needs at least", "raise max_memory (--max-memory)"),
    ),
    "memory nan": ("1\n\nNe 0 0 0\n", (*BASIS, "--max-memory", "nan"), 2, ("nan", "above zero")),
    "memory inf": ("1\n\nNe 0 0 0\n", (*BASIS, "--max-memory", "inf"), 2, ("inf", "above zero")),
    "interval nan": (
        "1\n\nNe 0 0 0\n", (*BASIS, "--checkpoint-interval", "nan"), 2,
        ("nan is not a finite number from zero",),
    ),
    "json below a file": (
        "1\n\nHe 0 0 0\n", (*BASIS, "--json", "FILE/out.json"), 6,
        ("FILE/out.json: cannot be written (Not a directory)", "name another file for --json"),
    ),
    "json is a folder": (
        "1\n\nHe 0 0 0\n", (*BASIS, "--json", "."), 6,
        (".: cannot be written (Is a directory)",),
    ),
    # SCF
    "unconverged": (
        "2\n\nN 0 0 0\nN 0 0 3\n", (*BASIS, "--max-cycle", "2"), 4,
        ("the SCF did not converge to 1e-10 Eh in 2 iterations; raise --max-cycle",),
    ),
    # backend
    "nki": ("1\n\nHe 0 0 0\n", (*BASIS, "--backend", "nki"), 7, ("nki", "--backend pytorch")),
    "cuda:99": ("1\n\nHe 0 0 0\n", (*BASIS, "--device", "cuda:99"), 7, ("'cuda:99'", "--device")),
    "device": ("1\n\nHe 0 0 0\n", (*BASIS, "--device", "warp"), 7, ("'warp'", "use cpu, cuda")),
    # options refused by click
    "unknown option": ("1\n\nHe 0 0 0\n", (*BASIS, "--froze", "1"), 2, ("--froze",)),
    "charge option": ("1\n\nHe 0 0 0\n", (*BASIS, "--charge", "x"), 2, ("--charge",)),
    "tolerance nan": ("1\n\nHe 0 0 0\n", (*BASIS, "--tolerance", "nan"), 2, ("--tolerance",)),
    "tolerance": ("1\n\nHe 0 0 0\n", (*BASIS, "--tolerance", "-1"), 2, ("--tolerance",)),
    "conv-tol": ("1\n\nHe 0 0 0\n", (*BASIS, "--conv-tol", "0"), 2, ("--conv-tol",)),
    "max-cycle": ("1\n\nHe 0 0 0\n", (*BASIS, "--max-cycle", "0"), 2, ("--max-cycle",)),
    "threads": ("1\n\nHe 0 0 0\n", (*BASIS, "--threads", "0"), 2, ("--threads",)),
    "precision": ("1\n\nHe 0 0 0\n", (*BASIS, "--precision", "fp16"), 2, ("--precision",)),
    "backend": ("1\n\nHe 0 0 0\n", (*BASIS, "--backend", "tpu"), 2, ("--backend",)),
}  # fmt: skip


def lines_of(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.strip()]


@pytest.mark.parametrize("case", CASES)
def test_bad_input(case: str, tmp_path: Path) -> None:
    content, args, code, says = CASES[case]
    file = tmp_path / "mol.xyz"
    if isinstance(content, str):
        file.write_text(content)
    elif content is not None:
        file.write_bytes(content)
    done = dfmp2("run", file, *(a.replace("FILE", str(file)) for a in args))
    assert done.exit_code == code
    assert done.stdout == ""
    assert len(lines_of(done.stderr)) <= 4, done.stderr
    assert "Traceback" not in done.stderr
    error = lines_of(done.stderr)[-1]
    assert error.startswith("Error: ")
    for text in says:
        assert text.replace("FILE", str(file)) in error


@pytest.mark.parametrize("text", ["1_0", "\uff11"])
def test_numbers_that_only_python_reads(text: str) -> None:
    """Python takes 1_0 for 10, and digits of other scripts; a charge of +10 would be computed."""
    names = []
    for command in COMMANDS:
        found = main.get_command(click.Context(main), command)
        assert found is not None
        for option in found.params:
            if isinstance(option.type, click.types.IntParamType | click.types.FloatParamType):
                names.append(option.name)
                with pytest.raises(click.BadParameter, match="is not a number in plain digits"):
                    option.type.convert(text, option, None)
    assert {"charge", "spin", "max_cycle", "threads", "pairs", "accuracy", "max_memory"} <= {*names}
    for frozen in (text, f"0,{text}"):
        with pytest.raises(InputError, match="is not understood; use a number"):
            parse_frozen(frozen)


def test_json_that_was_cut(tmp_path: Path) -> None:
    """It was called a result, with another exit code and the advice to write one."""
    (tmp_path / "cut.json").write_text('{"symbols": ["He"], "geometry": [0, 0')
    done = dfmp2("run", tmp_path / "cut.json", *BASIS)
    assert done.exit_code == 2
    assert "cut.json: is not JSON (Expecting ',' delimiter: line 1 column 38" in done.stderr


def test_no_run_file(tmp_path: Path) -> None:
    """The advice was to name one by an option that this command does not have."""
    done = dfmp2("resume", tmp_path / "k.h5")
    assert done.exit_code == 6
    assert "k.h5: no such run file" in done.stderr
    assert "--checkpoint" not in done.stderr


def test_without_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    """PySCF cannot be imported then, which was called a fault of dfmp2."""
    monkeypatch.setattr(sys, "flags", SimpleNamespace(optimize=2))
    done = dfmp2("run", WATER, *BASIS)
    assert (done.exit_code, "unset PYTHONOPTIMIZE" in done.stderr) == (7, True)


def test_no_molecule() -> None:
    done = dfmp2("run", *BASIS)
    assert done.exit_code == 2
    assert "Missing argument 'MOLECULE...'" in done.stderr


@pytest.mark.parametrize(
    ("args", "code"),
    [
        pytest.param(("run", "missing.xyz", *BASIS), 2, marks=pytest.mark.slow),
        pytest.param(("run", WATER, *BASIS, "--max-memory", "1"), 5, marks=pytest.mark.slow),
        (("show", "missing.json"), 6),
        pytest.param(("run", WATER, *BASIS, "--device", "cuda:99"), 7, marks=pytest.mark.slow),
        (("nonsense",), 2),
    ],
)
def test_exit_code_of_a_process(args: tuple[str, ...], code: int) -> None:
    done = in_own_process(*args)
    assert done.returncode == code
    assert len(lines_of(done.stderr)) <= 4
    assert "Error: " in done.stderr
    assert done.stdout == ""


def test_bad_molecule_after_a_good_one_is_found_before_any_work(tmp_path: Path) -> None:
    done = dfmp2("run", WATER, tmp_path / "missing.xyz", *BASIS)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "SCF" not in done.stderr


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("--device", "cuda:99"), 7),
        (("--backend", "simulator", "--precision", "fp64"), 2),
    ],
    ids=["no such device", "no such precision there"],
)
@pytest.mark.parametrize("command", ["run", "validate", "bench", "resume"])
def test_a_backend_that_cannot_compute_is_found_before_the_scf(
    command: str, args: tuple[str, ...], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("dfmp2.workflow.jobs.run_scf", _killed)
        assert dfmp2("run", WATER, *BASIS).exit_code == 130
    (file,) = tmp_path.iterdir()
    monkeypatch.setattr("dfmp2.workflow.jobs.run_scf", _never)
    monkeypatch.setattr("dfmp2.bench.compare.run_scf", _never)
    done = (
        dfmp2(command, file, *args) if command == "resume" else dfmp2(command, WATER, *BASIS, *args)
    )
    assert done.exit_code == code, done.stderr


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def _never(*_: object, **__: object) -> None:
    raise AssertionError("the SCF was run")


@pytest.mark.parametrize(
    ("suffix", "content", "says"),
    [
        (".zmat", "H\nH one 0.74\n", ":2: not all are numbers after the symbol"),
        (".zmat", "H\nH 7 0.74\n", ":2: a number is out of range in 'H 7 0.74'"),
        (".zmat", "# water\nO\nH 1 0.96\nH 1 0.96 2\n", ":4: a Z-matrix line of 5 fields"),
        (".txt", "H 0 0 0\nH 0 0\n", ":2: expected 'symbol x y z', found 'H 0 0'"),
        (".txt", "H 0 0 0; H 0 0 inf\n", ":1: a coordinate is not finite"),
        (".txt", "H 0 0 0\nH 0 0 0.1\n", ":2: H lies 0.100 Å from H of line 1"),
        (".txt", "what is this\n", ":1: a Z-matrix line of 1 fields expected"),
        (".txt", "He 0 0 abs(-1)\n", ":1: a coordinate is not a number"),
        (".txt", "Qq 0 0 0\n", ":1: unknown element 'Qq'"),
        (".sdf", "no molecule\n", ":4: expected the numbers of atoms and bonds"),
        (".sdf", "a\nb\nc\n 1 0\n 0 0 zero He\n", ":5: a coordinate is not a number"),
        (".txt", "", ": holds no atoms"),
        (".pdb", "ATOM 1 N MET A 1\n", ": the PDB format is read through ASE"),
    ],
)
def test_other_formats(
    tmp_path: Path, suffix: str, content: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ase.io", None)
    path = tmp_path / f"mol{suffix}"
    path.write_text(content)
    done = dfmp2("run", path, *BASIS)
    assert done.exit_code == 2
    assert len(lines_of(done.stderr)) <= 4
    assert f"{path}{says}" in done.stderr


def test_geometry_is_never_run_as_code(tmp_path: Path) -> None:
    """PySCF evaluates coordinates that are not numbers, so they could run any code."""
    mark = tmp_path / "mark"
    path = tmp_path / "mol.txt"
    path.write_text(f"He 0 0 open({str(mark)!r},'w').write('x')\n")
    assert dfmp2("run", path, *BASIS).exit_code == 2
    assert not mark.exists()


def test_folder_as_molecule(tmp_path: Path) -> None:
    done = dfmp2("run", tmp_path, *BASIS)
    assert done.exit_code == 2
    assert "is a folder; name a geometry file in it" in done.stderr


def _hdf5(path: Path, *, mol: str | None, keys: tuple[str, ...] = ()) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        if mol is not None:
            file["mol"] = mol
        for key in keys:
            file[f"scf/{key}"] = 0.0


@pytest.mark.parametrize("damage", ["truncated", "nothing", "no scf", "no molecule", "no orbitals"])
def test_damaged_chkfile(tmp_path: Path, damage: str) -> None:
    from tests.systems import mean_field

    path = tmp_path / "scf.chk"
    all_keys = ("e_tot", "mo_energy", "mo_occ", "mo_coeff")
    mol = mean_field("water").mol.dumps()
    match damage:
        case "truncated":
            _hdf5(path, mol=mol, keys=all_keys)
            path.write_bytes(path.read_bytes()[:600])
        case "nothing":
            _hdf5(path, mol=None)
        case "no scf":
            _hdf5(path, mol=mol)
        case "no molecule":
            _hdf5(path, mol="{", keys=all_keys)
        case "no orbitals":
            _hdf5(path, mol=mol, keys=all_keys[:-1])
    done = dfmp2("run", path)
    assert done.exit_code == 2
    assert len(lines_of(done.stderr)) <= 4
    assert f"{path}: is no PySCF chkfile with a finished SCF" in done.stderr


# Valid input without correlation


@pytest.mark.parametrize(
    ("content", "args", "note"),
    [
        ("1\nhelium\nHe 0 0 0\n", ("--basis", "sto-3g"), "no correlated virtual orbitals"),
        ("1\nproton; charge=1\nH 0 0 0\n", BASIS, "no correlated occupied orbitals"),
        (
            "2\nH2, virtual frozen\nH 0 0 0\nH 0 0 0.74\n",
            ("--basis", "sto-3g", "--frozen", "1,"),
            "no correlated virtual orbitals",
        ),
    ],
    ids=["He", "H+", "H2"],
)
def test_nothing_to_correlate_is_no_error(
    tmp_path: Path, content: str, args: tuple[str, ...], note: str
) -> None:
    path = tmp_path / "mol.xyz"
    path.write_text(content)
    done = dfmp2("run", path, *args)
    assert done.exit_code == 0, done.stderr
    assert f"note: {note}" in done.stdout
    for name in ("E(MP2) correlation", "same spin", "opposite spin"):
        assert energy(done.stdout, name) == 0.0
    assert energy(done.stdout, "E(MP2) total") == energy(done.stdout, "E(HF)")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_json_to_a_full_device() -> None:
    """An error at the end, because nothing is written to a device file before."""
    done = dfmp2("run", WATER, "--basis", "sto-3g", "--no-checkpoint", "--quiet",
                 "--json", "/dev/full")  # fmt: skip
    assert done.exit_code == 6
    assert "/dev/full: cannot be written (No space left on device)" in done.stderr

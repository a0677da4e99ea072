"""Random geometry files and options: no traceback, a documented exit code, and no wrong energy.

Each input is written from a `Meaning`, whose energies PySCF computes directly. Some texts are then
damaged. What remains is read again here, in the plainest way, so an energy that dfmp2 prints for a
damaged file is compared, too.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.cli.common import any_end, energy
from tests.spins import fitted_energies

DOCUMENTED = (0, 2, 3, 4, 5, 6, 7)

SAME = 2e-8
"""Hartree. Two SCFs that are converged to 1e-10 Eh, and ten printed decimals."""

FP32 = 2e-6
"""Hartree. With --precision fp32 or auto, whose accuracy is 1e-6."""

Atom = tuple[str, float, float, float]


@dataclass(frozen=True)
class Meaning:
    """What an input asks for."""

    atoms: tuple[Atom, ...]
    charge: int = 0
    basis: str = "cc-pvdz"
    auxbasis: str | None = None
    frozen: tuple[int, ...] | str = ()
    density_fit: str | None = None
    tolerance: float = SAME
    spin: int = 0
    unrestricted: bool = False


@cache
def correlation_energy(meaning: Meaning) -> tuple[float, float]:
    """E(HF) and the DF-MP2 correlation energy by PySCF, hartree."""
    from pyscf import df, gto, scf
    from pyscf.data.elements import chemcore
    from pyscf.mp import dfmp2

    mol = gto.M(atom=[(a[0], a[1:]) for a in meaning.atoms], basis=meaning.basis, verbose=0,
                charge=meaning.charge, spin=meaning.spin)  # fmt: skip
    unrestricted = meaning.unrestricted or meaning.spin != 0
    mf = scf.UHF(mol) if unrestricted else scf.RHF(mol)
    if meaning.density_fit is not None:
        mf = mf.density_fit(auxbasis=meaning.density_fit)
    mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = 1e-11, 1e-7, 200
    mf.run()
    frozen = meaning.frozen
    left_out = list(range(chemcore(mol))) if isinstance(frozen, str) else sorted(frozen)
    auxbasis = meaning.auxbasis or df.make_auxbasis(mol, mp2fit=True)
    if unrestricted:
        return float(mf.e_tot), sum(fitted_energies(mf, auxbasis, (left_out, left_out)))
    if len(mf.mo_occ) == mol.nelectron // 2 or not mol.nelectron:
        return mf.e_tot, 0.0
    mp2 = dfmp2.DFMP2(mf, frozen=left_out or None)
    mp2.with_df = df.DF(mol, auxbasis)
    return float(mf.e_tot), float(mp2.kernel(with_t2=False)[0])


# Texts

MOLECULES: tuple[tuple[Atom, ...], ...] = (
    (("He", 0.0, 0.0, 0.0),),
    (("Be", 0.0, 0.0, 0.0),),
    (("H", 0.0, 0.0, 0.0), ("H", 0.0, 0.0, 0.74)),
    (("Li", 0.0, 0.0, 0.0), ("H", 0.0, 0.0, 1.6)),
    (("He", 0.0, 0.1, -1.5), ("H", 0.2, 0.0, 0.0), ("H", 0.0, 0.0, 0.74)),
)

NUMBERS = ("{:.6f}", "{:g}", "{:+.4e}", "{:.3E}", "{:.8f}")
GAPS = (" ", "  ", "\t", "     ")
ENDS = ("\n", "\r\n")
COMMENTS = ("", "made by hand", "E = -1.0 Eh", "charge=0", "charge=0 spin=0", "a\tb; c")
JUNK = [
    *"0123456789.+-eEdDHXx#;,=*'\"\\/%$ \t\n\r\0\x0b\x0c\x1c\u2028\xa0\u0661\uff11\u00e9_\ufeff"
]


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Meaning]:
    """A geometry file in one of many styles, and what it means."""
    atoms = draw(st.sampled_from(MOLECULES))
    number, gap, end = (draw(st.sampled_from(kinds)) for kinds in (NUMBERS, GAPS, ENDS))
    rows = [gap.join([a[0], *(number.format(x) for x in a[1:])]) for a in atoms]
    comment = draw(st.sampled_from(COMMENTS))
    return end.join([str(len(atoms)), comment, *rows, ""]), Meaning(atoms)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Meaning | None]:
    """Such a file after a few random changes outside its comment; None where it means nothing."""
    text, _ = draw(written())
    lines = re.split(r"(?<=\n)", text)
    for _ in range(draw(st.integers(1, 3))):
        which = draw(st.sampled_from([0, *range(2, len(lines))]))
        line = lines[which]
        place = draw(st.integers(0, len(line)))
        removed = draw(st.integers(0, 2))
        new = "".join(draw(st.lists(st.sampled_from(JUNK), max_size=3)))
        lines[which] = line[:place] + new + line[place + removed :]
    return "".join(lines), read("".join(lines))


def read(text: str) -> Meaning | None:
    """The plainest reading of an XYZ file. None if it is not one."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return read_lines(text.split("\n")) or read_lines(text.splitlines())


def read_lines(lines: list[str]) -> Meaning | None:
    try:
        count = int(lines[0])
        rows = [line.split() for line in lines[2 : 2 + count]]
        numbers = [[float(x.upper().replace("D", "E")) for x in row[1:4]] for row in rows]
        if count < 1 or len(rows) < count or any(line.strip() for line in lines[2 + count :]):
            return None
        names = [element(row[0]) for row in rows]
        return Meaning(tuple((n, *xyz) for n, xyz in zip(names, numbers, strict=True)))
    except (ValueError, IndexError, TypeError):
        return None


def element(label: str) -> str:
    """An element from a symbol with a label, or a nuclear charge."""
    from pyscf.data.elements import ELEMENTS

    if label.isdigit():
        return str(ELEMENTS[int(label)])
    return label


# Options: the words, and what they change in the meaning (None: an error, or no change)

Change = dict[str, object] | None

OPTIONS: dict[str, list[tuple[tuple[str, ...], Change]]] = {
    "basis": [
        (("--basis", "cc-pvdz"), {}),
        (("--basis", "CC-pVDZ"), {}),
        (("--basis", "6-31g", "--auxbasis", "cc-pvdz-ri"),
         {"basis": "6-31g", "auxbasis": "cc-pvdz-ri"}),
        (("--basis", "default=cc-pvdz"), {}),
        (("--basis", "cc-pvdz", "--auxbasis", "cc-pvtz-ri"), {"auxbasis": "cc-pvtz-ri"}),
        ((), None),
        (("--basis", ""), None),
        (("--basis", "cc-pvxz"), None),
        (("--basis", "=,"), None),
        (("--basis", "cc-pvdz", "--auxbasis", "nothing"), None),
    ],
    "charge": [
        ((), {}),
        ((), {}),
        (("--charge", "0"), {"charge": 0}),
        (("--charge", "2"), {"charge": 2}),
        (("--charge", "-2"), {"charge": -2}),
        (("--charge", "1"), {"charge": 1}),
        (("--charge", "99"), None),
        (("--charge", "-99"), None),
        (("--charge", "99999999999999999999"), None),
        (("--charge", "1.5"), None),
    ],
    "spin": [((), {}), ((), {}), (("--spin", "0"), {}), (("--spin", "2"), {"spin": 2}),
             (("--spin", "-1"), None), (("--spin", "99999999999999999999"), None)],
    "frozen": [
        ((), {}),
        (("--frozen", "0"), {}),
        (("--frozen", "none"), {}),
        (("--frozen", "auto"), {"frozen": "auto"}),
        (("--frozen", "1"), {"frozen": (0,)}),
        (("--frozen", "0,"), {"frozen": (0,)}),
        (("--frozen", "2,1"), {"frozen": (1, 2)}),
        (("--frozen", "-1"), None),
        (("--frozen", "99999999999999999999"), None),
        (("--frozen", "0,99"), None),
        (("--frozen", "1e3"), None),
        (("--frozen", ","), {}),
    ],
    "memory": [
        ((), {}), (("--max-memory", "500"), {}), (("--max-memory", "1e9"), {}),
        (("--max-memory", "0.5"), {}), (("--max-memory", "1e308"), {}),
        (("--max-memory", "inf"), None), (("--max-memory", "-1"), None),
    ],
    "precision": [
        ((), {}), (("--precision", "fp64"), {}), (("--precision", "fp32"), {"tolerance": FP32}),
        (("--precision", "auto"), {"tolerance": FP32}), (("--accuracy", "1e-9"), {}),
        (("--accuracy", "1e-300"), {}), (("--accuracy", "nan"), None),
        (("--precision", "auto", "--accuracy", "1e-7"), {}),
    ],
    "kind": [
        ((), {}), (("--no-fused-energy",), {}),
        (("--integrals", "libcint"), {}), (("--integrals", "scf"), None),
        (("--integrals", "gpu4pyscf"), None),
        (("--density-fit", "--scf-auxbasis", "def2-universal-jkfit"),
         {"density_fit": "def2-universal-jkfit"}),
        (("--scf-auxbasis", "cc-pvdz-jkfit"), None), (("--reference", "rhf"), {}),
        (("--reference", "uhf"), {"unrestricted": True}),
        (("--device", "cpu"), {}), (("--device", "cpu:9"), {}),
        (("--device", "\x00"), None), (("--backend", "pytorch"), {}), (("--backend", "nki"), None),
        (("--ecp", "none"), {}), (("--ecp", "nothing"), None),
        (("--conv-tol", "1e-300"), None), (("--conv-tol", "1e300"), None),
        (("--max-cycle", "1"), None),
    ],
    "output": [
        (("--no-checkpoint",), {}), ((), {}), (("--quiet",), {}), (("--verbose",), {}),
        (("--json", "out.json"), {}), (("--json", "mol.xyz"), None),
        (("--json", "nowhere/x"), None),
        (("--checkpoint", "mol.xyz"), None), (("--checkpoint", "kept"), {}),
        (("--checkpoint", "nowhere/x"), None), (("--checkpoint", "mol.xyz", "--restart"), None),
        (("--checkpoint", ""), None), (("--json", ""), None), (("--checkpoint", "n" * 300), None),
        (("--validate",), {}), (("--tolerance", "1e-9"), None), (("--restart",), {}),
        (("--checkpoint-interval", "0"), {}), (("--checkpoint-interval", "nan"), None),
        (("--checkpoint-interval", "inf"), None),
    ],
}  # fmt: skip

UNUSUAL = dict.fromkeys(OPTIONS, 8) | {"basis": 5}
"""Of ten inputs, so many have the first choice of a group. Otherwise nearly all are refused."""


@st.composite
def inputs(draw: st.DrawFn) -> tuple[str, tuple[str, ...], Meaning | None]:
    """A text, options, and their meaning; None if they should be refused, or may be."""
    text, meaning = draw(st.one_of(written(), written(), damaged()))
    words: list[str] = []
    for group, choices in OPTIONS.items():
        unusual = draw(st.integers(0, 9)) >= UNUSUAL[group]
        option, change = draw(st.sampled_from(choices)) if unusual else choices[0]
        words += option
        if change is None:
            meaning = None
        elif meaning is not None:
            meaning = replace(meaning, **change)  # type: ignore[arg-type]
    return text, tuple(words), meaning


def check(text: str, words: tuple[str, ...], meaning: Meaning | None, command: str) -> None:
    with in_an_empty_folder():
        Path("mol.xyz").write_bytes(text.encode("utf-8"))
        done = any_end(command, "mol.xyz", *words)
        event(f"{command}: exit {done.exit_code}")
        said = f"{text!r} {' '.join(words)}\n{done.stdout}{done.stderr}"
        assert done.exit_code in DOCUMENTED, said
        assert "Traceback" not in done.stderr, said
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert len(errors) == (done.exit_code != 0), said
        assert Path("mol.xyz").read_bytes() == text.encode("utf-8"), said
        if command != "run" or done.exit_code not in (0, 3):
            return
        assert "nan" not in done.stdout.lower(), said
        if meaning is None:
            meaning = rescued(text, words)
        assert meaning is not None, f"an energy where none is expected: {said}"
        e_hf, e_corr = correlation_energy(meaning)
        assert abs(energy(done.stdout, "E(HF)") - e_hf) < SAME, said
        found = energy(done.stdout, "E(MP2) correlation")
        assert abs(found - e_corr) < meaning.tolerance, said


HARMLESS = {"--integrals", "--conv-tol", "--max-cycle", "--charge"}
"""Options that some molecules can have and others cannot."""


def rescued(text: str, words: tuple[str, ...]) -> Meaning | None:
    """The meaning of an input that could have been refused, but need not be."""
    meaning = read(text)
    refused = set()
    for choices in OPTIONS.values():
        for option, change in choices:
            if not option or any(word not in words for word in option):
                continue
            if change is None:
                refused.add(option[0])
            elif meaning is not None:
                meaning = replace(meaning, **change)  # type: ignore[arg-type]
    return meaning if refused <= HARMLESS else None


@contextlib.contextmanager
def in_an_empty_folder() -> Iterator[None]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


COMMANDS = st.sampled_from(["run", "run", "run", "run", "plan"])
FUZZ = settings(derandomize=True, deadline=None, database=None,
                suppress_health_check=list(HealthCheck))  # fmt: skip


@pytest.mark.filterwarnings("ignore:Basis may be available:UserWarning")
@given(inputs(), COMMANDS)
@settings(FUZZ, max_examples=60)
def test_random_inputs(found: tuple[str, tuple[str, ...], Meaning | None], command: str) -> None:
    check(*found, command)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Basis may be available:UserWarning")
@given(inputs(), COMMANDS)
@settings(FUZZ, max_examples=2000)
def test_many_random_inputs(
    found: tuple[str, tuple[str, ...], Meaning | None], command: str
) -> None:
    check(*found, command)

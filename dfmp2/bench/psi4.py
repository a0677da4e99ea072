"""DF-MP2 by Psi4 on the molecule and the basis sets of a PySCF mean field.

Psi4 reads PySCF's coordinates (bohr), exponents and coefficients from files, not basis sets of its
own library, so both programs compute the same problem. The time of its DF-MP2 part is the sum of
the timers "DFMP2 ..." in timer.dat. This leaves out its SCF, start and set-up, which favours Psi4.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfmp2.errors import PeerError
from dfmp2.molecules.plain import element_of

__all__ = [
    "Psi4Run",
    "input_files",
    "psi4_obstacle",
    "psi4_run",
    "psi4_version",
    "read_output",
    "read_timer",
]

ANGULAR = "SPDFGHIKLM"
PK_LIMIT = 150
"""Basis functions up to which an SCF with exact integrals keeps them in memory."""

LEAVE_OUT = "leave it out: name the other programs with --peer"

INPUT = """\
memory {memory} mb
molecule mol {{
{charge} {multiplicity}
{atoms}
units bohr
symmetry c1
no_reorient
no_com
}}
set basis orb
set df_basis_mp2 aux
set num_frozen_docc {frozen}
set reference {reference}
set mp2_type df
set scf_type {scf_type}
{jkfit}
set puream true
set e_convergence {e_convergence:g}
set d_convergence 1e-7
set maxiter 100
energy('mp2')
exec(open('blas.py').read())
"""

BLAS = """\
import ctypes, json
found = []
for path in sorted({line.split()[-1] for line in open('/proc/self/maps') if '/' in line}):
    name = path.rsplit('/', 1)[-1].lower()
    if not ('blas' in name or 'mkl_rt' in name or 'mkl_core' in name) or 'gsl' in name:
        continue
    kernels = None
    try:
        ask = ctypes.CDLL(path).openblas_get_corename
        ask.restype = ctypes.c_char_p
        kernels = ask().decode()
    except (AttributeError, OSError):
        pass
    found.append([path, kernels])
json.dump(found, open('blas.json', 'w'))
"""
"""Writes the BLAS libraries of its process, and the kernels of those that tell them."""


def psi4_version() -> str:
    """Output of ``psi4 --version``."""
    with tempfile.TemporaryDirectory() as folder:  # psi4 writes a timer.dat to its working folder
        done = subprocess.run(
            ["psi4", "--version"], cwd=folder, capture_output=True, text=True, check=False
        )
    return done.stdout.strip() or "of unknown version"


def psi4_obstacle(mol: Any) -> str | None:
    """Reason why Psi4 cannot run on a molecule, or None.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    """
    if shutil.which("psi4") is None:
        return "not installed"
    if mol.cart:
        return "Cartesian basis functions cannot be passed to it"
    symbols = [mol.atom_symbol(i) for i in range(mol.natm)]
    if any(element_of(symbol) != (symbol, True) for symbol in symbols):
        return "ghost and labelled atoms cannot be passed to it"
    return None


@dataclass(frozen=True)
class Psi4Run:
    """One run of Psi4.

    Attributes
    ----------
    seconds : float
        Wall time of the DF-MP2 part, from Psi4's own timers.
    e_corr : float
        Correlation energy, hartree.
    whole : float
        Wall time of the whole process, in seconds.
    blas : str
        Its BLAS in one line.
    """

    seconds: float
    e_corr: float
    whole: float
    blas: str


def psi4_run(mf: Any, aux: Any, frozen: int, threads: int) -> Psi4Run:
    """Run Psi4 once: an SCF like `mf`, then DF-MP2.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF or pyscf.scf.uhf.UHF
    aux : pyscf.gto.Mole
        The same atoms with the auxiliary functions.
    frozen : int
        Number of the lowest occupied orbitals that are not correlated.
    threads : int

    Returns
    -------
    Psi4Run

    Raises
    ------
    PeerError
        If Psi4 fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, text in {**input_files(mf, aux, frozen), "blas.py": BLAS}.items():
            (work / name).write_text(text, encoding="utf-8")
        start = time.perf_counter()
        done = subprocess.run(
            ["psi4", "-n", str(threads), "input.dat", "output.dat"],
            cwd=work,
            env={**os.environ, "PSIPATH": folder, "PSI_SCRATCH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        whole = time.perf_counter() - start
        names = ("output.dat", "timer.dat", "blas.json")
        output, timers, blas = (_read(work / name) for name in names)
    if done.returncode:
        lines = (output + done.stdout + done.stderr).strip().splitlines()[-3:]
        raise PeerError(f"psi4 failed: {' '.join(lines)}; {LEAVE_OUT}")
    named = f"{read_blas(blas)}, {threads} threads"
    return Psi4Run(read_timer(timers), read_output(output), whole, named)


def _read(path: Path) -> str:
    """Text of a file of Psi4; empty where Psi4 did not write it."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def read_blas(text: str) -> str:
    """The BLAS libraries in a blas.json, in one line."""
    try:
        found = json.loads(text)
    except ValueError:
        return "unknown"
    named = [
        f"{Path(path).name} ({kernels + ' kernels' if kernels else 'kernels unknown'})"
        for path, kernels in found
    ]
    return " and ".join(named) or "unknown"


def read_timer(text: str) -> float:
    """Wall time of DF-MP2 in seconds: sum of the outermost DF-MP2 timers of a timer.dat.

    Raises
    ------
    PeerError
        If the text has no such timers.
    """
    nested = text.split("\n-----", 1)[-1]  # the second table marks inner timers by "| "
    found = re.findall(r"^DFMP2 [^:]*:.* ([\d.]+)w ", nested, re.MULTILINE)
    if not found:
        raise PeerError(
            f"psi4 wrote no DF-MP2 timers (its format may differ by version); {LEAVE_OUT}"
        )
    return sum(map(float, found))


def read_output(text: str) -> float:
    """Correlation energy in hartree from an output of Psi4's DF-MP2.

    Raises
    ------
    PeerError
        If the output has none.
    """
    found = re.findall(r"^\s*Correlation Energy\s*=\s*(-?[\d.]+) \[Eh\]", text, re.MULTILINE)
    if not found:
        raise PeerError(
            f"psi4 wrote no DF-MP2 energy (its format may differ by version); {LEAVE_OUT}"
        )
    return float(found[0])


def input_files(mf: Any, aux: Any, frozen: int) -> dict[str, str]:
    """Input and basis files by name.

    If the SCF of `mf` is density-fitted, that of Psi4 is too, with the same auxiliary basis.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF or pyscf.scf.uhf.UHF
    aux : pyscf.gto.Mole
        The same atoms with the auxiliary functions.
    frozen : int
        Number of the lowest occupied orbitals that are not correlated.
    """
    mol = mf.mol
    files = {"orb.gbs": gbs(mol), "aux.gbs": gbs(aux)}
    scf_type = "pk" if mol.nao_nr() <= PK_LIMIT else "direct"
    jkfit = ""
    if getattr(mf, "with_df", None) is not None:
        scf_type, jkfit = "df", "set df_basis_scf jkfit"
        files["jkfit.gbs"] = gbs(mf.with_df.auxmol)
    atoms = "\n".join(
        f"{mol.atom_pure_symbol(i)} " + " ".join(f"{x:.16f}" for x in mol.atom_coord(i))
        for i in range(mol.natm)
    )
    files["input.dat"] = INPUT.format(
        memory=max(500, round(mf.max_memory)),
        charge=mol.charge,
        multiplicity=mol.spin + 1,
        reference="uhf" if mf.mo_coeff.ndim == 3 else "rhf",
        atoms=atoms,
        frozen=frozen,
        scf_type=scf_type,
        e_convergence=mf.conv_tol,
        jkfit=jkfit,
    )
    return files


def gbs(mol: Any) -> str:
    """Basis set and ECP of a molecule in the Gaussian94 format that Psi4 reads.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        Without labelled atoms.
    """
    lines = ["spherical", "", "****"]
    for symbol in sorted(mol._basis):
        lines.append(f"{symbol} 0")
        for shell in mol._basis[symbol]:
            rows = [row for row in shell[1:] if hasattr(row, "__len__")]  # skips kappa
            for column in range(1, len(rows[0])):
                pairs = [(row[0], row[column]) for row in rows if row[column]]
                lines.append(f"{ANGULAR[shell[0]]} {len(pairs)} 1.0")
                lines += [f"  {exponent:.16e} {factor:.16e}" for exponent, factor in pairs]
        lines.append("****")
    for symbol, (ncore, terms) in mol._ecp.items():
        highest = max(ang for ang, _ in terms) + 1
        local = ANGULAR[highest].lower()
        lines += ["", f"{symbol} 0", f"{symbol.upper()}-ECP {highest} {ncore}"]
        for ang, powers in sorted(terms, key=lambda term: term[0]):
            which = local if ang < 0 else f"{ANGULAR[ang].lower()}-{local}"
            flat = [(n, *term) for n, group in enumerate(powers) for term in group]
            lines += [f"{which}{'-ul' if ang < 0 else ''} potential", f"  {len(flat)}"]
            lines += [f"{n} {exponent:.16e} {factor:.16e}" for n, exponent, factor in flat]
    return "\n".join(lines) + "\n"

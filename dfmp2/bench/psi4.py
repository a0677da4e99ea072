"""Psi4's DF-MP2 on the molecule and the basis sets of a PySCF mean field.

Psi4 gets PySCF's coordinates in bohr and PySCF's exponents and coefficients as files, so that both
work on one problem; its own library is not asked for a basis. What counts as its DF-MP2 part is
the sum of its own timers ("DFMP2 ..." in timer.dat), without SCF, start and set-up: the comparison
is in its favour.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from dfmp2.errors import BackendUnavailable
from dfmp2.molecules.plain import element_of

__all__ = [
    "input_files",
    "psi4_energy",
    "psi4_obstacle",
    "psi4_version",
    "read_output",
    "read_timer",
]

ANGULAR = "SPDFGHIKLM"
PK_LIMIT = 150
"""Basis functions up to which an exact SCF keeps its integrals in memory."""

INPUT = """\
memory {memory} mb
molecule mol {{
{charge} 1
{atoms}
units bohr
symmetry c1
no_reorient
no_com
}}
set basis orb
set df_basis_mp2 aux
set num_frozen_docc {frozen}
set reference rhf
set mp2_type df
set scf_type {scf_type}
{jkfit}
set puream true
set e_convergence 1e-9
set d_convergence 1e-7
set maxiter 100
energy('mp2')
"""


def psi4_version() -> str:
    """What ``psi4 --version`` says."""
    with tempfile.TemporaryDirectory() as folder:  # it leaves a timer.dat where it stands
        done = subprocess.run(
            ["psi4", "--version"], cwd=folder, capture_output=True, text=True, check=False
        )
    return done.stdout.strip() or "of unknown version"


def psi4_obstacle(mol: Any) -> str | None:
    """Why Psi4 cannot run on a molecule, or None.

    Parameters
    ----------
    mol : pyscf.gto.Mole
    """
    if shutil.which("psi4") is None:
        return "not installed"
    if mol.cart:
        return "Cartesian functions are not passed on to it"
    symbols = [mol.atom_symbol(i) for i in range(mol.natm)]
    if any(element_of(symbol) != (symbol, True) for symbol in symbols):
        return "ghost and labelled atoms are not passed on to it"
    return None


def psi4_energy(mf: Any, aux: Any, frozen: int, threads: int) -> tuple[float, float]:
    """Run Psi4 once: an SCF like `mf`, then DF-MP2.

    Parameters
    ----------
    mf : pyscf.scf.hf.RHF
    aux : pyscf.gto.Mole
        The atoms with the auxiliary functions.
    frozen : int
        Lowest orbitals that are not correlated.
    threads : int

    Returns
    -------
    seconds : float
        Wall time of its DF-MP2 part, by its own timers.
    e_corr : float
        Hartree.

    Raises
    ------
    BackendUnavailable
        If it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, text in input_files(mf, aux, frozen).items():
            (work / name).write_text(text, encoding="utf-8")
        done = subprocess.run(
            ["psi4", "-n", str(threads), "input.dat", "output.dat"],
            cwd=work,
            env={**os.environ, "PSIPATH": folder, "PSI_SCRATCH": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        output = work / "output.dat"
        text = output.read_text(encoding="utf-8", errors="replace") if output.exists() else ""
        if done.returncode:
            lines = (text + done.stdout + done.stderr).strip().splitlines()[-3:]
            raise BackendUnavailable(
                f"psi4 failed: {' '.join(lines)}; name the peers to go on with by --peer"
            )
        timers = (work / "timer.dat").read_text(encoding="utf-8")
    return read_timer(timers), read_output(text)


def read_timer(text: str) -> float:
    """Wall seconds of DF-MP2 in a timer.dat: its outermost timers, in the table that nests them.

    Raises
    ------
    BackendUnavailable
        If there are none.
    """
    nested = text.split("\n-----", 1)[-1]
    found = re.findall(r"^DFMP2 [^:]*:.* ([\d.]+)w ", nested, re.MULTILINE)
    if not found:
        raise BackendUnavailable("psi4 wrote a timer.dat without DF-MP2 timers")
    return sum(map(float, found))


def read_output(text: str) -> float:
    """Correlation energy in hartree in an output of DF-MP2.

    Raises
    ------
    BackendUnavailable
        If there is none.
    """
    found = re.findall(r"^\s*Correlation Energy\s*=\s*(-?[\d.]+) \[Eh\]", text, re.MULTILINE)
    if not found:
        raise BackendUnavailable("psi4 wrote no DF-MP2 correlation energy")
    return float(found[0])


def input_files(mf: Any, aux: Any, frozen: int) -> dict[str, str]:
    """Input and basis files by name; the SCF is fitted with the same set where `mf` is fitted."""
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
        atoms=atoms,
        frozen=frozen,
        scf_type=scf_type,
        jkfit=jkfit,
    )
    return files


def gbs(mol: Any) -> str:
    """The basis (and any ECP) of a molecule in the Gaussian94 format that Psi4 reads.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        Its atoms bear no labels.
    """
    lines = ["spherical", "", "****"]
    for symbol in sorted(mol._basis):
        lines.append(f"{symbol} 0")
        for shell in mol._basis[symbol]:
            rows = [row for row in shell[1:] if hasattr(row, "__len__")]  # without kappa
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

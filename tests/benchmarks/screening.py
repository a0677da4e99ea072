"""Estimate what Schwarz screening of (mn|P) would save beyond libcint's own. Run as a script.

    python -m tests.benchmarks.screening water10/cc-pvtz water20/cc-pvdz alkane20/cc-pvdz

A pair mn may be dropped with all P if q = sqrt((mn|mn)) is small, because the column of B in AOs,
L^-1 (.|mn), has norm at most q (Cauchy-Schwarz inequality in the Coulomb metric, independent of its
condition). Dropped pairs change an element of B by less than max|C|^2 times the sum of their q.

Each shell pair is timed alone in one thread, and the time of a pair that libcint drops is
subtracted. The sum gives the share of the time that screening would save.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from tests.systems import INPUTS

THRESHOLDS = (1e-8, 1e-10, 1e-12)


def alkane(carbons: int) -> list[Any]:
    """A stretched chain with textbook bonds and angles, Å."""
    cc, ch, half, h = 1.53, 1.09, np.radians(56.0), np.radians(53.5)
    atoms: list[Any] = []
    for k in range(carbons):
        x, z, side = k * cc * np.sin(half), (k % 2) * cc * np.cos(half), 1 if k % 2 else -1
        atoms.append(("C", (x, 0.0, z)))
        for y in (1, -1):
            atoms.append(("H", (x, y * ch * np.sin(h), z + side * ch * np.cos(h))))
        if k in (0, carbons - 1):
            end = -1 if k == 0 else 1
            atoms.append(("H", (x + end * ch * np.sin(half), 0.0, z - side * ch * np.cos(half))))
    return atoms


def waters(count: int) -> list[Any]:
    """The cluster of ten, or copies of it side by side, Å."""
    from dfmp2.molecules.build import build_mole
    from dfmp2.molecules.files import read_geometry

    ten = build_mole(read_geometry(str(INPUTS / "water10.xyz")), "sto-3g")
    x = ten.atom_coords(unit="Ang")
    step = np.array([np.ptp(x[:, 0]) + 2.5, 0, 0])
    symbols = [ten.atom_symbol(i) for i in range(ten.natm)]
    return [
        (s, c + copy * step) for copy in range(count // 10) for s, c in zip(symbols, x, strict=True)
    ]


def whole_run(mol: Any) -> dict[str, float]:
    """Seconds by stage. They depend on shapes only, so the orthonormal orbitals are arbitrary."""
    from pyscf import scf

    from dfmp2 import DFMP2

    mf = scf.RHF(mol)
    w, v = np.linalg.eigh(mol.intor("int1e_ovlp"))
    mf.mo_coeff, mf.mo_energy = v / np.sqrt(w), np.linspace(-20.0, 5.0, len(w))
    mf.mo_occ = np.where(np.arange(len(w)) < mol.nelectron // 2, 2.0, 0.0)
    mf.verbose, mf.e_tot, mf.converged = 0, 0.0, True
    mp = DFMP2(mf).set(device="cpu", max_memory=16000, check_reference="off").run()
    return {stage.name: stage.seconds for stage in mp.result.provenance.stages}


def shell_pairs(mol: Any, auxmol: Any) -> np.ndarray:
    """Rows of q, seconds, whether libcint computes it, and elements mn, for each shell pair."""
    from pyscf import lib
    from pyscf.gto import mole, moleintor

    intor = moleintor.ascint3(mol._add_suffix("int3c2e"))
    env = mole.conc_env(mol._atm, mol._bas, mol._env, auxmol._atm, auxmol._bas, auxmol._env)
    loc = moleintor.make_loc(env[1], intor)
    optimizer = moleintor.make_cintopt(env[0], env[1][: mol.nbas], env[2], intor)
    rows = []
    with lib.with_omp_threads(1):
        for i in range(mol.nbas):
            for j in range(i + 1):
                shells = (i, i + 1, j, j + 1, mol.nbas, mol.nbas + auxmol.nbas)
                start = time.perf_counter()
                eri = moleintor.getints3c(intor, *env, shells, 1, "s1", loc, optimizer)
                seconds = time.perf_counter() - start
                size = eri.shape[0] * eri.shape[1]
                same = mol.intor_by_shell("int2e", (i, j, i, j)).reshape(size, size)
                q = np.sqrt(np.abs(np.diag(same)).max())
                rows.append((q, seconds, float(eri.any()), size if i == j else 2 * size))
    return np.array(rows)


def report(case: str) -> list[str]:
    """Lines about what screening would save in one system."""
    from pyscf import gto

    from dfmp2.fitting.auxbasis import choose_auxbasis

    name, basis = case.split("/")
    make = alkane if name.startswith("alkane") else waters
    atoms = make(int(name.removeprefix(make.__name__.removesuffix("s"))))
    mol = gto.M(atom=atoms, basis=basis, verbose=0)
    stages = whole_run(mol)
    q, seconds, computed, size = shell_pairs(mol, choose_auxbasis(mol).mol).T
    overhead = np.median(seconds[computed == 0]) if (computed == 0).any() else 0.0
    work = np.where(computed == 0, 0.0, np.maximum(seconds - overhead, 0.0))
    whole, integrals = sum(stages.values()), stages["integrals"]
    zero = 1 - computed.mean()
    lines = [f"{case}: run {whole:.1f} s, integrals {integrals:.1f} s, pairs zero {zero:.0%}"]
    for limit in THRESHOLDS:
        dropped = (q < limit) & (computed > 0)
        saved = work[dropped].sum() / work.sum()
        lines.append(
            f"  q < {limit:.0e}: saves {saved:.1%} of the integrals, "
            f"{saved * integrals / whole:.1%} of the "
            f"run; error of B below {(q * size)[dropped].sum():.0e} max|C|^2"
        )
    return lines


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        sys.stdout.write("\n".join(report(argument)) + "\n")

"""Time whole jobs, SCF and imports included: `dfmp2 run`, a PySCF script, and Psi4.

Each job is a new process, which gets the same molecule, basis sets, thresholds and threads, and the
environment of this process. The SCF is that of `dfmp2 run` without options, with exact integrals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dfmp2 import defaults
from dfmp2.bench.pairs import Pairs, Run
from dfmp2.bench.peers import OWN_SCF, Setup
from dfmp2.bench.psi4 import psi4_run
from dfmp2.errors import PeerError
from dfmp2.molecules.plain import element_of
from dfmp2.references.frozen import plain_frozen
from dfmp2.references.reference import Indices
from dfmp2.workflow.jobs import Job

__all__ = ["WholeJobs", "time_whole_jobs"]

PYSCF = """\
import json
from pathlib import Path
from pyscf import df, gto, lib, scf
from pyscf.mp import dfmp2, dfump2
given = json.loads(Path("input.json").read_text())
mol = gto.loads(given["mol"])
mf = scf.UHF(mol) if mol.spin else scf.RHF(mol)
mf.verbose, mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = 0, *given["scf"]
mf.kernel()
assert mf.converged
mf.with_df = df.DF(mol, auxbasis=given["auxbasis"])
mp = (dfump2.DFUMP2 if mol.spin else dfmp2.DFMP2)(mf, frozen=given["frozen"])
mp.verbose, mp.max_memory = 0, given["max_memory"]
mp.kernel(with_t2=False)
Path("output.json").write_text(json.dumps([mf.e_tot, mp.e_corr]))
"""
"""What a user of PySCF writes, with the thresholds of `dfmp2 run`."""


@dataclass(frozen=True)
class WholeJobs:
    """Whole jobs of one molecule.

    Attributes
    ----------
    own : list of Run
        Runs of `dfmp2 run`.
    beside : list of Pairs
        One item for each peer.
    why_not : str
        Why they were not timed. Empty if they were.
    """

    own: list[Run]
    beside: list[Pairs]
    why_not: str = ""


def time_whole_jobs(
    job: Job,
    setup: Setup,
    peers: Sequence[str],
    pairs: int,
    progress: Callable[[str, int, int], None],
) -> WholeJobs:
    """Time `dfmp2 run` beside the same job of other programs, in turn.

    Parameters
    ----------
    job : Job
    setup : Setup
        Of the same molecule.
    peers : sequence of str
        Names of the programs that can run. Those without a whole job are left out.
    pairs : int
    progress : callable
        Called as progress(stage, finished steps, all steps).

    Returns
    -------
    WholeJobs

    Raises
    ------
    ValidationError
        If two energies differ.
    PeerError
        If a program fails.
    """
    if not pairs:
        return WholeJobs([], [], "not asked for")
    if reason := _why_not(job):
        return WholeJobs([], [], reason)
    runs: list[Run] = []
    beside = [Pairs(name) for name in peers if name in JOBS]
    for done in range(pairs):
        runs.append(_own(job, setup))
        for found in beside:
            found.add(runs[-1], JOBS[found.peer](setup), OWN_SCF)
        progress("whole jobs", done + 1, pairs)
    return WholeJobs(runs, beside)


def _why_not(job: Job) -> str:
    """Why `dfmp2 run` cannot do the same job in a new process; empty if it can."""
    if job.solution is not None:
        return "the orbitals come from a file"
    symbols = [job.mol.atom_symbol(atom) for atom in range(job.mol.natm)]
    if any(element_of(symbol) != (symbol, True) for symbol in symbols):
        return "the molecule has ghost or labelled atoms"
    if not all(map(_is_named, (job.settings.basis, job.settings.auxbasis, job.settings.ecp))):
        return "a basis comes from a file"
    return ""


def _is_named(basis: Any) -> bool:
    parts = basis.values() if isinstance(basis, dict) else [basis]
    return all(part is None or isinstance(part, str) for part in parts)


def _words(basis: Any) -> str:
    if isinstance(basis, dict):
        return ",".join(f"{element}={name}" for element, name in basis.items())
    return str(basis)


def _indices(frozen: tuple[Indices, ...]) -> str:
    """Lists of indices as in ``--frozen``."""
    return "/".join("".join(f"{orbital}," for orbital in own) for own in frozen)


def _own(job: Job, setup: Setup) -> Run:
    mol, settings = job.mol, job.settings
    atoms = [
        f"{mol.atom_symbol(n)} " + " ".join(f"{x:.16f}" for x in mol.atom_coord(n))
        for n in range(mol.natm)
    ]
    files = {"molecule.xyz": "\n".join([str(mol.natm), "", *atoms, ""])}
    options = {
        "--unit": "bohr",
        "--charge": mol.charge,
        "--spin": mol.spin,
        "--basis": _words(settings.basis),
        "--ecp": _words(settings.ecp),
        "--auxbasis": settings.auxbasis and _words(settings.auxbasis),
        "--frozen": _indices(setup.frozen) if any(setup.frozen) else None,
        "--max-memory": setup.max_memory,
        "--threads": setup.threads,
        "--backend": settings.backend,
        "--device": settings.device,
        "--precision": settings.precision,
        "--accuracy": settings.accuracy,
        "--json": "output.json",
    }
    given = [str(word) for pair in options.items() if pair[1] not in (None, "") for word in pair]
    fused = "--fused-energy" if settings.fused else "--no-fused-energy"
    command = ["-m", "dfmp2", "run", "molecule.xyz", *given, fused, "--quiet"]
    seconds, found = _timed("dfmp2 run", command, files, setup.threads)
    error = settings.accuracy if settings.precision not in (None, "fp64") else 0.0
    return Run(seconds, float(found["properties"]["mp2_correlation_energy"]), error=error)


def _pyscf(setup: Setup) -> Run:
    given = {
        "mol": setup.solution.mol.dumps(),
        "scf": [defaults.CONV_TOL, defaults.GRADIENT_TOL, defaults.MAX_CYCLE],
        "auxbasis": setup.aux.spec,
        "frozen": plain_frozen(setup.frozen) if any(setup.frozen) else None,
        "max_memory": setup.max_memory,
    }
    files = {"script.py": PYSCF, "input.json": json.dumps(given)}
    seconds, found = _timed("the PySCF script", ["script.py"], files, setup.threads)
    return Run(seconds, float(found[1]))


def _psi4(setup: Setup) -> Run:
    mf = setup.mean_field()
    mf.conv_tol = defaults.CONV_TOL
    found = psi4_run(mf, setup.aux.mol, setup.core or 0, setup.threads)
    return Run(found.whole, found.e_corr)


JOBS: dict[str, Callable[[Setup], Run]] = {"pyscf": _pyscf, "psi4": _psi4}
"""Whole jobs of the peers, by name."""


def _timed(name: str, command: list[str], files: dict[str, str], threads: int) -> tuple[float, Any]:
    """Run Python in a folder with these files; its wall time and its output.json."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for file, text in files.items():
            (work / file).write_text(text, encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *command],
            cwd=work, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        if done.returncode:
            lines = (done.stdout + done.stderr).strip().splitlines()[-2:]
            raise PeerError(f"the whole job of {name} failed: {' '.join(lines)}; use --jobs 0")
        return seconds, json.loads((work / "output.json").read_text(encoding="utf-8"))

"""Molecules of the tests, and their converged mean fields, each computed once per test run.

The mean fields are shared between tests. A test that changes one must copy it first.
"""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from dfmp2.molecules.build import build_mole
from dfmp2.molecules.files import read_geometry
from dfmp2.references.frozen import frozen_orbitals
from dfmp2.references.mean_field import read_mean_field
from dfmp2.references.reference import Reference, make_reference
from dfmp2.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ROOT / "inputs"
DATA = ROOT / "tests" / "data"

FORECAST_ERROR = 64
"""Largest error of a memory forecast at any size, MB."""

SMALL = ("water", "ammonia", "methane", "ethylene", "glycine", "benzene", "hydrogen_iodide")
LARGE = ("uracil_dimer_stacked", "caffeine", "water10")
"""Molecules that take more than 20 s each."""

CLUSTERS = ("water4", "water8", "water12", "water16", "water20")
"""Rings of four waters and stacks of them, for tests of scaling with size. Their orbitals are from
a density-fitted SCF, because an exact one would take longer than all other steps together."""


def basis_of(name: str) -> str:
    """The double-zeta basis of an input: cc-pVDZ, or def2-SVP where an element has an ECP."""
    return "def2-svp" if name == "hydrogen_iodide" else "cc-pvdz"


def converge(mol: Any, density_fit: bool = False) -> Any:
    """A tightly converged RHF. A looser one changes correlation energies by more than 1e-9."""
    from pyscf import scf

    mf = scf.RHF(mol)
    if density_fit:
        mf = mf.density_fit()
    mf.verbose, mf.chkfile = 0, None
    mf.conv_tol, mf.conv_tol_grad = 1e-11, 1e-8
    mf.kernel()
    assert mf.converged
    return mf


def molecule(atoms: str, basis: Any = "cc-pvdz", **options: Any) -> Any:
    """A molecule from PySCF's own notation, in Å."""
    from pyscf import gto

    return gto.M(atom=atoms, basis=basis, verbose=0, **options)


@cache
def mean_field(name: str, basis: str | None = None, density_fit: bool = False) -> Any:
    """Mean field of a file in inputs/, by default in its double-zeta basis."""
    geometry = read_geometry(str(INPUTS / f"{name}.xyz"))
    return converge(build_mole(geometry, basis or basis_of(name)), density_fit)


def fitted(name: str = "water", auxbasis: Any = "cc-pvdz-jkfit") -> Any:
    """A mean field fitted with this auxiliary basis. It is a copy, which a test may change."""
    mf = _fitted(name, auxbasis).copy()
    mf.with_df = mf.with_df.copy()
    return mf


@cache
def _fitted(name: str, auxbasis: str) -> Any:
    from pyscf import scf

    mf = scf.RHF(mean_field(name).mol).density_fit(auxbasis=auxbasis)
    mf.verbose, mf.chkfile = 0, None
    return mf.run(conv_tol=1e-10)


def duplicated_auxbasis(symbols: tuple[str, ...]) -> dict[str, Any]:
    """The RI set with some shells twice, which makes the metric exactly linearly dependent."""
    from pyscf import gto

    sets = {s: gto.basis.load("cc-pvdz-ri", s) for s in symbols}
    return {s: [*shells, *shells[-2:]] for s, shells in sets.items()}


def reference_of(mf: Any, frozen: Any = None) -> Reference:
    """The reference that MP2 makes of a mean field."""
    solution = read_mean_field(mf)
    occupied = [spin.occupied for spin in solution.spins]
    return make_reference(solution, frozen_orbitals(mf.mol, frozen, occupied))


def prepared(mf: Any, selection: Any = None, precision: str = "fp64", **options: Any) -> Any:
    """A prepared calculation on a mean field, by default with torch on the CPU."""
    from dfmp2.backends.selection import select
    from dfmp2.results.stages import Precision
    from dfmp2.workflow.prepare import Choice, forecast, prepare

    settings, solution = Settings(**options), read_mean_field(mf)
    choice = Choice(selection or select("pytorch", "cpu"), Precision(precision))
    known = forecast(mf.mol, settings, solution)
    return prepare("test", solution, settings, choice, known)


def planned(name: str, basis: str, **options: Any) -> Any:
    """A command-line job on a file in inputs/, with torch on the CPU."""
    from dfmp2.workflow.jobs import PlannedJob, forecast_job
    from dfmp2.workflow.prepare import choose
    from dfmp2.workflow.reading import read_jobs

    settings = Settings(basis=basis, backend="pytorch", device="cpu", **options)
    (job,) = read_jobs(str(INPUTS / f"{name}.xyz"), settings)
    return PlannedJob.of(job, choose(settings), forecast_job(job))


def timing_orbitals(name: str, basis: str) -> Any:
    """A mean field with loosely converged orbitals, as `dfmp2 bench` uses them."""
    from dfmp2.bench.compare import orbitals
    from dfmp2.references.mean_field import as_mean_field

    return as_mean_field(orbitals(planned(name, basis)))


def built(problem: Any) -> tuple[Any, Any]:
    """B of a prepared calculation, and the `Work` that made it."""
    from dfmp2.backends.recording import RecordingBackend
    from dfmp2.results.provenance import Provenance
    from dfmp2.runfile.checkpoint import Checkpoint
    from dfmp2.tensors.build import build_b
    from dfmp2.tensors.problem import Work

    choice, checkpoint = problem.choice, Checkpoint(None, problem.reference.nocc)
    provenance = Provenance()
    where = choice.selection.backend.where
    checkpoint.begin(provenance, where, choice.precision, problem.settings.accuracy)
    work = Work(RecordingBackend(choice.selection.backend, provenance), checkpoint)
    return build_b(problem, work)[0], work


@cache
def references() -> dict[str, Any]:
    """Stored energies of other programs."""
    content: dict[str, Any] = json.loads((DATA / "references.json").read_text())
    return content


def pyscf_mp2(mf: Any, auxbasis: Any = None, frozen: Any = None) -> Any:
    """PySCF's own DF-MP2, by default with its own choice of the auxiliary basis."""
    from pyscf import df
    from pyscf.mp import dfmp2, dfump2

    if auxbasis is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # advice to install another package
            auxbasis = df.make_auxbasis(mf.mol, mp2fit=True)
    mf = mf.copy()
    mf.with_df = df.DF(mf.mol, auxbasis=auxbasis)
    kind = dfump2.DFUMP2 if mf.mo_coeff[0].ndim == 2 else dfmp2.DFMP2
    reference = kind(mf, frozen=frozen)
    reference.verbose = 0
    reference.kernel(with_t2=False)
    return reference


def rng(seed: int = 7) -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(seed)

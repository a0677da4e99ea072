"""Geometry optimisation of one molecule by geomeTRIC, which continues after a kill.

geomeTRIC starts anew each time, and gets the finished geometries from the journal. It takes the
same path then, up to the geometry at work, whose run file holds what was done of it.

L.-P. Wang, C. Song, J. Chem. Phys. 144, 214108 (2016), doi:10.1063/1.4952956.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import CheckpointError, DFMP2Warning, InputError, NotConvergedError
from dfmp2.foreign_errors import translated
from dfmp2.molecules.plain import element_of
from dfmp2.references.converge import Report
from dfmp2.results.result import Result
from dfmp2.runfile.failures import InUseError
from dfmp2.runfile.opening import SUFFIX, default_path
from dfmp2.tensors.problem import Progress
from dfmp2.workflow.derivatives import gradient_task
from dfmp2.workflow.geometry_journal import GeometryJournal, Point, replace_text
from dfmp2.workflow.jobs import PlannedJob, content_of, forecast_job, run_job

__all__ = [
    "CONVERGENCE",
    "Course",
    "Optimization",
    "Reports",
    "course_of",
    "optimize",
    "require_geometric",
]

CONVERGENCE = ("gau_loose", "gau", "gau_tight", "gau_verytight")
"""Sets of thresholds of geomeTRIC, the names of which come from Gaussian's."""

SAME_PLACE = 1e-6
"""Bohr. A finished geometry is used for coordinates that differ by less. Another BLAS changes the
last digits of the path of an optimiser. The gradient changes by about as much, in hartree/bohr,
and no threshold of `CONVERGENCE` is smaller."""

TRAJECTORY = ".opt.xyz"
JOURNAL = ".opt.journal"


@dataclass(frozen=True)
class Course:
    """How an optimisation is done.

    Attributes
    ----------
    trajectory : Path
        Multi-frame XYZ file.
    method : str or None
        Key of `Result.energies`; None takes the method of `e_corr`.
    convergence : str
        One of `CONVERGENCE`.
    max_steps : int
        Largest number of steps after the first geometry.
    """

    trajectory: Path
    method: str | None
    convergence: str
    max_steps: int

    @property
    def journal(self) -> Path:
        """The file of the finished geometries, beside the trajectory."""
        stem = self.trajectory.name.removesuffix(".xyz").removesuffix(".opt")
        return self.trajectory.with_name(stem + JOURNAL)

    def run_file(self, number: int) -> Path:
        """The run file of a geometry, which is removed when it is finished."""
        stem = self.journal.name.removesuffix(JOURNAL)
        return self.journal.with_name(f"{stem}.opt-{number}{SUFFIX}")


@dataclass(frozen=True)
class Reports:
    """Functions that are called during an optimisation.

    Attributes
    ----------
    progress : Progress
        Steps of the stages of one geometry.
    iterations : Report or None
        Iterations of its SCF.
    geometry : callable
        Called with the number of a finished geometry, from 0, the geometry, and whether it was
        computed now.
    """

    progress: Progress
    iterations: Report | None
    geometry: Callable[[int, Point, bool], None]


@dataclass(frozen=True, eq=False)
class Optimization:
    """The geometries of an optimisation.

    Attributes
    ----------
    points : tuple of Point
        The last one is the final geometry.
    converged : bool
    why : str
        Why it did not converge.
    """

    points: tuple[Point, ...]
    converged: bool
    why: str = ""


def require_geometric() -> None:
    """Check that geomeTRIC is installed.

    Raises
    ------
    InputError
    """
    if importlib.util.find_spec("geometric") is None:
        raise InputError(
            "an optimisation needs geomeTRIC, which is missing; install it with pip install "
            "'dfmp2[optimize]'"
        )


def course_of(
    job: PlannedJob, method: str | None, convergence: str, max_steps: int, target: str | None
) -> Course:
    """The course with the default name of the trajectory: NAME-FINGERPRINT.opt.xyz.

    Parameters
    ----------
    job : PlannedJob
    method, convergence, max_steps
        As of `Course`.
    target : str or None
        Trajectory that the user names.

    Raises
    ------
    InputError
        If the molecule cannot be optimised.
    """
    if job.solution is not None:
        raise InputError(
            f"{job.name}: a chkfile has one geometry and its SCF; give a geometry file to optimise"
        )
    if job.mol.natm < 2:
        raise InputError(f"{job.name}: one atom has no geometry to optimise")
    labels = [job.mol.atom_symbol(i) for i in range(job.mol.natm)]
    if ghosts := [label for label in labels if not element_of(label)[1]]:
        raise InputError(
            f"{job.name}: ghost atoms ({', '.join(ghosts)}) have no place of their own; remove "
            "them to optimise the geometry"
        )
    if target is not None:
        return Course(Path(target), method, convergence, max_steps)
    stem = default_path(job.name[:100], _fields(job, method)).removesuffix(SUFFIX)
    return Course(Path(stem + TRAJECTORY), method, convergence, max_steps)


def _fields(job: PlannedJob, method: str | None) -> dict[str, Any]:
    """What an optimisation belongs to: its first geometry, its settings and its method."""
    return {**content_of(job)["fields"], "method of the gradient": method or "default"}


def optimize(
    job: PlannedJob, course: Course, reports: Reports, restart: bool = False
) -> Optimization:
    """Optimise a geometry, or what is left of it.

    Parameters
    ----------
    job : PlannedJob
        The first geometry.
    course : Course
    reports : Reports
    restart : bool
        Forget the finished geometries.

    Returns
    -------
    Optimization

    Raises
    ------
    CheckpointError
        If the journal belongs to another input, is in use, or cannot be used.
    NotConvergedError
        If the SCF of a geometry does not converge.
    DFMP2Error
        As `run_job`.
    """
    require_geometric()
    with GeometryJournal(course.journal, _fields(job, course.method), restart) as journal:
        points = _Points(job, course, journal, reports)
        with _silent_geometric(), tempfile.TemporaryDirectory(prefix="dfmp2-") as folder:
            why = _run_geometric(points, course, folder)
        points.write_trajectory()
    return Optimization(tuple(points.visited), not why, why)


class _Points:
    """Energies and gradients for an optimiser, from the journal or computed now."""

    def __init__(
        self, job: PlannedJob, course: Course, journal: GeometryJournal, reports: Reports
    ) -> None:
        self.job, self._course, self._journal, self._reports = job, course, journal, reports
        self.visited: list[Point] = []
        self._warned = set(job.known.notes)  # these were printed with the plan

    def at(self, coordinates: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Total energy (hartree) and gradient (hartree/bohr) at coordinates in bohr."""
        number = len(self.visited)
        point, now = self._stored(coordinates), False
        if point is None:
            point, now = self._computed(number, coordinates), True
        self._course.run_file(number).unlink(missing_ok=True)
        self.visited.append(point)
        if now:
            self.write_trajectory()
        self._reports.geometry(number, point, now)
        return point.energy, np.array(point.gradient.de, dtype=np.float64)

    def _stored(self, coordinates: NDArray[np.float64]) -> Point | None:
        """A finished geometry at these coordinates.

        Another version of geomeTRIC, or other thresholds, may take another path, so all are tried.
        """
        near = (p for p in self._journal.points if _near(p.coordinates, coordinates))
        return next(near, None)

    def _computed(self, number: int, coordinates: NDArray[np.float64]) -> Point:
        pending = self._journal.pending
        if pending is not None and _near(pending, coordinates):
            coordinates = pending  # the very numbers that its run file was made for
        else:
            self._journal.start(coordinates)
        with self._new_warnings():
            result = self._result(number, coordinates)
        return self._journal.add(result)

    def _result(self, number: int, coordinates: NDArray[np.float64]) -> Result:
        mol = self.job.mol.set_geom_(coordinates, unit="Bohr", inplace=False)
        path = str(self._course.run_file(number)) if self.job.settings.keep else None
        settings = replace(self.job.settings, checkpoint=path, restart=False)
        job = replace(self.job, mol=mol, settings=settings)
        job = replace(job, known=forecast_job(job, job.choice))
        progress, iterations = self._reports.progress, self._reports.iterations
        task = gradient_task(self._course.method)
        try:
            return run_job(job, progress, iterations, task).result
        except InUseError:
            raise
        except CheckpointError:  # of another geometry, or damaged: it is a file of this work alone
            job = replace(job, settings=replace(settings, restart=True))
            return run_job(job, progress, iterations, task).result

    @contextmanager
    def _new_warnings(self) -> Iterator[None]:
        """Warn once of what is the same at every geometry."""
        caught: list[warnings.WarningMessage] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", DFMP2Warning)
                yield
        finally:
            for w in caught:
                if str(w.message) not in self._warned:
                    self._warned.add(str(w.message))
                    warnings.warn_explicit(w.message, w.category, w.filename, w.lineno)

    def write_trajectory(self) -> None:
        """Replace the trajectory by all geometries so far."""
        path = self._course.trajectory
        with translated(f"{path}: writing the trajectory"):
            replace_text(path, "".join(_frame(n, p) for n, p in enumerate(self.visited)))


def _near(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return one.shape == other.shape and bool(np.abs(one - other).max() < SAME_PLACE)


def _frame(number: int, point: Point) -> str:
    """A geometry in XYZ format, in Å. The names of the comment line carry their units."""
    from pyscf.lib import param

    gradient, mol = point.gradient, point.result.molecule
    comment = (
        f"step={number} energy_hartree={point.energy:.10f} "
        f"largest_gradient_hartree_per_bohr={gradient.largest:.3e} method={gradient.method} "
        f"charge={mol.charge} multiplicity={mol.spin + 1}"
    )
    rows = [
        f"{symbol:<4}" + "".join(f"{x * param.BOHR:20.12f}" for x in xyz)
        for symbol, xyz in zip(mol.symbols, mol.coordinates, strict=True)
    ]
    return "\n".join([str(len(rows)), comment, *rows]) + "\n"


def _run_geometric(points: _Points, course: Course, folder: str) -> str:
    """Let geomeTRIC optimise. Returns why it did not converge, or an empty text."""
    from geometric import errors, internal, molecule, optimize, params
    from geometric.engine import Engine

    start = points.job.mol.atom_coords()
    natm = len(start)

    class Evaluations(Engine):  # type: ignore[misc]
        def calc_new(self, coords: NDArray[np.float64], dirname: str) -> dict[str, Any]:
            energy, gradient = points.at(coords.reshape(natm, 3).copy())
            return {"energy": energy, "gradient": gradient.ravel()}

    atoms = molecule.Molecule()
    atoms.elem = [element_of(points.job.mol.atom_symbol(i))[0] for i in range(natm)]
    atoms.xyzs = [start * optimize.bohr2ang]
    atoms.build_topology()
    engine = Evaluations(atoms)
    chosen = params.OptParams(convergence_set=course.convergence, maxiter=course.max_steps)
    coordinates = internal.DelocalizedInternalCoordinates(
        atoms, build=True, connect=False, addcart=False
    )
    try:
        optimize.Optimize(start.ravel(), atoms, coordinates, engine, folder, chosen)
    except errors.GeomOptNotConvergedError:
        return f"not converged in {course.max_steps} steps"
    except errors.Error as error:
        raise NotConvergedError(
            f"geomeTRIC cannot go on with this geometry ({type(error).__name__}: {error}); check "
            "the last frame of the trajectory"
        ) from error
    return ""


@contextmanager
def _silent_geometric() -> Iterator[None]:
    """Keep what geomeTRIC logs out of stdout, where a program may have sent it."""
    logger = logging.getLogger("geometric")
    before = logger.handlers[:], logger.propagate
    logger.handlers, logger.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before

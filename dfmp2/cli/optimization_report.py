"""The outputs of ``dfmp2 optimize``: lines, table, JSON and figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfmp2.cli.columns import columns
from dfmp2.cli.derivatives_table import fixed
from dfmp2.cli.figure import check_target, save
from dfmp2.cli.output import JsonOutput
from dfmp2.cli.progress import Reporter
from dfmp2.cli.streams import print_line
from dfmp2.cli.table import operations_text, summary
from dfmp2.errors import InputError, NotConvergedError, OutputError
from dfmp2.results.result import OPTIMIZATION
from dfmp2.units import ANGSTROM_PER_BOHR

if TYPE_CHECKING:
    from dfmp2.workflow.geometry_journal import Point
    from dfmp2.workflow.optimization import Course, Optimization

__all__ = ["check_outputs", "print_geometry", "report_optimization"]


def check_outputs(course: Course, plot: str | None, others: Iterable[str | None]) -> None:
    """Check before the first geometry that the outputs can be written and replace no other file.

    Parameters
    ----------
    course : Course
    plot : str or None
        File of the figure.
    others : iterable of str or None
        Other files of the command.

    Raises
    ------
    InputError
    OutputError
    """
    if plot is not None:
        check_target(plot)
    if not course.trajectory.parent.is_dir():
        raise OutputError(
            f"{course.trajectory}: its folder does not exist; make it, or name another file "
            "(--trajectory)"
        )
    for path in (course.trajectory, course.journal):
        if any(path.resolve() == Path(name).resolve() for name in others if name):
            raise InputError(f"{path} is another file of this command; use --trajectory FILE.xyz")
    if course.trajectory.exists() and not course.journal.exists():
        raise InputError(
            f"{course.trajectory} exists without the journal {course.journal}, so it is no "
            "trajectory that could go on; name another file with --trajectory, or move it away"
        )


def print_geometry(name: str, report: Reporter, quiet: bool) -> Callable[[int, Point, bool], None]:
    """A function that prints one line for each finished geometry on stderr."""

    def show(number: int, point: Point, now: bool) -> None:
        origin = "" if now else ", from the journal"
        if not quiet:
            print_line(
                f"{name}: geometry {number}: E = {point.energy:.10f} Eh, largest gradient "
                f"{point.gradient.largest:.2e} Eh/bohr{origin}"
            )
        report.start(f"{name}, geometry {number + 1}")

    return show


def report_optimization(
    found: Optimization, course: Course, output: JsonOutput, plot: str | None, verbose: bool
) -> None:
    """Print the steps and the last result, and write JSON and figure.

    Raises
    ------
    NotConvergedError
        After all outputs, if the optimisation did not converge.
    """
    last = found.points[-1].result
    output.echo(_steps(found, course))
    output.echo(summary(last))
    if verbose:
        output.echo(operations_text(last))
    output.add(_qcschema(found))
    if plot is not None:
        _plot(found, plot)
    if not found.converged:
        raise NotConvergedError(
            f"{last.molecule.name}: the geometry is {found.why}; run the same command with a "
            "larger --max-steps, which goes on from here"
        )


def _steps(found: Optimization, course: Course) -> str:
    last, rows, before = found.points[-1], [], None
    for number, point in enumerate(found.points):
        change = "-" if before is None else f"{point.energy - before:.2e}"
        rows.append((str(number), f"{point.energy:.10f}", change, f"{point.gradient.largest:.2e}"))
        before = point.energy
    head = ("step", f"E({last.gradient.method}) total", "change", "largest gradient")
    state = "converged" if found.converged else found.why
    mol = last.result.molecule
    atoms = [
        (symbol, *(fixed(x * ANGSTROM_PER_BOHR, 8) for x in xyz))
        for symbol, xyz in zip(mol.symbols, mol.coordinates, strict=True)
    ]
    return "\n".join(
        [
            f"{mol.name}: geometry optimisation ({course.convergence}): {state}",
            *columns(head, rows, right=head),
            f"  trajectory  {course.trajectory}",
            f"  journal     {course.journal}",
            "",
            "  last geometry (angstrom)",
            *columns(("", "x", "y", "z"), atoms, right=("x", "y", "z")),
            "",
        ]
    )


def _qcschema(found: Optimization) -> dict[str, Any]:
    """The optimisation as a QCSchema OptimizationResult."""
    trajectory = [point.result.to_qcschema() for point in found.points]
    first, last = trajectory[0], trajectory[-1]
    return {
        "schema_name": OPTIMIZATION,
        "schema_version": 1,
        "initial_molecule": first["molecule"],
        "final_molecule": last["molecule"],
        "input_specification": {
            "schema_name": "qcschema_input",
            "schema_version": 1,
            "driver": "gradient",
            "model": first["model"],
            "keywords": first["keywords"],
        },
        "keywords": {"program": "dfmp2"},
        "trajectory": trajectory,
        "energies": [point.energy for point in found.points],
        "success": found.converged,
        "error": None
        if found.converged
        else {"error_type": "convergence_error", "error_message": found.why},
        "provenance": {**last["provenance"], "routine": "geomeTRIC"},
    }


def _plot(found: Optimization, target: str) -> None:
    """Energy above the last one, and the largest gradient, by step."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    energies = [point.energy for point in found.points]
    lowest = min(energies)
    figure = Figure(figsize=(6, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot([(energy - lowest) * 1000 for energy in energies], "o-")
    above.set_ylabel("energy above the lowest (mEh)")
    above.set_title(found.points[-1].result.molecule.name)
    below.semilogy([point.gradient.largest for point in found.points], "o-")
    below.set_ylabel("largest gradient (Eh/bohr)")
    below.set_xlabel("geometry")
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    save(figure, target)

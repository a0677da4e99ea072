"""The outputs of ``dfmp2 optimize``: lines, table, JSON and figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfmp2.cli.columns import columns
from dfmp2.cli.figure import check_target, save
from dfmp2.cli.output import JsonOutput
from dfmp2.cli.progress import Reporter
from dfmp2.cli.streams import print_line
from dfmp2.cli.table import operations_text, summary
from dfmp2.errors import InputError, NotConvergedError, OutputError
from dfmp2.results.result import Result
from dfmp2.units import ANGSTROM_PER_BOHR

if TYPE_CHECKING:
    from dfmp2.workflow.optimization import Course, Optimization

__all__ = ["check_outputs", "print_geometry", "report_optimization"]


def check_outputs(course: Course, plot: str | None, inputs: Iterable[str]) -> None:
    """Check before the first geometry that the outputs can be written and replace no input.

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
        if any(path.resolve() == Path(name).resolve() for name in inputs if name != "-"):
            raise InputError(f"{path} would be replaced; name another file with --trajectory")


def print_geometry(name: str, report: Reporter, quiet: bool) -> Callable[[int, Result, bool], None]:
    """A function that prints one line for each finished geometry on stderr."""

    def show(number: int, result: Result, now: bool) -> None:
        assert result.gradient is not None
        energy = result.energies[result.gradient.method]["total"]
        origin = "" if now else ", from the journal"
        if not quiet:
            print_line(
                f"{name}: geometry {number}: E = {energy:.10f} Eh, largest gradient "
                f"{result.gradient.largest:.2e} Eh/bohr{origin}"
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
    last = found.results[-1]
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


def _energies(found: Optimization) -> list[float]:
    return [
        result.energies[result.gradient.method]["total"]
        for result in found.results
        if result.gradient is not None
    ]


def _steps(found: Optimization, course: Course) -> str:
    last = found.results[-1]
    assert last.gradient is not None
    energies = _energies(found)
    rows, before = [], None
    for number, (result, energy) in enumerate(zip(found.results, energies, strict=True)):
        assert result.gradient is not None
        change = "-" if before is None else f"{energy - before:.2e}"
        rows.append((str(number), f"{energy:.10f}", change, f"{result.gradient.largest:.2e}"))
        before = energy
    head = ("step", f"E({last.gradient.method}) total", "change", "largest gradient")
    state = "converged" if found.converged else found.why
    mol = last.molecule
    atoms = [
        (symbol, *(f"{x * ANGSTROM_PER_BOHR:.8f}" for x in xyz))
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
    trajectory = [result.to_qcschema() for result in found.results]
    first, last = trajectory[0], trajectory[-1]
    return {
        "schema_name": "qcschema_optimization_output",
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
        "energies": _energies(found),
        "success": found.converged,
        "error": None
        if found.converged
        else {"error_type": "convergence_error", "error_message": found.why},
        "provenance": {**last["provenance"], "routine": "geomeTRIC"},
    }


def _plot(found: Optimization, target: str) -> None:
    """Energy above the last one, and the largest gradient, by step."""
    from matplotlib.figure import Figure

    energies = _energies(found)
    gradients = [r.gradient.largest for r in found.results if r.gradient is not None]
    lowest = min(energies)
    figure = Figure(figsize=(6, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.plot([(energy - lowest) * 1000 for energy in energies], "o-")
    above.set_ylabel("energy above the lowest (mEh)")
    above.set_title(found.results[-1].molecule.name)
    below.semilogy(gradients, "o-")
    below.set_ylabel("largest gradient (Eh/bohr)")
    below.set_xlabel("geometry")
    save(figure, target)

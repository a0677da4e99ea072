"""The gradient and the properties of a result as plain text."""

from __future__ import annotations

from math import hypot

from dfmp2.cli.columns import aligned, columns
from dfmp2.results.properties import GradientRecord, Properties
from dfmp2.results.result import Result

__all__ = ["derivatives_lines", "fixed"]

DEBYE = 2.5417464739
"""Debye in one e bohr (CODATA 2018)."""

PARTIAL = 0.02
"""Occupations that differ from 0 and 2 by more are listed, the usual limit for active spaces."""

NEIGHBOURS = 2
"""Occupations listed beside them on each side."""


def derivatives_lines(result: Result) -> list[str]:
    """Lines of the table; none for a result of energies alone."""
    lines = []
    if result.gradient is not None:
        lines += ["", *_gradient(result.gradient, result.molecule.symbols)]
    if result.properties is not None:
        lines += ["", *_properties(result.properties, result.molecule.charge)]
    return lines


def _gradient(gradient: GradientRecord, symbols: tuple[str, ...]) -> list[str]:
    head = ("atom", "", "dE/dx", "dE/dy", "dE/dz")
    rows = [
        (str(number), symbol, *(fixed(x, 10) for x in row))
        for number, (symbol, row) in enumerate(zip(symbols, gradient.de, strict=True), 1)
    ]
    charges = [
        (str(number), "charge", *(fixed(x, 10) for x in row))
        for number, row in enumerate(gradient.de_mm or (), 1)
    ]
    return [
        f"  gradient of the total energy of {gradient.method} (hartree/bohr)",
        *columns(head, [*rows, *charges], right=head[2:]),
        *aligned([("largest component", f"{gradient.largest:.3e} hartree/bohr")]),
    ]


def _properties(found: Properties, charge: int) -> list[str]:
    x, y, z = found.dipole
    size = hypot(x, y, z)
    about = " (about the origin of the coordinates)" if charge else ""
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = found.quadrupole
    return [
        f"  properties of {found.method}{about}",
        *aligned(
            [
                ("dipole moment, x y z", f"{_row(x, y, z)} e bohr"),
                ("dipole moment, size", f"{size:.6f} e bohr = {size * DEBYE:.5f} debye"),
                ("quadrupole, xx yy zz", f"{_row(xx, yy, zz)} e bohr^2, traceless"),
                ("quadrupole, xy xz yz", f"{_row(xy, xz, yz)} e bohr^2"),
                ("natural occupations", _occupations(found)),
            ]
        ),
    ]


def fixed(value: float, digits: int) -> str:
    """A number without the sign of a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _row(*values: float) -> str:
    return " ".join(fixed(value, 6) for value in values)


def _occupations(found: Properties) -> str:
    """Those that are neither 2 nor 0, with neighbours, and the number of all others."""
    every = found.occupations
    partial = [i for i, n in enumerate(every) if PARTIAL < n < 2 - PARTIAL]
    middle = sum(n > 1 for n in every)
    first, last = (partial[0], partial[-1]) if partial else (middle, middle - 1)
    first, last = max(first - NEIGHBOURS, 0), min(last + NEIGHBOURS, len(every) - 1)
    labels = found.irreps or [""] * len(every)
    shown = [f"{every[i]:.4f} {labels[i]}".rstrip() for i in range(first, last + 1)]
    group = f" ({found.point_group})" if found.irreps else ""
    return f"orbitals {first + 1} to {last + 1} of {len(every)}: {', '.join(shown)}{group}"

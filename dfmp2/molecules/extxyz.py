"""Keys of the extended XYZ format in a comment line: columns and periodicity.

The format is described at https://github.com/libAtoms/extxyz.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dfmp2.errors import InputError
from dfmp2.molecules.atoms import atom_label, atomic_number, number

__all__ = ["Columns", "read_columns", "refuse_periodic"]

_VALUE = r"""\s*=\s*(?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|\S+)"""
_PROPERTIES = re.compile(r"(?<![\w.-])Properties" + _VALUE, re.IGNORECASE)
_PBC = re.compile(
    r"(?<![\w.-])(?:pbc|(?:is_?)?periodic(?:ity)?)[\"']?(?:" + _VALUE.replace("=", "[=:]") + r"|\s+"
    r"(?P<plain>(?:(?:true|false|yes|t|f|[0-9.]+)(?![\w.])[\s,]*){1,3}))",
    re.IGNORECASE,
)
_LATTICE = re.compile(
    r"(?<![\w.-])(?:lattice|(?:unit_?|simulation_?)?cell|box)(?:_(?:parameters|vectors|size|lengths))?"
    + _VALUE,
    re.IGNORECASE,
)
_NOT_PERIODIC = ("f", "false", "0", "0.0", "no", "none", "off")
SYMBOLS, POSITIONS = ("species", "symbols", "element", "elements"), ("pos", "positions")
NUMBERS = ("z", "numbers", "atomic_numbers")
SUMMED = {
    "charge": ("initial_charges", "charge", "charges"),
    "spin": ("magmoms", "initial_magmoms"),
}
"""Columns whose sum is a charge or a number of unpaired electrons."""
GHOSTS = {
    **dict.fromkeys(("ghost", "ghosts", "is_ghost", "bq", "dummy"), ("t", "true", "1")),
    **dict.fromkeys(("real", "is_real"), ("f", "false", "0")),
}
"""Columns that say which atoms are ghost atoms, and the values of those."""
FIXED = ("move_mask", "fixed", "fix", "constraint", "constraints", "freeze", "frozen")


@dataclass(frozen=True)
class Columns:
    """Where the columns stand that ``Properties=`` names.

    Attributes
    ----------
    symbol, position, width : int
        Indices of the symbol and of x; number of all columns.
    atomic_number : int or None
        Index of the atomic number, if it stands beside the symbol.
    ghosts : tuple of (str, int)
        Name and index of columns that say which atoms are ghost atoms.
    summed : dict of str to (str, int)
        Name and index of a column by "charge" or "spin".
    fixed : tuple of str
        Names of columns that fix atoms.
    """

    symbol: int
    position: int
    width: int
    atomic_number: int | None
    ghosts: tuple[tuple[str, int], ...]
    summed: dict[str, tuple[str, int]]
    fixed: tuple[str, ...]

    def row(self, fields: list[str], where: str) -> list[str]:
        """Symbol, x, y and z of an atom line.

        Raises
        ------
        InputError
            If the line has not as many columns as the header names, if its symbol and its atomic
            number differ, or if a column says that the atom is a ghost atom but its label does not.
        """
        if len(fields) != self.width:
            raise InputError(
                f"{where}: Properties= in line 2 names {self.width} columns, but this line has "
                f"{len(fields)}"
            )
        symbol = fields[self.symbol]
        label = atom_label(symbol, where)
        ghost = label.startswith("Ghost-")
        z = None if self.atomic_number is None else fields[self.atomic_number]
        if z is not None and number(z) not in (atomic_number(label), *([0] if ghost else [])):
            raise InputError(
                f"{where}: the atom {symbol!r} has the atomic number {z!r}; correct one of them"
            )
        for name, index in self.ghosts:
            if fields[index].lower() in GHOSTS[name.lower()] and not ghost:
                raise InputError(
                    f"{where}: the column {name} makes {symbol!r} a ghost atom, which is not read; "
                    f"write Ghost-{label}"
                )
        return [symbol, *fields[self.position : self.position + 3]]

    def remarks(self, rows: list[list[str]], known: dict[str, int | None]) -> list[str]:
        """Remarks on columns that fix atoms, or sum to a charge or spin that is not stated."""
        remarks = [
            f"the column {name} fixes atoms, which has no effect on an energy"
            for name in self.fixed
        ]
        for quantity, (name, column) in self.summed.items():
            total = sum(number(fields[column]) or 0.0 for fields in rows)
            if known[quantity] is None and abs(total) > 0.5:
                remarks.append(
                    f"the column {name} sums to {total:.2f}, but the file states no {quantity} "
                    f"(give --{quantity})"
                )
        return remarks


def read_columns(comment: str, where: str) -> Columns | None:
    """The columns that ``Properties=`` names; None without this key.

    Parameters
    ----------
    comment : str
    where : str
        File and line, for error messages.

    Raises
    ------
    InputError
        If the value has another form, or names no symbols or no positions.
    """
    match = _PROPERTIES.search(comment)
    if match is None:
        return None
    parts = match["value"].strip("\"'").split(":")
    triples = [parts[k : k + 3] for k in range(0, len(parts), 3)]
    at: dict[str, int] = {}
    width = 0
    for triple in triples:
        if len(triple) != 3 or not re.fullmatch("[1-9][0-9]{0,2}", triple[2]):
            raise InputError(
                f"{where}: {match[0][:60]!r} is not understood; write for example "
                "Properties=species:S:1:pos:R:3"
            )
        name = triple[0].lower()
        if name in at or (name in POSITIONS and triple[2] != "3"):
            raise InputError(
                f"{where}: the column {triple[0]!r} is named twice or has a wrong size"
            )
        at[name] = width
        width += int(triple[2])
    symbols = [at[name] for name in (*SYMBOLS, *NUMBERS) if name in at]
    z = next((at[name] for name in NUMBERS if name in at), None)
    ghosts = tuple((name, at[name]) for name in GHOSTS if name in at)
    position = next((at[name] for name in POSITIONS if name in at), None)
    if not symbols or position is None:
        raise InputError(
            f"{where}: {match[0][:60]!r} names no column of symbols (species) or of positions (pos)"
        )
    summed = {
        quantity: (name, at[name])
        for quantity, names in SUMMED.items()
        for name in names
        if name in at
    }
    fixed = tuple(name for name in FIXED if name in at)
    beside = None if z == symbols[0] else z
    return Columns(symbols[0], position, width, beside, ghosts, summed, fixed)


def refuse_periodic(comment: str, where: str) -> bool:
    """Raise an error if the comment line states a periodic system.

    A lattice without ``pbc`` is periodic by the definition of the format.

    Returns
    -------
    bool
        Whether the line says that the system is not periodic.

    Raises
    ------
    InputError
    """
    pbc, lattice = _PBC.search(comment), _LATTICE.search(comment)
    if pbc is not None:
        flags = re.findall(r"[A-Za-z0-9.]+", pbc["value"] or pbc["plain"] or "")
        if all(flag.lower() in _NOT_PERIODIC for flag in flags):
            return True
    elif lattice is None or len(re.findall(r"[0-9]+", lattice["value"])) < 3:
        return False
    found = (pbc or lattice)[0].strip()  # type: ignore[index]
    raise InputError(
        f"{where}: {found[:40]!r} states a periodic system, but dfmp2 computes molecules; if it is "
        'a molecule in a box, write pbc="F F F" there'
    )

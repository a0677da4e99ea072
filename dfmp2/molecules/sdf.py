"""Read MOL and SDF files of version V2000 (CTfile formats, BIOVIA 2020, chapters 4 and 12)."""

from __future__ import annotations

import re

from dfmp2.errors import InputError
from dfmp2.molecules.atoms import capitals, check_positions, read_rows
from dfmp2.molecules.comment import read_comment, read_unit, whole_number
from dfmp2.molecules.extxyz import refuse_periodic
from dfmp2.molecules.geometry import Atoms, Geometry, Stated
from dfmp2.molecules.surroundings import find_surroundings
from dfmp2.molecules.xyz import lines_of

__all__ = ["parse_sdf"]

_FIXED = re.compile(r"(.{10})(.{10})(.{10}) (.{3})(.{2})?(.{3})?")
_CHARGE_CODES = {0: 0, 1: 3, 2: 2, 3: 1, 4: 0, 5: -1, 6: -2, 7: -3}
_DOUBLET_CODE = 4
_UNPAIRED = {0: 0, 1: 0, 2: 1, 3: 2}
"""Unpaired electrons by the value of ``M  RAD``: none, singlet, doublet, triplet."""
_ITEM = re.compile(r">.*<(?P<name>[^>]*)>")
_PROPERTY = re.compile(r"\s*m\s+(chg|rad)\b", re.IGNORECASE)
_HARMLESS = re.compile(
    r"\s*$|M  (?:END|ISO|S..|ALS|APO|LIN|SUB|RBC|UNS|AAL|LOG)|[AVG]  |(?:\s*[0-9]+){3,7}\s*$"
)
"""Lines of the property block that change neither charge nor spin, and bonds."""
_STATES = re.compile("charge|mult|spin", re.IGNORECASE)
_CARBON_VALENCE = 4


def parse_sdf(text: str, source: str) -> Geometry:
    """Read one molecule of a MOL or SDF file.

    Parameters
    ----------
    text : str
        The charge is the sum of ``M  CHG``, or of the charges in the atom lines. ``M  RAD`` gives
        unpaired electrons. Data items such as ``> <total charge>`` are compared with them.
    source : str
        Name of the file, for error messages.

    Returns
    -------
    Geometry

    Raises
    ------
    InputError
        If the file has another form, is of version V3000, or has several molecules.
    """
    lines = lines_of(text)
    counts = lines[3] if len(lines) > 3 else ""
    if "V3000" in counts:
        raise InputError(
            f"{source}:4: is of version V3000, which is not read; convert it to V2000 or XYZ"
        )
    natm, nbond = _count(counts[0:3]), _count(counts[3:6])
    if natm is None or nbond is None:  # not in fixed columns
        free = [_count(part) for part in counts.split()[:2]]
        natm, nbond = free if len(free) == 2 else (None, None)
    if not natm or nbond is None or natm < 0 or nbond < 0:
        raise InputError(
            f"{source}:4: expected the numbers of atoms and bonds of a MOL file, found "
            f"{counts.strip()[:40]!r}"
        )
    rows = [(k + 5, _atom_fields(line)) for k, line in enumerate(lines[4 : 4 + natm])]
    if len(rows) < natm or not all(fields for _, fields in rows):
        raise InputError(f"{source}:4: {natm} atoms announced, but fewer atom lines follow")
    block, items = _rest(lines, 4 + natm + nbond, source)
    atoms = read_rows([(line, fields[:4]) for line, fields in rows], source)
    check_positions(atoms, source, [line for line, _ in rows])
    stated = _stated([fields for _, fields in rows], block, source)
    items = {"title": (1, lines[0]), "comment line": (3, lines[2]), **items}
    stated = _with_items(stated, items, source)
    stated = stated.with_remarks(_units({"second line": (2, lines[1]), **items}, source))
    stated = stated.with_remarks(
        f"line {k}, {text.strip()[:40]!r}, is not read (give --charge if it states a charge)"
        for k, text in block
        if not (_HARMLESS.match(text) or text.startswith(("M  CHG", "M  RAD")))
    )
    bonds = lines[4 + natm : 4 + natm + nbond]
    remarks = (
        *_drawing(_dimension(lines[1]), atoms, bonds),
        *capitals(fields[0] for _, fields in rows),
    )
    return Geometry(atoms, lines[0].strip(), stated.with_remarks(remarks))


def _count(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text.strip()) else None


def _atom_fields(line: str) -> list[str]:
    """Symbol, x, y, z, and the charge code, if there is one."""
    match = _FIXED.match(line)
    if match and all(re.fullmatch(r"\s*-?[0-9]+\.[0-9]{4}", match[k]) for k in (1, 2, 3)):
        found = [match[4], match[1], match[2], match[3], match[6] or ""]
        return [field.strip() for field in found]
    fields = line.split()
    return [*fields[3:4], *fields[:3], *fields[5:6]]


def _rest(
    lines: list[str], start: int, source: str
) -> tuple[list[tuple[int, str]], dict[str, tuple[int, str]]]:
    """Property lines up to ``M  END``, and data items, each with its line."""
    block: list[tuple[int, str]] = []
    items: dict[str, tuple[int, str]] = {}
    name, ended, closed = "", False, False
    for k, line in enumerate(lines[start:], start + 1):
        if closed and line.strip():
            raise InputError(f"{source}:{k}: a second molecule starts here; split the file")
        if line.startswith("$$$$"):
            closed = True
        elif not ended:
            block.append((k, line))
            ended = line.startswith("M  END")
        elif item := _ITEM.match(line):
            name = item["name"]
        elif not name and _PROPERTY.match(line):
            raise InputError(
                f"{source}:{k}: {line.strip()!r} stands after M  END, where it is not read; move it"
            )
        elif name and line.strip():
            items.setdefault(name, (k, line.strip()))
    return block, items


def _stated(rows: list[list[str]], block: list[tuple[int, str]], source: str) -> Stated:
    listed: dict[str, int] = {}
    named: dict[str, list[int]] = {"M  CHG": [], "M  RAD": []}
    for line, text in block:
        kind = text[:6]
        if kind not in ("M  CHG", "M  RAD"):
            if _PROPERTY.match(text):  # other blanks or letters
                raise InputError(
                    f"{source}:{line}: {text.strip()!r} has another form than 'M  CHG' and 'M  RAD'"
                )
            continue
        numbers = [whole_number(field) for field in text[6:].split()]
        values = [value for value in numbers if value is not None]
        if len(values) < len(numbers) or not values or len(values) != 1 + 2 * values[0]:
            raise InputError(f"{source}:{line}: {text.strip()!r} has another form than {kind}")
        if not all(1 <= atom <= len(rows) for atom in values[1::2]):
            raise InputError(f"{source}:{line}: {text.strip()!r} names an atom that does not exist")
        named[kind] += values[1::2]
        if len(set(named[kind])) < len(named[kind]):
            raise InputError(f"{source}:{line}: {text.strip()!r} names an atom a second time")
        amounts = values[2::2]
        if kind == "M  RAD" and not set(amounts) <= set(_UNPAIRED):
            raise InputError(f"{source}:{line}: {text.strip()!r} has a radical other than 1, 2, 3")
        counted = amounts if kind == "M  CHG" else [_UNPAIRED[amount] for amount in amounts]
        listed[kind] = listed.get(kind, 0) + sum(counted)
    if listed:  # these lines supersede the charges in the atom lines
        charge, origin = listed.get("M  CHG"), "M  CHG"
        spin, spin_origin = listed.get("M  RAD"), "M  RAD"
        charge = 0 if charge is None else charge
    else:
        codes = [whole_number(fields[4]) if len(fields) > 4 and fields[4] else 0 for fields in rows]
        for k, code in enumerate(codes, 5):
            if code not in _CHARGE_CODES:
                raise InputError(f"{source}:{k}: the charge of the atom is no code from 0 to 7")
        charge = sum(_CHARGE_CODES[code or 0] for code in codes)
        spin = codes.count(_DOUBLET_CODE) or None
        origin = spin_origin = "atom lines"
        if not any(codes):
            return Stated()
    return Stated(
        charge=charge,
        spin=spin,
        charge_from=origin,
        spin_from=spin_origin if spin is not None else "",
    )


def _with_items(stated: Stated, items: dict[str, tuple[int, str]], source: str) -> Stated:
    """Compare text that states a charge or a multiplicity with the molecule's.

    Surroundings that the title, the comment line or a data item names become remarks.
    """
    for name, (line, value) in items.items():
        place, text = name, value
        if name not in ("title", "comment line"):
            key = re.sub(r"^pubchem[ _]", "", name.strip(), flags=re.IGNORECASE)
            place, text = "data item", f"{key}={value}" if _STATES.search(key) else ""
            value = f"{key}='{value}'"
        isolated = refuse_periodic(value, f"{source}:{line}")
        stated = stated.with_remarks(find_surroundings(value, isolated)[1])
        if not _STATES.search(text):
            continue
        item = read_comment(text, f"{source}:{line}", place=place)
        for doubt in item.doubts:
            if "unit" not in doubt.options:
                raise InputError(doubt.message)
        for quantity in ("charge", "spin"):
            new, old = getattr(item, quantity), getattr(stated, quantity)
            if new is None:
                continue
            if old not in (None, new):
                raise InputError(
                    f"{source}:{line}: {name!r} gives {quantity} {new}, but "
                    f"{getattr(stated, quantity + '_from')} gives {old}; correct the file"
                )
            if old is None:
                origin = getattr(item, f"{quantity}_from")
                changes = {quantity: new, f"{quantity}_from": origin}
                stated = Stated(**{**vars(stated), **changes})
    return stated


def _units(items: dict[str, tuple[int, str]], source: str) -> list[str]:
    """Remarks on words that could name another unit than Å. One that is stated is refused."""
    remarks = []
    for name, (line, value) in items.items():
        free = name in ("title", "second line", "comment line")
        text = value if free else f"{name}={value}"
        if not free and "unit" not in name.lower():
            continue
        unit, doubt = read_unit(text, f"{source}:{line}")
        if unit == "bohr":
            raise InputError(
                f"{source}:{line}: {value[:40]!r} states bohr, but coordinates of this format are "
                "in Å; convert them, or write an .xyz file"
            )
        if doubt:
            remarks.append(f"{value.strip()[:40]!r} is not read: the coordinates are taken as Å")
    return remarks


def _dimension(line: str) -> str:
    """The code 2D or 3D of the second line, in its columns or as a word; else an empty text."""
    if line[20:22] in ("2D", "3D"):
        return line[20:22]
    word = re.search(r"(?<!\w)[23]D(?!\w)", line)
    return word[0] if word else ""


def _drawing(dimension: str, atoms: Atoms, bonds: list[str]) -> list[str]:
    """Remarks if the file is a drawing, or leaves hydrogen atoms out."""
    remarks = []
    flat = all(xyz[2] == 0 for _, xyz in atoms)
    if dimension == "2D" or (flat and dimension != "3D" and len(atoms) > 3):
        remarks.append("the file is a 2D drawing; its coordinates are no molecular geometry")
    orders = [0.0] * len(atoms)
    for bond in bonds:
        fields = [_count(bond[0:3]), _count(bond[3:6]), _count(bond[6:9])]
        first, second, kind = (field or 0 for field in fields)
        for atom in (first, second):
            if 1 <= atom <= len(atoms):
                orders[atom - 1] += 1.5 if kind == 4 else kind
    free = [
        k
        for k, ((label, _), order) in enumerate(zip(atoms, orders, strict=True))
        if label == "C" and order < _CARBON_VALENCE - 1
    ]
    if free and all(label != "H" for label, _ in atoms):
        remarks.append(
            f"no hydrogen atoms, although {len(free)} carbon atoms have free valences; add the "
            "hydrogen atoms"
        )
    return remarks

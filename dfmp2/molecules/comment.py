"""What a comment line states about charge, multiplicity and unit of length.

Data sets and programs have no common form for this. What has one meaning is read. What could mean
two things becomes a `Doubt`, which is an error unless an option decides it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from dfmp2.errors import InputError
from dfmp2.molecules.atoms import number
from dfmp2.molecules.extxyz import refuse_periodic
from dfmp2.molecules.geometry import Doubt, Stated
from dfmp2.molecules.hints import find_hints, find_pairs
from dfmp2.molecules.surroundings import find_surroundings

__all__ = ["read_comment", "read_unit", "whole_number"]

LONGEST = 100_000
"""Characters. A longer line is no comment; the patterns below would take seconds on it."""

LARGEST_STATE = 20
"""A larger charge or multiplicity at the start of a title is a year or a count, not a state."""

_VALUE = r"""(?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|[^\s,;|)}\]]*)"""
_ASSIGN = r"""["']?[ \t]*[=:][ \t]*""" + _VALUE
_START = r"(?<![\w.+/-])"

# Names of the three quantities. A name must match as a whole word: charge_a is another key.
_STATED = re.compile(
    _START
    + r"""(?:
    (?P<other>(?:point|partial|atomic|nuclear|core|mulliken|effective)[ _-]+(?:charge|spin)
        | n_?elec(?:trons?)?)
    | (?P<unclear>total[ _-]?spin | spin[ _-]?state | (?:q|s|sz|s_z|ms|m_s|uhf)(?=["']?[ \t]*[=:]))
    | (?P<charge>(?:(?:total|tot|net|overall|molecular|mol|system)[ _-]*)?charge | chrg | chg)
    | (?P<multiplicity>(?:(?:spin|molecular|mol|electronic)[ _-]*)?
        (?:multiplicity|multip|multi|mult) | 2S\+1)
    | (?P<spin>spin | n?_?unpaired(?:[ _-]?electrons)? | nopen | 2S)
    )(?:"""
    + _ASSIGN
    + r"""|[ \t]+(?P<plain>[+-]?[0-9]+(?:\.0*)?)(?=$|[\s,;)]))""",
    re.IGNORECASE | re.VERBOSE,
)
_BOTH = re.compile(
    r"\bcharge(?:\s*[/,&_]\s*|\s+and\s+|\s+)(?:spin[ _-]*)?mult(?:iplicity)?\b\s*[:=]?\s*"
    r"""["']?(?P<charge>[+-]?[0-9]+)[\s,/]+(?P<multiplicity>[0-9]+)(?![\w.])""",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"\b(?:charge|multiplicity|mult|spin(?!\s+mult))(?:\s*[/,&|]\s*|\s+and\s+|\s+)(?:spin[ _-]*)?"
    r"(?:charge|multiplicity|mult|spin)\b\W*[=:]?\s*[\"']?[+-]?[0-9]+",
    re.IGNORECASE,
)
_SECOND_VALUE = re.compile(r"\s*[,/ ]\s*[+-]?[0-9]+(?![\w.])")
_QUOTED = re.compile(r"""(?<![\w.-])(?P<key>[\w.-]+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_PROPERTIES = re.compile(r"""\bProperties\s*=\s*(?:"[^"]*"|'[^']*'|\S+)""", re.IGNORECASE)
_UNREAD = re.compile(
    r"(?<![\w.-])[\w.-]{0,40}(?P<kind>charge|spin|mult)[\w.-]{0,40}\s*=\s*[\"']?(?P<value>[^\s\"',;]+)",
    re.IGNORECASE,
)
_ANOTHER = re.compile(r"(?:^|_)(?:state|real|true|actual|final|ionic|formal|target)(?:_|\b)", re.I)
"""Parts of keys that give the value of the molecule again. Others are those of atoms or parts."""
_MENTION = re.compile(r"\b(?P<kind>charged?|multiplicity|spin)\b(?!-)", re.IGNORECASE)
_INTEGER = re.compile(r"(?<![\w.])(?!0+\b)[+-]?[0-9]+(?![\w.])")
_ION = re.compile(
    r"\(\s*(?:[1-9]?[+-]|[+-][1-9])\s*\)"  # (1+), (-2)
    r"|(?<!\*)\^\{?[1-9]?[+-](?![\w.])|(?<!\S)\[[A-Za-z0-9()]+\][1-9]?[+-](?!\w)"  # H2O^+, [OH2]2+
    r"|(?<!\S)[1-9][+-](?!\S)|(?<!\S)(?:[A-Z][a-z]?[0-9]*){1,12}[+-](?=$|[\s,;)])"  # 2+, H3O+
)
_TWO = re.compile(r"\s*(?P<charge>[+-]?[0-9]+)(?:\s*,\s*|\s+)(?P<mult>[+-]?[0-9]+)(?P<rest>.*)")

_UNIT = (
    r"(?P<unit>bohrs?|a\.\s?u\.?|au|a_?0|a₀|atomic[ _]units?|[åÅ]ngstr[oö]ms?|angstroms?|ang|å|"
    r"[pn]m|(?:pico|nano)met(?:er|re)s?)"
)
_UNIT_KEY = re.compile(
    _START
    + r"(?P<other>(?:energy|energies|forces?|dipole|gradients?|hessian|frequency)[ _-]+)?"
    + r"(?:(?:length|coordinates?|coords?|positions?|distance)[ _-]*)?units?"
    + _ASSIGN,
    re.IGNORECASE,
)
_UNIT_IN = re.compile(
    r"\b(?:coordinates|coords|geometry|positions|xyz|lengths|distances)(?:\s*[\[(/]\s*|\s+"
    r"(?:are\s+)?(?:given\s+)?in\s+(?:units?\s+of\s+)?)" + _UNIT + r"(?!\w)",
    re.IGNORECASE,
)
_UNIT_ALONE = re.compile(r"[\s(\[]*(?:units?\s*[:=]?\s*|in\s+)?" + _UNIT + r"[\s)\].]*", re.I)
_UNIT_WORD = re.compile(
    r"(?<![\w.])(?:a\.\s?u\.?|au|a_0|(?<=[(\[])a0(?=[)\]])|atomic[ _]units?|units? b(?=\W*$))(?!\w)"
    r"|\w*bo(?:hr|rh)\w*"  # also in other words, such as use_bohr, and misspelt
    r"|(?:not|non)[ -]angstroms?|angstroms?[\"']?\s*[=:]\s*[\"']?(?:false|no|off|f|0)(?![\w.])"
    r"|(?<![\w.])(?:0\.5291[78][0-9]*|0\.5292|1\.8897[0-9]*)(?![\w.])",  # bohr in Å, Å in bohr
    re.IGNORECASE,
)
_ENERGY_UNITS = ("hartree", "hartrees", "eh", "ev", "kcal/mol", "kj/mol", "debye", "cm-1", "k")


@dataclass
class _Found:
    """Values by quantity, each with the text that states it."""

    where: str
    values: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    doubts: list[Doubt] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, quantity: str, text: str, value: str) -> None:
        found = whole_number(value.strip("\"' "))
        if found is None:
            raise InputError(
                f"{self.where}: {quantity} must be an integer, found {value[:40]!r}; correct the "
                "line"
            )
        if quantity == "multiplicity":
            if found < 1:
                raise InputError(
                    f"{self.where}: multiplicity {found} in {text!r} is impossible, the least is "
                    "1; correct the line"
                )
            quantity, found = "spin", found - 1
        self.values.setdefault(quantity, []).append((found, text))

    def doubt(self, text: str, could: str, option: str) -> None:
        if option not in self.values:
            self.doubts.append(
                Doubt(
                    (option,),
                    f"{self.where}: {text.strip()[:40]!r} {could}; give --{option}, or write "
                    f"{'charge' if option == 'charge' else 'multiplicity'}=… there",
                )
            )

    def one(self, quantity: str) -> tuple[int | None, str]:
        stated = self.values.get(quantity, [])
        for value, text in stated[1:]:
            if value != stated[0][0]:
                raise InputError(
                    f"{self.where}: {stated[0][1]!r} and {text!r} contradict each other (spin is "
                    "the number of unpaired electrons, multiplicity is one more); correct the line"
                )
        return stated[0] if stated else (None, "")


def whole_number(text: str) -> int | None:
    """An integer, also in the form ``-1.0``; None for any other text."""
    value = number(text)
    if value is None or abs(value) > 1e6 or value != int(value):
        return None
    return int(value)


def read_comment(comment: str, where: str, place: str = "comment line", head: str = "") -> Stated:
    """Read what a comment line states.

    Parameters
    ----------
    comment : str
    where : str
        File and line, for error messages.
    place : str
        Name of the line, for the printed origin of a value.
    head : str
        Unit in the line above it. Such a file has the form of Psi4, whose second line begins with
        charge and multiplicity.

    Returns
    -------
    Stated

    Raises
    ------
    InputError
        If a value is impossible, two values contradict each other, the line is too long, or it
        states a periodic system.
    """
    if len(comment) > LONGEST:
        raise InputError(
            f"{where}: the {place} has {len(comment)} characters, and at most {LONGEST} are read; "
            "shorten it"
        )
    isolated = refuse_periodic(comment, where)
    found = _Found(where)
    text = re.sub(r"(?<=\d)\N{MINUS SIGN}|\N{MINUS SIGN}(?=\d)", "-", comment)
    text = unicodedata.normalize("NFKC", _PROPERTIES.sub(" ", text))
    text, pair = find_pairs(text)
    if pair is not None:
        found.doubts.append(_pair_doubt(pair, "could state charge and multiplicity", where))
    _bare_pair(text, found, bool(head))
    rest, remarks = find_surroundings(text, isolated)
    found.remarks += remarks
    rest = _statements(rest, found)
    _leftovers(rest, found)
    charge, charge_text = found.one("charge")
    spin, spin_text = found.one("spin")
    return Stated(
        charge=charge,
        spin=spin,
        charge_from=f"{place}: {charge_text}" if charge_text else "",
        spin_from=f"{place}: {spin_text}" if spin_text else "",
        unit=_unit(text, found, head),
        doubts=tuple(found.doubts),
        remarks=tuple(found.remarks),
    )


def _bare_pair(text: str, found: _Found, psi4: bool) -> None:
    """Two integers at the start of a line: charge and multiplicity in most programs."""
    text = re.sub(r"^\s*[(\[](.*)[)\]]\s*$", r"\1", text.lstrip("#! "))
    match = _TWO.fullmatch(text)
    if match is None or (match["rest"] and not match["rest"][0].isspace()):
        if (alone := whole_number(text.strip())) and re.fullmatch(r"\s*[+-]?[0-9]+\s*", text):
            found.remarks.append(
                f"the comment line is the number {alone}, which is not read as a charge (give "
                "--charge if it is one)"
            )
        return
    charge, mult = whole_number(match["charge"]), whole_number(match["mult"])
    if charge is None or mult is None:
        raise InputError(f"{found.where}: {text.strip()[:40]!r} has a number out of range")
    if mult >= 1 and (psi4 or not match["rest"].strip()):
        stated = f"{match['charge']} {match['mult']}"
        found.add("charge", stated, match["charge"])
        found.add("multiplicity", stated, match["mult"])
    elif abs(charge) <= LARGEST_STATE and 0 <= mult <= LARGEST_STATE:
        could = f"could state charge {charge} and multiplicity {mult}, or be a title"
        if mult == 0:
            could = "could state charge and spin, or be a title (a multiplicity is at least 1)"
        found.doubts.append(_pair_doubt(text, could, found.where))


def _pair_doubt(text: str, what: str, where: str) -> Doubt:
    return Doubt(
        ("charge", "spin"),
        f"{where}: {text.strip()[:40]!r} {what}; give --charge and --spin, or write charge=… and "
        "multiplicity=… there",
    )


def _statements(text: str, found: _Found) -> str:
    """Read all ``name=value``. What is left of the text is returned."""

    def both(match: re.Match[str]) -> str:
        for quantity in ("charge", "multiplicity"):
            found.add(quantity, match[0].strip(), match[quantity])
        return " "

    def joined(match: re.Match[str]) -> str:
        found.doubts.append(_pair_doubt(match[0], "names two quantities in one", found.where))
        return " "

    def one(match: re.Match[str]) -> str:
        value = match["plain"] or match["value"] or ""
        if _SECOND_VALUE.match(match.string, match.end()):
            found.doubts.append(_pair_doubt(match[0], "is followed by a number", found.where))
        quantity = next(
            (q for q in ("charge", "multiplicity", "spin") if match[q] is not None), None
        )
        if quantity is not None:
            found.add(quantity, match[0].strip().rstrip(",;"), value)
        else:
            unclear.append((match[0].strip(), value.strip("\"' "), bool(match["other"])))
        return " "

    unclear: list[tuple[str, str, bool]] = []
    rest = _STATED.sub(one, _JOINED.sub(joined, _BOTH.sub(both, text)))
    for statement, value, other in unclear:
        amount = number(value)
        if not amount or (2 * amount) % 1:
            continue  # no possible charge, spin or multiplicity, or none that differs from 0
        if other:
            found.remarks.append(f"{statement!r} in the comment line is not read")
        elif statement.lower().startswith("q"):
            if amount == int(amount):
                found.doubt(statement, "could state the charge", "charge")
        else:
            found.doubt(statement, "could be S, 2S or the multiplicity 2S+1", "spin")
    return rest


def _leftovers(rest: str, found: _Found) -> None:
    """Doubts and remarks about what mentions a charge or a spin, but is not read."""
    kinds = {"charge": "charge", "charged": "charge"}
    for unread in _UNREAD.finditer(rest):
        quantity = kinds.get(unread["kind"].lower(), "spin")
        value, known = whole_number(unread["value"]), found.values.get(quantity)
        if value and (known is None or (value != known[0][0] and _ANOTHER.search(unread[0]))):
            found.remarks.append(f"{unread[0]!r} in the comment line is not read")
    rest = _QUOTED.sub(" ", _UNREAD.sub(" ", rest))
    last = max((match.start() for match in _INTEGER.finditer(rest)), default=0)
    mentions = {
        kinds.get(mention["kind"].lower(), "spin"): mention.start()
        for mention in _MENTION.finditer(rest)
        if mention.start() < last
    }
    for quantity, start in mentions.items():
        found.doubt(rest[start:], f"could state the {quantity}", quantity)
    if "charge" not in found.values and (ion := _ION.search(rest)):
        found.remarks.append(
            f"the comment line says {ion[0].strip()!r}, which is not read as a charge (give "
            "--charge if it is one)"
        )
    for quantity, word in find_hints(rest):
        if quantity not in found.values:
            found.remarks.append(
                f"the comment line says {word!r}, but states no {quantity} as a number (give "
                f"--{quantity})"
            )


def read_unit(text: str, where: str) -> tuple[str | None, bool]:
    """The unit of length that a text states, and whether it could state one in another way.

    Raises
    ------
    InputError
        As `read_comment`.
    """
    found = _Found(where)
    unit = _unit(unicodedata.normalize("NFKC", text), found, "")
    return unit, bool(found.doubts)


def _unit(text: str, found: _Found, head: str) -> str | None:
    """The unit of length that the line states."""
    units: list[str] = [_unit_name(head, found.where)] if head else []
    rest = text
    for match in _UNIT_KEY.finditer(text):
        value = match["value"].strip("\"' ").lower()
        rest = rest.replace(match[0], " ")
        if match["other"] or value in _ENERGY_UNITS:
            continue
        if not re.fullmatch(_UNIT + "|atomic", value, re.IGNORECASE):
            raise InputError(
                f"{found.where}: the unit in {match[0]!r} is not read; convert the coordinates to "
                "Å or bohr"
            )
        units.append(_unit_name(value, found.where))
    if named := _UNIT_ALONE.fullmatch(text) or _UNIT_IN.search(rest):
        units.append(_unit_name(named["unit"], found.where))
    if len(set(units)) > 1:
        raise InputError(f"{found.where}: states both Å and bohr; correct the line")
    if not units:
        found.doubts += _bare_units(rest, found.where)
    return units[0] if units else None


def _bare_units(text: str, where: str) -> Iterable[Doubt]:
    for match in _UNIT_WORD.finditer(text):
        before = text[max(0, match.start() - 9) : match.start()].rstrip(" (")
        of_a_number = bool(re.search(r"[0-9]\.?$", before))
        if match[0] == "Au" or (of_a_number and not match[0].lower().startswith("bohr")):
            continue  # gold; the unit of an energy or of a dipole moment
        yield Doubt(
            ("unit",),
            f"{where}: {match[0]!r} could be the unit of the coordinates; give --unit bohr or "
            "--unit angstrom",
        )


def _unit_name(text: str, where: str) -> str:
    if re.fullmatch(r"[pn]m|(?:pico|nano).*", text, re.IGNORECASE):
        raise InputError(f"{where}: the unit {text!r} is not read; convert the coordinates to Å")
    return "angstrom" if text.lower().startswith(("ang", "å")) else "bohr"

"""What a comment line says about the surroundings of a molecule: a crystal, a field, a solvent.

dfmp2 computes molecules alone, so what stands around them gives another energy. Values of unknown
keys are not searched: ``config_type=water_box`` is the name of a group of data.
"""

from __future__ import annotations

import re

from dfmp2.molecules.atoms import number

__all__ = ["find_surroundings"]

_NUMBERS = r"(?:\s+(?:of\s+)?[+-]?[0-9.]+(?:e[+-]?[0-9]+)?(?![\w.])){0,6}"
_STATED = re.compile(
    r"""(?<![\w.+/-])(?<!force[ ])(?!force[ _-]?field)(?:[a-z][\w.-]{0,40}[_.-])??(?:
    (?:(?:e|electric|magnetic|external|ext|static|applied|uniform)[ _-]?)?
        field(?:[ _-]?(?:strength|vector|[xyz]))?
    | (?:point|external|background|embedding|mm)[ _-]?charges | embedding
    | solvents? | solvation(?:[ _-]?model)? | medium | (?:c|ief)?pcm | cosmo | smd
    | dielectric(?:[ _-]constant)? | (?:simulation[ _-]?|unit[ _-]?)?cell
    | box(?:[ _-]?(?:size|length))?
    )["']?[ \t]*[=:][ \t]*
    (?P<value>"[^"]*"|'[^']*'|\{[^}]*\}|\[[^\]]*\]|[^\s,;|)}\]]*)"""
    r"(?:(?:[ \t,]+[+-]?[0-9.]+(?:e[+-]?[0-9]+)?){2}(?![\w.]))?",
    re.IGNORECASE | re.VERBOSE,
)
_OTHER_KEY = re.compile(r"""(?<![\w.-])(?P<key>[\w.-]+)\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"',;]+)""")
_KEPT = ("a", "b", "c", "eps", "epsilon")
_AXES = r"a\s*=\s*[0-9.]+\W+b\s*=\s*[0-9.]+\W+c\s*=\s*[0-9.]+"
_PERIODIC = re.compile(
    rf"""(?<![\w.])(?:
    PBC | periodic(?:ity)?(?!\s+(?:table|trend|system\s+of)) | super[- ]?cell | slab
    | (?<!black[ ])(?<!tool[ ])box{_NUMBERS} | CRYST1 | TV(?=\s+[0-9.-]|\W*$)
    | (?:unit|primitive)_cell | {_AXES}
    | lattice\s+(?:parameters?|constants?|vectors?)
    | (?:(?:unit|simulation|primitive)[ -]?)?(?:cell|lattice)\s+[0-9.]+(?![\w.]){_NUMBERS}
    )(?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)
_AROUND = re.compile(
    rf"""(?<![\w./])(?:
    (?:electric|external|magnetic|static|uniform|applied|E)[ -]?fields?(?:\s+strength)?{_NUMBERS}
    | (?<!force[ ])(?<!force-)field(?:\s+strength)?\s+(?:of\s+)?[+-]?[0-9]*\.[0-9]+
    | (?:point|MM|background|embedding|external)[ -]charges | embed(?:ded|ding) | QM/MM | ONIOM
    | solvents?(?![ -](?:access|exclu)) | solvated | solvation | aqueous | dielectric
    | (?-i:(?:C|IEF-?|DD-?)?PCM | (?:dd)?COSMO | SMD | GBSA | ALPB)
    | eps(?:ilon)?\s*[=:]?\s*(?:[2-9]|[1-9][0-9]+)(?:\.[0-9]+)?
    | in\s+(?:water|solution|DMSO|methanol|chloroform|acetonitrile|THF)
        (?!\W*(?:cluster|cage|complex|dimer|trimer|tetramer|pentamer|hexamer|molecule))
    )(?![\w-])""",
    re.IGNORECASE | re.VERBOSE,
)
_NOTHING = ("none", "no", "false", "f", "off", "gas", "vacuum", "null")
_DENIED = re.compile(r"(?:\b(?:no|not|non|without|w/o|zero|micro|explicit(?:ly)?)\W*)$", re.I)
_DENIED_AFTER = re.compile(
    r"[ -]?free\b|\W{0,3}(?:off|none|no|false|f)\b|\W*(?:molecules?\W+)?(?:removed|stripped)\b",
    re.I,
)


def find_surroundings(text: str, isolated: bool) -> tuple[str, list[str]]:
    """Look for surroundings of the molecule in a comment line.

    Parameters
    ----------
    text : str
    isolated : bool
        The line denies periodicity, so a cell or a box in it has no meaning.

    Returns
    -------
    str
        The text without what was found.
    list of str
        A remark, or none.
    """
    found: list[str] = []

    def stated(match: re.Match[str]) -> str:
        _, value = re.split("[=:]", match[0], maxsplit=1)
        parts = re.findall(r"[^\s\[\]{}\"',]+", value.lower())
        of_a_cell = re.search(r"cell|box", re.split("[=:]", match[0])[0], re.IGNORECASE)
        if not (isolated and of_a_cell) and any(
            number(part) != 0 and part not in _NOTHING for part in parts
        ):
            found.append(match[0].strip())
        return " "

    rest = _STATED.sub(stated, text)
    prose = _OTHER_KEY.sub(lambda m: m[0] if m["key"].lower() in _KEPT else " | ", rest)
    for pattern in (_AROUND,) if isolated else (_AROUND, _PERIODIC):
        for match in pattern.finditer(prose):
            before = prose[max(0, match.start() - 14) : match.start()]
            if not (_DENIED.search(before) or _DENIED_AFTER.match(prose, match.end())):
                found.append(match[0].strip())
    if not found:
        return rest, []
    unique = [one[:60] for one in dict.fromkeys(found)]
    listed, verb = ", ".join(map(repr, unique)), "is" if len(unique) == 1 else "are"
    remark = (
        f"{listed} in the comment line {verb} not read: the energy is that of the molecule alone"
    )
    return rest, [remark]

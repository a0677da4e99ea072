"""Words that hint at a charge or at unpaired electrons, but state no number that can be read."""

from __future__ import annotations

import re

from dfmp2.molecules.atoms import number

__all__ = ["find_hints", "find_pairs"]

_CHARGE = re.compile(
    r"\b(?:(?:di|tri)?(?:cation|anion)s?|oxidi[sz]ed|ioni[sz]ed|(?:de)?protonated"
    r"|charge\s+(?:of\s+)?(?:plus|minus|one|two|three|four))\b",
    re.IGNORECASE,
)
_SPIN = re.compile(
    r"\b(?:high[ -]spin|open[ -]shell|(?:di|bi)?radicals?|(?:doublet|triplet|quartet|quintet|sextet"
    r"|septet)s?|UHF|UKS|ROHF|unrestricted|T[1-9] state)\b"
    # term symbols: ^3B1, ^2Pi, 3B1, 2A', 3Sigma; not the (2E) of a name
    r"|\^\{?[2-9]\}?(?:[ABET](?![a-z])|Sigma|Pi|Delta|[ΣΠΔ])[\w'\"+-]*"
    r"|(?<![\w.-])[2-9](?:[AB](?:[12][gu]?|[gu]|['\"]{1,2})|T[12][gu]?|Sigma|Pi|Delta|[ΣΠΔ])"
    r"[gu]?[+-]?(?![\w.])",
    re.IGNORECASE,
)
_MOMENT = re.compile(
    r"(?:total[ _-]?)?(?:magmom|magneti[sz]ation|magnetic[ _-]?moment)s?[\"']?\s*[=:]?\s*"
    r"(?P<value>[+-]?[0-9.]+)",
    re.IGNORECASE,
)
_SPINS = re.compile(r"\bn_?(?:elec_?)?(alpha|beta|up|down)[\"']?\s*[=:]?\s*([0-9]+)", re.IGNORECASE)
_PAIRS = re.compile(
    r"^\s*[(\[]?\s*[+-]?[0-9]{1,2}\s*[/;|]\s*[1-9][0-9]?\s*[)\]]?\s*$"  # 2/1 alone in the line
    r"|^\s*(?://|%\w*|\*\s*\w+)\s*[+-]?[0-9]{1,2}\s+[1-9][0-9]?(?![\w.])"  # * xyz 2 1
    r"|(?<!\S)-c\s+[+-]?[0-9]+\s+-[ms]\s+[0-9]+(?!\S)"
    r"|(?<!\S)--(?:chrg|charge|uhf|mult\w*|spin)[ =]+[+-]?[0-9]+.*"
)


def find_pairs(text: str) -> tuple[str, str | None]:
    """Charge and multiplicity in the form of the input or the options of another program.

    Returns
    -------
    str
        The text without what was found.
    str or None
        What was found.
    """
    match = _PAIRS.search(text)
    if match is None:
        return text, None
    return f"{text[: match.start()]} {text[match.end() :]}", match[0].strip()


def find_hints(text: str) -> list[tuple[str, str]]:
    """Words that hint at a charge or at unpaired electrons.

    Parameters
    ----------
    text : str
        What is left of a comment line after all that was read.

    Returns
    -------
    list of (str, str)
        "charge" or "spin", and the words.
    """
    found = [("charge", match[0]) for match in _CHARGE.finditer(text)]
    found += [("spin", match[0]) for match in _SPIN.finditer(text)]
    found += [("spin", match[0]) for match in _MOMENT.finditer(text) if number(match["value"])]
    spins = list(_SPINS.finditer(text))
    if len({match[2] for match in spins}) > 1:
        found.append(("spin", " ".join(match[0] for match in spins)))
    return found

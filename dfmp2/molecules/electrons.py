"""Charge and spin of a molecule: from the options, else from its file, else 0."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.geometry import Stated

__all__ = ["Electrons", "choose_electrons", "require_decided"]


@dataclass(frozen=True)
class Electrons:
    """Charge and spin, and where they came from.

    Attributes
    ----------
    charge, spin : int
        Charge; number of unpaired electrons (2S).
    label : str
        For example ``charge 0 (the default), spin 2 (comment line: multiplicity=3)``.
    remarks : tuple of str
        Warnings that belong to the result.
    """

    charge: int
    spin: int
    label: str
    remarks: tuple[str, ...]


def choose_electrons(
    stated: Stated, charge: int | None, spin: int | None, source: str
) -> Electrons:
    """Choose charge and spin.

    Parameters
    ----------
    stated : Stated
        What the file states.
    charge, spin : int or None
        What the user asks for.
    source : str
        Name of the file, for messages.

    Returns
    -------
    Electrons

    Raises
    ------
    InputError
        If the file could mean two things, and the options do not decide.

    Warns
    -----
    DFMP2Warning
        For each remark: what the file states but is not used.
    """
    require_decided(stated, charge, spin)
    asked = {"charge": charge, "spin": spin}
    remarks = list(stated.remarks)
    chosen: dict[str, int] = {}
    origins: dict[str, str] = {}
    for name, value in asked.items():
        own, origin = getattr(stated, name), getattr(stated, f"{name}_from")
        if value is not None:
            chosen[name], origins[name] = value, f"--{name}"
            if own not in (None, value):
                remarks.append(f"--{name} {value} replaces {name} {own} of the file ({origin})")
        elif own is not None:
            chosen[name], origins[name] = own, origin
        else:
            chosen[name], origins[name] = 0, "the default"
    for remark in remarks:
        warnings.warn(remark, DFMP2Warning, stacklevel=3)
    label = _label(chosen["charge"], chosen["spin"], origins)
    return Electrons(chosen["charge"], chosen["spin"], label, tuple(remarks))


def require_decided(stated: Stated, charge: int | None, spin: int | None) -> None:
    """Raise an error if a file could mean two things, and charge and spin do not decide.

    Raises
    ------
    InputError
    """
    open_options = [name for name, value in (("charge", charge), ("spin", spin)) if value is None]
    for doubt in stated.doubts:
        if set(doubt.options) & set(open_options):
            raise InputError(doubt.message)


def _label(charge: int, spin: int, origins: dict[str, str]) -> str:
    charged, unpaired = f"charge {charge:+d}" if charge else "charge 0", f"spin {spin}"
    first, second = origins["charge"], origins["spin"]
    if first == second:
        return f"{charged}, {unpaired} ({second})"
    place, _, text = second.partition(": ")
    if text and first.startswith(f"{place}: "):
        return f"{charged}, {unpaired} ({first}, {text})"
    return f"{charged} ({first}), {unpaired} ({second})"

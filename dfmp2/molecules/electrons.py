"""Charge and spin of a molecule: from the options, else from its file, else 0."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from dfmp2.errors import DFMP2Warning, InputError
from dfmp2.molecules.geometry import Stated
from dfmp2.molecules.plain import Mole, element_of

__all__ = ["Electrons", "choose_electrons", "require_decided", "warn_charge"]

CLOSED_SHELLS = (0, 2, 10, 18, 36, 54, 86, 118)
"""Electrons of the noble gases."""


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


def warn_charge(mol: Mole) -> tuple[str, ...]:
    """Warn of a charge that is possible, but that no chemist asks for.

    That is more than the valence shells of an atom can give or take, or than half of this in a
    molecule. The largest charges of known ions (PO4 3-, H2 +, U 6+) are below.

    Parameters
    ----------
    mol : pyscf.gto.Mole

    Returns
    -------
    tuple of str
        The warning, or nothing.
    """
    from pyscf.data.elements import charge as charge_of

    labels = [element_of(mol.atom_symbol(k)) for k in range(mol.natm)]
    numbers = [charge_of(element) for element, real in labels if real]
    valence = sum(z - max(n for n in CLOSED_SHELLS if n < z) for z in numbers)
    holes = sum(min(n for n in CLOSED_SHELLS if n >= z) - z for z in numbers)
    charge, share = int(mol.charge), 1 if len(numbers) == 1 else 2
    if charge > 0 and share * charge > valence:
        what = f"takes away {charge} of {valence} valence electrons"
    elif charge < 0 and -share * charge > holes:
        what = f"adds more electrons than fit well into the valence shells ({holes} free places)"
    else:
        return ()
    text = f"charge {charge:+d} {what}; check the charge (--charge)"
    warnings.warn(text, DFMP2Warning, stacklevel=3)
    return (text,)


def _label(charge: int, spin: int, origins: dict[str, str]) -> str:
    charged, unpaired = f"charge {charge:+d}" if charge else "charge 0", f"spin {spin}"
    first, second = origins["charge"], origins["spin"]
    if first == second:
        return f"{charged}, {unpaired} ({second})"
    place, _, text = second.partition(": ")
    if text and first.startswith(f"{place}: "):
        return f"{charged}, {unpaired} ({first}, {text})"
    return f"{charged} ({first}), {unpaired} ({second})"

"""Which orbitals are frozen: from the value of an option to orbital indices."""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.settings import Frozen

__all__ = ["frozen_orbitals", "parse_frozen"]


def parse_frozen(text: str | None) -> int | list[int] | str | None:
    """``N`` lowest orbitals, a list ``0,1,5`` of indices from 0, ``auto`` or ``none``.

    Raises
    ------
    InputError
        For text of another form.
    """
    if text is None or text in ("none", "auto"):
        return None if text in (None, "none") else text
    try:
        if "_" in text or not text.isascii():  # Python reads 1_0 as 10
            raise ValueError
        if "," in text:
            return [int(item) for item in text.split(",") if item.strip()]
        return int(text)
    except ValueError:
        raise InputError(
            f"frozen {text!r} is not understood; use a number, a list such as 0,1,5, or auto"
        ) from None


def frozen_orbitals(
    mol: Any,
    frozen: Frozen,
    occupied: NDArray[np.bool_],
    energy: NDArray[np.float64] | None = None,
) -> tuple[int, ...]:
    """Indices of the orbitals that `frozen` leaves out.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        Needed for "auto": its chemical core (electrons inside an ECP and ghost atoms do not
        count).
    frozen : None, int, sequence of int or of bool, or "auto"
        In a sequence of bool, as in PySCF, True stands for an orbital that is left out.
    occupied : ndarray, shape (nmo,), bool
        Whether each orbital is occupied.
    energy : ndarray, shape (nmo,), float64, hartree, optional
        "auto" leaves out the lowest occupied orbitals by these energies; the first occupied ones
        if not given.

    Returns
    -------
    tuple of int

    Raises
    ------
    InputError
        If an index does not exist or no occupied orbital would be left where there is one.
    """
    nmo, nocc = len(occupied), int(np.count_nonzero(occupied))
    if frozen is None:
        return ()
    if isinstance(frozen, str):
        if frozen != "auto":
            raise InputError(f"frozen={frozen!r} is not understood; use a number, a list or 'auto'")
        from pyscf.data.elements import chemcore

        lowest = np.flatnonzero(occupied)
        if energy is not None:
            lowest = lowest[np.argsort(energy[lowest], kind="stable")]
        return tuple(sorted(int(i) for i in lowest[: int(chemcore(mol))]))
    if isinstance(frozen, (bool, float)):
        raise InputError(f"frozen={frozen!r} is not understood; use a number, a list or 'auto'")
    if isinstance(frozen, (int, np.integer)):
        if frozen < 0:
            raise InputError(f"frozen={frozen} is negative; give the number of lowest orbitals")
        if frozen and not occupied[int(frozen) :].any():
            raise InputError(
                f"frozen={frozen} leaves nothing to correlate: there are {nocc} occupied orbitals"
            )
        return tuple(range(int(frozen)))
    indices = _indices(frozen, nmo)
    if indices and not (indices[0] >= 0 and indices[-1] < nmo):
        bad = indices[-1] if indices[0] >= 0 else indices[0]
        raise InputError(f"frozen orbital {bad} does not exist: there are {nmo}, counted from 0")
    if nocc and set(np.flatnonzero(occupied)) <= set(indices):
        raise InputError(
            f"frozen={indices} leaves nothing to correlate: it holds all {nocc} occupied orbitals"
        )
    return tuple(indices)


def _indices(frozen: Iterable[int], nmo: int) -> list[int]:
    try:
        given = list(frozen)
        masks = [isinstance(i, (bool, np.bool_)) for i in given]
        if any(masks) and not all(masks):
            raise TypeError  # True beside numbers is not the orbital 1
        if any(masks) and len(given) == nmo:
            return [i for i in range(nmo) if given[i]]
        if not any(masks):
            return sorted({index(i) for i in given})  # 1.0 or "1" are mistakes, not orbitals
    except TypeError:
        raise InputError(
            f"frozen={frozen!r} is not understood; use a number, a list of whole numbers or 'auto'"
        ) from None
    raise InputError(
        f"frozen is a mask of {len(given)} orbitals, but there are {nmo}; give one True or False "
        "per orbital (True: left out), or the indices"
    )

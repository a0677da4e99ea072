"""Which orbitals are frozen: from the value of an option to orbital indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.settings import Frozen

__all__ = ["frozen_orbitals", "parse_frozen", "plain_frozen"]


def parse_frozen(text: str | None) -> Frozen:
    """``N`` lowest orbitals, a list ``0,1,5`` of indices from 0, ``auto`` or ``none``.

    ``0,1/0`` are the lists of alpha and of beta; either may be empty.

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
        if "/" in text:
            alpha, beta = text.split("/")  # another number of parts is an error
            return [[int(i) for i in own.split(",") if i.strip()] for own in (alpha, beta)]
        if "," in text:
            return [int(item) for item in text.split(",") if item.strip()]
        return int(text)
    except ValueError:
        raise InputError(
            f"frozen {text!r} is not understood; use a number, a list such as 0,1,5, a list for "
            "each spin such as 0,1/0, or auto"
        ) from None


def frozen_orbitals(
    mol: Any,
    frozen: Frozen,
    occupied: Sequence[NDArray[np.bool_]],
    energies: Sequence[NDArray[np.float64]] | None = None,
) -> tuple[tuple[int, ...], ...]:
    """Indices of the orbitals that `frozen` leaves out of each spin block.

    Parameters
    ----------
    mol : pyscf.gto.Mole
        Needed for "auto": its chemical core (electrons inside an ECP and ghost atoms do not
        count).
    frozen : None, int, sequence of int or of bool, "auto", or a pair of sequences
        In a sequence of bool, as in PySCF, True stands for an orbital that is left out. Two
        sequences belong to alpha and to beta. All else holds for both spins.
    occupied : sequence of ndarray, shape (nmo,), bool
        Whether each orbital is occupied: one array for a closed shell, or those of both spins.
    energies : sequence of ndarray, shape (nmo,), float64, hartree, optional
        "auto" leaves out the lowest occupied orbitals by these energies; the first occupied ones
        if not given.

    Returns
    -------
    tuple of tuple of int
        One for each spin block.

    Raises
    ------
    InputError
        If an index does not exist or no occupied orbital would be left where there is one.
    """
    asked: Sequence[Any] = [frozen] * len(occupied)
    if _is_pair(frozen):
        if len(occupied) == 1:
            raise InputError(
                f"frozen={frozen!r} is a pair of lists, but a closed shell has one set of "
                "orbitals; give one list of indices"
            )
        asked = list(frozen)  # type: ignore[arg-type]
    found = tuple(
        _left_out(mol, own, spin, None if energies is None else energies[number])
        for number, (own, spin) in enumerate(zip(asked, occupied, strict=True))
    )
    nocc = sum(int(np.count_nonzero(spin)) for spin in occupied)
    kept = nocc - sum(int(spin[list(own)].sum()) for own, spin in zip(found, occupied, strict=True))
    if nocc and not kept and not isinstance(frozen, str):
        raise InputError(
            f"frozen={frozen} leaves nothing to correlate: there are {nocc} occupied orbitals"
        )
    return found


def plain_frozen(frozen: tuple[tuple[int, ...], ...]) -> list[Any]:
    """The frozen orbitals of each spin block as plain data: one list for a closed shell."""
    lists = [list(one) for one in frozen]
    return lists[0] if len(lists) == 1 else lists


def _is_pair(frozen: Any) -> bool:
    return (
        isinstance(frozen, Sequence)
        and not isinstance(frozen, str)
        and len(frozen) == 2
        and all(isinstance(own, (Sequence, np.ndarray)) for own in frozen)
    )


def _left_out(
    mol: Any, frozen: Any, occupied: NDArray[np.bool_], energy: NDArray[np.float64] | None
) -> tuple[int, ...]:
    nmo = len(occupied)
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
        return tuple(range(min(int(frozen), nmo)))
    indices = _indices(frozen, nmo)
    if indices and not (indices[0] >= 0 and indices[-1] < nmo):
        bad = indices[-1] if indices[0] >= 0 else indices[0]
        raise InputError(f"frozen orbital {bad} does not exist: there are {nmo}, counted from 0")
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

"""Attributes of a PySCF class that are checked when they are set, not ignored if misspelt."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from pyscf import lib

from dfmp2.errors import InputError
from dfmp2.interfaces.not_provided import require_provided

__all__ = ["CheckedAttributes"]

T = TypeVar("T", bound="CheckedAttributes")

_COMPUTED = {
    "mo_energy": "orbital energies are those of the Fock matrix of the mean field",
    "mol": "the molecule is the mean field's; use reset(mol), or DFMP2 on another mean field",
    "nmo": "use frozen",
    "nocc": "use frozen",
}
"""What to do instead of setting these. Other computed attributes are results."""


class CheckedAttributes(lib.StreamObject):  # type: ignore[misc]
    """Base class that takes the attributes in `_keys` (PySCF's declaration) and no others.

    Names with an underscore are left alone: they are private, and PySCF does not check them either.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self._require_settable(name, value)
        super().__setattr__(name, value)

    def _require_settable(self, name: str, value: Any) -> None:
        own = getattr(type(self), name, None)
        if name in self._settable() or (callable(own) and callable(value)):
            return
        if isinstance(own, property):
            why = _COMPUTED.get(name, "it is a result, which kernel computes")
            raise InputError(f"{name} of DFMP2 cannot be set: {why}")
        require_provided(name)
        raise InputError(
            f"DFMP2 has no attribute {name!r} to set; {_nearest(name, self._settable())}"
        )

    def _settable(self) -> set[str]:
        keys = (vars(kind).get("_keys", ()) for kind in type(self).__mro__)
        return set().union(*keys) - {"output"}

    def __getattr__(self, name: str) -> Any:
        if hasattr(type(self), name):
            return object.__getattribute__(self, name)  # a property: raises its own error again
        if name.startswith("_"):
            raise AttributeError(f"DFMP2 has no attribute {name!r}")
        require_provided(name)
        known = {known for known in dir(type(self)) if not known.startswith("_")}
        raise AttributeError(
            f"DFMP2 has no attribute {name!r}; {_nearest(name, known | self._settable())}"
        )

    def set(self: T, *args: Any, **kwargs: Any) -> T:
        """Set attributes by keyword. After an error none of them is set.

        Returns
        -------
        self

        Raises
        ------
        InputError
            For an unknown name, or a value without a name.
        """
        if args:
            raise InputError(f"set takes names, as in set(frozen=1); found {args[0]!r} alone")
        for name, value in kwargs.items():
            self._require_settable(name, value)
        super().set(**kwargs)
        return self

    __call__ = set


def _nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: what it could be a slip of."""
    close = get_close_matches(name, known, n=2)
    return f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(sorted(known))}"

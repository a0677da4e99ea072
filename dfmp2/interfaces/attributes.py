"""Attributes of a PySCF class whose names and values are checked when they are set."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeVar

from pyscf import lib

from dfmp2.errors import InputError
from dfmp2.interfaces.not_provided import require_provided
from dfmp2.interfaces.values import accepted

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
            value = self._accepted(name, value)
        super().__setattr__(name, value)

    def _accepted(self, name: str, value: Any) -> Any:
        """The value as it is kept. Not every name and not every value can be set."""
        own = getattr(type(self), name, None)
        if name in self._settable():
            return accepted(name, value)
        if callable(own) and callable(value):
            return value
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
            For an unknown name, a value that the attribute does not take, or one without a name.
        """
        if args:
            raise InputError(f"set takes names, as in set(frozen=1); found {args[0]!r} alone")
        super().set(**{name: self._accepted(name, value) for name, value in kwargs.items()})
        return self

    __call__ = set


def _nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: what it could be a slip of."""
    close = get_close_matches(name, known, n=2)
    return f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(sorted(known))}"

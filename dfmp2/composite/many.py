"""Several molecules in turn: one that fails does not cost the others their results."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from dfmp2.errors import DFMP2Error, DFMP2Warning

__all__ = ["Turn", "in_turn", "raise_failures"]

T = TypeVar("T")


@dataclass(frozen=True)
class Turn(Generic[T]):
    """One molecule after its calculation.

    Attributes
    ----------
    item : object
        What was computed.
    seconds : float
        Wall time.
    warnings : tuple of str
        Warnings of dfmp2.
    error : DFMP2Error or None
        Why there is no result.
    """

    item: T
    seconds: float
    warnings: tuple[str, ...]
    error: DFMP2Error | None


def in_turn(items: Iterable[T], work: Callable[[T], None]) -> Iterator[Turn[T]]:
    """Do `work` for every item.

    Parameters
    ----------
    items : iterable
    work : callable
        Its errors of dfmp2 are returned. Others, and interrupts, end the series.

    Yields
    ------
    Turn
        After each item.
    """
    for item in items:
        start, error = time.perf_counter(), None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DFMP2Warning)
            try:
                work(item)
            except DFMP2Error as raised:
                error = raised
        texts = tuple(str(w.message) for w in caught if issubclass(w.category, DFMP2Warning))
        yield Turn(item, time.perf_counter() - start, texts, error)


def raise_failures(errors: list[DFMP2Error], total: int) -> None:
    """Raise after a series in which something failed.

    Parameters
    ----------
    errors : list of DFMP2Error
    total : int
        Number of items in the series.

    Raises
    ------
    DFMP2Error
        The error itself if there was one item; else one of the first error's kind with the number
        of failures.
    """
    if len(errors) == 1 == total:
        raise errors[0]
    if errors:
        raise type(errors[0])(f"{len(errors)} of {total} molecules failed; see above")

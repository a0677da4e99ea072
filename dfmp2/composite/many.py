"""Several molecules in turn: one that fails does not cost the others their results."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from dfmp2.errors import DFMP2Error, DFMP2Warning, SomeFailedError
from dfmp2.foreign_errors import translated

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
        Its errors are returned. An interrupt ends the series.

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
                with translated("the calculation"):
                    work(item)
            except DFMP2Error as raised:
                error = raised
        texts = tuple(str(w.message) for w in caught if issubclass(w.category, DFMP2Warning))
        yield Turn(item, time.perf_counter() - start, texts, error)


def raise_failures(turns: Sequence[Turn[Any]]) -> None:
    """Raise after a series in which something failed.

    Parameters
    ----------
    turns : sequence of Turn
        The whole series. Its items have a `name`.

    Raises
    ------
    DFMP2Error
        The error itself, if there was one item.
    SomeFailedError
        If one or more of several items failed.
    """
    failures = [(turn.item.name, turn.error) for turn in turns if turn.error is not None]
    if not failures:
        return
    if len(turns) == 1:
        raise failures[0][1]
    names = ", ".join(name for name, _ in failures)
    raise SomeFailedError(f"{len(failures)} of {len(turns)} molecules failed ({names}); see above")

"""Warnings of dfmp2 on stderr, whatever the warning filters of the process are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from dfmp2.cli.streams import print_line
from dfmp2.errors import DFMP2Warning

__all__ = ["printing_warnings"]


@contextmanager
def printing_warnings(name: str) -> Iterator[None]:
    """Print the warnings of dfmp2 that arise inside, also if an error ends it.

    Parameters
    ----------
    name : str
        Of the molecule or the file.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DFMP2Warning)
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, DFMP2Warning):
                    print_line(f"Warning: {name}: {warning.message}")

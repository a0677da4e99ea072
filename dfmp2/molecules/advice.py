"""PySCF's advice to install another package for a basis. dfmp2 has its own messages.

`warnings.catch_warnings` is not used here. It exchanges the filters of the whole process, and puts
them back in the order in which threads leave it: two threads can leave every UserWarning ignored
for the rest of the process.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

__all__ = ["without_advice"]

_ADVICE = "(Basis|ECP) may be available in basis-set-exchange"

_number = itertools.count()


@contextmanager
def without_advice() -> Iterator[None]:
    """Ignore the advice in this block. All other filters stay as they are, in every thread."""
    # The comment in the expression makes this filter different from those of other threads.
    pattern = re.compile(f"{_ADVICE}(?#{next(_number)})")
    own = ("ignore", pattern, UserWarning, None, 0)
    filters: list[object] = warnings.filters  # type: ignore[assignment]
    filters.insert(0, own)
    try:
        yield
    finally:
        # Meanwhile another thread may have put a copy of the filters in place (catch_warnings).
        for each in (filters, warnings.filters):
            with suppress(ValueError):
                each.remove(own)  # type: ignore[union-attr]

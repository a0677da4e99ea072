"""Leave torch's inference mode of the caller for the time of a calculation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["outside_inference_mode"]


@contextmanager
def outside_inference_mode() -> Iterator[None]:
    """Make ordinary tensors in this block, also inside ``torch.inference_mode()``.

    dfmp2 writes into tensors in several threads, and the mode is that of one thread: a tensor made
    in this mode cannot be changed outside of it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.is_inference_mode_enabled():
        yield
        return
    with torch.inference_mode(False):
        yield

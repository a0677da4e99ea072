"""Sizes that programs are compiled for, so that a new molecule meets compiled programs.

NKI compiles one program per set of operand shapes, in tens of seconds each. Every dimension is
therefore rounded up to a bucket before a kernel sees it, four per octave: at most a quarter is
added, an eighth on average, and all molecules of up to 1000 virtual orbitals share 33 sizes.
Padding is zeros (and energies that are far away), so it adds nothing to any result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.kernels.layout import pad
from dfmp2.kernels.limits import PAD_ENERGY

__all__ = ["bucket", "padded", "padded_energies"]

SMALLEST = 4


def bucket(n: int) -> int:
    """Smallest bucket that holds n: 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, ...

    Parameters
    ----------
    n : int
        At least 0.
    """
    if n <= SMALLEST:
        return SMALLEST
    step: int = 1 << max(0, (n - 1).bit_length() - 3)
    return -(-n // step) * step


def padded(x: Any, exact: tuple[int, ...] = ()) -> Any:
    """`x` with every dimension, but those in `exact`, padded with zeros to its bucket."""
    shape = tuple(n if axis in exact else bucket(n) for axis, n in enumerate(x.shape))
    return pad(x, shape)


def padded_energies(e: NDArray[np.float64], virtual: bool = False) -> NDArray[np.float64]:
    """Orbital energies padded to their bucket: far above all others where `virtual`, else the last.

    A padded occupied orbital has B = 0, so any energy will do that keeps denominators positive.
    """
    fill = PAD_ENERGY if virtual else e[-1]
    out = np.full(bucket(len(e)), fill)
    out[: len(e)] = e
    return out

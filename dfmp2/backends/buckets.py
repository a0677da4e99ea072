"""Rounding of dimensions to a few sizes, so that molecules share compiled programs.

NKI compiles one program for each set of operand shapes, which takes tens of seconds. So every
dimension is rounded up to a bucket. There are four buckets per factor of two. Rounding adds at most
a quarter and an eighth on average. All molecules of up to 1000 virtual orbitals share 33 sizes.
Arrays are padded with zeros, and energies with values far away, so results do not change.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.protocol import Array, Tensor
from dfmp2.kernels.layout import pad
from dfmp2.kernels.limits import PAD_ENERGY

__all__ = ["bucket", "padded", "padded_energies"]

SMALLEST = 4
"""Smallest bucket. All smaller dimensions share it."""


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


def padded(x: Tensor, exact: tuple[int, ...] = ()) -> Tensor:
    """Pad an array with zeros to its buckets.

    Parameters
    ----------
    x : ndarray or torch.Tensor
    exact : tuple of int
        Axes that are not padded.

    Returns
    -------
    ndarray or torch.Tensor
        Of the type of `x`.
    """
    shape = tuple(n if axis in exact else bucket(n) for axis, n in enumerate(x.shape))
    return pad(x, shape)


def padded_energies(e: Array, virtual: bool = False) -> Array:
    """Pad orbital energies to their bucket.

    Parameters
    ----------
    e : ndarray, shape (n,), float64, hartree
    virtual : bool
        Pad with `PAD_ENERGY`, far above all orbitals. Otherwise with the last energy: B of a padded
        occupied orbital is zero, so its energy only has to keep the denominators positive.

    Returns
    -------
    ndarray, shape (bucket(n),), float64, hartree
    """
    fill = PAD_ENERGY if virtual else e[-1]
    out = np.full(bucket(len(e)), fill)
    out[: len(e)] = e
    return out

"""Array layout on the host, for NumPy arrays and torch tensors alike.

The host sides use only these and slicing, so a tensor that already lives on a device is padded
and cut there and never visits the host. torch is not imported: a tensor brings its own methods.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError

__all__ = [
    "as_float32",
    "check_shapes",
    "contiguous",
    "is_tensor",
    "pad",
    "swap",
    "to_float64",
    "zeros",
]


def is_tensor(x: Any) -> bool:
    """Whether `x` is a torch tensor."""
    return hasattr(x, "new_zeros")


def as_float32(x: Any) -> Any:
    """`x` in float32, copied only if it is not: a tensor stays one, all else becomes NumPy."""
    return x.float() if is_tensor(x) else np.asarray(x, dtype=np.float32)


def check_shapes(operation: str, letters: str, **arrays: Any) -> None:
    """Refuse arrays whose shapes do not fit together: padding would hide it.

    `letters` names the dimensions of each array in turn, as in ``"mk kn"``; equal letters are
    equal sizes, and no size is zero.
    """
    sizes: dict[str, int] = {}
    fits = True
    for names, x in zip(letters.split(), arrays.values(), strict=True):
        shape = tuple(x.shape)
        fits = fits and len(shape) == len(names) and 0 not in shape
        for letter, n in zip(names, shape, strict=False):
            fits = fits and sizes.setdefault(letter, n) == n
    if not fits:
        shapes = ", ".join(f"{name} {list(x.shape)}" for name, x in arrays.items())
        raise InputError(f"{operation}: shapes do not fit {letters.replace(' ', ', ')}: {shapes}")


def zeros(shape: tuple[int, ...], like: Any) -> Any:
    """Float32 zeros of the same kind, and on the same device, as `like`."""
    return like.new_zeros(shape) if is_tensor(like) else np.zeros(shape, dtype=np.float32)


def contiguous(x: Any) -> Any:
    """`x` in C order, copied only if it is not."""
    return x.contiguous() if is_tensor(x) else np.ascontiguousarray(x)


def swap(x: Any) -> Any:
    """`x` with its last two dimensions exchanged, as a view."""
    return x.swapaxes(-1, -2)


def pad(x: Any, shape: tuple[int, ...]) -> Any:
    """`x` in C order with zeros after its end in every dimension, up to `shape`."""
    if tuple(x.shape) == shape:
        return contiguous(x)
    out = zeros(shape, x)
    out[tuple(slice(0, n) for n in x.shape)] = x
    return out


def to_float64(x: Any) -> NDArray[np.float64]:
    """`x` on the host in float64."""
    return np.asarray(x.detach().cpu() if is_tensor(x) else x, dtype=np.float64)

"""Array layout on the host, for NumPy arrays and torch tensors alike.

The host sides use only these functions and slicing. A tensor on a device is therefore padded and
cut on the device. torch is not imported: the tensor's own methods are called.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.kernels.operands import Operand

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


def is_tensor(x: Operand) -> bool:
    """Whether `x` is a torch tensor."""
    return hasattr(x, "new_zeros")


def as_float32(x: Operand) -> Operand:
    """`x` in float32, copied only if it is not; NumPy unless it is a tensor.

    Raises
    ------
    InputError
        `x` is not an array of real numbers.
    """
    if is_tensor(x):
        if x.dtype.is_complex:
            raise InputError(f"an operand has dtype {x.dtype}, not real numbers")
        return x.float()
    x = np.asarray(x)
    _require_real(x)
    return np.asarray(x, dtype=np.float32)


def _require_real(x: NDArray[np.generic]) -> None:
    if x.dtype.kind not in "fiub":
        raise InputError(f"an operand has dtype {x.dtype}, not real numbers")


def check_shapes(operation: str, letters: str, **arrays: Operand) -> None:
    """Refuse arrays whose shapes do not fit together, which padding would hide.

    Parameters
    ----------
    operation
        Name for the error message.
    letters
        The dimensions of each array in turn, as in ``"mk kn"``. Equal letters are equal sizes, and
        no size is zero.
    arrays
        The arrays, by the names they have in the error message.

    Raises
    ------
    InputError
        A wrong rank, a size of zero, or different sizes for equal letters.
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
        raise InputError(
            f"{operation}: shapes do not fit {letters.replace(' ', ', ')}: {shapes}. Equal letters "
            "are equal sizes, and none is 0"
        )


def zeros(shape: tuple[int, ...], like: Operand) -> Operand:
    """Float32 zeros of the same kind, and on the same device, as `like`."""
    return like.new_zeros(shape) if is_tensor(like) else np.zeros(shape, dtype=np.float32)


def contiguous(x: Operand) -> Operand:
    """`x` in C order, copied only if it is not."""
    return x.contiguous() if is_tensor(x) else np.ascontiguousarray(x)


def swap(x: Operand) -> Operand:
    """`x` with its last two dimensions exchanged, as a view; `x` itself if it has fewer."""
    return x.swapaxes(-1, -2) if len(x.shape) > 1 else x


def pad(x: Operand, shape: tuple[int, ...]) -> Operand:
    """`x` in C order with zeros after its end in every dimension, up to `shape`."""
    if tuple(x.shape) == shape:
        return contiguous(x)
    out = zeros(shape, x)
    out[tuple(slice(0, n) for n in x.shape)] = x
    return out


def to_float64(x: Operand) -> NDArray[np.float64]:
    """`x` on the host in float64; raises as `as_float32` does."""
    x = np.asarray(x.detach().cpu() if is_tensor(x) else x)
    _require_real(x)
    return np.asarray(x, dtype=np.float64)

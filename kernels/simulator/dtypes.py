"""NKI's data types and how NumPy stores them.

NumPy has neither bfloat16 nor tfloat32: their values are held in float32 arrays and rounded to
the narrower format on every write, so values and rounding are exact while sizes are counted as
on the device. Types below 16 bits of float are not modelled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import refuse

__all__ = ["DTYPES", "DType", "as_dtype", "cast"]


class DType(str):
    """A data type: its name, with NumPy storage and device size attached."""

    __slots__ = ("is_float", "itemsize", "np_dtype", "poison", "round_bits")

    np_dtype: np.dtype[Any]
    itemsize: int
    is_float: bool
    round_bits: int
    poison: Any

    def __new__(cls, name: str, storage: Any, itemsize: int, round_bits: int = 0) -> DType:
        """Make a type; `round_bits` low mantissa bits of a float32 are rounded away."""
        self = super().__new__(cls, name)
        self.np_dtype = np.dtype(storage)
        self.itemsize = itemsize
        self.is_float = self.np_dtype.kind == "f"
        self.round_bits = round_bits
        # Integers cannot hold NaN: their poison is far outside any index or count in use.
        self.poison = np.nan if self.is_float else np.iinfo(self.np_dtype).max - 1
        return self


DTYPES: dict[str, DType] = {
    d: d
    for d in (
        DType("bool_", np.uint8, 1),
        DType("int8", np.int8, 1),
        DType("int16", np.int16, 2),
        DType("int32", np.int32, 4),
        DType("uint8", np.uint8, 1),
        DType("uint16", np.uint16, 2),
        DType("uint32", np.uint32, 4),
        DType("float16", np.float16, 2),
        DType("bfloat16", np.float32, 2, round_bits=16),
        DType("tfloat32", np.float32, 4, round_bits=13),
        DType("float32", np.float32, 4),
    )
}


def as_dtype(dtype: Any, call: str) -> DType:
    """Turn an NKI type, its name or a NumPy type into a `DType`."""
    if isinstance(dtype, DType):
        return dtype
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    found = DTYPES.get("bool_" if name == "bool" else name)
    if found is None:
        refuse(call, "dtype", f"dtype {name!r} is none of {', '.join(DTYPES)}")
    return found


def _round_float32(values: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Round to the nearest even multiple of ``2**bits`` units in the last place; keep NaN."""
    raw = values.view(np.uint32)
    half = np.uint32((1 << (bits - 1)) - 1)
    odd = (raw >> np.uint32(bits)) & np.uint32(1)
    mask = np.uint32(0xFFFFFFFF ^ ((1 << bits) - 1))
    return np.where(np.isnan(values), values, ((raw + half + odd) & mask).view(np.float32))


def cast(values: NDArray[Any], dtype: DType) -> NDArray[Any]:
    """Convert to the NumPy storage of `dtype` with the rounding of the device.

    Floats become integers by rounding to nearest even and saturating.
    """
    if dtype.is_float:
        out = values.astype(dtype.np_dtype, copy=False)
        if dtype.round_bits:
            return _round_float32(np.ascontiguousarray(out), dtype.round_bits)
        return out
    if values.dtype.kind == "f":
        info = np.iinfo(dtype.np_dtype)
        return np.clip(np.rint(values.astype(np.float64)), info.min, info.max).astype(
            dtype.np_dtype
        )
    return values.astype(dtype.np_dtype, copy=False)

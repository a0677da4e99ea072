"""Checks that every engine instruction makes of its operands, and access to their values."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .enums import engine as engine_enum
from .errors import refuse
from .tensor import NkiTensor

__all__ = [
    "HANDLE",
    "Instruction",
    "choose_engine",
    "f32",
    "free_size",
    "gpsimd_sees",
    "mark_psum",
    "per_partition",
    "psum_region",
    "put",
    "reduce_free",
    "same_elements",
    "scalar_value",
    "tile",
]

F32 = np.float32
Array = NDArray[Any]


class Instruction:
    """Handle of an instruction; ordering edges are accepted, execution is in order anyway."""

    def depends_on(self, *producers: Instruction) -> Instruction:
        """Order this instruction after `producers`."""
        return self


HANDLE = Instruction()


def tile(call: str, arg: str, t: Any) -> NkiTensor:
    """Check an operand of a compute engine: on chip, partitions, start, pattern rank."""
    if type(t) is not NkiTensor:
        refuse(call, "argument", f"{arg} is a {type(t).__name__}, not a tensor")
    if t.checked:
        return t
    if t.storage.space == "hbm":
        refuse(call, "engine-memory", f"{arg} is {t.storage.describe()}")
    p = t.shape[0]
    if not 1 <= p <= 128:
        refuse(call, "partitions", f"{arg} spans {p} partitions")
    start = t.start_partition
    if start % (128 if p > 64 else 64 if p > 32 else 32):
        refuse(call, "start-partition", f"{arg} has {p} partitions from partition {start}")
    if len(t.shape) > 5 and sum(n > 1 for n in t.shape[1:]) > 4:
        refuse(call, "free-rank", f"{arg} has shape {t.shape}")
    for n, stride in zip(t.shape[1:], t.strides[1:], strict=True):
        if n > 65535 or (stride > 32767 and n > 1):
            refuse(call, "pattern-range", f"{arg} has pattern {t.get_pattern()}")
    t.checked = True
    return t


def free_size(t: NkiTensor) -> int:
    """Return the elements per partition."""
    shape = t.shape
    return shape[1] if len(shape) == 2 else prod(shape[1:])


def same_elements(call: str, a: str, x: NkiTensor, b: str, y: NkiTensor) -> None:
    """Require equal partitions and equal elements per partition."""
    if x.shape == y.shape:
        return
    if x.shape[0] != y.shape[0] or prod(x.shape) != prod(y.shape):
        rule = "broadcast" if 1 in (x.shape[0], y.shape[0]) else "shape"
        refuse(call, rule, f"{a} is {x.shape}, {b} is {y.shape}")


def choose_engine(call: str, given: Any, default: str, allowed: tuple[str, ...]) -> str:
    """Return the engine's name, refusing one the instruction cannot run on."""
    if given is engine_enum.unknown:
        return default
    if not isinstance(given, engine_enum):
        refuse(call, "keyword-enum", f"engine={given!r}")
    if given.name not in allowed:
        refuse(call, "engine", f"engine {given.name}, possible are {', '.join(allowed)}")
    return given.name


def gpsimd_sees(call: str, engine: str, *tensors: NkiTensor) -> None:
    """Refuse PSUM operands of GpSimdE."""
    if engine == "gpsimd":
        for t in tensors:
            if t.storage.space == "psum":
                refuse(call, "engine-memory", f"GpSimdE with {t.storage.describe()}")


def per_partition(call: str, arg: str, t: Any, data: NkiTensor, float32: bool = True) -> NkiTensor:
    """Check a (P, 1) operand."""
    tile(call, arg, t)
    assert isinstance(t, NkiTensor)
    if t.shape != (data.shape[0], 1):
        rule = "broadcast" if t.shape[0] == 1 else "shape-scalar"
        refuse(call, rule, f"{arg} has shape {t.shape}, data {data.shape}")
    if float32 and t.dtype != "float32":
        refuse(call, "dtype-scalar", f"{arg} is {t.dtype}")
    return t


def scalar_value(t: Any, rank: int) -> Any:
    """Return a constant as float32, or a (P, 1) tile's values shaped for broadcasting."""
    if isinstance(t, NkiTensor):
        values = f32(t)
        return values if rank == 2 else values.reshape(values.shape[0], *[1] * (rank - 1))
    return F32(t)


def f32(t: NkiTensor) -> Array:
    """Return the values in float32, as engines see them."""
    values = t.read()
    return values if values.dtype == F32 else values.astype(F32)


def put(t: NkiTensor, values: Array) -> None:
    """Write values with the device's conversion."""
    if values.shape == t.shape and t.dtype == "float32" and t.dynamic is None:
        t.array()[...] = values
    else:
        t.write(np.asarray(values))


def reduce_free(ufunc: np.ufunc, values: Array) -> Array:
    """Reduce each partition over its free elements, one after the other, to shape (P, 1).

    The order of the device is not documented; a sequential float32 chain is the least accurate
    plausible one.
    """
    flat = values.reshape(values.shape[0], -1)
    return np.asarray(ufunc.reduce(np.ascontiguousarray(flat.T), axis=0)).reshape(-1, 1)


def psum_region(t: NkiTensor) -> NDArray[np.uint8]:
    """Return the writer codes of the elements of a PSUM view."""
    storage = t.storage
    if isinstance(storage.psum_state, int):
        storage.psum_state = np.full(prod(storage.shape), storage.psum_state, dtype=np.uint8)
    state = storage.psum_state
    if t.dtype.itemsize != storage.dtype.itemsize:
        return state
    return np.ndarray(
        t.shape,
        np.uint8,
        buffer=state,
        offset=t.offset,
        strides=t.strides,
    )


def mark_psum(t: NkiTensor, code: int) -> None:
    """Note who wrote a view, if it is in PSUM: 1 TensorE, 2 another engine."""
    storage = t.storage
    if storage.space != "psum":
        return
    if isinstance(storage.psum_state, int) and storage.psum_state == code:
        return
    if t.size == storage.shape[0] * storage.free and t.dtype.itemsize == storage.dtype.itemsize:
        storage.psum_state = code
    else:
        psum_region(t)[...] = code

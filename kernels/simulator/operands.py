"""Checks that every engine instruction makes of its operands, and access to their values."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .enums import engine as engine_enum
from .errors import refuse
from .state import Run, current_run
from .tensor import NkiTensor

__all__ = [
    "begin",
    "choose_engine",
    "f32",
    "free_size",
    "is_number",
    "not_modelled",
    "per_partition",
    "put",
    "refuse_psum",
    "same_elements",
    "scalar_value",
    "tile",
]

F32 = np.float32


def begin(call: str, **tiles: Any) -> Run:
    """Return the current run after a check of the operands that are tiles."""
    run = current_run(call)
    for name, t in tiles.items():
        tile(call, name, t)
    return run


def not_modelled(call: str, **given: bool) -> None:
    """Refuse parameters of NKI that the simulator does not model."""
    names = [name for name, is_given in given.items() if is_given]
    if names:
        refuse(call, "not-modelled", f"parameter {', '.join(names)}")


def tile(call: str, arg: str, t: Any) -> NkiTensor:
    """Check an operand of a compute engine: on chip, partitions, start, pattern rank."""
    if type(t) is not NkiTensor:
        refuse(call, "argument", f"{arg} is a {type(t).__name__}, not a tensor")
    if t.checked:
        return t
    if t.storage.space == "hbm":
        refuse(call, "engine-memory", f"{arg} is {t.storage.describe()}")
    if t.dynamic is not None:
        run = current_run(call)
        if run.target.version == 2 and run.has("dynamic-operand"):
            refuse(call, "dynamic-operand", f"{arg} is {t} at a run-time offset")
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
            refuse(call, "pattern-range", f"{arg} has pattern {t.pattern}")
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
    if x.shape[0] != y.shape[0] or x.size != y.size:
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


def refuse_psum(call: str, engine: str, *tensors: NkiTensor) -> None:
    """Refuse PSUM operands of GpSimdE."""
    if engine == "gpsimd":
        for t in tensors:
            if t.storage.space == "psum":
                refuse(call, "engine-memory", f"GpSimdE with {t.storage.describe()}")


def is_number(value: Any) -> bool:
    """Return whether `value` is a Python or NumPy number."""
    return isinstance(value, (int, float, np.integer, np.floating))


def per_partition(call: str, arg: str, t: Any, data: NkiTensor) -> NkiTensor:
    """Check a (P, 1) float32 operand."""
    checked = tile(call, arg, t)
    if checked.shape != (data.shape[0], 1):
        rule = "broadcast" if checked.shape[0] == 1 else "shape-scalar"
        refuse(call, rule, f"{arg} has shape {checked.shape}, data {data.shape}")
    if checked.dtype != "float32":
        refuse(call, "dtype-scalar", f"{arg} is {checked.dtype}")
    return checked


def scalar_value(t: Any, rank: int) -> Any:
    """Return a constant as float32, or a (P, 1) tile's values shaped for broadcasting."""
    if isinstance(t, NkiTensor):
        values = f32(t)
        return values if rank == 2 else values.reshape(values.shape[0], *[1] * (rank - 1))
    return F32(t)


def f32(t: NkiTensor) -> NDArray[Any]:
    """Return the values in float32, in which engines compute."""
    values = t.array()
    return values if values.dtype == F32 else values.astype(F32)


def put(t: NkiTensor, values: NDArray[Any]) -> None:
    """Write values with the device's conversion."""
    if values.shape == t.shape and t.dtype == "float32":
        t.array()[...] = values
    else:
        t.write(np.asarray(values))

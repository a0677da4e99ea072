"""GpSimdE: index patterns, selection by an affine predicate, reduction over partitions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import cost, language_ops
from .errors import refuse
from .operands import HANDLE, Instruction, f32, free_size, gpsimd_sees, put, same_elements, tile
from .ops import alu_op
from .state import current_run, issue
from .tensor import NkiTensor

__all__ = ["affine_select", "iota", "tensor_partition_reduce"]


def _pattern(call: str, dst: NkiTensor, pattern: Any) -> list[tuple[int, int]]:
    pairs = [(int(step), int(num)) for step, num in pattern]
    if len(pairs) > 4:
        refuse(call, "free-rank", f"pattern {pairs}")
    if prod(num for _, num in pairs) != free_size(dst):
        refuse(call, "shape", f"pattern {pairs} for dst {dst.shape}")
    return pairs


def _values(
    dst: NkiTensor, pairs: list[tuple[int, int]], offset: int, channel_multiplier: int
) -> NDArray[np.int64]:
    free = np.zeros((), dtype=np.int64)
    for step, num in pairs:
        free = free[..., None] + step * np.arange(num, dtype=np.int64)
    channels = channel_multiplier * np.arange(dst.shape[0], dtype=np.int64)
    return offset + channels[:, None] + free.reshape(1, -1)


def iota(
    dst: Any, pattern: Any, offset: int = 0, channel_multiplier: int = 0, name: str | None = None
) -> Instruction:
    """Write offset + partition * channel_multiplier + the pattern's index sum."""
    call = "nisa.iota"
    run = current_run(call)
    tile(call, "dst", dst)
    gpsimd_sees(call, "gpsimd", dst)
    pairs = _pattern(call, dst, pattern)
    issue(run, call, "gpsimd", cost.gpsimd_generate(free_size(dst)), (), (dst,))
    if run.execute:
        put(dst, _values(dst, pairs, offset, channel_multiplier).reshape(dst.shape))
    return HANDLE


_COMPARISONS = {
    "equal": np.equal,
    "not_equal": np.not_equal,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
}


def affine_select(
    dst: Any,
    pattern: Any,
    channel_multiplier: int,
    on_true_tile: Any,
    on_false_value: float,
    cmp_op: Any = language_ops.equal,
    offset: int = 0,
    name: str | None = None,
) -> Instruction:
    """Keep elements where an affine index expression compares true with 0, else a constant."""
    call = "nisa.affine_select"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "on_true_tile", on_true_tile)
    gpsimd_sees(call, "gpsimd", dst, on_true_tile)
    same_elements(call, "on_true_tile", on_true_tile, "dst", dst)
    pairs = _pattern(call, dst, pattern)
    comparison = _COMPARISONS.get(alu_op(call, cmp_op).name)
    if comparison is None:
        refuse(call, "alu-op", f"{alu_op(call, cmp_op).name} is no comparison")
    issue(run, call, "gpsimd", cost.gpsimd_generate(free_size(dst)), (on_true_tile,), (dst,))
    if run.execute:
        chosen = comparison(_values(dst, pairs, offset, channel_multiplier), 0)
        source = on_true_tile.read()
        if on_true_tile.dtype != dst.dtype:
            source = source.astype(np.float32)
        flat = source.reshape(dst.shape[0], -1)
        put(dst, np.where(chosen, flat, np.float32(on_false_value)).reshape(dst.shape))
    return HANDLE


_PARTITION_REDUCES = ("add", "maximum", "bitwise_or", "bitwise_and")


def tensor_partition_reduce(dst: Any, op: Any, data: Any, name: str | None = None) -> Instruction:
    """Reduce over partitions; slow, a product with ones on TensorE is the better way."""
    call = "nisa.tensor_partition_reduce"
    run = current_run(call)
    tile(call, "dst", dst)
    tile(call, "data", data)
    gpsimd_sees(call, "gpsimd", dst, data)
    alu = alu_op(call, op)
    if alu.name not in _PARTITION_REDUCES or alu.reduces is None:
        refuse(call, "reduce-op", alu.name)
    if dst.shape[0] != 1 or free_size(dst) != free_size(data):
        refuse(call, "shape", f"dst {dst.shape} for a reduction of {data.shape}")
    # The cost of this instruction is not documented; one pass per partition is assumed.
    cycles = cost.vector(free_size(data)) * data.shape[0]
    issue(run, call, "gpsimd", cycles, (data,), (dst,))
    if run.execute:
        values = data.read() if alu.kind == "bitvec" else f32(data)
        put(dst, np.asarray(alu.reduces.reduce(values, axis=0)).reshape(dst.shape))
    return HANDLE

"""DMA: copies between HBM and SBUF."""

from __future__ import annotations

from typing import Any

import numpy as np

from .enums import dge_mode as dge_enum
from .enums import engine as engine_enum
from .enums import oob_mode as oob_enum
from .errors import refuse
from .operands import not_modelled
from .state import current_run, issue
from .strides import contiguous_run
from .tensor import NkiTensor

__all__ = ["dma_copy"]


def _run_bytes(t: NkiTensor) -> int:
    """Bytes of the contiguous elements that a transfer is made of."""
    first = 1 if t.on_chip else 0
    return contiguous_run(t.shape[first:], t.strides[first:]) * t.dtype.itemsize


def dma_copy(
    dst: Any,
    src: Any,
    priority: int | None = None,
    oob_mode: Any = oob_enum.error,
    dge_mode: Any = dge_enum.unknown,
    engine: Any = engine_enum.unknown,
    name: str | None = None,
) -> None:
    """Copy `src` to `dst` by DMA; equal numbers of elements, conversion through float32."""
    call = "nisa.dma_copy"
    run = current_run(call)
    for end, t in (("dst", dst), ("src", src)):
        if type(t) is not NkiTensor:
            refuse(call, "argument", f"{end} is a {type(t).__name__}, not a tensor")
        if t.storage.space == "psum":
            refuse(call, "dma-psum", f"{end} is {t.storage.describe()}; use tensor_copy first")
        if t.storage.space == "sbuf" and not 1 <= t.shape[0] <= 128:
            refuse(call, "partitions", f"{end} spans {t.shape[0]} partitions")
    not_modelled(
        call,
        priority=priority is not None,
        oob_mode=oob_mode is not oob_enum.error,
        dge_mode=dge_mode is not dge_enum.unknown,
        engine=engine is not engine_enum.unknown,
    )
    if dst.size != src.size:
        refuse(call, "dma-size", f"src {src.shape}, dst {dst.shape}")
    if src.strides[0] == 0 and src.shape[0] > 1 and not src.on_chip and dst.on_chip:
        run.account.unproven["dma_copy that repeats an HBM row over partitions"] += 1
    fixed = src.storage.is_argument and src.dynamic is None
    if run.loop is not None and fixed and run.has("loop-input"):
        refuse(call, "loop-input", f"src is {src.storage.describe()} at a fixed offset")
    issue(run, call, "dma", 0, (src,), dst)
    reads, writes = not src.on_chip, not dst.on_chip
    moved = (src if reads else dst).size * max(src.dtype.itemsize, dst.dtype.itemsize)
    run.account.add_dma(moved, min(_run_bytes(src), _run_bytes(dst)), reads, writes, run.times)
    if run.execute:
        values = src.array()
        if src.dtype != dst.dtype:
            values = values.astype(np.float32)
        dst.write(values)

"""DMA: copies between HBM and SBUF, and transposes on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from .enums import dge_mode as dge_enum
from .enums import engine as engine_enum
from .enums import oob_mode as oob_enum
from .errors import refuse
from .operands import HANDLE, Instruction
from .state import Run, current_run, issue
from .strides import contiguous_run
from .tensor import NkiTensor

__all__ = ["dma_copy", "dma_transpose"]


def _ends(call: str, dst: Any, src: Any) -> None:
    for name, t in (("dst", dst), ("src", src)):
        if type(t) is not NkiTensor:
            refuse(call, "argument", f"{name} is a {type(t).__name__}, not a tensor")
        if t.storage.space == "psum":
            refuse(call, "dma-psum", f"{name} is {t.storage.describe()}; use tensor_copy first")
        if t.storage.space == "sbuf" and not 1 <= t.shape[0] <= 128:
            refuse(call, "partitions", f"{name} spans {t.shape[0]} partitions")


def _modes(
    call: str, run: Run, dst: NkiTensor, src: NkiTensor, oob_mode: Any, dge_mode: Any, engine: Any
) -> None:
    if not isinstance(dge_mode, dge_enum) or not isinstance(oob_mode, oob_enum):
        refuse(call, "keyword-enum", f"dge_mode={dge_mode!r}, oob_mode={oob_mode!r}")
    if not isinstance(engine, engine_enum):
        refuse(call, "keyword-enum", f"engine={engine!r}")
    if oob_mode is not oob_enum.error:
        refuse(call, "not-modelled", "oob_mode.skip")
    gathers = any(t.dynamic is not None and t.dynamic.vector for t in (dst, src))
    dynamic = dst.dynamic is not None or src.dynamic is not None
    hardware = dge_mode is dge_enum.hwdge
    if gathers and run.target.version < 3:
        refuse(call, "generation", "vector_offset needs NeuronCore-v3")
    if dynamic and dge_mode is dge_enum.none:
        refuse(call, "dge", "a dynamic offset needs descriptors made at run time")
    if hardware and (run.target.version < 3 or gathers or dst.dtype != src.dtype):
        refuse(
            call, "dge", f"hwdge on {run.target.name}, {src.dtype} to {dst.dtype}, gather {gathers}"
        )
    if engine is not engine_enum.unknown and (
        not hardware or engine not in (engine_enum.sync, engine_enum.scalar)
    ):
        refuse(call, "dge", f"engine {engine.name} with dge_mode {dge_mode.name}")


def _run_bytes(t: NkiTensor) -> int:
    first = 1 if t.on_chip else 0
    if t.dynamic is not None and t.dynamic.vector:
        first = 1
    return contiguous_run(t.shape[first:], t.strides[first:]) * t.dtype.itemsize


def book_dma(run: Run, call: str, dst: NkiTensor, src: NkiTensor) -> None:
    """Book one transfer with its bytes and descriptor size."""
    issue(run, call, "dma", 0, (src,), (dst,))
    reads, writes = not src.on_chip, not dst.on_chip
    moved = (src if reads else dst).size * max(src.dtype.itemsize, dst.dtype.itemsize)
    run.account.add_dma(moved, min(_run_bytes(src), _run_bytes(dst)), reads, writes, run.repeat)


def dma_copy(
    dst: Any,
    src: Any,
    priority: int | None = None,
    oob_mode: Any = oob_enum.error,
    dge_mode: Any = dge_enum.unknown,
    engine: Any = engine_enum.unknown,
    name: str | None = None,
) -> Instruction:
    """Copy `src` to `dst` by DMA; equal numbers of elements, conversion through float32."""
    call = "nisa.dma_copy"
    run = current_run(call)
    _ends(call, dst, src)
    _modes(call, run, dst, src, oob_mode, dge_mode, engine)
    if priority is not None and run.target.version < 4:
        refuse(call, "generation", f"priority on {run.target.name}")
    if dst.shape != src.shape and dst.size != src.size:
        refuse(call, "dma-size", f"src {src.shape}, dst {dst.shape}")
    if src.strides[0] == 0 and src.shape[0] > 1 and not src.on_chip and dst.on_chip:
        run.account.doubt("dma_copy that repeats an HBM row over partitions", run.recording)
    book_dma(run, call, dst, src)
    if run.execute:
        values = src.read()
        if src.dtype != dst.dtype:
            values = values.astype(np.float32)
        dst.write(values)
    return HANDLE


_AXES = {2: (1, 0), 3: (2, 1, 0), 4: (3, 1, 2, 0)}


def dma_transpose(
    dst: Any,
    src: Any,
    axes: Any = None,
    priority: int | None = None,
    dge_mode: Any = dge_enum.unknown,
    oob_mode: Any = oob_enum.error,
    name: str | None = None,
) -> Instruction:
    """Transpose by DMA into SBUF; slow, two-byte types only on the fast path."""
    call = "nisa.dma_transpose"
    run = current_run(call)
    _ends(call, dst, src)
    _modes(call, run, dst, src, oob_mode, dge_mode, engine_enum.unknown)
    expected = _AXES.get(src.ndim)
    given = expected if axes is None else tuple(axes)
    if expected is None or given != expected or dst.storage.space != "sbuf":
        refuse(call, "dma-transpose", f"axes {axes} of {src.shape} into {dst.storage.describe()}")
    if dst.shape != tuple(src.shape[a] for a in expected):
        refuse(call, "dma-transpose", f"dst {dst.shape}, src {src.shape}, axes {expected}")
    if dst.dtype != src.dtype:
        refuse(call, "dtype-transpose", f"src is {src.dtype}, dst {dst.dtype}")
    if dge_mode is dge_enum.hwdge and src.dtype.itemsize != 2:
        refuse(call, "dge", f"hwdge transposes two-byte types, src is {src.dtype}")
    if src.dtype.itemsize != 2:
        run.account.doubt(f"dma_transpose of {src.dtype.itemsize}-byte elements", run.recording)
    issue(run, call, "dma", 0, (src,), (dst,))
    moved = src.size * src.dtype.itemsize
    # Element by element on one side: the descriptor size is one element.
    run.account.add_dma(moved, src.dtype.itemsize, not src.on_chip, False, run.repeat)
    if run.execute:
        dst.write(src.read().transpose(expected))
    return HANDLE

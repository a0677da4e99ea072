"""`nki.language` functions that make tensors and move their contents."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from . import isa_dma, isa_tensor, isa_vector
from .allocate import allocate, from_array, whole
from .dtypes import DTYPES, as_dtype
from .enums import engine
from .errors import UnprovenOnHardwareWarning, refuse
from .indexing import DynamicSlice
from .memory import psum, sbuf, shared_hbm
from .state import current_run
from .tensor import NkiTensor

__all__ = [
    "assign",
    "broadcast_to",
    "ds",
    "empty_like",
    "expand_dims",
    "full",
    "load",
    "load_transpose2d",
    "matmul",
    "ndarray",
    "ones",
    "shared_constant",
    "shared_identity_matrix",
    "store",
    "transpose",
    "zeros",
    "zeros_like",
]

uint8, float32 = DTYPES["uint8"], DTYPES["float32"]


# -- making tensors -------------------------------------------------------------------------
def ndarray(
    shape: Any, dtype: Any, buffer: Any = sbuf, name: str = "", address: Any = None
) -> NkiTensor:
    """Allocate an uninitialised tensor."""
    return allocate("nl.ndarray", shape, dtype, buffer, name, address)


def full(shape: Any, fill_value: Any, dtype: Any, buffer: Any = sbuf, name: str = "") -> NkiTensor:
    """Allocate a tile and fill it."""
    t = allocate("nl.full", shape, dtype, buffer, name)
    isa_vector.memset(t, float(fill_value) if t.dtype.is_float else fill_value)
    return t


def zeros(shape: Any, dtype: Any, buffer: Any = sbuf, name: str = "") -> NkiTensor:
    """Allocate a tile of zeros."""
    return full(shape, 0, dtype, buffer, name)


def ones(shape: Any, dtype: Any, buffer: Any = sbuf, name: str = "") -> NkiTensor:
    """Allocate a tile of ones."""
    return full(shape, 1, dtype, buffer, name)


def zeros_like(x: NkiTensor, dtype: Any = None, buffer: Any = None, name: str = "") -> NkiTensor:
    """Allocate a tile of zeros with the shape of x."""
    return zeros(x.shape, dtype or x.dtype, buffer or x.buffer, name)


def empty_like(x: NkiTensor, dtype: Any = None, buffer: Any = None, name: str = "") -> NkiTensor:
    """Allocate an uninitialised tensor with the shape of x."""
    return allocate("nl.empty_like", x.shape, dtype or x.dtype, buffer or x.buffer, name)


def shared_constant(constant: Any) -> NkiTensor:
    """Return a tensor in shared HBM that holds a constant array."""
    call = "nl.shared_constant"
    current_run(call)
    if not isinstance(constant, np.ndarray):
        refuse(call, "not-modelled", f"a constant of type {type(constant).__name__}")
    return whole(from_array(np.ascontiguousarray(constant), shared_hbm, "constant"))


def shared_identity_matrix(n: int, dtype: Any = uint8, dst: NkiTensor | None = None) -> NkiTensor:
    """Return an identity matrix in SBUF; equal ones of a kernel share their memory."""
    call = "nl.shared_identity_matrix"
    run = current_run(call)
    kind = as_dtype(dtype, call)
    if dst is None:
        cached = run.identities.get((n, kind))
        if isinstance(cached, NkiTensor):
            return cached
        # The constant is loaded before any loop, whatever first asks for it.
        frames, run.frames = run.frames, []
        dst = allocate(call, (n, n), kind, sbuf, "identity")
        run.frames = frames
        run.identities[(n, kind)] = dst
    source = whole(from_array(np.eye(n, dtype=kind.np_dtype), shared_hbm, "identity"))
    source = NkiTensor(source.storage, source.shape, source.strides, 0, kind)
    isa_dma.book_dma(run, "nisa.dma_copy", dst, source)
    if run.execute:
        dst.write(source.read())
    return dst


# -- moving data ----------------------------------------------------------------------------
def load(src: Any, dtype: Any = None) -> NkiTensor:
    """Load an HBM tensor into a new SBUF tile."""
    out = allocate("nl.load", src.shape, dtype or src.dtype, sbuf, "")
    isa_dma.dma_copy(out, src)
    return out


def store(dst: Any, value: Any) -> None:
    """Store an SBUF tile into HBM."""
    isa_dma.dma_copy(dst, value)


def load_transpose2d(src: Any, dtype: Any = None) -> NkiTensor:
    """Load and transpose up to 128 x 128 elements; far slower than `load`."""
    call = "nl.load_transpose2d"
    if src.ndim != 2 or src.shape[0] > 128 or src.shape[1] > 128:
        refuse(call, "transpose-tile", f"shape {src.shape}")
    out = allocate(call, (src.shape[1], src.shape[0]), dtype or src.dtype, sbuf, "")
    isa_dma.dma_transpose(out, src)
    return out


def assign(dst: NkiTensor, value: Any) -> None:
    """Carry out ``dst[...] = value``."""
    if not isinstance(value, NkiTensor):
        refuse("NkiTensor[...] =", "not-modelled", f"assignment of a {type(value).__name__}")
    if dst.on_chip and value.on_chip:
        isa_vector.tensor_copy(dst, value)
    else:
        isa_dma.dma_copy(dst, value)


def broadcast_to(x: Any, shape: Any, dtype: Any = None) -> NkiTensor:
    """Repeat size-1 dimensions into a new tile; over partitions nobody has shown it on hardware."""
    call = "nl.broadcast_to"
    run = current_run(call)
    target = tuple(shape)
    kind = as_dtype(dtype or x.dtype, call)
    if x.shape == target and kind == x.dtype:
        return x  # type: ignore[no-any-return]
    if len(target) != x.ndim or any(n not in (1, m) for n, m in zip(x.shape, target, strict=True)):
        refuse(call, "shape", f"{x.shape} to {target}")
    if x.shape[0] != target[0]:
        run.account.doubt("nl.broadcast_to over partitions", run.recording)
        warnings.warn(
            f"nl.broadcast_to from {x.shape} to {target} repeats over partitions: unproven on "
            "hardware",
            UnprovenOnHardwareWarning,
            stacklevel=2,
        )
    out = allocate(call, target, kind, sbuf, "")
    wide = NkiTensor(
        x.storage,
        target,
        tuple(s if n == m else 0 for n, m, s in zip(x.shape, target, x.strides, strict=True)),
        x.offset,
        x.dtype,
    )
    wide.checked = True
    isa_vector.tensor_copy(out, wide)
    return out


def transpose(x: Any, dtype: Any = None) -> NkiTensor:
    """Transpose a 2-D tile into PSUM."""
    kind = dtype or x.dtype
    out = allocate("nl.transpose", (x.shape[1], x.shape[0]), kind, psum, "")
    isa_tensor.nc_transpose(out, x, engine=engine.tensor)
    return out


def matmul(x: Any, y: Any, transpose_x: bool = False) -> NkiTensor:
    """Multiply tiles into PSUM; only ``transpose_x=True`` works."""
    if not transpose_x:
        refuse("nl.matmul", "not-modelled", "transpose_x=False")
    out = allocate("nl.matmul", (x.shape[1], y.shape[1]), float32, psum, "")
    isa_tensor.nc_matmul(out, x, y, accumulate=False)
    return out


def expand_dims(x: Any, axis: int) -> NkiTensor:
    """Insert a dimension of size 1."""
    view: NkiTensor = x.expand_dim(axis)
    return view


def ds(start: Any, size: int) -> DynamicSlice:
    """Make a slice from start and size."""
    return DynamicSlice(start, size)

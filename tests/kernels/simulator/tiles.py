"""Short ways to make, load and store tiles inside the kernels of these tests."""

from __future__ import annotations

from typing import Any

from dfmp2.kernels.simulator import isa as nisa
from dfmp2.kernels.simulator import language as nl


def fresh(shape: Any, dtype: Any = nl.float32, buffer: Any = nl.sbuf) -> Any:
    """Return memory that nothing wrote."""
    return nl.ndarray(shape, dtype, buffer)


def filled(shape: Any, dtype: Any = nl.float32, buffer: Any = nl.sbuf, value: int = 1) -> Any:
    """Return a tile of one value, written by VectorE."""
    tile = fresh(shape, dtype, buffer)
    nisa.memset(tile, float(value) if dtype.is_float else value)
    return tile


def copied(tile: Any, dtype: Any = None) -> Any:
    """Return a copy of a tile in SBUF, made by VectorE."""
    out = fresh(tile.shape, dtype or tile.dtype)
    nisa.tensor_copy(out, tile)
    return out


def load(src: Any) -> Any:
    """Return an SBUF tile with the contents of an HBM tensor."""
    out = fresh(src.shape, src.dtype)
    nisa.dma_copy(out, src)
    return out


def stored(tile: Any) -> Any:
    """Return a new tensor in shared HBM with the contents of an SBUF tile."""
    out = fresh(tile.shape, tile.dtype, nl.shared_hbm)
    nisa.dma_copy(out, tile)
    return out

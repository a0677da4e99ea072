"""Names for what kernels and their host sides compute on.

Neither NKI nor torch has types that a checker could use here, so both names stand for `Any`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["Operand", "Tile"]

Operand: TypeAlias = Any
"""An array in device memory: an HBM tensor of NKI inside a kernel; on the host a NumPy array for a
simulator, or a torch tensor for a device."""

Tile: TypeAlias = Any
"""A tile in SBUF or PSUM, or a Python container of tiles; exists inside kernels only."""

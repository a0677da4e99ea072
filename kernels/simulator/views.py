"""Views that reorder, split, merge or reinterpret the dimensions of a tensor."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from .dtypes import DType, as_dtype
from .errors import refuse
from .memory import Storage
from .strides import c_strides, reshape_strides

if TYPE_CHECKING:
    from typing_extensions import Self

    from .indexing import Indirect

__all__ = ["ViewMethods"]


class ViewMethods:
    """The part of `NkiTensor` that makes views of the same storage."""

    __slots__ = ()

    if TYPE_CHECKING:
        storage: Storage
        shape: tuple[int, ...]
        strides: tuple[int, ...]
        offset: int
        dtype: DType
        dynamic: Indirect | None

        def __init__(
            self,
            storage: Storage,
            shape: tuple[int, ...],
            strides: tuple[int, ...],
            offset: int,
            dtype: DType,
            indirect: Indirect | None = None,
        ) -> None: ...

        @property
        def ndim(self) -> int: ...
        @property
        def size(self) -> int: ...
        @property
        def on_chip(self) -> bool: ...

    def _like(self, shape: tuple[int, ...], strides: tuple[int, ...]) -> Self:
        return type(self)(self.storage, shape, strides, self.offset, self.dtype, self.dynamic)

    def permute(self, dims: tuple[int, ...]) -> Self:
        """Reorder dimensions; on chip the partition dimension stays first."""
        call = "NkiTensor.permute"
        if sorted(dims) != list(range(self.ndim)):
            refuse(call, "view", f"{dims} is no permutation of {self.ndim} dimensions")
        if self._partition_first() and dims[0] != 0:
            refuse(call, "view", f"{dims} moves the partition dimension")
        return self._like(tuple(self.shape[d] for d in dims), tuple(self.strides[d] for d in dims))

    def broadcast(self, dim: int, size: int) -> Self:
        """Repeat a dimension of size 1; never the partition dimension."""
        if self.shape[dim] != 1:
            refuse("NkiTensor.broadcast", "view", f"dimension {dim} of {self.shape} is not 1")
        if self._partition_first() and dim == 0:
            refuse("NkiTensor.broadcast", "broadcast", f"{self} over {size} partitions")
        shape = (*self.shape[:dim], size, *self.shape[dim + 1 :])
        return self._like(shape, (*self.strides[:dim], 0, *self.strides[dim + 1 :]))

    def expand_dim(self, dim: int) -> Self:
        """Insert a dimension of size 1."""
        self._refuse_partition("NkiTensor.expand_dim", dim)
        stride = self.strides[dim] * self.shape[dim] if dim < self.ndim else 1
        return self._like(
            (*self.shape[:dim], 1, *self.shape[dim:]),
            (*self.strides[:dim], stride, *self.strides[dim:]),
        )

    def squeeze_dim(self, dim: int) -> Self:
        """Remove a dimension of size 1."""
        self._refuse_partition("NkiTensor.squeeze_dim", dim)
        if self.shape[dim] != 1:
            refuse("NkiTensor.squeeze_dim", "view", f"dimension {dim} of {self.shape} is not 1")
        return self._like(
            self.shape[:dim] + self.shape[dim + 1 :], self.strides[:dim] + self.strides[dim + 1 :]
        )

    def reshape_dim(self, dim: int, shape: tuple[int, ...]) -> Self:
        """Split a dimension; one size may be -1."""
        self._refuse_partition("NkiTensor.reshape_dim", dim)
        known = -prod(shape) if -1 in shape else prod(shape)
        sizes = tuple(self.shape[dim] // known if n == -1 else n for n in shape)
        if prod(sizes) != self.shape[dim]:
            refuse("NkiTensor.reshape_dim", "view", f"{self.shape[dim]} elements into {shape}")
        strides = tuple(s * self.strides[dim] for s in c_strides(sizes))
        return self._like(
            (*self.shape[:dim], *sizes, *self.shape[dim + 1 :]),
            (*self.strides[:dim], *strides, *self.strides[dim + 1 :]),
        )

    def flatten_dims(self, start_dim: int, end_dim: int) -> Self:
        """Merge dimensions `start_dim` to `end_dim` inclusive."""
        self._refuse_partition("NkiTensor.flatten_dims", start_dim)
        merged = prod(self.shape[start_dim : end_dim + 1])
        return self.reshape((*self.shape[:start_dim], merged, *self.shape[end_dim + 1 :]))

    def reshape(self, shape: tuple[int, ...]) -> Self:
        """View the same elements in another shape; on chip partitions stay."""
        call = "NkiTensor.reshape"
        shape = tuple(shape)
        if prod(shape) != self.size:
            refuse(call, "view", f"{self.shape} has {self.size} elements, {shape} does not")
        if self._partition_first():
            if shape[0] != self.shape[0] or len(shape) < 2:
                refuse(call, "view", f"{self.shape} to {shape} changes the partition dimension")
            free = reshape_strides(self.shape[1:], self.strides[1:], shape[1:])
            strides = None if free is None else (self.strides[0], *free)
        else:
            strides = reshape_strides(self.shape, self.strides, shape)
        if strides is None:
            refuse(call, "view", f"{self.shape} with strides {self.strides} cannot be {shape}")
        return self._like(shape, strides)

    def rearrange(
        self,
        src_pattern: tuple[Any, ...],
        dst_pattern: tuple[Any, ...],
        fixed_sizes: dict[str, int] | None = None,
    ) -> Self:
        """Split, reorder and merge named dimensions, einops style."""
        sizes = dict(fixed_sizes or {})
        view = self
        names: list[str] = []
        for group, n in zip(src_pattern, self.shape, strict=True):
            parts = (group,) if isinstance(group, str) else tuple(group)
            unknown = [p for p in parts if p not in sizes]
            if len(unknown) > 1:
                refuse("NkiTensor.rearrange", "view", f"sizes of {unknown} are not given")
            for p in unknown:
                sizes[p] = n // prod(sizes[q] for q in parts if q != p)
            if len(parts) > 1:
                view = view.reshape_dim(len(names), tuple(sizes[p] for p in parts))
            names.extend(parts)
        flat = [p for g in dst_pattern for p in ((g,) if isinstance(g, str) else g)]
        if sorted(flat) != sorted(names):
            refuse("NkiTensor.rearrange", "view", f"{dst_pattern} does not name {names}")
        view = view.permute(tuple(names.index(p) for p in flat))
        for axis, group in enumerate(dst_pattern):
            if not isinstance(group, str) and len(group) > 1:
                view = view.flatten_dims(axis, axis + len(group) - 1)
        return view

    def view(self, dtype: Any) -> Self:
        """Reinterpret the bits as another dtype; the last dimension is rescaled."""
        call = "NkiTensor.view"
        new = as_dtype(dtype, call)
        old = self.dtype
        if new == old:
            return self
        if new.round_bits or old.round_bits:
            refuse(call, "not-modelled", f"bits of {old} as {new}")
        if self.strides[-1] != 1 or self.dynamic is not None:
            refuse(call, "view", "the last dimension is not contiguous, or the view is dynamic")
        last = self.shape[-1] * old.itemsize
        scaled = [s * old.itemsize for s in (*self.strides[:-1], self.offset)]
        if last % new.itemsize or any(s % new.itemsize for s in scaled):
            refuse(call, "view", f"{self.shape} of {old} does not divide into {new}")
        *strides, offset = (s // new.itemsize for s in scaled)
        return type(self)(
            self.storage, (*self.shape[:-1], last // new.itemsize), (*strides, 1), offset, new
        )

    def _partition_first(self) -> bool:
        return self.on_chip or (self.dynamic is not None and self.dynamic.vector)

    def _refuse_partition(self, call: str, dim: int) -> None:
        if self._partition_first() and dim == 0:
            refuse(call, "view", f"dimension 0 of {self} is the partition")

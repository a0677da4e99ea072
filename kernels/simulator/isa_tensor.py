"""TensorE: matrix product and transpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cost
from .enums import engine as engine_enum
from .enums import matmul_perf_mode
from .errors import refuse
from .operands import begin, choose_engine, f32, free_size, not_modelled, put
from .state import Run, issue, psum_writers
from .tensor import NkiTensor

__all__ = ["nc_matmul", "nc_transpose"]

_MATMUL_DTYPES = ("float32", "tfloat32", "bfloat16", "float16")
_WIDE = ("float32", "tfloat32")


def _memories(call: str, dst: NkiTensor, **inputs: NkiTensor) -> None:
    if dst.storage.space != "psum":
        refuse(call, "engine-memory", f"dst is {dst.storage.describe()}, TensorE writes PSUM")
    for name, t in inputs.items():
        if t.storage.space != "sbuf":
            refuse(call, "engine-memory", f"{name} is {t.storage.describe()}, TensorE reads SBUF")


def _within_bank(call: str, run: Run, dst: NkiTensor) -> None:
    size = dst.dtype.itemsize
    first = dst.offset % dst.strides[0]
    last = first + sum((n - 1) * s for n, s in zip(dst.shape[1:], dst.strides[1:], strict=True))
    bank = run.target.psum_bank_bytes
    if run.target.version < 4 and first * size // bank != ((last + 1) * size - 1) // bank:
        refuse(
            call,
            "psum-bank",
            f"dst covers bytes {first * size}..{(last + 1) * size - 1} of its partition, banks "
            f"are {bank} bytes",
        )


def _accumulates(call: str, run: Run, dst: NkiTensor, accumulate: Any) -> bool:
    """Decide whether the product adds to the contents of dst, and refuse if it may not."""
    if accumulate is False:
        return False
    storage = dst.storage
    state = storage.psum_state
    if not isinstance(state, int):
        writers = psum_writers(dst)
        low, high = int(writers.min()), int(writers.max())
        if low != high:
            if accumulate is None or low == 0:
                refuse(
                    call,
                    "accumulate",
                    f"dst {dst.shape} of {storage.describe()} is partly begun, partly not",
                )
            low = 2
        state = low
    if state == 1:
        return True
    if state == 0 and accumulate is None:
        return False
    if state == 2 and run.target.version >= 4:
        return True
    what = "never written" if state == 0 else "written by another engine"
    return refuse(call, "accumulate", f"dst {dst.shape} of {storage.describe()} was {what}")


def nc_matmul(
    dst: Any,
    stationary: Any,
    moving: Any,
    is_stationary_onezero: bool = False,
    is_moving_onezero: bool = False,
    is_transpose: bool = False,
    accumulate: bool | None = None,
    tile_position: tuple[int, ...] = (),
    tile_size: tuple[int, ...] = (),
    perf_mode: Any = matmul_perf_mode.none,
    name: str | None = None,
) -> None:
    """Compute ``dst = stationary.T @ moving`` (or add it to dst) on TensorE.

    With `is_transpose`, `moving` is the identity and the stationary tile is moved, not multiplied.
    """
    call = "nisa.nc_matmul"
    run = begin(call, dst=dst, stationary=stationary, moving=moving)
    _memories(call, dst, stationary=stationary, moving=moving)
    not_modelled(
        call,
        is_stationary_onezero=is_stationary_onezero,
        is_moving_onezero=is_moving_onezero,
        tile_position=tile_position != (),
        tile_size=tile_size != (),
        perf_mode=perf_mode is not matmul_perf_mode.none,
    )
    k, m, n = stationary.shape[0], free_size(stationary), free_size(moving)
    if moving.shape[0] != k or m > 128 or n > run.target.moving_max:
        refuse(
            call,
            "matmul-tile",
            f"stationary {stationary.shape}, moving {moving.shape} on {run.target.name}",
        )
    if dst.shape[0] != m or free_size(dst) != n:
        refuse(call, "shape", f"dst {dst.shape} for a {m} x {n} product")
    if stationary.start_partition != moving.start_partition:
        refuse(
            call,
            "matmul-tile",
            f"stationary starts at partition {stationary.start_partition}, moving at "
            f"{moving.start_partition}: rows of the array are partitions",
        )
    if is_transpose:
        if n != k:
            refuse(call, "transpose-identity", f"moving is {moving.shape}, stationary has {k} rows")
        if accumulate is not False:
            refuse(call, "accumulate", f"accumulate={accumulate} in transpose mode")
        if run.execute and not np.array_equal(f32(moving).reshape(k, n), np.eye(k)):
            refuse(call, "transpose-identity", f"moving is {moving.storage.describe()}")
        _transpose(call, run, dst, stationary, (moving,))
        return
    sd, md = stationary.dtype, moving.dtype
    if sd not in _MATMUL_DTYPES or md not in _MATMUL_DTYPES or (sd in _WIDE) != (md in _WIDE):
        refuse(call, "dtype-matmul", f"stationary {sd}, moving {md}")
    if dst.dtype != "float32" and not (run.target.version >= 4 and dst.dtype == "bfloat16"):
        refuse(call, "dtype-matmul", f"dst is {dst.dtype} on {run.target.name}")
    _within_bank(call, run, dst)
    adds = _accumulates(call, run, dst, accumulate)
    wide = "float32" if "float32" in (sd, md) else sd
    issue(run, call, "tensor", cost.matmul(m, n, wide), (stationary, moving), dst)
    run.account.matmul_macs += m * n * k * run.times
    if run.execute:
        left = f32(stationary).reshape(k, m).T
        right = f32(moving).reshape(k, n)
        if adds:
            put(dst, f32(dst) + (left @ right).reshape(dst.shape))
        elif dst.shape == (m, n) and dst.dtype == "float32":
            np.matmul(left, right, out=dst.array())
        else:
            put(dst, (left @ right).reshape(dst.shape))


def nc_transpose(
    dst: Any, data: Any, engine: Any = engine_enum.unknown, name: str | None = None
) -> None:
    """Transpose partitions and free elements, on TensorE or VectorE."""
    call = "nisa.nc_transpose"
    run = begin(call, dst=dst, data=data)
    p, f = data.shape[0], free_size(data)
    natural = data.storage.space == "sbuf" and dst.storage.space == "psum"
    chosen = choose_engine(call, engine, "tensor" if natural else "vector", ("tensor", "vector"))
    if dst.shape[0] != f or free_size(dst) != p:
        refuse(call, "shape", f"dst {dst.shape} for the transpose of {data.shape}")
    limit = 128 if chosen == "tensor" else 32
    if p > limit or f > limit:
        refuse(call, "transpose-tile", f"{p} x {f} on the {chosen} engine")
    if chosen == "tensor":
        _memories(call, dst, data=data)
        # Two instructions make the identity, each time.
        run.account.add(call, "vector", cost.vector(p), run.times)
        run.account.add(call, "gpsimd", cost.affine_select(p), run.times)
        _transpose(call, run, dst, data, ())
        return
    _same_dtype(call, dst, data)
    issue(run, call, chosen, cost.vector(f), (data,), dst)
    if run.execute:
        put(dst, data.array().reshape(p, f).T.reshape(dst.shape))


def _same_dtype(call: str, dst: NkiTensor, data: NkiTensor) -> None:
    if dst.dtype != data.dtype:
        refuse(call, "dtype-transpose", f"data is {data.dtype}, dst {dst.dtype}")


def _transpose(
    call: str, run: Run, dst: NkiTensor, data: NkiTensor, also_reads: tuple[NkiTensor, ...]
) -> None:
    """Transpose on TensorE; booked as nisa.nc_transpose, apart from products."""
    p, f = data.shape[0], free_size(data)
    _same_dtype(call, dst, data)
    _within_bank(call, run, dst)
    cycles = cost.transpose_tensor(p, f, data.dtype, run.target)
    issue(run, "nisa.nc_transpose", "tensor", cycles, (data, *also_reads), dst)
    if run.execute:
        values = data.array().reshape(p, f)
        if run.target.version == 2 and not np.isfinite(values).all():
            # On v2 the transpose is a product with the identity: 0 * NaN spoils whole columns.
            values = (np.eye(p, dtype=np.float32) @ values).astype(values.dtype)
        put(dst, values.T.reshape(dst.shape))

"""Cost formulas: engine cycles and DMA time, each with its source. All results are estimates.

Cycles per instruction are those that the nki.isa API reference printed in SDK 2.26, the last
release to print them, with N the free elements per partition and at least about 64 cycles per
instruction. Clocks and DMA rates per generation are in `generations`. No figure here was
measured by this project.
"""

from __future__ import annotations

from .generations import Generation

__all__ = [
    "VECTOR_START_US",
    "affine_select",
    "dma_us",
    "gpsimd_rsqrt",
    "matmul",
    "matmul_passes",
    "tensor_tensor",
    "transpose_tensor",
    "vector",
]

MIN_CYCLES = 64
"""Least cycles between two instructions of an engine (SDK 2.26: MIN_II)."""

DMA_EFFICIENCY = 0.7
"""Share of the DMA peak that a well-formed kernel reaches (NKI performance guide)."""

DMA_OVERHEAD_BYTES = 512
"""Overhead of one contiguous element, as the bytes that a queue could move in that time.

The DMA bandwidth guide gives no number. 512 fits its text: elements of 256 B reach a third of the
peak ("severely overhead-bound" below that), 2 KiB 80 % ("approaches peak"), 4 KiB 89 %."""


VECTOR_START_US = 0.2
"""Microseconds of a VectorE instruction before its first element, in the pessimistic estimate.
Observed by a third party on trn1 with NKI 0.6 (foxl-ai/kiln, October 2026); AWS's documents do not
confirm it, so the optimistic estimate leaves it out."""


def matmul_passes(dtype: str) -> int:
    """Return the passes over the array per product: 4 for float32, else 1 (2.26, nc_matmul)."""
    return 4 if dtype == "float32" else 1


def matmul(n_stationary: int, n_moving: int, dtype: str) -> int:
    """Return TensorE cycles of nc_matmul: passes * max(min(64, N_stationary), N_moving)."""
    return matmul_passes(dtype) * max(min(64, n_stationary), n_moving)


def transpose_tensor(partitions: int, free: int, dtype: str, target: Generation) -> int:
    """Return TensorE cycles of a transpose: passes * max(P, min(64, F)).

    float32 takes 4 passes on NeuronCore-v2; the transpose mode of v3 and later is twice as fast
    (Trainium2 architecture guide).
    """
    passes = 1
    if dtype == "float32":
        passes = 4 if target.version == 2 else 2
    return passes * max(partitions, min(64, free))


def affine_select(n: int) -> int:
    """Return GpSimdE cycles of affine_select: 150 + N."""
    return 150 + n


def vector(n: int) -> int:
    """Return cycles of one pass on VectorE, ScalarE or GpSimdE: max(64, N)."""
    return max(MIN_CYCLES, n)


def tensor_tensor(n: int, both_sbuf: bool, wide: bool) -> int:
    """Return cycles of a two-tensor instruction.

    N if one input is in PSUM or both are 16-bit, 2N if both are in SBUF.
    """
    return max(MIN_CYCLES, 2 * n if both_sbuf and wide else n)


def gpsimd_rsqrt(n: int) -> int:
    """Return GpSimdE cycles of rsqrt: 4 times ScalarE's N (ISA API Common Fields)."""
    return max(MIN_CYCLES, 4 * n)


def dma_us(bytes_moved: int, run_bytes: int, target: Generation) -> float:
    """Return the queues' busy microseconds for one transfer.

    The rate is the peak times run / (run + overhead), at most 70 %. The latency of a transfer
    (about 1.3 us, NKI DMA bandwidth guide) is left out: queues overlap.
    """
    share = min(DMA_EFFICIENCY, run_bytes / (run_bytes + DMA_OVERHEAD_BYTES))
    return bytes_moved / (target.dma_gb_s * share * 1e3)

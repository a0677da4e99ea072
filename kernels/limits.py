"""Hardware limits that the kernels are written to, and sizes chosen within them.

The first group are limits of the hardware, the second are our choices. Kernels use these names
instead of bare numbers. The values are those of NeuronCore v2 (trn1), the smallest generation, so
programs that fit there also fit on v3 and v4.
"""

from __future__ import annotations

__all__ = [
    "F32_BYTES",
    "INSTRUCTIONS",
    "K_PANEL",
    "LEAST_INSTRUCTIONS",
    "M_BLOCK",
    "M_PANEL",
    "NVIR_RESIDENT_T",
    "N_PANEL",
    "OFFSET_BYTES",
    "PAD_ENERGY",
    "PARTITIONS",
    "PARTNER_BYTES",
    "PSUM_BANK_F32",
    "SBUF_BUDGET",
    "SUMS_BYTES",
    "TRSM_ORDER",
    "TRSM_RHS",
    "V_STREAMED",
]

# Hardware

PARTITIONS = 128
"""Rows of SBUF and PSUM; the longest contraction, and the widest stationary tile, of one matmul."""

PSUM_BANK_F32 = 512
"""float32 columns of one PSUM bank (2 KiB per partition); the widest moving tile of a matmul."""

F32_BYTES = 4
"""Trainium has no float64: every device array here is float32."""

OFFSET_BYTES = 2**32
"""Bytes that a run-time offset reaches: it has 32 bits (nki.language reference of NKI 0.7). An
array that is read at run-time offsets must be smaller."""

# Our choices

INSTRUCTIONS = {"trn1": 61_440, "trn2": 61_440, "trn3": 61_440}
"""Most instructions of one program, by generation. Loops over tiles are unrolled, so the program
grows with the problem; larger problems take more launches of the same program. AWS documents no
limit. A third party reports a launch of 236,669 instructions that ran on trn1 with NKI 0.6
(foxl-ai/kiln, October 2026), and messages of the compiler name 5,000,000 as a typical limit; ours
is a quarter of what ran. Nothing is known for trn2 and trn3. How long the compiler takes for such
a program is unknown. `dfmp2.kernels.launch.instruction_limit` lowers the limit on request."""

LEAST_INSTRUCTIONS = 6_144
"""Lowest limit that can be requested: programs of one panel, task or block are not smaller."""

SBUF_BUDGET = 184 * 1024
"""Bytes per partition that a plan may use: trn1's 192 KiB minus space for constants."""

PAD_ENERGY = 2.0**20
"""Energy (Eh) of padded virtual orbitals: finite, far above any real one, and inside the range of
rsqrt. B is zero there, so nothing is added; infinity would give 0 * inf on some paths."""

M_PANEL, N_PANEL, K_PANEL = 2048, 4096, 2048
"""Largest matrix product of one launch: 2048 matmuls of 128 x 128 x 512. Longer contractions are
summed over launches."""

M_BLOCK = 1024
"""Rows of the left factor held in SBUF at once (64 KiB per partition at K_PANEL)."""

TRSM_ORDER, TRSM_RHS = 2048, 1024
"""Order and right-hand sides of a triangular solve whose solution stays in SBUF (64 KiB per
partition)."""

NVIR_RESIDENT_T = 1024
"""Widest T block of `mp2_energy` held in SBUF at once (32 KiB per partition, three of them)."""

SUMS_BYTES = 16 * 1024
"""Bytes per partition of the sums of the T blocks that `mp2_energy` reduces together."""

PARTNER_BYTES = 6 * 1024
"""Bytes per partition beyond `SBUF_BUDGET` for the sums of one task of `pair_energy`."""

V_STREAMED = 384
"""Virtuals per block of the streamed form of `pair_energy`: three strips, each one PSUM bank for T
and one for its mirror, leave two banks to overlap the next block."""

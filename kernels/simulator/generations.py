"""NeuronCore generations: capacities, clocks and rates, with their sources."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dfmp2.errors import InputError

__all__ = ["GENERATIONS", "Generation", "current_generation", "generation"]

KIB = 1024


@dataclass(frozen=True)
class Generation:
    """One NeuronCore generation.

    Capacities are bytes per partition, clocks GHz, bandwidths GB/s. Sources: the Trainium,
    Trainium2 and Trainium3 architecture guides (capacities, clocks) and the NKI DMA bandwidth
    guide (16 DMA queues of one core together).
    """

    name: str
    version: int
    sbuf_bytes: int
    sbuf_usable_bytes: int
    tensor_ghz: float
    vector_ghz: float
    scalar_ghz: float
    gpsimd_ghz: float
    dma_gb_s: float
    moving_max: int
    psum_banks: int = 8
    psum_bank_bytes: int = 2 * KIB


# The compiler keeps some SBUF for itself. AWS's nki-library plans with 212,728 of trn2's 229,376
# bytes; the same reserve is assumed on trn3. trn1's figure is the documented capacity.
_RESERVED = 224 * KIB - 212_728

GENERATIONS: dict[str, Generation] = {
    "trn1": Generation("trn1", 2, 192 * KIB, 192 * KIB, 2.8, 1.12, 1.4, 1.4, 272.0, 512),
    "trn2": Generation("trn2", 3, 224 * KIB, 212_728, 2.4, 0.96, 1.2, 1.2, 368.0, 512),
    "trn3": Generation(
        "trn3", 4, 256 * KIB, 256 * KIB - _RESERVED, 2.4, 1.2, 1.2, 1.2, 528.0, 4096
    ),
}
_ALIASES = {"gen2": "trn1", "inf2": "trn1", "gen3": "trn2", "gen4": "trn3"}
DEFAULT = "trn2"


def generation(name: str) -> Generation:
    """Look a generation up by name or alias (trn1, gen2, trn2, gen3, trn3, gen4)."""
    key = name.strip().lower()
    key = _ALIASES.get(key, key)
    if key not in GENERATIONS:
        known = ", ".join([*GENERATIONS, *_ALIASES])
        raise InputError(f"NeuronCore generation {name!r} is none of {known}")
    return GENERATIONS[key]


def current_generation() -> Generation:
    """Read the target from NEURON_PLATFORM_TARGET_OVERRIDE; trn2 if it is unset."""
    return generation(os.environ.get("NEURON_PLATFORM_TARGET_OVERRIDE") or DEFAULT)

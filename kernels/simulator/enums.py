"""The enumerations of `nki.isa` that appear in the signatures of the modelled instructions."""

from __future__ import annotations

from enum import Enum

__all__ = ["dge_mode", "engine", "matmul_perf_mode", "oob_mode", "reduce_cmd"]


class engine(Enum):
    """Engines of a NeuronCore."""

    unknown = 0
    tensor = 1
    scalar = 2
    gpsimd = 3
    dma = 4
    vector = 5
    sync = 6


class reduce_cmd(Enum):
    """What an instruction does to the reduce registers."""

    idle = 0
    reset = 1
    reduce = 2
    reset_reduce = 3
    load_reduce = 4


class dge_mode(Enum):
    """What generates DMA descriptors."""

    unknown = 0
    swdge = 1
    hwdge = 2
    none = 3


class oob_mode(Enum):
    """What an out-of-bounds dynamic access does."""

    error = 0
    skip = 1


class matmul_perf_mode(Enum):
    """Speed modes of the matrix product."""

    none = "none"
    double_row = "double_row"

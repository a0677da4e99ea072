"""The stages of a calculation and the precisions of its arithmetic, each by one name."""

from __future__ import annotations

from enum import Enum

__all__ = ["PairArithmetic", "Precision", "Stage"]


class _Name(str, Enum):
    def __str__(self) -> str:
        return str(self.value)


class Stage(_Name):
    """A stage, as it is timed and recorded."""

    ESTIMATE = "error estimate"
    METRIC = "metric"
    INTEGRALS = "integrals"
    SCF_INTEGRALS = "SCF's integrals"
    AO2MO = "AO->MO"
    INTEGRALS_AND_AO2MO = "integrals and AO->MO"
    SCF_INTEGRALS_AND_AO2MO = "SCF's integrals and AO->MO"
    SOLVE = "metric solve"
    READ_B = "reading B"
    WRITE_B = "writing B"
    PAIRS = "pair energies"
    SPOT_CHECK = "spot check"

    @property
    def with_ao2mo(self) -> Stage:
        """One stage with AO->MO, for integrals that are made while others are transformed."""
        return Stage(f"{self.value} and {Stage.AO2MO.value}")


class Precision(_Name):
    """What a user asks of the pair GEMMs."""

    FP64 = "fp64"
    FP32 = "fp32"
    AUTO = "auto"


class PairArithmetic(_Name):
    """How pair energies were computed, as the run file records it."""

    FP64 = "fp64"
    FP32 = "fp32"
    NKI = "nki"

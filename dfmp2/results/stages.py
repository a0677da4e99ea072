"""Names of the stages of a calculation and of the precisions of its arithmetic."""

from __future__ import annotations

from enum import Enum

__all__ = ["PairArithmetic", "Precision", "Stage"]


class _Name(str, Enum):
    def __str__(self) -> str:
        return str(self.value)


class Stage(_Name):
    """A stage of a calculation, as it is timed and named in the provenance."""

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
    DENSITIES = "pair energies and densities"
    SPOT_CHECK = "spot check"
    FIT_DERIVATIVES = "derivatives of the fit"
    Z_VECTOR = "Z-vector"
    SCF_DERIVATIVES = "derivatives of the SCF"

    @property
    def with_ao2mo(self) -> Stage:
        """Name of one stage of integrals and AO->MO, for a device that does both together."""
        return Stage(f"{self.value} and {Stage.AO2MO.value}")


class Precision(_Name):
    """The precision of the pair GEMMs that a user chooses."""

    FP64 = "fp64"
    FP32 = "fp32"
    AUTO = "auto"


class PairArithmetic(_Name):
    """How pair energies were computed, as named in the run file."""

    FP64 = "fp64"
    FP32 = "fp32"
    NKI = "nki"

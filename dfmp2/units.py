"""Conversion factors and rounding units. The name of a factor gives its direction."""

from __future__ import annotations

__all__ = ["ANGSTROM_PER_BOHR", "BYTES_PER_DOUBLE", "BYTES_PER_MB", "FLOAT32_UNIT"]

ANGSTROM_PER_BOHR = 0.529177210903
"""CODATA 2018, doi:10.1103/RevModPhys.93.025010."""

BYTES_PER_MB = 10**6
"""Bytes in one MB. Every amount of memory in dfmp2 is in MB of 10^6 bytes, as in PySCF."""

BYTES_PER_DOUBLE = 8
"""Bytes of one float64."""

FLOAT32_UNIT = 2.0**-24
"""Rounding unit of float32: largest relative error of one rounding."""

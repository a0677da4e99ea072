"""Every default value of an option, written once. `dfmp2.settings` explains them."""

from __future__ import annotations

__all__ = [
    "ACCURACY",
    "BACKEND",
    "BLAS",
    "CHECKPOINT_INTERVAL",
    "CHECK_REFERENCE",
    "CONVERGENCE",
    "CONV_TOL",
    "ECP",
    "FUSED",
    "GRADIENT_TOL",
    "GRID",
    "INTEGRALS",
    "MAX_CYCLE",
    "MAX_STEPS",
    "REFERENCE",
    "SCF_ALGORITHM",
    "TOLERANCE",
]

ACCURACY = 1e-6
"""Hartree. Largest acceptable energy error from reduced precision."""

BACKEND = "auto"

BLAS = "auto"

CHECK_REFERENCE = "auto"

CHECKPOINT_INTERVAL = 30.0
"""Seconds between two commits to the run file."""

CONVERGENCE = "gau"
"""Thresholds of a geometry optimisation, as geomeTRIC names them."""

CONV_TOL = 1e-10
"""Hartree. A looser SCF moves the correlation energy by more than the printed digits."""

ECP = "auto"

FUSED = True

GRADIENT_TOL = 1e-7
"""Hartree. Threshold of the orbital gradient of the SCF."""

GRID = 3
"""Level of PySCF's grids for density functionals; PySCF's own default."""

INTEGRALS = "auto"

MAX_CYCLE = 100
"""SCF iterations."""

MAX_STEPS = 100
"""Steps of a geometry optimisation."""

REFERENCE = "auto"

SCF_ALGORITHM = "corrected"

TOLERANCE = 1e-8
"""Hartree. Largest difference from PySCF. Two float64 programs on the same orbitals agree to about
1e-12 of their energy. The rest allows for an SCF that was repeated."""

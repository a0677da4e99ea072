"""Estimate the error of float32 in each stage before the work, and choose where the stages run.

Trainium has no float64. Stages run there as long as their estimated error is within `accuracy`. The
others run on the host in float64. Stages are chosen from the last to the first, because a stage on
the host gives exact input to the later ones.

Model. Rounding adds an error of standard deviation s to each element of B. To first order the
energy changes by s times the norm of dE/dB, which is at least 0.1 sqrt(nocc), because
sum dE/dB B = 2 E. To second order every error increases T:

    first order    0.1 sqrt(nocc) s
    second order   4 s^2 |B|^2 nocc nvir <1/D>,     |B|^2 = nocc (0.35 + 0.08 nvir / nocc) Eh

with <1/D> the mean inverse denominator. |B|^2 was fitted to nine molecules from water/cc-pVDZ to
benzene/aug-cc-pVDZ. The true error can have either sign. Tests check that it is below twice the
estimate. s depends on the stage:

AO->MO
    Measured: float32 against float64 on a sample of auxiliary shells. The metric solve multiplies
    the error of function P by the square root of (J^-1)_PP. For the auxiliary functions of
    `dfmp2.fitting.orthonormal` this factor is several times smaller than for the original ones.
    Rounding of the orbital coefficients adds 5e-8 sqrt(nocc) Eh, which was fitted.
metric solve
    2.5 rounding units, and more if the condition number of the scaled metric is above 1e8. The
    solve is blocked, and its diagonal blocks are inverted in float64.
pair energies
    One rounding unit of the energy, which is taken as 0.04 Eh per correlated orbital.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_UP, Context
from math import hypot

import numpy as np
import scipy.integrate
import scipy.linalg

from dfmp2.backends.protocol import Array
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.fitting.metric import Metric, factor_metric, metric_integrals
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.molecules.plain import Mole
from dfmp2.references.reference import Reference, SpinBlock
from dfmp2.results.stages import Stage
from dfmp2.units import FLOAT32_UNIT as UNIT

__all__ = ["STAGES", "Placement", "place_fitted", "place_stages", "rounded_up"]

SAMPLE_FUNCTIONS = 96
"""Number of auxiliary functions in the sample for the AO->MO error. Whole shells are taken, first
those whose error the metric solve multiplies most."""

ORBITALS = 5e-8
"""Hartree. Error from rounded orbital coefficients, divided by sqrt(nocc). Fitted, see above."""

STAGES = (Stage.AO2MO, Stage.SOLVE, Stage.PAIRS)
"""Stages that may run in float32, in their order."""


def rounded_up(error: float) -> str:
    """An error estimate as text with one digit, rounded up.

    Parameters
    ----------
    error : float
    """
    return f"{float(Context(prec=1, rounding=ROUND_UP).create_decimal(repr(float(error)))):.0e}"


@dataclass(frozen=True)
class Placement:
    """Which stages run on the device and which on the host.

    Attributes
    ----------
    estimates : dict of Stage to float
        Estimated error of float32 by stage, hartree.
    on_host : dict of Stage to str
        Stages that run on the host in float64, each with the reason.
    """

    estimates: dict[Stage, float]
    on_host: dict[Stage, str]

    @property
    def error(self) -> float:
        """Estimated error of all stages in float32, hartree. Their errors are independent."""
        return hypot(*(e for stage, e in self.estimates.items() if stage not in self.on_host))

    def __str__(self) -> str:
        parts = []
        for stage in STAGES:
            where = "fp64 on the host" if stage in self.on_host else "fp32"
            if stage in self.estimates:
                parts.append(f"{stage} {where} (fp32 error {self.estimates[stage]:.0e} Eh)")
            elif stage in self.on_host:
                parts.append(f"{stage} {where} ({self.on_host[stage]})")
        return "; ".join(parts) + f"; estimated error {rounded_up(self.error)} Eh"


def place_stages(reference: Reference, aux: AuxBasis, accuracy: float) -> Placement:
    """Decide which stages may run in float32.

    Parameters
    ----------
    reference : Reference
    aux : AuxBasis
    accuracy : float
        Largest acceptable estimated error of all stages together, hartree.

    Returns
    -------
    Placement
    """
    matrix = metric_integrals(aux.mol)
    metric = factor_metric(matrix)
    parts = [
        _stage_errors(reference.mol, spin, aux, matrix, metric)
        for spin in reference.spins
        if spin.nocc and spin.nvir
    ]
    # The errors of both spins are independent, and each block alone has half of the energy.
    share = 1.0 / len(reference.spins)
    estimates = {stage: share * hypot(*(part[stage] for part in parts)) for stage in STAGES}
    on_host: dict[Stage, str] = {}
    for stage in reversed(STAGES):
        admitted = [estimates[later] for later in STAGES[STAGES.index(stage) :]]
        if on_host:
            on_host[stage] = "the next stage needs float64 input"
        elif hypot(*admitted) > accuracy:
            on_host[stage] = f"float32 would cost {estimates[stage]:.0e} Eh"
    return Placement(estimates, on_host)


def _stage_errors(
    mol: Mole, spin: SpinBlock, aux: AuxBasis, matrix: Array, metric: Metric
) -> dict[Stage, float]:
    """Estimated error of float32 in each stage for doubly occupied orbitals, hartree."""
    nocc, nvir = spin.nocc, spin.nvir
    norm = nocc * (0.35 + 0.08 * nvir / nocc)
    curvature = 4 * norm * nocc * nvir * _mean_inverse_denominator(spin)

    def energy_error(s: float) -> float:
        return 0.1 * float(np.sqrt(nocc)) * s + curvature * s * s

    if metric.kind == "cholesky":
        diagonal = np.diag(matrix).copy()
        return {
            Stage.AO2MO: hypot(
                energy_error(_transform_error(mol, spin, aux, metric, diagonal)),
                ORBITALS * float(np.sqrt(nocc)),
            ),
            Stage.SOLVE: energy_error(_solve_error(matrix, metric)),
            Stage.PAIRS: _pair_error(nocc),
        }
    # near-singular metric: there is no useful bound
    return {Stage.AO2MO: np.inf, Stage.SOLVE: np.inf, Stage.PAIRS: _pair_error(nocc)}


def place_fitted(reference: Reference, accuracy: float) -> Placement:
    """Decide which stages may run in float32 if the integrals of an SCF are reused.

    These integrals are on the host in float64 and are transformed there. There is no metric solve.

    Parameters
    ----------
    reference : Reference
    accuracy : float
        Largest acceptable estimated error, hartree.

    Returns
    -------
    Placement
    """
    error = _pair_error(reference.electron_pairs)
    on_host = {Stage.AO2MO: "the SCF's integrals are there"}
    if error > accuracy:
        on_host[Stage.PAIRS] = f"float32 would cost {error:.0e} Eh"
    return Placement({Stage.PAIRS: error}, on_host)


def _pair_error(nocc: float) -> float:
    """Estimated error of the pair energies in float32, hartree."""
    return UNIT * 0.04 * nocc


def _mean_inverse_denominator(spin: SpinBlock) -> float:
    """Mean of 1/(e_a + e_b - e_i - e_j), by a Laplace transform in which the sums separate."""
    t = np.geomspace(1e-3, 1e3, 200)[:, None]
    middle = (spin.e_occ.max() + spin.e_vir.min()) / 2
    decay = np.exp(-t * (spin.e_vir - middle)).mean(axis=1)
    decay *= np.exp(t * (spin.e_occ - middle)).mean(axis=1)
    return float(scipy.integrate.trapezoid(decay**2, t[:, 0]))


def _solve_error(matrix: Array, metric: Metric) -> float:
    """Standard deviation of the error that a float32 solve leaves in an element of B."""
    scale = 1 / np.sqrt(np.diag(matrix))  # the norms of the functions do not affect the accuracy
    norm = float((np.abs(matrix) * np.outer(scale, scale)).sum(axis=0).max())
    factor = np.asfortranarray(metric.factor * scale[:, None])
    reciprocal, _ = scipy.linalg.lapack.dpocon(factor, norm, uplo="L")
    condition = 1 / max(float(reciprocal), UNIT**2)
    return 2.5 * UNIT * max(1.0, float(np.sqrt(condition / 1e8)))


def _transform_error(
    mol: Mole, spin: SpinBlock, aux: AuxBasis, metric: Metric, diagonal: Array
) -> float:
    """Standard deviation of the error that a float32 transform leaves in an element of B."""
    inverse = scipy.linalg.solve_triangular(
        metric.factor, np.eye(aux.naux), lower=True, check_finite=False
    )
    amplification = np.einsum("PQ,PQ->Q", inverse, inverse)  # (J^-1)_QQ
    weight = amplification * diagonal
    loc = aux.mol.ao_loc_nr()
    sizes = np.diff(loc)
    order = np.argsort(np.add.reduceat(weight, loc[:-1]) / sizes)[::-1]
    enough = int(np.searchsorted(np.cumsum(sizes[order]), SAMPLE_FUNCTIONS)) + 1
    shells = np.sort(order[:enough]).tolist()
    integrals = ThreeCentreIntegrals(mol, aux.mol, 1, shells=shells)
    single = (spin.c_occ.astype(np.float32), spin.c_vir.astype(np.float32))
    known, sampled = 0.0, 0.0
    for block, eri in integrals:
        exact = np.einsum("Pmi,ma->Pia", eri @ spin.c_occ, spin.c_vir, optimize=True)
        rough = np.einsum(
            "Pmi,ma->Pia", eri.astype(np.float32) @ single[0], single[1], optimize=True
        )
        variance = np.mean((rough - exact) ** 2, axis=(1, 2))
        known += float(variance @ amplification[block.p0 : block.p1])
        sampled += float(weight[block.p0 : block.p1].sum())
    # The relative error of the other shells, in units of (P|P), is taken as that of the sample.
    return float(np.sqrt(known * weight.sum() / sampled / aux.naux))

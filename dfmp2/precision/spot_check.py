"""Estimate the error of float32 pair GEMMs from a sample of pairs in float64.

Before B is rounded, the B of a few occupied orbitals is copied in float64. All pairs of these
orbitals are computed again from the copy. So the comparison contains the rounding of B and the sums
of the GEMMs. The absolute errors of the sample are added, divided by the energy of the sample, and
multiplied by the energy of the molecule and by `CAUTION`. If the sample is typical, the estimate is
above the true error, because errors of both signs cancel in part. The largest relative error of a
single pair cannot be used: it occurs in pairs with almost no energy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, PairBlock
from dfmp2.backends.recording import RecordingBackend
from dfmp2.references.reference import SpinBlock
from dfmp2.results.stages import Stage
from dfmp2.tensors.held import HeldB
from dfmp2.units import FLOAT32_UNIT as UNIT

__all__ = ["CAUTION", "SAMPLE", "SpotCheck", "expected_error"]

SAMPLE = 4
"""Number of occupied orbitals in the sample. Four give ten pairs."""

CAUTION = 3
"""Safety factor of the estimate. With 3, the true errors of 39 molecules and bases were below three
quarters of the estimate (tests/precision/test_auto.py)."""


def expected_error(nocc: int) -> float:
    """Estimate the error of float32 pair GEMMs before the work: two rounding units of the energy.

    The energy is taken as 0.04 Eh per correlated orbital. The errors that were measured, for water
    and water clusters, are smaller.

    Parameters
    ----------
    nocc : int
        Number of correlated occupied orbitals.

    Returns
    -------
    float
        Hartree.
    """
    return 2 * UNIT * 0.04 * nocc


class SpotCheck:
    """A sample of B in float64. The random choice of its orbitals is seeded.

    Parameters
    ----------
    b : HeldB, shape (nocc, naux, nvir), float64
    spin : SpinBlock
    backend : RecordingBackend

    Attributes
    ----------
    pairs : int
        Number of pairs in the sample.
    """

    def __init__(self, b: HeldB, spin: SpinBlock, backend: RecordingBackend) -> None:
        rng = np.random.default_rng(spin.nocc)
        count = min(SAMPLE, spin.nocc)
        self._index: NDArray[np.intp] = np.sort(rng.choice(spin.nocc, count, replace=False))
        self._b = b.some(self._index, backend)
        self._spin, self._backend = spin, backend
        self.pairs = count * (count + 1) // 2

    def error(self, e_os: Array, e_ss: Array, rough_pairs: NDArray[np.bool_]) -> float:
        """Estimate the error of the energy of the molecule.

        Parameters
        ----------
        e_os, e_ss : ndarray, shape (nocc, nocc), float64, hartree
            Pair energies.
        rough_pairs : ndarray, shape (nocc, nocc), bool
            Pairs i <= j from float32 GEMMs.

        Returns
        -------
        float
            Hartree. If the sample contains no such pair, `expected_error`.
        """
        square = np.ix_(self._index, self._index)
        if not rough_pairs[square].any():
            return expected_error(self._spin.nocc)
        e_occ = self._spin.e_occ[self._index]
        e_vir, b = self._spin.e_vir, self._b
        block = PairBlock(b, b, e_occ, e_occ, e_vir, e_vir, diagonal=True)
        with self._backend.stage(Stage.SPOT_CHECK):
            os, ss = self._backend.pair_energy(block)
        compared = rough_pairs[square]  # i <= j
        exact, rough = (os + ss)[compared], (e_os + e_ss)[square][compared]
        weight = (2.0 - np.eye(len(e_occ)))[compared]  # the pair (j,i) has the energy of (i,j)
        lost = float((weight * np.abs(rough - exact)).sum())
        energy = max(float((weight * np.abs(exact)).sum()), np.finfo(float).tiny)
        return CAUTION * lost / energy * float(np.abs(e_os + e_ss).sum())

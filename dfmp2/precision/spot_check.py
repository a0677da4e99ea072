"""The error of float32 pair GEMMs: a sample of pairs is computed again in float64.

A few occupied orbitals keep their B in float64 before it is rounded. All pairs among them are
computed again from it, so the comparison includes the rounding of B and the sums of the GEMM. The
absolute errors of the sample are added, divided by its energy, and multiplied by the energy of the
molecule and by `CAUTION`. This is an upper estimate if the sample is typical, because true errors
have both signs and cancel in part. The largest relative error of a single pair is no use here: it
belongs to pairs with almost no energy, and large molecules have many of them.
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
"""Occupied orbitals kept in float64: ten pairs."""

CAUTION = 3
"""With it the true errors of 39 molecules and bases (tests/precision/test_auto.py) were below three
quarters of the estimate."""


def expected_error(nocc: int) -> float:
    """A-priori error of float32 pair GEMMs, hartree: two rounding units of the energy.

    The energy is taken as 0.04 Eh per correlated orbital. The errors measured so far, from water to
    clusters of it, are smaller.
    """
    return 2 * UNIT * 0.04 * nocc


class SpotCheck:
    """Keeps a seeded sample of B in float64.

    Parameters
    ----------
    b : HeldB, shape (nocc, naux, nvir), float64
    spin : SpinBlock
    backend : RecordingBackend
    """

    def __init__(self, b: HeldB, spin: SpinBlock, backend: RecordingBackend) -> None:
        rng = np.random.default_rng(spin.nocc)
        count = min(SAMPLE, spin.nocc)
        self._index: NDArray[np.intp] = np.sort(rng.choice(spin.nocc, count, replace=False))
        self._b = b.some(self._index, backend)
        self._spin, self._backend = spin, backend
        self.pairs = count * (count + 1) // 2

    def error(self, e_os: Array, e_ss: Array, rough_pairs: NDArray[np.bool_]) -> float:
        """Estimated error of the molecule's energy, hartree.

        Parameters
        ----------
        e_os, e_ss : ndarray, shape (nocc, nocc)
            Pair energies.
        rough_pairs : ndarray of bool, shape (nocc, nocc)
            Pairs i <= j that came from float32 GEMMs; where the sample holds none of them, the
            a-priori estimate is returned.
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

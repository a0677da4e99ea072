"""What float32 pair GEMMs really cost: a sample of pairs, computed again in float64.

A few occupied orbitals keep their B in float64 before it is rounded. All pairs among them are
computed again from it, so the comparison holds the rounding of B as well as the sums of the GEMM.
What the sample loses per hartree of its energy, all with one sign, is taken for the molecule
`CAUTION` times: an upper estimate as long as the sample is typical, since true errors have both
signs. The largest relative error of a single pair would not do. It is that of a pair with next to
no energy, and large molecules have ever more of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array
from dfmp2.backends.recording import RecordedBackend
from dfmp2.references.mean_field import Reference
from dfmp2.tensors.held import FittedB
from dfmp2.units import FLOAT32_UNIT as UNIT

__all__ = ["CAUTION", "SAMPLE", "SpotCheck", "expected_error"]

SAMPLE = 4
"""Occupied orbitals kept in float64: ten pairs."""

CAUTION = 3
"""With it the true errors of 39 molecules and bases (tests/test_auto.py) were below three quarters
of the estimate."""


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
    b : FittedB, shape (nocc, naux, nvir), float64
    reference : Reference
    backend : RecordedBackend
    """

    def __init__(self, b: FittedB, reference: Reference, backend: RecordedBackend) -> None:
        rng = np.random.default_rng(reference.nocc)
        count = min(SAMPLE, reference.nocc)
        self._index: NDArray[np.intp] = np.sort(rng.choice(reference.nocc, count, replace=False))
        self._b = b.some(self._index, backend)
        self._reference, self._backend = reference, backend
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
            return expected_error(self._reference.nocc)
        e_occ = self._reference.e_occ[self._index]
        with self._backend.stage("spot check"):
            os, ss = self._backend.pair_energy(
                self._b, self._b, e_occ, e_occ, self._reference.e_vir, True
            )
        compared = rough_pairs[square]  # i <= j
        exact, rough = (os + ss)[compared], (e_os + e_ss)[square][compared]
        weight = (2.0 - np.eye(len(e_occ)))[compared]  # the pair (j,i) has the energy of (i,j)
        lost = float((weight * np.abs(rough - exact)).sum())
        energy = max(float((weight * np.abs(exact)).sum()), np.finfo(float).tiny)
        return CAUTION * lost / energy * float(np.abs(e_os + e_ss).sum())

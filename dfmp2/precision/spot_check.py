"""Estimate the error of float32 pair GEMMs from a sample of pairs in float64.

Before B is rounded, the B of a few occupied orbitals is copied in float64. All pairs of these
orbitals are computed again from the copy. So the comparison contains the rounding of B and the sums
of the GEMMs. The absolute errors of the sample are added, divided by the energy of the sample, and
multiplied by the energy of the molecule and by `CAUTION`. If the sample is typical, the estimate is
above the true error, because errors of both signs cancel in part. The largest relative error of a
single pair cannot be used: it occurs in pairs with almost no energy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dfmp2.backends.protocol import Array, PairBlock, PairCase, Tensor
from dfmp2.backends.recording import RecordingBackend
from dfmp2.references.reference import Reference
from dfmp2.results.stages import Stage
from dfmp2.tensors.held import HeldB
from dfmp2.units import FLOAT32_UNIT as UNIT

__all__ = ["CAUTION", "SAMPLE", "SpotCheck", "expected_error"]

SAMPLE = 4
"""Number of occupied orbitals in the sample. Four give ten pairs."""

CAUTION = 3
"""Safety factor of the estimate. With 3, the true errors of 39 molecules and bases were below three
quarters of the estimate (tests/precision/test_auto.py)."""


def expected_error(pairs: float) -> float:
    """Estimate the error of float32 pair GEMMs before the work: two rounding units of the energy.

    The energy is taken as 0.04 Eh per pair of correlated electrons. The errors that were measured,
    for water and water clusters, are smaller.

    Parameters
    ----------
    pairs : float
        Number of correlated electrons, divided by two.

    Returns
    -------
    float
        Hartree.
    """
    return 2 * UNIT * 0.04 * pairs


class SpotCheck:
    """A sample of B in float64. The random choice of its orbitals is seeded.

    Parameters
    ----------
    b : HeldB, float64
    reference : Reference
    backend : RecordingBackend

    Attributes
    ----------
    pairs : int
        Number of pairs in the sample.
    """

    def __init__(self, b: HeldB, reference: Reference, backend: RecordingBackend) -> None:
        self._reference, self._backend = reference, backend
        self._sample: list[_Sample] = []
        first = 0
        for spin in reference.spins:
            rng = np.random.default_rng(spin.nocc)
            own = np.sort(rng.choice(spin.nocc, min(SAMPLE, spin.nocc), replace=False))
            if len(own) and spin.nvir:
                copy = b.some(first + own, backend)
                self._sample.append(_Sample(first + own, copy, spin.e_occ[own], spin.e_vir))
            first += spin.nocc
        count = sum(len(one.index) for one in self._sample)
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
        lost, energy = 0.0, np.finfo(float).tiny
        for number, left in enumerate(self._sample):
            for right in self._sample[number:]:
                square = np.ix_(left.index, right.index)
                compared = rough_pairs[square]  # i <= j
                if not compared.any():
                    continue
                exact = self._exact(left, right)[compared]
                rough = (e_os + e_ss)[square][compared]
                # the pair (j,i) has the energy of (i,j)
                weight = np.where(left.index[:, None] == right.index, 1.0, 2.0)[compared]
                lost += float((weight * np.abs(rough - exact)).sum())
                energy += float((weight * np.abs(exact)).sum())
        if energy == np.finfo(float).tiny:
            return expected_error(self._reference.electron_pairs)
        return CAUTION * lost / energy * float(np.abs(e_os + e_ss).sum())

    def _exact(self, left: _Sample, right: _Sample) -> Array:
        """Energies of pairs of the sample in float64, as in the table of all pairs."""
        same, closed = left is right, len(self._reference.spins) == 1
        one_spin = PairCase.CLOSED if closed else PairCase.SAME_SPIN
        block = PairBlock(
            b_i=left.b,
            b_j=right.b,
            e_i=left.e_occ,
            e_j=right.e_occ,
            e_a=left.e_vir,
            e_b=right.e_vir,
            case=one_spin if same else PairCase.OPPOSITE_SPIN,
            diagonal=same,
        )
        with self._backend.stage(Stage.SPOT_CHECK):
            e_os, e_ss = self._backend.pair_energy(block)
        energies: Array = (e_os + e_ss) * (1.0 if closed else 0.5)
        return energies


@dataclass(frozen=True, eq=False)
class _Sample:
    """Orbitals of one spin in the sample, with their B and energies."""

    index: NDArray[np.intp]
    b: Tensor
    e_occ: Array
    e_vir: Array

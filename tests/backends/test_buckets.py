"""Sizes that programs are compiled for, and what fills them up."""

from __future__ import annotations

import numpy as np

from dfmp2.backends.buckets import bucket, padded, padded_energies


def test_buckets_hold_their_numbers_and_waste_little() -> None:
    numbers = range(1, 3000)
    assert all(bucket(n) >= n for n in numbers)
    assert all(bucket(bucket(n)) == bucket(n) for n in numbers)
    assert all(bucket(n) <= 1.25 * n for n in numbers if n >= 4)
    assert len({bucket(n) for n in range(1, 1001)}) == 33


def test_padding_is_zeros_and_far_energies() -> None:
    x = padded(np.ones((5, 9), dtype=np.float32), exact=(0,))
    assert x.shape == (5, 10)
    assert x.sum() == 45
    e = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert list(padded_energies(-e)[8:]) == [-0.9, -0.9]
    assert padded_energies(e, virtual=True)[9] > 1e5

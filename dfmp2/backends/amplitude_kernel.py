"""W and its sums from T in one pass, compiled for the CPU (`dfmp2.backends.amplitudes`).

With both orbitals of one spin, T_ab and T_ba are needed together. So T_ij is transposed first,
while it is in the cache, and all loops run over contiguous rows. The operations of torch in
`amplitudes.reduced` give the same numbers with about twenty passes over T.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.numba_cache import compiled

__all__ = ["amplitudes_opposite_spin", "amplitudes_square", "near_occupied"]

TILE = 32
"""Rows and columns of a square that is transposed at once: two of them fit in the L1 cache."""


def _square(t, levels, numbers, share, w, sums):  # type: ignore[no-untyped-def]
    """W of pairs of one spin, for one share of the pairs.

    Parameters
    ----------
    t : ndarray, shape (nj, nvir, nvir), float64
        T[j,b,a], hartree.
    levels : tuple of ndarray
        e_i + e_j of each pair, shape (nj,), and e_vir, shape (nvir,), float64, hartree; `orbitals`
        and `pairs` of the `NearPairs`.
    numbers : tuple
        direct, exchange, straight, turned and kappa of a `PairWeights`, and the counts of the
        pairs, shape (nj,).
    share : tuple
        Number of this share, number of shares, then i, the first j, and whether the first pair is
        diagonal.
    w : ndarray, shape (all j, nvir, all i, nvir)
        The tile. W[j,b,i,a] is written; W[i,a,j,b] as well in a diagonal block.
    sums : tuple of ndarray
        Contributions of each pair to occ, shape (nj,), and of this share to the diagonal, shape
        (nvir,), and to the near elements, shape (npair,). Changed in place.
    """
    e_ij, e_vir, orbitals, pairs = levels
    direct, exchange, straight, turned, kappa, counts = numbers
    part, nparts, i, j0, diagonal = share
    occ, vir, close = sums
    nvir, regular = t.shape[1], kappa < np.inf
    image = np.empty((nvir, nvir))
    damped, slope, row_sums = np.empty(nvir), np.ones(nvir), np.empty(nvir)
    columns = np.empty((len(orbitals), nvir))
    for x in range(part, t.shape[0], nparts):
        j, count, t_ij = j0 + x, counts[x], t[x]
        if regular:
            for a in range(nvir):
                damped[a] = np.exp(-kappa * (e_vir[a] - 0.5 * e_ij[x]))
        for a0 in range(0, nvir, TILE):
            for b0 in range(0, nvir, TILE):
                for a in range(a0, min(a0 + TILE, nvir)):
                    for b in range(b0, min(b0 + TILE, nvir)):
                        image[a, b] = t_ij[b, a]
        for a in range(nvir):
            e_a, g_a = e_vir[a] - e_ij[x], damped[a]
            line, mirror, out, row_sum = t_ij[a], image[a], w[j, a, i], 0.0
            if regular:
                for b in range(nvir):
                    gap, e = e_a + e_vir[b], g_a * damped[b]
                    rest = 1.0 - e
                    f = -rest * rest / gap
                    p = f * (direct * line[b] - exchange * mirror[b])
                    q = f * (direct * mirror[b] - exchange * line[b])
                    out[b] = p
                    change = (rest - 2.0 * kappa * gap * e) / (rest * rest * rest)
                    row_sum += change * (straight * (p * p + q * q) + 2.0 * turned * p * q)
            else:
                for b in range(nvir):
                    f = -1.0 / (e_a + e_vir[b])
                    p = f * (direct * line[b] - exchange * mirror[b])
                    q = f * (direct * mirror[b] - exchange * line[b])
                    out[b] = p
                    row_sum += straight * (p * p + q * q) + 2.0 * turned * p * q
            row_sums[a] = count * row_sum
            if diagonal:
                turn = w[i, a, j]  # W_ji
                for b in range(nvir):
                    turn[b] = (exchange * line[b] - direct * mirror[b]) / (e_a + e_vir[b])
                if regular:
                    for b in range(nvir):
                        turn[b] *= (1.0 - g_a * damped[b]) ** 2
        for a in range(nvir):
            vir[a] += row_sums[a]
            occ[x] += 0.5 * row_sums[a]  # both T_ab and T_ba are in it
        for n in range(len(orbitals)):
            a = orbitals[n]
            e_a, line, mirror, out = e_vir[a] - e_ij[x], t_ij[a], image[a], columns[n]
            for b in range(nvir):
                out[b] = (exchange * line[b] - direct * mirror[b]) / (e_a + e_vir[b])
            if regular:
                for b in range(nvir):
                    out[b] *= (1.0 - damped[a] * damped[b]) ** 2
        for n in range(len(pairs)):
            left, right = pairs[n, 0], pairs[n, 1]
            row, next_row = w[j, orbitals[left], i], w[j, orbitals[right], i]
            column, beside = columns[left], columns[right]
            if regular:
                middle = 0.5 * (e_vir[orbitals[left]] + e_vir[orbitals[right]]) - e_ij[x]
                g_a = np.exp(-kappa * (middle + 0.5 * e_ij[x]))
                for c in range(nvir):
                    e = g_a * damped[c]
                    ratio = 1.0 / (1.0 - e)
                    slope[c] = 1.0 - 2.0 * kappa * (middle + e_vir[c]) * e * ratio
                    slope[c] *= ratio * ratio
            near_sum = 0.0
            for c in range(nvir):
                p, q = row[c], column[c]
                u, v = next_row[c], beside[c]
                near_sum += slope[c] * (straight * (p * u + q * v) + turned * (p * v + q * u))
            close[n] += count * near_sum


def _opposite_spin(t, levels, numbers, share, w, sums):  # type: ignore[no-untyped-def]
    """W of pairs of two spins, for one share of the pairs.

    Parameters
    ----------
    t : ndarray, shape (nj, nvir_b, nvir_a), float64
        T[j,b,a], hartree.
    levels : tuple of ndarray
        e_i + e_j of each pair, e_a and e_b, float64, hartree; `orbitals` and `pairs` of the
        `NearPairs` of a, then those of b.
    numbers, share, w
        As of `amplitudes_square`.
    sums : tuple of ndarray
        As of `amplitudes_square`: occ, the diagonals of a and b, the near elements of a and b.
    """
    e_ij, e_a, e_b, orbitals_a, pairs_a, orbitals_b, pairs_b = levels
    direct, _, straight, _, kappa, counts = numbers
    part, nparts, i, j0, _ = share
    occ, vir_a, vir_b, near_a, near_b = sums
    na, nb, regular = len(e_a), len(e_b), kappa < np.inf
    slope = np.ones(max(na, nb))
    damped_a, damped_b = np.ones(na), np.ones(nb)
    columns = np.empty((len(orbitals_a), nb))
    for x in range(part, t.shape[0], nparts):
        j, count = j0 + x, counts[x]
        if regular:  # each part of the gap is positive, so no exponential overflows
            middle = 0.5 * (e_a.min() - e_b.min() + e_ij[x])
            for a in range(na):
                damped_a[a] = np.exp(-kappa * (e_a[a] - middle))
            for b in range(nb):
                damped_b[b] = np.exp(-kappa * (e_b[b] - e_ij[x] + middle))
        for b in range(nb):
            line, out, e_0, g = t[x, b], w[j, b, i], e_b[b] - e_ij[x], damped_b[b]
            row_sum = 0.0
            if regular:
                for a in range(na):
                    gap, e = e_0 + e_a[a], g * damped_a[a]
                    rest = 1.0 - e
                    p = -direct * rest * rest / gap * line[a]
                    out[a] = p
                    change = (rest - 2.0 * kappa * gap * e) / (rest * rest * rest)
                    term = count * straight * change * p * p
                    row_sum += term
                    vir_a[a] += term
            else:
                for a in range(na):
                    p = -direct / (e_0 + e_a[a]) * line[a]
                    out[a] = p
                    term = count * straight * p * p
                    row_sum += term
                    vir_a[a] += term
            vir_b[b] += row_sum
            occ[x] += row_sum
        for n in range(len(orbitals_a)):
            for b in range(nb):
                columns[n, b] = w[j, b, i, orbitals_a[n]]
        for n in range(len(pairs_a)):
            left, right = pairs_a[n, 0], pairs_a[n, 1]
            if regular:
                e_0 = 0.5 * (e_a[orbitals_a[left]] + e_a[orbitals_a[right]]) - e_ij[x]
                g = np.sqrt(damped_a[orbitals_a[left]] * damped_a[orbitals_a[right]])
                for b in range(nb):
                    e = g * damped_b[b]
                    ratio = 1.0 / (1.0 - e)
                    slope[b] = 1.0 - 2.0 * kappa * (e_0 + e_b[b]) * e * ratio
                    slope[b] *= ratio * ratio
            p, q, near_sum = columns[left], columns[right], 0.0
            for b in range(nb):
                near_sum += slope[b] * p[b] * q[b]
            near_a[n] += count * straight * near_sum
        for n in range(len(pairs_b)):
            left, right = orbitals_b[pairs_b[n, 0]], orbitals_b[pairs_b[n, 1]]
            if regular:
                e_0 = 0.5 * (e_b[left] + e_b[right]) - e_ij[x]
                g = np.sqrt(damped_b[left] * damped_b[right])
                for a in range(na):
                    e = g * damped_a[a]
                    ratio = 1.0 / (1.0 - e)
                    slope[a] = 1.0 - 2.0 * kappa * (e_0 + e_a[a]) * e * ratio
                    slope[a] *= ratio * ratio
            p, q, near_sum = w[j, left, i], w[j, right, i], 0.0
            for a in range(na):
                near_sum += slope[a] * p[a] * q[a]
            near_b[n] += count * straight * near_sum


def _near_occupied(w, near, energies, own, share, sums):  # type: ignore[no-untyped-def]
    """The sums of a `NearOccupied` over one share of the partners.

    Parameters
    ----------
    w : ndarray, shape (nj, nvir_b, ni, nvir_a)
    near : tuple
        `pairs` and `of_j`.
    energies : tuple of ndarray
        `e_pairs`, `e_partners`, `e_a` and `e_b`.
    own : tuple of float
        straight, turned and kappa of a `PairWeights`.
    share : tuple of int
        Number of this share, and number of shares.
    sums : ndarray, shape (npair,)
        Changed in place.
    """
    pairs, of_j = near
    e_pairs, e_partners, e_a, e_b = energies
    straight, turned, kappa = own
    na, nb, regular = len(e_a), len(e_b), kappa < np.inf
    mirror, slope = np.zeros((TILE, TILE)), np.ones(TILE)
    damped_a, damped_b = np.ones(na), np.ones(nb)
    for x in range(share[0], len(e_partners), share[1]):
        for n in range(len(pairs)):
            e_ij = e_pairs[n] + e_partners[x]
            j, i, other_j, other_i = x, pairs[n, 0], x, pairs[n, 1]
            if of_j:
                j, i, other_j, other_i = i, j, other_i, other_j
            if regular:
                middle = 0.5 * (e_a.min() - e_b.min() + e_ij)
                for a in range(na):
                    damped_a[a] = np.exp(-kappa * (e_a[a] - middle))
                for b in range(nb):
                    damped_b[b] = np.exp(-kappa * (e_b[b] - e_ij + middle))
            total = 0.0
            for b0 in range(0, nb, TILE):
                for a0 in range(0, na, TILE):
                    height, width = min(TILE, nb - b0), min(TILE, na - a0)
                    if turned != 0.0:
                        for a in range(width):
                            line = w[other_j, a0 + a, other_i, b0 : b0 + height]
                            for b in range(height):
                                mirror[b, a] = line[b]
                    for b in range(height):
                        left = w[j, b0 + b, i, a0 : a0 + width]
                        right = w[other_j, b0 + b, other_i, a0 : a0 + width]
                        image = mirror[b]
                        if regular:
                            g, e_0 = damped_b[b0 + b], e_b[b0 + b] - e_ij
                            for a in range(width):
                                e = g * damped_a[a0 + a]
                                ratio = 1.0 / (1.0 - e)
                                slope[a] = 1.0 - 2.0 * kappa * (e_0 + e_a[a0 + a]) * e * ratio
                                slope[a] *= ratio * ratio
                        for a in range(width):
                            z = straight * right[a] + turned * image[a]
                            total += slope[a] * left[a] * z
            sums[n] += total


amplitudes_square = compiled(_square)
near_occupied = compiled(_near_occupied)
amplitudes_opposite_spin = compiled(_opposite_spin)

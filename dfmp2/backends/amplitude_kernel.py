"""W and its sums from T in one pass, compiled for the CPU (`dfmp2.backends.amplitudes`).

With both orbitals of one spin, T_ab and T_ba are needed together. So T is walked in pairs of tiles
that mirror each other at the diagonal, as in `dfmp2.backends.reduction`. The operations of torch in
`amplitudes.reduced` give the same numbers with about twenty passes over T.
"""

from __future__ import annotations

import numpy as np

from dfmp2.backends.numba_cache import compiled

__all__ = ["amplitudes_opposite_spin", "amplitudes_square", "near_occupied"]

TILE = 64
"""As of `dfmp2.backends.reduction`."""


def _square(t, energies, near, own, share, w, sums):  # type: ignore[no-untyped-def]
    """W of pairs of one spin, for one share of the pairs.

    Parameters
    ----------
    t : ndarray, shape (nj, nvir, nvir), float64 or float32
        T[j,b,a], hartree.
    energies : tuple of ndarray
        e_i + e_j of each pair, shape (nj,), and e_vir, shape (nvir,). float64, hartree.
    near : tuple of ndarray
        `orbitals` and `pairs` of a `NearPairs`.
    own : tuple
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
    e_ij, e_vir = energies
    orbitals, pairs = near
    direct, exchange, straight, turned, kappa, counts = own
    part, nparts, i, j0, diagonal = share
    occ, vir, close = sums
    nvir, regular = t.shape[1], kappa < np.inf
    mirror, back = np.empty((TILE, TILE), dtype=t.dtype), np.empty((TILE, TILE), dtype=w.dtype)
    terms, slope = np.empty(TILE), np.ones(nvir)
    damped = np.empty(nvir)
    columns = np.empty((len(orbitals), nvir), dtype=w.dtype)
    for x in range(part, t.shape[0], nparts):
        j, count, t_ij = j0 + x, counts[x], t[x]
        total = 0.0
        if regular:
            for a in range(nvir):
                damped[a] = np.exp(-kappa * (e_vir[a] - 0.5 * e_ij[x]))
        for a0 in range(0, nvir, TILE):
            na = min(TILE, nvir - a0)
            for b0 in range(a0, nvir, TILE):  # the tile and its mirror image
                nb = min(TILE, nvir - b0)
                for b in range(nb):
                    line = t_ij[b0 + b, a0 : a0 + na]
                    for a in range(na):
                        mirror[a, b] = line[a]
                e_b, g_b = e_vir[b0 : b0 + nb], damped[b0 : b0 + nb]
                vir_b = vir[b0 : b0 + nb]
                for a in range(na):
                    e_a, g_a = e_vir[a0 + a] - e_ij[x], damped[a0 + a]
                    line, image = t_ij[a0 + a, b0 : b0 + nb], mirror[a]
                    out = w[j, a0 + a, i, b0 : b0 + nb]
                    turn = back[a]
                    first = 0.0
                    if regular:
                        for b in range(nb):
                            gap, u, v = e_a + e_b[b], np.float64(line[b]), np.float64(image[b])
                            e = g_a * g_b[b]
                            rest = 1.0 - e
                            f = -rest * rest / gap
                            p = f * (direct * u - exchange * v)
                            q = f * (direct * v - exchange * u)
                            out[b], turn[b] = p, q
                            squares = straight * (p * p + q * q) + 2.0 * turned * p * q
                            ratio = 1.0 / rest
                            terms[b] = squares * ratio * ratio
                            terms[b] *= count * (1.0 - 2.0 * kappa * gap * e * ratio)
                    else:
                        for b in range(nb):
                            u, v = np.float64(line[b]), np.float64(image[b])
                            f = -1.0 / (e_a + e_b[b])
                            p = f * (direct * u - exchange * v)
                            q = f * (direct * v - exchange * u)
                            out[b], turn[b] = p, q
                            squares = straight * (p * p + q * q) + 2.0 * turned * p * q
                            terms[b] = count * squares
                    start = 0
                    if a0 == b0:  # each element once: the lower triangle is written with the upper
                        start = a + 1
                        first += terms[a]
                        total += 0.5 * terms[a]
                    for b in range(start, nb):
                        first += terms[b]
                        total += terms[b]
                        vir_b[b] += terms[b]
                    vir[a0 + a] += first
                if a0 != b0:
                    for b in range(nb):
                        out = w[j, b0 + b, i, a0 : a0 + na]
                        for a in range(na):
                            out[a] = back[a, b]
        occ[x] += total
        for n in range(len(orbitals)):
            for c in range(nvir):
                columns[n, c] = w[j, c, i, orbitals[n]]
        for n in range(len(pairs)):
            left, right = pairs[n, 0], pairs[n, 1]
            row, other = w[j, orbitals[left], i], w[j, orbitals[right], i]
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
                p, q = np.float64(row[c]), np.float64(column[c])
                u, v = np.float64(other[c]), np.float64(beside[c])
                near_sum += slope[c] * (straight * (p * u + q * v) + turned * (p * v + q * u))
            close[n] += count * near_sum
        if diagonal:
            for b in range(nvir):
                for a in range(nvir):
                    w[i, a, j, b] = w[j, b, i, a]


def _opposite_spin(t, energies, near, own, share, w, sums):  # type: ignore[no-untyped-def]
    """W of pairs of two spins, for one share of the pairs.

    Parameters
    ----------
    t : ndarray, shape (nj, nvir_b, nvir_a), float64 or float32
        T[j,b,a], hartree.
    energies : tuple of ndarray
        e_i + e_j of each pair, e_a and e_b. float64, hartree.
    near : tuple of ndarray
        `orbitals` and `pairs` of the `NearPairs` of a, then those of b.
    own, share, w
        As of `amplitudes_square`.
    sums : tuple of ndarray
        As of `amplitudes_square`: occ, the diagonals of a and b, the near elements of a and b.
    """
    e_ij, e_a, e_b = energies
    orbitals_a, pairs_a, orbitals_b, pairs_b = near
    direct, _, straight, _, kappa, counts = own
    part, nparts, i, j0, _ = share
    occ, vir_a, vir_b, near_a, near_b = sums
    na, nb, regular = len(e_a), len(e_b), kappa < np.inf
    terms, slope = np.empty(na), np.ones(max(na, nb))
    damped_a, damped_b = np.ones(na), np.ones(nb)
    columns = np.empty((len(orbitals_a), nb), dtype=w.dtype)
    for x in range(part, t.shape[0], nparts):
        j, count = j0 + x, counts[x]
        total = 0.0
        if regular:  # each part of the gap is positive, so no exponential overflows
            middle = 0.5 * (e_a.min() - e_b.min() + e_ij[x])
            for a in range(na):
                damped_a[a] = np.exp(-kappa * (e_a[a] - middle))
            for b in range(nb):
                damped_b[b] = np.exp(-kappa * (e_b[b] - e_ij[x] + middle))
        for b in range(nb):
            line, out, e_0, g = t[x, b], w[j, b, i], e_b[b] - e_ij[x], damped_b[b]
            if regular:
                for a in range(na):
                    gap, e = e_0 + e_a[a], g * damped_a[a]
                    rest = 1.0 - e
                    p = -direct * rest * rest / gap * line[a]
                    out[a] = p
                    ratio = 1.0 / rest
                    terms[a] = straight * p * p * ratio * ratio
                    terms[a] *= count * (1.0 - 2.0 * kappa * gap * e * ratio)
            else:
                for a in range(na):
                    p = -direct / (e_0 + e_a[a]) * line[a]
                    out[a] = p
                    terms[a] = count * straight * p * p
            row = 0.0
            for a in range(na):
                row += terms[a]
                vir_a[a] += terms[a]
            vir_b[b] += row
            total += row
        occ[x] += total
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
    mirror, slope = np.zeros((TILE, TILE), dtype=w.dtype), np.ones(TILE)
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

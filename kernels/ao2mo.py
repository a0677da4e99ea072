"""Both half transforms of three-index integrals, fused: no intermediate in HBM.

For each auxiliary P the first half multiplies blocks of eri[P] (stationary, 128 x 128) with C_occ
(moving). Its result has nu on partitions and i in columns, which is the layout of a stationary
operand of the second half, whose moving operand is C_vir. No transpose is needed between them, only
the copy from PSUM to SBUF that any product needs. 128 // nocc auxiliaries share one tile of the
second half, so that its rows (P, i) fill the array. eri is read once, in long contiguous rows. Both
coefficient matrices stay in SBUF.
"""

from __future__ import annotations

from dfmp2.kernels.launch import Launch, Launcher, instruction_limit
from dfmp2.kernels.layout import as_float32, check_shapes, pad, zeros
from dfmp2.kernels.limits import F32_BYTES, PARTITIONS, PSUM_BANK_F32
from dfmp2.kernels.nki import nisa, nki, nl
from dfmp2.kernels.operands import Operand, Tile
from dfmp2.kernels.tiles import load_panel, multiply
from dfmp2.kernels.tiling import ceil_div, equal_panels, round_up

__all__ = ["ao2mo", "ao2mo_kernel"]

ERI_BYTES = 48 * 1024
"""Most bytes per partition of one tile of eri (two are live)."""

C_VIR_BYTES = 48 * 1024
"""Most bytes per partition of C_vir; wider ones are cut into panels, one launch each."""


def _nu_blocks(blocks: int, nocc: int) -> int:
    """Blocks of 128 nu loaded and multiplied together: they fit a PSUM bank and `ERI_BYTES`."""
    by_memory = ERI_BYTES // (blocks * PARTITIONS * F32_BYTES)
    return max(1, min(blocks, PSUM_BANK_F32 // nocc, by_memory))


def _half(eri: Operand, c_occ: Tile, half: Tile, aux: int, slot: int) -> None:
    """half[nu, block, (slot, i)] = sum_mu eri[aux, mu, nu] C_occ[mu, i]."""
    nao = eri.shape[1]
    blocks, nocc = c_occ.shape[1], c_occ.shape[2]
    step = _nu_blocks(blocks, nocc)
    for n0 in range(0, blocks, step):
        count = min(step, blocks - n0)
        start = aux * nao * nao + n0 * PARTITIONS
        tile = load_panel(eri, blocks, nao, start, count * PARTITIONS)
        acc = nl.ndarray((PARTITIONS, count, nocc), dtype=nl.float32, buffer=nl.psum)
        for n in range(count):
            multiply(acc[:, n, :], tile, n * PARTITIONS, c_occ, 0, blocks)
        nisa.tensor_copy(
            dst=half[:, n0 : n0 + count, slot * nocc : (slot + 1) * nocc],
            src=acc,
            engine=nisa.engine.vector,
        )


@nki.jit
def ao2mo_kernel(eri: Operand, c_occ: Operand, c_vir: Operand) -> Operand:
    """b[P,i,a] = sum_mn eri[P,m,n] C_occ[m,i] C_vir[n,a] for the P of one launch.

    Dimensions
        X  auxiliaries in this launch, as many as fit the instruction limit
        N  atomic orbitals, a multiple of 128; N/128 blocks
        O  occupied orbitals, <= 128; G = 128 // O auxiliaries per group
        A  virtuals, N A <= 1.5 million (`C_VIR_BYTES`)

    Parameters
    ----------
    eri
        [X, N, N] float32 in HBM, symmetric in its last two, zero in its padding.
    c_occ
        [N, O] float32 in HBM.
    c_vir
        [N, A] float32 in HBM.

    Returns
    -------
    [X, O, A] float32 in shared HBM: P leads, which is what the metric solve contracts. Both
    halves accumulate in float32 in PSUM; the error of an element is at most about
    N u sum_mn |eri C C|, u = 2^-24. Large coefficients of diffuse orbitals cancel in that sum, so
    the caller must estimate whether float32 is enough.

    Notes
    -----
    ::

        C_occ, C_vir -> SBUF
        for each group of G auxiliaries:
            for P in the group:
                for each up to 512 // O blocks of 128 nu:
                    eri[P, :, nu] -> SBUF
                    for nu block, for mu block:  PSUM[nu, O] += eri^T C_occ     TensorE
                    PSUM -> half[nu, block, (P, O)]                             VectorE
            for each 512 virtuals:
                for nu block:  PSUM[(P, O), 512] += half^T C_vir                TensorE
                PSUM -> SBUF                                                    VectorE
            SBUF -> b[P.., :, :]
    """
    items, nao = eri.shape[0], eri.shape[1]
    nocc, nvir = c_occ.shape[1], c_vir.shape[1]
    blocks = nao // PARTITIONS
    group = PARTITIONS // nocc
    out = nl.ndarray((items, nocc, nvir), dtype=nl.float32, buffer=nl.shared_hbm)
    occ = load_panel(c_occ, blocks, nocc, 0, nocc)
    vir = nl.ndarray((PARTITIONS, blocks, nvir), dtype=nl.float32, buffer=nl.sbuf)
    by_block = [[nvir, PARTITIONS], [PARTITIONS * nvir, blocks], [1, nvir]]
    nisa.dma_copy(dst=vir, src=c_vir.ap(by_block))
    for p0 in range(0, items, group):
        count = min(group, items - p0)
        rows = count * nocc
        half = nl.ndarray((PARTITIONS, blocks, rows), dtype=nl.float32, buffer=nl.sbuf)
        for p in range(count):
            _half(eri, occ, half, p0 + p, p)
        result = nl.ndarray((rows, nvir), dtype=nl.float32, buffer=nl.sbuf)
        for a0 in range(0, nvir, PSUM_BANK_F32):
            a1 = min(nvir, a0 + PSUM_BANK_F32)
            acc = nl.ndarray((rows, a1 - a0), dtype=nl.float32, buffer=nl.psum)
            multiply(acc, half, 0, vir, a0, blocks)
            nisa.tensor_copy(dst=result[:, a0:a1], src=acc, engine=nisa.engine.vector)
        nisa.dma_copy(dst=out.ap([[nvir, rows], [1, nvir]], offset=p0 * nocc * nvir), src=result)
    return out


def _instructions(blocks: int, nocc: int, nvir: int) -> int:
    """Instructions per auxiliary, an upper bound."""
    chunks = ceil_div(blocks, _nu_blocks(blocks, nocc))
    return blocks * blocks + 2 * chunks + (blocks + 1) * ceil_div(nvir, PSUM_BANK_F32) + 1


def ao2mo(eri: Operand, c_occ: Operand, c_vir: Operand, launch: Launch | None = None) -> Operand:
    """b[i,P,a] = sum_mn eri[P,m,n] C_occ[m,i] C_vir[n,a]; eri[P] is symmetric.

    Parameters
    ----------
    eri
        [P, m, m], any float dtype: three-centre integrals.
    c_occ, c_vir
        [m, i] and [m, a], any float dtype: orbital coefficients.
    launch
        Runs the kernel; default: a new `Launcher`.

    Returns
    -------
    [i, P, a] float32, NumPy or torch like `eri`: a view of an array whose first index is P.

    Raises
    ------
    InputError
        Shapes that do not fit, or an empty dimension.
    """
    launch = launch or Launcher()
    eri, c_occ, c_vir = as_float32(eri), as_float32(c_occ), as_float32(c_vir)
    check_shapes("ao2mo", "Pmm mi ma", eri=eri, c_occ=c_occ, c_vir=c_vir)
    naux, nao, _ = eri.shape
    nocc, nvir = c_occ.shape[1], c_vir.shape[1]
    rows = round_up(nao, PARTITIONS)
    blocks = rows // PARTITIONS
    po = equal_panels(nocc, PARTITIONS)
    pv = equal_panels(nvir, C_VIR_BYTES // (F32_BYTES * blocks))
    limit = instruction_limit(launch)
    px = equal_panels(naux, max(1, (limit - 2) // _instructions(blocks, po.size, pv.size)))
    eri = pad(eri, (px.padded, rows, rows))
    c_occ = pad(c_occ, (rows, po.padded))
    c_vir = pad(c_vir, (rows, pv.padded))

    b: Operand = None
    for o in range(po.number):
        occ = po.part(o)
        for v in range(pv.number):
            vir = pv.part(v)
            left = pad(c_occ[:, occ], (rows, po.size))
            right = pad(c_vir[:, vir], (rows, pv.size))
            for x in range(px.number):
                aux = px.part(x)
                part = launch(ao2mo_kernel, eri[aux], left, right)
                if b is None:
                    b = zeros((px.padded, po.padded, pv.padded), part)
                b[aux, occ, vir] = part
    return b[:naux, :nocc, :nvir].swapaxes(0, 1)

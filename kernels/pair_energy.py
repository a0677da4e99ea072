"""Energies of all orbital pairs of two blocks from B, without storing T.

T_ij = B_i^T B_j is formed once per pair in PSUM, scaled by D^-1/2 on its way to SBUF and reduced
there to three numbers per partition: T never reaches HBM. TensorE limits the speed (four passes
per float32 product), and the other engines work at the same time:

- B[i, P, a] has the contraction index on rows, so one transfer of long contiguous rows makes the
  [128, naux/128, nvir] operand, for which a strip of 112-128 virtuals is stationary and up to 512
  columns move. B_i is loaded once for up to a dozen partners j, B_{j+1} while B_j is multiplied.
- T is not symmetric, and the same-spin energy needs T_ab - T_ba. A second product for T_ba would
  double the work. Instead S_ba is transposed block by block, and only mirrored blocks are: this
  costs 5 % of the products. The transposes of a strip are issued after the products of the next
  one, so TensorE does not wait for VectorE to scale it.
- D = e_a + e_b - e_i - e_j and its root are made per strip by VectorE and GpSimdE from one row of
  energies; VectorE scales and subtracts; ScalarE squares; VectorE sums.
- A task reads the numbers of its orbitals from a table in HBM at run time. They are not compiled
  in, so all launches run one program. B of 4 GiB and more is cut into groups of orbitals
  (`pair_plan`), and each launch has the B of two of them.

For i <= j of one block the partners of i are j = i + d mod nocc, so that every task has equally
many partners and no pair is computed in both orders.

Pairs of two spins (`e_b`) have another program without transposes, in which each spin has virtuals
of its own. Pairs of one spin run the program of a closed shell. The sum of squares that they do not
need is made while TensorE multiplies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfmp2.errors import InputError
from dfmp2.kernels.launch import Kernel, Launch, Launcher, instruction_limit
from dfmp2.kernels.layout import as_float32, check_shapes, contiguous, pad, to_float64
from dfmp2.kernels.limits import PARTITIONS
from dfmp2.kernels.mp2_energy import padded_energies
from dfmp2.kernels.operands import Operand
from dfmp2.kernels.pair_plan import (
    OppositePlan,
    ResidentPlan,
    StreamedPlan,
    choose_form,
    orbital_groups,
    padded_sizes,
    plan_opposite,
)
from dfmp2.kernels.pair_resident import pair_energy_kernel, pair_energy_opposite_kernel
from dfmp2.kernels.pair_streamed import pair_energy_streamed_kernel
from dfmp2.kernels.tiling import (
    Panels,
    circulant_pairs,
    fill_launches,
    padded_rows,
    rectangle_pairs,
)

__all__ = ["pair_energy"]

Array = NDArray[np.float64]


class _Group(NamedTuple):
    """B of `number` orbitals from `first` on, padded and laid out as its form of kernel."""

    first: int
    number: int
    b: Operand


def _grouped(b: Operand, naux: int, nvir: int, blocks: int = 0) -> list[_Group]:
    """B in groups of orbitals; padded to whole tiles, without a copy if they are."""
    groups = orbital_groups(len(b), naux, nvir)
    found = []
    for first in range(0, len(b), groups.size):
        part = b if groups.number == 1 else b[first : first + groups.size]
        padded = pad(as_float32(part), (groups.size, naux, nvir))
        found.append(_Group(first, len(part), _by_block(padded, blocks) if blocks else padded))
    return found


def _by_block(b: Operand, count: int) -> Operand:
    """B[i,P,a] as [i count + block, P, nvir / count]: blocks of virtuals apart."""
    orbitals, naux, nvir = b.shape
    blocks = contiguous(b.reshape(orbitals, naux, count, nvir // count).swapaxes(1, 2))
    return blocks.reshape(orbitals * count, naux, nvir // count)


def _repeated(values: Array, p: int) -> NDArray[np.float32]:
    """[T, G] values repeated over p partitions: [T, p, G] float32."""
    shape = (values.shape[0], p, values.shape[1])
    return np.ascontiguousarray(np.broadcast_to(values[:, None, :], shape), dtype=np.float32)


def _collect(
    launch: Launch,
    kernel: Kernel,
    b: tuple[Operand, Operand],
    count: int,
    most: int,
    tables: tuple[Operand, ...],
) -> Array:
    """Launch `kernel` for tasks 0 .. count - 1, at most `most` at a time.

    Returns the rows of the tasks, summed over partitions. No result is read before the last
    launch has been submitted, because reading waits for the device.
    """
    results = [
        launch(kernel, *b, np.asarray([numbers], dtype=np.int32), *tables)
        for numbers in fill_launches(count, most)
    ]
    return np.concatenate([to_float64(result).sum(axis=1) for result in results])[:count]


def _slots(
    plan: ResidentPlan | OppositePlan, rows: list[list[int]]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """i and j of each slot of each task, and whether it is a pair of `rows` or padding."""
    tasks = padded_rows(rows, plan.partners)
    i = np.repeat([[task[0]] for task in tasks], plan.partners, axis=1)
    j = np.asarray([task[1] for task in tasks])
    return i, np.where(j >= 0, j, 0), j >= 0


def _resident(
    plan: ResidentPlan,
    rows: list[list[int]],
    b: tuple[Operand, Operand],
    energies: tuple[Array, Array, Array],
    launch: Launch,
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """i, j, opposite- and same-spin energy of each pair of `rows`, by the resident form."""
    e_i, e_j, e_vir = energies
    i, j, real = _slots(plan, rows)
    partners = np.concatenate([i[:, :1], j], axis=1).astype(np.int32)
    e_pair = _repeated(-(e_i[i] + e_j[j]), plan.strips.size)
    identity = np.eye(plan.strips.size, dtype=np.float32)
    virtual = padded_energies(e_vir, e_vir, plan.strips, plan.strips.padded)
    tables = (partners, e_pair, *virtual, identity)
    sums = _collect(launch, pair_energy_kernel, b, len(i), plan.tasks, tables)
    squares, mirrored, itself = sums.reshape(len(i), 3, plan.partners).transpose(1, 0, 2)
    return i[real], j[real], -squares[real], -(mirrored - itself / 2)[real]


def _streamed(
    plan: StreamedPlan,
    rows: list[list[int]],
    b: tuple[Operand, Operand],
    energies: tuple[Array, Array, Array],
    launch: Launch,
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """i, j, opposite- and same-spin energy of each pair of `rows`, by the streamed form."""
    e_i, e_j, e_vir = energies
    count, size = plan.blocks
    pairs = [(i, j) for i, row in enumerate(rows) for j in row]
    upper = [(p, q) for p in range(count) for q in range(p, count)]
    i, j, p, q = (np.asarray([[*x, *y] for x in pairs for y in upper]).T[n] for n in range(4))
    columns = [i * count + p, j * count + q, j * count + p, i * count + q, p, q]
    blocks = np.stack(columns, axis=1).astype(np.int32)
    e_pair = _repeated(-(e_i[i] + e_j[j])[:, None], plan.strips.size)
    strips = Panels(count * plan.strips.number, plan.strips.size)
    e_row, e_col = padded_energies(e_vir, e_vir, strips, strips.padded)
    by_block = (plan.strips.size, count, size)
    e_row = np.ascontiguousarray(e_row.reshape(by_block).swapaxes(0, 1))
    by_block = (plan.strips.size, count, plan.strips.number)
    e_col = np.ascontiguousarray(e_col.reshape(by_block).swapaxes(0, 1))
    tables = (blocks, e_pair, e_row, e_col)
    sums = _collect(launch, pair_energy_streamed_kernel, b, len(i), plan.slots, tables)
    squares, mirrored, difference = sums.T
    once = np.where(p == q, 0.0, mirrored)
    half = np.where(p == q, 0.5, 1.0)
    shape = (len(pairs), len(upper))
    e_os = -(squares + once).reshape(shape).sum(axis=1)
    e_ss = -(half * difference).reshape(shape).sum(axis=1)
    return i[:: len(upper)], j[:: len(upper)], e_os, e_ss


def _opposite_spin(
    b_i: Operand,
    b_j: Operand,
    energies: tuple[Array, Array, Array, Array],
    launch: Launch,
) -> Array:
    """Opposite-spin energy of all pairs of orbitals of two spins: e_os[i,j].

    With several blocks of virtuals, one block of a and one of b after the other.
    """
    e_i, e_j, e_a, e_b = energies
    naux, limit = int(b_i.shape[1]), instruction_limit(launch)
    plan = plan_opposite((len(e_a), len(e_b)), naux, len(e_j), limit)
    count, height, width = plan.blocks, plan.rows.padded, plan.columns.padded
    k = plan.nk * PARTITIONS
    left, right = _grouped(b_i, k, count * height, count), _grouped(b_j, k, count * width, count)
    e_os = np.zeros((len(e_i), len(e_j)))
    for p in left:
        for q in right:
            i, j, real = _slots(plan, rectangle_pairs(p.number, q.number))
            e_pair = _repeated(-(e_i[p.first + i] + e_j[q.first + j]), plan.rows.size)
            for x in range(count):
                for y in range(count):
                    e_rows = e_a[x * height : (x + 1) * height]
                    e_columns = e_b[y * width : (y + 1) * width]
                    partners = np.concatenate([i[:, :1] * count + x, j * count + y], axis=1)
                    virtual = padded_energies(e_rows, e_columns, plan.rows, width)
                    tables = (partners.astype(np.int32), e_pair, *virtual)
                    sums = _collect(
                        launch, pair_energy_opposite_kernel, (p.b, q.b), len(i), plan.tasks, tables
                    )
                    e_os[p.first + i[real], q.first + j[real]] -= sums[real]
    return e_os


def pair_energy(
    b_i: Operand,
    b_j: Operand,
    e_i: Operand,
    e_j: Operand,
    e_vir: Operand,
    diagonal: bool = False,
    e_b: Operand | None = None,
    launch: Launch | None = None,
) -> tuple[Array, Array]:
    """`mp2_energy` of T_ij[a,b] = sum_P b_i[i,P,a] b_j[j,P,b], for all i and j of two blocks.

    Parameters
    ----------
    b_i, b_j
        [i, P, a] and [j, P, a], any float dtype. They are padded to whole tiles (`pair_plan`),
        without a copy if P and a are whole tiles already. Where both are the same orbitals, pass
        the same array twice, or it is padded twice.
    e_i, e_j, e_vir
        [i], [j] and [a], any float dtype: orbital energies in Eh.
    diagonal
        The two blocks are the same orbitals: only i <= j is computed, from `b_i`, and the rest is
        zero.
    e_b
        [b]: i and a have one spin and j and b the other, with b_j[j,P,b]. The same-spin energy is
        zero. For two orbitals of one spin leave it out and use only the same-spin energy.
    launch
        Runs the kernel; default: a new `Launcher`.

    Returns
    -------
    e_os[i,j] and e_ss[i,j], float64 NumPy arrays, in Eh.

    Raises
    ------
    InputError
        Shapes that do not fit, an empty dimension, different energies with `diagonal`, or
        `diagonal` with `e_b`.
    ResourceError
        B of a single orbital has 4 GiB or more.
    """
    launch = launch or Launcher()
    energies = (to_float64(e_i), to_float64(e_j), to_float64(e_vir))
    e = dict(zip(("e_i", "e_j", "e_vir"), energies, strict=True))
    if e_b is not None:
        if diagonal:
            raise InputError("pair_energy: diagonal, but the two blocks have different spins (e_b)")
        column = to_float64(e_b)
        check_shapes("pair_energy", "iPa jPb i j a b", b_i=b_i, b_j=b_j, **e, e_b=column)
        e_os = _opposite_spin(b_i, b_j, (*energies, column), launch)
        return e_os, np.zeros_like(e_os)
    letters = "iPa iPa i i a" if diagonal else "iPa jPa i j a"
    check_shapes("pair_energy", letters, b_i=b_i, b_j=b_j, **e)
    n_i, n_j, nvir = (len(x) for x in energies)
    if diagonal and not np.array_equal(energies[0], energies[1], equal_nan=True):
        raise InputError("pair_energy: diagonal, but e_i and e_j differ")
    naux = int(b_i.shape[1])
    slots = n_i // 2 + 1 if diagonal else n_j
    plan = choose_form(nvir, naux, slots, instruction_limit(launch))
    blocks = plan.blocks.number if isinstance(plan, StreamedPlan) else 0
    left = _grouped(b_i, *padded_sizes(plan), blocks)
    right = left if diagonal or b_j is b_i else _grouped(b_j, *padded_sizes(plan), blocks)
    e_os, e_ss = np.zeros((2, n_i, n_j))
    for p in left:
        for q in right:
            if diagonal and q.first < p.first:
                continue
            own = diagonal and p.first == q.first
            rows = circulant_pairs(p.number) if own else rectangle_pairs(p.number, q.number)
            part = (e["e_i"][p.first :], e["e_j"][q.first :], e["e_vir"])
            if isinstance(plan, ResidentPlan):
                i, j, os, ss = _resident(plan, rows, (p.b, q.b), part, launch)
            else:
                i, j, os, ss = _streamed(plan, rows, (p.b, q.b), part, launch)
            if own:
                i, j = np.minimum(i, j), np.maximum(i, j)
            e_os[i + p.first, j + q.first], e_ss[i + p.first, j + q.first] = os, ss
    return e_os, e_ss

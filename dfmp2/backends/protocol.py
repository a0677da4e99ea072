"""The operations of a backend, and the blocks of B that they take.

`dfmp2.kernels.reference` defines each operation. Shapes use its letters. A `Tensor` is an array of
the backend. Only `asarray` and `to_host` convert from and to NumPy.

The indices of B are always B[i,P,a]. Each backend chooses in `empty_b` which of them is contiguous
in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dfmp2.kernels.layout import check_shapes
from dfmp2.results.provenance import Where

__all__ = [
    "Array",
    "Backend",
    "Engine",
    "Event",
    "FirstHalf",
    "PairBlock",
    "PairCase",
    "TBlock",
    "Target",
    "Tensor",
    "ThreadedIntegrals",
]

Array = NDArray[np.float64]
"""A float64 array of NumPy, on the host."""

Tensor = Any
"""A `torch.Tensor`, or a NumPy array in a simulator. No common type of both exists."""

Target = tuple[Tensor, Tensor, Tensor]
"""C_occ, C_vir and B of one spin: what the half transforms read, and what they write."""

Event = Any
"""The end of one piece of work in a queue of an `Engine`."""


class PairCase(Enum):
    """Which spins the two orbitals of a pair have, and so which energies it gives.

    closed
        Both spins at once, for a closed shell: e_os = - sum_ab T_ab^2 / D and
        e_ss = - 1/2 sum_ab (T_ab - T_ba)^2 / D.
    same_spin
        One spin: e_ss as above, e_os = 0. The energy of a pair i < j; zero for i = j.
    opposite_spin
        i, a of one spin and j, b of the other: e_os as above, e_ss = 0.
    """

    CLOSED = "closed"
    SAME_SPIN = "same_spin"
    OPPOSITE_SPIN = "opposite_spin"


@dataclass(frozen=True, eq=False)
class PairBlock:
    """Two blocks of occupied orbitals with their B and energies.

    Attributes
    ----------
    b_i, b_j : Tensor, shapes (ni, naux, nvir_a) and (nj, naux, nvir_b), hartree^(1/2)
        B in float64 or float32.
    e_i, e_j : ndarray, shapes (ni,) and (nj,), float64, hartree
        Energies of the occupied orbitals.
    e_a, e_b : ndarray, shapes (nvir_a,) and (nvir_b,), float64, hartree
        Energies of the virtual orbitals. The same array unless the spins differ.
    case : PairCase
    diagonal : bool
        Both blocks are the same orbitals, and only pairs i <= j are computed.
    kappas : tuple of float
        Parameters of regularised energies, 1/hartree. Each term of the sums over a and b is also
        multiplied by (1 - exp(-kappa D))^2.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """

    b_i: Tensor
    b_j: Tensor
    e_i: Array
    e_j: Array
    e_a: Array
    e_b: Array
    case: PairCase = PairCase.CLOSED
    diagonal: bool = False
    kappas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        one = "iPa iPa i i a a" if self.diagonal else "iPa jPa i j a a"
        letters = "iPa jPb i j a b" if self.case is PairCase.OPPOSITE_SPIN else one
        names = ("b_i", "b_j", "e_i", "e_j", "e_a", "e_b")
        check_shapes("pair block", letters, **{name: getattr(self, name) for name in names})

    @property
    def npair(self) -> int:
        """Number of pairs that are computed."""
        ni, nj = len(self.e_i), len(self.e_j)
        return ni * (ni + 1) // 2 if self.diagonal else ni * nj

    def energies(self) -> Array:
        """Zeros of the shape of the result: (2 + 2 number of kappas, ni, nj)."""
        return np.zeros((2 + 2 * len(self.kappas), len(self.e_i), len(self.e_j)))


@dataclass(frozen=True, eq=False)
class TBlock:
    """Blocks T_x of the integrals (ia|jb), each of one pair.

    Attributes
    ----------
    t : Tensor, shape (npair, nvir_a, nvir_b), hartree
    e_ij : ndarray, shape (npair,), float64, hartree
        e_i + e_j of each pair.
    e_a, e_b : ndarray, shapes (nvir_a,) and (nvir_b,), float64, hartree
        Energies of the virtual orbitals.
    case : PairCase
    kappas : tuple of float
        As of `PairBlock`.
    """

    t: Tensor
    e_ij: Array
    e_a: Array
    e_b: Array
    case: PairCase = PairCase.CLOSED
    kappas: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        letters = "xab x a b" if self.case is PairCase.OPPOSITE_SPIN else "xaa x a a"
        names = ("t", "e_ij", "e_a", "e_b")
        check_shapes("T block", letters, **{name: getattr(self, name) for name in names})

    def energies(self) -> Array:
        """Zeros of the shape of the result: (2 + 2 number of kappas, npair)."""
        return np.zeros((2 + 2 * len(self.kappas), len(self.e_ij)))


class ThreadedIntegrals(Protocol):
    """Integrals on the host that several threads can make."""

    @property
    def blocks(self) -> Sequence[Any]:
        """The blocks, with first function p0 and the one after the last p1."""

    def maker(self) -> Callable[[Any], Iterator[Array]]:
        """What one thread calls for each block, with memory of this thread.

        It returns the [m,n] of the block, one after the other in the same memory.
        """


class FirstHalf(Protocol):
    """Wants first half-transformed integrals of columns of its own.

    Attributes
    ----------
    columns : ndarray, shape (nao, ncolumns), float64
    """

    columns: Array

    def half(self, p0: int, half: Array) -> None:
        """Take sum_n (mn|P) columns[n,x] as [x,P,m], from P = p0 on. Called by several threads."""


class Engine(Protocol):
    """Two queues of a device, one for copies and one for arithmetic. Both run while the host works.

    Work in one queue is done in the order of the calls.
    """

    def host_memory(self, count: int) -> Tensor:
        """Flat memory of the host for `count` float64 numbers, from which the device can copy."""

    def device_memory(self, count: int) -> Tensor:
        """Flat memory of the device for `count` float64 numbers, for both queues."""

    def copy(self, source: Tensor, target: Tensor, after: Event | None) -> Event:
        """Queue a copy to the device, which starts after the event `after` of the arithmetic."""

    def compute(self, work: Callable[[], None], after: Event | None) -> Event:
        """Queue the arithmetic of `work`, which starts after the event `after` of the copies."""

    def wait(self, event: Event) -> None:
        """Let the host wait for an event."""

    def seconds(self, event: Event) -> float:
        """Time of the device for a piece of work that is finished, in seconds."""


class Backend(Protocol):
    """Operations of DF-MP2 on one kind of device.

    Attributes
    ----------
    where : Where
        Backend, mode and device, for the provenance.
    """

    where: Where

    def asarray(self, x: Array) -> Tensor:
        """Copy a host array to the device. If the device is the host, no copy is made."""

    def to_host(self, x: Tensor) -> Array:
        """Copy a tensor to the host as a NumPy array."""

    def materialize(self, *x: Tensor) -> None:
        """Wait until the values of these tensors are computed."""

    def empty_b(self, nocc: int, naux: int, nvir: int) -> Tensor:
        """Uninitialised B[i,P,a] in the memory order that the other operations need."""

    def to_float32(self, b: Tensor) -> Tensor:
        """Round B[i,P,a] to float32 in the same memory. `b` is overwritten."""

    def engine(self) -> Engine | None:
        """Queues that run while the host works. None if the host waits for each operation."""

    def warm_up(
        self, cases: Sequence[PairCase] = (PairCase.CLOSED,), dtypes: Sequence[str] = ("float64",)
    ) -> None:
        """Do a little of what a run does, so that libraries and compiled code are loaded before it.

        Parameters
        ----------
        cases : sequence of PairCase
            Those of the pairs.
        dtypes : sequence of {"float64", "float32"}
            Those of B.
        """

    def gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        """C[m,n] = sum_k A[m,k] B[k,n]."""

    def batched_gemm(self, a: Tensor, b: Tensor, transpose_a: bool = False) -> Tensor:
        """C[x,m,n] = sum_k A[x,m,k] B[x,k,n]. If A has one x only, it is used for all x."""

    def syrk(self, a: Tensor, transpose_a: bool = False) -> Tensor:
        """C[m,n] = sum_k A[m,k] A[n,k]."""

    def trsm(self, a: Array, b: Tensor) -> Tensor:
        """Overwrite B[i] with A^-1 B[i] and return B. A[P,Q] is lower triangular, on the host."""

    def ao2mo(self, eri: Tensor, c_occ: Tensor, c_vir: Tensor, out: Tensor) -> None:
        """Write out[i,P,a] = sum_mn eri[P,m,n] C_occ[m,i] C_vir[n,a]."""

    def mp2_energy(self, block: TBlock) -> Array:
        """e_os[x] and e_ss[x] of blocks of T, then both with each kappa.

        Hartree, float64 on the host, shape (2 + 2 number of kappas, npair).
        """

    def pair_energy(self, block: PairBlock) -> Array:
        """e_os[i,j] and e_ss[i,j] of two blocks of B, then both with each kappa.

        Hartree, float64 on the host, shape (2 + 2 number of kappas, ni, nj). T is not stored. In a
        diagonal block only the elements i <= j are valid.
        """

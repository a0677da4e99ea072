"""Three-centre integrals (mn|P) by libcint, in blocks of auxiliary shells.

Only the packed lower triangle of mn is computed. libcint leaves out negligible products of
primitive functions. Blocks consist of whole auxiliary shells, because libcint cannot split a shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from math import ceil

import numpy as np

from dfmp2.backends.protocol import Array
from dfmp2.integrals.blocks import AuxBlock, IntegralSource, Memory, Probe, shell_blocks
from dfmp2.molecules.plain import Mole
from dfmp2.results.stages import Stage

__all__ = ["LIBCINT", "Libcint", "ThreeCentreIntegrals"]

PARTS = 8
"""Parts of a block per thread. A thread that is finished takes the next part, so that the work is
balanced."""

CUTOFF = 40.0
"""libcint leaves out products of primitive functions below exp(-40) = 4e-18. Its own value is 60.
Integrals of (H2O)10/cc-pVTZ then take 10 to 14 % less time and change by at most 6e-19 Eh, which is
far below their rounding errors."""


class ThreeCentreIntegrals:
    """(mn|P) of a molecule and its auxiliary basis.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The orbital and the auxiliary basis on the same atoms.
    block : int
        Auxiliary functions per block, at most. A larger shell is a block of its own.
    shells : sequence of int, optional
        Auxiliary shells to compute, in ascending order. All if not given.
    probe : Probe, optional
        Is given every block.

    Attributes
    ----------
    blocks : list of AuxBlock
    """

    def __init__(
        self,
        mol: Mole,
        auxmol: Mole,
        block: int,
        shells: Sequence[int] | None = None,
        probe: Probe | None = None,
    ) -> None:
        from pyscf.gto import mole, moleintor

        self._probe = probe

        self._intor = moleintor.ascint3(mol._add_suffix("int3c2e"))
        self._env = mole.conc_env(
            mol._atm, mol._bas, mol._env, auxmol._atm, auxmol._bas, auxmol._env
        )
        atm, bas, env = self._env
        env[mole.PTR_EXPCUTOFF] = env[mole.PTR_EXPCUTOFF] or CUTOFF  # a user may have set it
        self._nbas = mol.nbas
        self._nao = int(mol.nao_nr())
        self._loc = moleintor.make_loc(self._env[1], self._intor)
        # Only orbital shells form pairs here. Pair data of the auxiliary shells take tens of MB.
        self._optimizer = moleintor.make_cintopt(atm, bas[: mol.nbas], env, self._intor)
        self._aux_loc = auxmol.ao_loc_nr()
        self.blocks = shell_blocks(self._aux_loc, block, shells)
        self._largest = max((b.p1 - b.p0 for b in self.blocks), default=0)
        self._triangle = self._nao * (self._nao + 1) // 2

    def __iter__(self) -> Iterator[tuple[AuxBlock, Array]]:
        """Yield each block with its integrals [P,m,n] in hartree.

        The next block uses the same memory.
        """
        packed = np.empty(self._largest * self._triangle)
        unpacked = np.empty((self._largest, self._nao, self._nao))
        for block, _ in self._made(lambda _: packed, unpacked):
            yield block, unpacked[: block.p1 - block.p0]

    def maker(self) -> Callable[[AuxBlock], Iterator[Array]]:
        """The integrals of a block in one thread, with memory of this thread.

        The caller must give `FirstHalf.half` of the probe what it asks for.

        Returns
        -------
        callable
            make(block) computes a block and returns its [m,n], one after the other in the same
            memory.
        """
        from pyscf import lib

        lib.num_threads(1)  # of this thread
        packed = np.empty((self._largest, self._triangle))
        square = np.empty((self._nao, self._nao))

        def make(block: AuxBlock) -> Iterator[Array]:
            own = packed[: block.p1 - block.p0]
            self._make(block, own)
            if self._probe is not None:
                self._probe.coulomb(block.p0, own)
            return (lib.unpack_tril(one, out=square) for one in own)

        return make

    def of(self, block: AuxBlock) -> Array:
        """The integrals [P,m,n] of a block in new memory, computed in one thread."""
        from pyscf import lib

        lib.num_threads(1)  # of this thread
        packed = np.empty((block.p1 - block.p0, self._triangle))
        self._make(block, packed)
        unpacked: Array = lib.unpack_tril(packed)
        return unpacked

    def _make(self, part: AuxBlock, packed: Array) -> None:
        from pyscf.gto import moleintor

        nbas = self._nbas
        shells = (0, nbas, 0, nbas, nbas + part.shell0, nbas + part.shell1)
        moleintor.getints3c(
            self._intor, *self._env, shells, 1, "s2ij", self._loc, self._optimizer, packed
        )

    def packed(self, memory: Memory) -> Iterator[tuple[AuxBlock, Array]]:
        """Yield each block with its lower triangles [P,mn], written to the buffer of the block."""
        return self._made(memory, None)

    def _made(self, memory: Memory, unpacked: Array | None) -> Iterator[tuple[AuxBlock, Array]]:
        """Packed blocks. If `unpacked` is given, they are also unpacked to full matrices.

        PySCF's OpenMP threads are not used: they stay busy on their cores for some time after a
        call, which slows down the next work.
        """
        from pyscf import lib

        loc = self._aux_loc
        threads = int(lib.num_threads())

        def make(part: AuxBlock, packed: Array, first: int) -> None:
            own = slice(part.p0 - first, part.p1 - first)
            self._make(part, packed[own])
            if self._probe is not None:
                self._probe.packed(part.p0, packed[own])
            if unpacked is not None:
                lib.unpack_tril(packed[own], out=unpacked[own])

        with ThreadPoolExecutor(threads, "dfmp2-integrals", lambda: lib.num_threads(1)) as pool:
            for number, block in enumerate(self.blocks):
                size = block.p1 - block.p0
                packed = memory(number)[: size * self._triangle].reshape(size, self._triangle)
                shells = range(block.shell0, block.shell1)
                parts = shell_blocks(loc, ceil(size / (PARTS * threads)), shells)
                list(pool.map(make, parts, repeat(packed), repeat(block.p0)))
                yield block, packed


class Libcint:
    """`dfmp2.integrals.blocks.IntegralSource` by libcint.

    Parameters
    ----------
    remark : str, optional
        Why another program does not compute the integrals.
    """

    stage = Stage.INTEGRALS
    metric: str | None = None
    on_device = False

    def __init__(self, remark: str = "") -> None:
        self.origin = "computed by libcint on the CPU" + (f" ({remark})" if remark else "")

    def integrals(
        self,
        mol: Mole,
        auxmol: Mole,
        block: int,
        shells: Sequence[int] | None = None,
        probe: Probe | None = None,
    ) -> ThreeCentreIntegrals:
        return ThreeCentreIntegrals(mol, auxmol, block, shells, probe)


LIBCINT: IntegralSource = Libcint()

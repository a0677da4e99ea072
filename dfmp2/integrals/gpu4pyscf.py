"""Three-centre integrals from gpu4pyscf, on the CUDA device that torch computes on.

One function of gpu4pyscf is used, ``gpu4pyscf.df.int3c2e_bdiv.aux_e2(mol, auxmol)``. It returns all
(mn|P) of two molecules as a CuPy array [m,n,P] in PySCF's order. For one block it is called with
the auxiliary shells of this block. torch receives the array without a copy (DLPack).

This was written from the public source of gpu4pyscf (1.8.1) and has not run on a GPU. Before the
work starts, one auxiliary shell of each angular momentum is therefore also computed by libcint. A
difference is an error.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dfmp2.backends.protocol import Tensor
from dfmp2.errors import BackendUnavailable
from dfmp2.integrals.blocks import AuxBlock, Probe, shell_blocks
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.molecules.plain import Mole
from dfmp2.planning.gpu import GPU_ERI_BLOCK
from dfmp2.results.stages import Stage
from dfmp2.units import BYTES_PER_DOUBLE

if TYPE_CHECKING:
    import torch

    from dfmp2.backends.torch import TorchBackend

__all__ = ["Gpu4PyscfIntegrals", "why_not_gpu4pyscf"]

LARGEST_L = {"orbital": 4, "auxiliary": 6}
"""Largest angular momenta in gpu4pyscf's documentation: g and i functions."""

AGREEMENT = 1e-9
"""Largest difference from libcint, relative to the largest integral of a shell. gpu4pyscf neglects
orbital pairs with an estimate below 1e-14, and its own tests allow 1e-10."""

FAILURES = (ImportError, OSError, MemoryError, RuntimeError, ValueError, TypeError, LookupError,
            AttributeError, AssertionError)  # fmt: skip
"""Errors of gpu4pyscf, CuPy and the CUDA driver. Those of CUDA are RuntimeErrors."""


def why_not_gpu4pyscf(mol: Mole, auxmol: Mole) -> str:
    """Why gpu4pyscf cannot compute these integrals.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The atoms with the orbital and with the auxiliary functions.

    Returns
    -------
    str
        Empty if it can.
    """
    if importlib.util.find_spec("gpu4pyscf") is None:
        return "it is not installed (pip install 'dfmp2[cuda]')"
    for kind, of in (("orbital", mol), ("auxiliary", auxmol)):
        largest = max((of.bas_angular(shell) for shell in range(of.nbas)), default=0)
        if largest > LARGEST_L[kind]:
            return (
                f"the {kind} basis has functions of angular momentum {largest}, the limit is "
                f"{LARGEST_L[kind]}"
            )
    return ""


class Gpu4PyscfIntegrals:
    """`dfmp2.integrals.blocks.IntegralSource` by gpu4pyscf.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        The atoms with the orbital and with the auxiliary functions, for the comparison with
        libcint.
    backend : TorchBackend
        Backend on the CUDA device that computes the integrals.

    Raises
    ------
    BackendUnavailable
        If gpu4pyscf is not installed, fails, or gives other integrals than libcint.
    """

    stage = Stage.INTEGRALS
    metric: str | None = None
    on_device = True

    def __init__(self, mol: Mole, auxmol: Mole, backend: TorchBackend) -> None:
        if why_not := why_not_gpu4pyscf(mol, auxmol):
            raise BackendUnavailable(
                f"integrals gpu4pyscf: {why_not}; use integrals libcint (--integrals libcint)"
            )
        self._backend = backend
        self._require_agreement(mol, auxmol)
        import gpu4pyscf

        self.origin = (
            f"computed by gpu4pyscf {gpu4pyscf.__version__} on {backend.where.device} "
            "(compared with libcint on one shell of each kind)"
        )

    def integrals(
        self,
        mol: Mole,
        auxmol: Mole,
        block: int,
        shells: Sequence[int] | None = None,
        probe: Probe | None = None,
    ) -> _DeviceBlocks:
        """The integrals in blocks of at most `block` functions, or more if the forecast has more.

        Parameters
        ----------
        mol, auxmol : pyscf.gto.Mole
        block : int
        shells : sequence of int, optional
            Auxiliary shells. All if not given.
        probe : Probe, optional
            Is given every block.
        """
        size = max(block, GPU_ERI_BLOCK // (BYTES_PER_DOUBLE * int(mol.nao_nr()) ** 2))
        return _DeviceBlocks(mol, auxmol, size, shells, self._backend, probe)

    def _require_agreement(self, mol: Mole, auxmol: Mole) -> None:
        momenta = [auxmol.bas_angular(shell) for shell in range(auxmol.nbas)]
        shells = sorted(momenta.index(momentum) for momentum in set(momenta))
        found = self._backend.to_host(_computed(mol, _of_shells(auxmol, shells), self._backend))
        _give_back()
        first = 0
        for block, expected in ThreeCentreIntegrals(mol, auxmol, 1, shells=shells):
            mine = found[first : first + block.p1 - block.p0]
            first += block.p1 - block.p0
            worst = float(np.abs(mine - expected).max(initial=0.0))
            if not worst <= AGREEMENT * float(np.abs(expected).max(initial=0.0)):
                raise BackendUnavailable(
                    f"integrals gpu4pyscf: they differ from libcint's by {worst:.1e} in auxiliary "
                    f"shell {block.shell0} (angular momentum {momenta[block.shell0]}); use "
                    "integrals libcint (--integrals libcint), and report the versions of gpu4pyscf "
                    "and cupy"
                )


class _DeviceBlocks:
    """`dfmp2.integrals.blocks.BlockedIntegrals` as tensors of the device."""

    def __init__(
        self,
        mol: Mole,
        auxmol: Mole,
        size: int,
        shells: Sequence[int] | None,
        backend: TorchBackend,
        probe: Probe | None,
    ) -> None:
        self._mol, self._auxmol, self._backend = mol, auxmol, backend
        self._probe = probe
        self.blocks = shell_blocks(auxmol.ao_loc_nr(), size, shells)

    def __iter__(self) -> Iterator[tuple[AuxBlock, Tensor]]:
        for block in self.blocks:
            shells = list(range(block.shell0, block.shell1))
            eri = _computed(self._mol, _of_shells(self._auxmol, shells), self._backend)
            if self._probe is not None:
                self._probe.full(block.p0, eri)
            yield block, eri
        _give_back()


def _computed(mol: Mole, auxmol: Mole, backend: TorchBackend) -> Tensor:
    """All (mn|P) of two molecules as a tensor [P,m,n] of the device."""
    import torch

    try:
        import cupy
        from gpu4pyscf.df import int3c2e_bdiv

        with cupy.cuda.Device(backend.device.index or 0):
            eri = torch.utils.dlpack.from_dlpack(
                int3c2e_bdiv.aux_e2(_segmented(mol), _segmented(auxmol))
            )
        expected = (mol.nao_nr(), mol.nao_nr(), auxmol.nao_nr())
        if tuple(eri.shape) != expected or eri.device != backend.device:
            raise ValueError(f"shape {tuple(eri.shape)} on {eri.device}, not {expected}")
        block = eri.permute(2, 0, 1).contiguous()
        _settle(backend.device)
    except FAILURES as error:
        raise BackendUnavailable(
            f"integrals gpu4pyscf: it failed ({type(error).__name__}: {error}); use integrals "
            "libcint (--integrals libcint), or install a gpu4pyscf and a cupy that fit the driver"
        ) from error
    return block


def _settle(device: torch.device) -> None:
    """Wait for the block if torch uses another stream than gpu4pyscf and CuPy.

    They use the default stream of CUDA. Without the wait, CuPy could reuse the memory too early.
    """
    import torch

    if device.type == "cuda":
        stream = torch.cuda.current_stream(device)
        if stream != torch.cuda.default_stream(device):
            stream.synchronize()


def _give_back() -> None:
    """Release the memory in CuPy's cache, so that torch can use it."""
    import cupy

    cupy.get_default_memory_pool().free_all_blocks()


def _of_shells(auxmol: Mole, shells: list[int]) -> Mole:
    """The molecule with some of its shells, in their order."""
    part = auxmol.copy(deep=False)
    part._bas = auxmol._bas[shells]
    return part


def _segmented(mol: Mole) -> Mole:
    """The molecule with one contraction per shell, and with the same functions in the same order.

    Some versions of gpu4pyscf do not accept shells with several contractions.
    """
    from pyscf.gto import mole

    if (mol._bas[:, mole.NCTR_OF] == 1).all():
        return mol
    rows = []
    for shell in mol._bas:
        for contraction in range(shell[mole.NCTR_OF]):
            row = shell.copy()
            row[mole.NCTR_OF] = 1
            row[mole.PTR_COEFF] += contraction * shell[mole.NPRIM_OF]
            rows.append(row)
    made = mol.copy(deep=False)
    made._bas = np.array(rows, dtype=mol._bas.dtype)
    return made

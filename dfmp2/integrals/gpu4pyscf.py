"""Three-centre integrals from gpu4pyscf, on the CUDA device that torch computes on.

One function of gpu4pyscf is used, the one its module exports:
``gpu4pyscf.df.int3c2e_bdiv.aux_e2(mol, auxmol)``, all (mn|P) of two molecules as a CuPy array
[m,n,P] in PySCF's order. A block is made by handing over the auxiliary shells of that block alone,
and reaches torch without a copy through the array interface that both share (DLPack).

This was written from gpu4pyscf's public source (1.8.1) and never ran on a GPU. Therefore one
auxiliary shell of each angular momentum is also computed by libcint before the work starts, and a
difference is an error.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dfmp2.backends.protocol import Tensor
from dfmp2.errors import BackendUnavailable
from dfmp2.integrals.blocks import AuxBlock, shell_blocks
from dfmp2.integrals.libcint import ThreeCentreIntegrals
from dfmp2.planning.gpu import GPU_ERI_BLOCK
from dfmp2.results.stages import Stage
from dfmp2.units import BYTES_PER_DOUBLE

if TYPE_CHECKING:
    from dfmp2.backends.torch import TorchBackend

__all__ = ["Gpu4PyscfIntegrals", "why_not_gpu4pyscf"]

LARGEST_L = {"orbital": 4, "auxiliary": 6}
"""g and i functions: the limits that gpu4pyscf documents."""

AGREEMENT = 1e-9
"""Largest difference from libcint, relative to a shell's largest integral. gpu4pyscf drops orbital
pairs by an estimate of 1e-14; its own tests ask for 1e-10."""

FAILURES = (ImportError, OSError, MemoryError, RuntimeError, ValueError, TypeError, LookupError,
            AttributeError, AssertionError)  # fmt: skip
"""What gpu4pyscf, CuPy and a CUDA driver raise (CUDA's errors are RuntimeErrors)."""


def why_not_gpu4pyscf(mol: Any, auxmol: Any) -> str:
    """Why gpu4pyscf cannot make these integrals; empty where it can."""
    if importlib.util.find_spec("gpu4pyscf") is None:
        return "it is not installed (pip install 'dfmp2[cuda]')"
    for kind, of in (("orbital", mol), ("auxiliary", auxmol)):
        largest = max((of.bas_angular(shell) for shell in range(of.nbas)), default=0)
        if largest > LARGEST_L[kind]:
            return (
                f"the {kind} basis has functions of angular momentum {largest}, it treats "
                f"{LARGEST_L[kind]}"
            )
    return ""


class Gpu4PyscfIntegrals:
    """`dfmp2.integrals.blocks.IntegralSource` by gpu4pyscf.

    Parameters
    ----------
    mol, auxmol : pyscf.gto.Mole
        On which gpu4pyscf is compared with libcint.
    backend : TorchBackend
        Its device makes the integrals.

    Raises
    ------
    BackendUnavailable
        If gpu4pyscf is not there, fails, or gives other integrals than libcint.
    """

    stage = Stage.INTEGRALS
    metric: str | None = None
    on_device = True

    def __init__(self, mol: Any, auxmol: Any, backend: TorchBackend) -> None:
        if why_not := why_not_gpu4pyscf(mol, auxmol):
            raise BackendUnavailable(f"integrals gpu4pyscf: {why_not}; use --integrals libcint")
        self._backend = backend
        self._require_agreement(mol, auxmol)
        import gpu4pyscf

        self.origin = (
            f"computed by gpu4pyscf {gpu4pyscf.__version__} on {backend.where.device} "
            "(compared with libcint on one shell of each kind)"
        )

    def integrals(
        self, mol: Any, auxmol: Any, block: int, shells: Sequence[int] | None = None
    ) -> _DeviceBlocks:
        """Blocks as large as the forecast has them, or of `block` functions where that is more."""
        size = max(block, GPU_ERI_BLOCK // (BYTES_PER_DOUBLE * int(mol.nao_nr()) ** 2))
        return _DeviceBlocks(mol, auxmol, size, shells, self._backend)

    def _require_agreement(self, mol: Any, auxmol: Any) -> None:
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
                    "--integrals libcint, and report the versions of gpu4pyscf and cupy"
                )


class _DeviceBlocks:
    """`dfmp2.integrals.blocks.BlockedIntegrals` as tensors of the device."""

    def __init__(
        self,
        mol: Any,
        auxmol: Any,
        size: int,
        shells: Sequence[int] | None,
        backend: TorchBackend,
    ) -> None:
        self._mol, self._auxmol, self._backend = mol, auxmol, backend
        self.blocks = shell_blocks(auxmol.ao_loc_nr(), size, shells)

    def __iter__(self) -> Iterator[tuple[AuxBlock, Tensor]]:
        for block in self.blocks:
            shells = list(range(block.shell0, block.shell1))
            yield block, _computed(self._mol, _of_shells(self._auxmol, shells), self._backend)
        _give_back()


def _computed(mol: Any, auxmol: Any, backend: TorchBackend) -> Tensor:
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
            f"integrals gpu4pyscf: it failed ({type(error).__name__}: {error}); use --integrals "
            "libcint, or install a gpu4pyscf and a cupy that fit the driver"
        ) from error
    return block


def _settle(device: Any) -> None:
    """Wait before CuPy may use the block's memory again, where streams do not keep the order.

    gpu4pyscf and CuPy work on CUDA's default stream. So does torch, unless its user says otherwise.
    """
    import torch

    if device.type == "cuda":
        stream = torch.cuda.current_stream(device)
        if stream != torch.cuda.default_stream(device):
            stream.synchronize()


def _give_back() -> None:
    """Return what CuPy keeps for later to the device, for torch."""
    import cupy

    cupy.get_default_memory_pool().free_all_blocks()


def _of_shells(auxmol: Any, shells: list[int]) -> Any:
    """The molecule with some of its shells, in their order."""
    part = auxmol.copy(deep=False)
    part._bas = auxmol._bas[shells]
    return part


def _segmented(mol: Any) -> Any:
    """The same functions in the same order, one contraction a shell.

    Some versions of gpu4pyscf refuse shells of several contractions.
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

"""Choose the source of the three-centre integrals, before the work starts.

If the chosen source fails, this is an error. No other source replaces it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dfmp2.errors import InputError
from dfmp2.fitting.auxbasis import AuxBasis
from dfmp2.integrals.blocks import IntegralSource
from dfmp2.integrals.gpu4pyscf import Gpu4PyscfIntegrals, why_not_gpu4pyscf
from dfmp2.integrals.libcint import LIBCINT, Libcint
from dfmp2.references.solution import ScfSolution
from dfmp2.settings import INTEGRALS

if TYPE_CHECKING:
    from dfmp2.backends.selection import Selection
    from dfmp2.backends.torch import TorchBackend

__all__ = ["choose_source"]


def choose_source(
    name: str, solution: ScfSolution, aux: AuxBasis, selection: Selection
) -> IntegralSource:
    """Choose the source of the integrals of one run.

    Parameters
    ----------
    name : str
        One of `INTEGRALS`. "auto" takes gpu4pyscf if torch computes on a CUDA device and gpu4pyscf
        can compute these integrals, else libcint.
    solution : ScfSolution
        Only "scf" uses its integrals.
    aux : AuxBasis
    selection : Selection
        The chosen backend.

    Returns
    -------
    IntegralSource

    Raises
    ------
    InputError
        If the name is unknown, if "scf" has no integrals to reuse, or if "gpu4pyscf" has no CUDA
        device.
    BackendUnavailable
        If "gpu4pyscf" is not installed, or cannot compute these integrals.
    """
    if name not in INTEGRALS:
        raise InputError(f"integrals {name!r} is unknown; choose one of {', '.join(INTEGRALS)}")
    if name == "scf":
        from dfmp2.integrals.scf_cderi import ScfIntegrals

        return ScfIntegrals(solution, aux)
    where = selection.backend.where
    on_cuda = where.backend == "pytorch" and where.mode == "cuda"
    if name == "gpu4pyscf":
        if not on_cuda:
            raise InputError(
                f"integrals gpu4pyscf: it computes on CUDA devices, but this run is on {where}; "
                "use device cuda (--device cuda), or leave integrals at auto"
            )
        return Gpu4PyscfIntegrals(solution.mol, aux.mol, cast("TorchBackend", selection.backend))
    if name == "libcint" or not on_cuda:
        return LIBCINT
    if why_not := why_not_gpu4pyscf(solution.mol, aux.mol):
        return Libcint(f"gpu4pyscf not used: {why_not}")
    return Gpu4PyscfIntegrals(solution.mol, aux.mol, cast("TorchBackend", selection.backend))

"""What is given in place of a mean field of PySCF, and what to do instead."""

from __future__ import annotations

import os
from typing import Any

from dfmp2.errors import UnsupportedReferenceError

__all__ = ["require_mean_field"]


def require_mean_field(mf: Any) -> None:
    """Refuse what is no SCF object of PySCF on the CPU.

    Parameters
    ----------
    mf : object

    Raises
    ------
    UnsupportedReferenceError
        The message says how to make a mean field of a chkfile, a molecule or an object of
        gpu4pyscf.
    """
    from pyscf import gto, scf

    modules = [kind.__module__.split(".")[0] for kind in type(mf).__mro__]
    if "gpu4pyscf" in modules:
        raise UnsupportedReferenceError(
            f"{type(mf).__name__} is an object of gpu4pyscf, with arrays on the GPU; give "
            "mf.to_cpu() instead. DFMP2 computes on the GPU with device='cuda'"
        )
    if isinstance(mf, scf.hf.SCF):
        return
    what = "DFMP2 needs a converged SCF object of PySCF"
    if isinstance(mf, (str, os.PathLike)):
        raise UnsupportedReferenceError(
            f"{what}, found the path {os.fspath(mf)!r}; for a chkfile use mol = "
            "pyscf.lib.chkfile.load_mol(path), mf = scf.RHF(mol), mf.kernel(mf.from_chk(path)), "
            "or the command dfmp2 run PATH"
        )
    if isinstance(mf, gto.MoleBase):
        raise UnsupportedReferenceError(
            f"{what}, found {type(mf).__name__}, a molecule; give scf.RHF(mol).run()"
        )
    raise UnsupportedReferenceError(f"{what} such as scf.RHF(mol).run(), found {type(mf).__name__}")

"""Density-fitted MP2 for PySCF users.

>>> from dfmp2 import DFMP2
>>> e_corr = DFMP2(mf, frozen="auto").run().e_corr  # doctest: +SKIP

`mf` is a converged RHF, UHF or ROHF of PySCF, or an RKS or UKS with the name of a double hybrid in
`xc`. `converge(mf)` is an SCF with two or three exact Fock matrices.

Importing this package imports neither torch nor PySCF; they load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dfmp2.errors import DFMP2Error, DFMP2Warning, NkiFallbackWarning

if TYPE_CHECKING:
    from dfmp2.backends.selection import get_backend, set_backend
    from dfmp2.interfaces.pyscf import DFMP2
    from dfmp2.kernels.nki import HAS_NKI
    from dfmp2.references.converge import converge
    from dfmp2.results.result import Result

__version__ = "0.1.0"

__all__ = [
    "DFMP2",
    "HAS_NKI",
    "DFMP2Error",
    "DFMP2Warning",
    "NkiFallbackWarning",
    "Result",
    "converge",
    "get_backend",
    "set_backend",
]

_LAZY = {
    "DFMP2": "dfmp2.interfaces.pyscf",
    "HAS_NKI": "dfmp2.kernels.nki",
    "Result": "dfmp2.results.result",
    "converge": "dfmp2.references.converge",
    "get_backend": "dfmp2.backends.selection",
    "set_backend": "dfmp2.backends.selection",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'dfmp2' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

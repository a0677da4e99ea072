"""What must happen in a process before PySCF and torch are imported."""

from __future__ import annotations

import os

from dfmp2.cli import THREADS
from dfmp2.cli.configuration import ignore_configuration
from dfmp2.references.pyscf_blas import load_pyscf

__all__ = ["prepare_process"]


def prepare_process(threads: int | None) -> None:
    """Limit the threads of all libraries, and keep the user's settings of PySCF out of the numbers.

    PySCF is imported, with kernels of its BLAS that fit the processor.

    Parameters
    ----------
    threads : int or None
        None changes nothing.

    Raises
    ------
    InputError
        As `ignore_configuration`.
    """
    if threads is not None:
        for name in THREADS:
            os.environ[name] = str(threads)
    ignore_configuration()
    load_pyscf()

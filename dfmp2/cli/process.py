"""What must happen in a process before PySCF and torch are imported."""

from __future__ import annotations

import os

from dfmp2.cli import THREADS
from dfmp2.cli.configuration import ignore_configuration

__all__ = ["prepare_process"]


def prepare_process(threads: int | None) -> None:
    """Limit the threads of all libraries, and keep the user's settings of PySCF out of the numbers.

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

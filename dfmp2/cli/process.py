"""What must happen in a process before PySCF and torch are imported."""

from __future__ import annotations

import os
import sys

from dfmp2.cli import THREADS
from dfmp2.cli.configuration import ignore_configuration
from dfmp2.cli.streams import print_line
from dfmp2.references.pyscf_blas import load_pyscf

__all__ = ["prepare_process"]

VARIABLES = {
    "DFMP2_NKI_INSTRUCTIONS", "DFMP2_NKI_PROFILE", "DFMP2_REQUIRE_NKI", "DFMP2_SIMULATOR_RULES",
    "DFMP2_USE_SIMULATOR",
}  # fmt: skip
"""Environment variables that dfmp2 reads."""


def prepare_process(threads: int | None) -> None:
    """Limit the threads of all libraries, and keep the user's settings of PySCF out of the numbers.

    Libraries read the number when they are loaded. In a process that loaded them with another one,
    this is said on stderr, as are environment variables with a name that is not read. PySCF is
    imported, with kernels of its BLAS that fit the processor.

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
        if other := [f"{name} with {n}" for name, n in _loaded_with().items() if n != threads]:
            print_line(
                f"Warning: --threads {threads} does not apply: this process has loaded "
                f"{' and '.join(other)}; run dfmp2 in a process of its own"
            )
    if unknown := sorted(name for name in os.environ.keys() - VARIABLES if name[:6] == "DFMP2_"):
        print_line(
            f"Warning: {', '.join(unknown)} in the environment is not read; dfmp2 knows "
            f"{', '.join(sorted(VARIABLES))}"
        )
    ignore_configuration()
    load_pyscf()


def _loaded_with() -> dict[str, int]:
    """Threads of the libraries that are loaded."""
    found = {}
    if (pyscf := sys.modules.get("pyscf.lib")) is not None:
        found["PySCF"] = int(pyscf.num_threads())
    if (torch := sys.modules.get("torch")) is not None:
        found["torch"] = int(torch.get_num_threads())
    return found

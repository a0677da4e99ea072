"""Keep the user's configuration of PySCF out of the numbers of the command line.

PySCF runs a file of the user (``~/.pyscf_conf.py``) when it is imported. The file can change nearly
every default: the unit of coordinates, a level shift, thresholds of the SCF and of the integrals. A
command line must give the same energies for the same options, so only settings without influence
on the energies are taken from the file. In a Python script, the file acts as the user wants it.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from dfmp2.errors import InputError

__all__ = ["ignore_configuration"]

NAME = "pyscf.__config__"

HARMLESS = {
    "ASYNC_IO", "DEBUG", "H5F_WRITE_KWARGS", "MAX_MEMORY", "OUTPUT_COLS", "OUTPUT_DIGITS",
    "TIMER_LEVEL", "TMPDIR", "VERBOSE",
    "USER_BASIS_ALIAS", "USER_BASIS_DIR", "USER_GTH_ALIAS",
}  # fmt: skip
"""Settings that are kept: memory, folders, output, and names for further basis sets. PySCF refuses
a name that it has already."""

FAULTS = (
    ArithmeticError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError,
    SyntaxError, SystemExit, TypeError, ValueError,
)  # fmt: skip
"""What a wrong configuration file can raise."""

PLAIN = (bool, int, float, str, list, tuple, dict, set, type(None))
"""Types of settings. The file may also define functions and import modules."""


def ignore_configuration() -> None:
    """Import PySCF with its own defaults, and say which settings of the user are not used.

    Raises
    ------
    InputError
        If the file cannot be run, or PySCF was imported with it before.
    """
    spec = importlib.util.find_spec("pyscf")
    if spec is None or not spec.submodule_search_locations:
        return  # the command says what is missing
    source = Path(spec.submodule_search_locations[0]) / "__config__.py"
    imported = "pyscf" in sys.modules
    user = vars(sys.modules[NAME]) if imported else _run(source)
    file = user["conf_file"]
    if file is None:
        return
    own = _defaults(source)
    ignored = sorted(_changed(user, own) - HARMLESS)
    if "pyscf" not in sys.modules:
        module = ModuleType(NAME)
        vars(module).update(own | {name: user[name] for name in HARMLESS & set(user)})
        sys.modules[NAME] = module  # PySCF finds it instead of its own
    elif ignored:
        raise InputError(
            f"{file}: PySCF was imported with this configuration, which sets {', '.join(ignored)}; "
            "run dfmp2 in a process of its own, and do not import PySCF in the configuration"
        )
    if ignored:
        click.echo(
            f"Warning: {file}: not used for {', '.join(ignored)}; energies of the command line "
            "depend on its options only",
            err=True,
        )


def _run(source: Path) -> dict[str, Any]:
    """What PySCF's module of settings holds after it ran the user's file."""
    memory = os.environ.get("PYSCF_MAX_MEMORY", "0")
    try:
        int(memory)
    except ValueError:
        raise InputError(
            f"the environment variable PYSCF_MAX_MEMORY is {memory!r}, which is no whole number of "
            "MB; correct or unset it, --max-memory replaces it for DF-MP2"
        ) from None
    try:
        return runpy.run_path(str(source))
    except FAULTS as error:
        raise InputError(
            f"the configuration file of PySCF cannot be run ({type(error).__name__}: {error}); "
            "mend it, or name another in PYSCF_CONFIG_FILE"
        ) from error


def _defaults(source: Path) -> dict[str, Any]:
    """The settings without the user's file."""
    before = os.environ.get("PYSCF_CONFIG_FILE")
    os.environ["PYSCF_CONFIG_FILE"] = str(Path(__file__).with_name("pyscf_conf.py"))
    try:
        found = runpy.run_path(str(source))
        return {name: value for name, value in found.items() if name[:1] != "_"}
    finally:
        if before is None:
            del os.environ["PYSCF_CONFIG_FILE"]
        else:
            os.environ["PYSCF_CONFIG_FILE"] = before


def _changed(user: dict[str, Any], own: dict[str, Any]) -> set[str]:
    """Names of the settings that the user's file makes."""
    return {
        name
        for name, value in user.items()
        if not name.startswith("_")
        and name != "conf_file"
        and isinstance(value, PLAIN)
        and (name not in own or own[name] != value)
    }

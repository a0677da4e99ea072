"""Create, open or refuse the run file of an input."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfmp2.errors import CheckpointError
from dfmp2.results.sizes import Sizes
from dfmp2.runfile.failures import OTHER_FILE, START_OVER, InUseError, reported
from dfmp2.runfile.file import RunFile, is_run_file
from dfmp2.runfile.identity import E_REF, difference, fingerprint
from dfmp2.runfile.layout import Shape
from dfmp2.settings import Settings

__all__ = ["SUFFIX", "default_path", "open_run", "scratch_run"]

SUFFIX = ".dfmp2.h5"

DRAFT_BYTES = len(".1234567890.tmp")
"""Bytes that a run file's name is longer by while it is made: its process and a suffix."""


def default_path(name: str, fields: dict[str, Any]) -> str:
    """Default name of the run file of an input, in the current folder.

    Parameters
    ----------
    name : str
        Name of the molecule. It is shortened if the file name would be too long for the folder.
    fields : dict
        The input, as of `dfmp2.runfile.identity`.
    """
    end = f"-{fingerprint(fields)}{SUFFIX}"
    return _shortened(name, _longest_name() - len(end) - DRAFT_BYTES) + end


def _longest_name() -> int:
    """Bytes of the longest file name in the current folder."""
    try:
        return os.pathconf(".", "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):
        return 255


def _shortened(name: str, length: int) -> str:
    """As many characters of a name as fit into so many bytes."""
    while len(os.fsencode(name)) > length:
        name = name[:-1]
    return name


def open_run(path: str, shape: Shape, content: dict[str, Any], restart: bool = False) -> RunFile:
    """Open the run file of an input. Make it if it does not exist.

    Parameters
    ----------
    path : str
    shape : Shape
    content : dict
        Plain data. ``content["fields"]`` must agree with the fields of an existing file.
    restart : bool
        Replace an existing run file.

    Returns
    -------
    RunFile
        Open for writing.

    Raises
    ------
    CheckpointError
        If the file belongs to another input (the message names the first field that differs), is
        damaged, is in use, is not a run file, or cannot be written.
    """
    with reported(path, "be opened"):
        new = not Path(path).exists()
    if new:
        if Path(path).is_symlink():
            raise CheckpointError(f"{path}: is a link to nothing; remove it, or name another file")
        return RunFile.create(path, shape, content)
    if restart:
        if not is_run_file(path):
            raise CheckpointError(
                f"{path}: is not a run file of dfmp2, so --restart does not replace it; "
                f"{OTHER_FILE}"
            )
        try:
            RunFile(path).close()
        except InUseError:
            raise
        except CheckpointError:
            pass  # a damaged file may be replaced
        return RunFile.create(path, shape, content, replace=True)
    file = RunFile(path)
    # The file of an older version lacks newer settings, which had their defaults.
    plain = Settings.energy_defaults()
    stored = {**plain, **file.input["fields"]}
    if "orbitals" in stored and "scf" in file.state:
        stored.setdefault(E_REF, float(file.read("scf/energy")[0]))
    differs = difference(stored, {**plain, **content["fields"]})
    if differs is not None:
        file.close()
        raise CheckpointError(
            f"{path}: is the run file of another input: {differs}; {OTHER_FILE}, or {START_OVER}"
        )
    return file


@contextmanager
def scratch_run(sizes: Sizes) -> Iterator[RunFile]:
    """Make a temporary run file for a B that does not fit in memory, and remove it at the end.

    Parameters
    ----------
    sizes : Sizes
    """
    from pyscf import lib

    with tempfile.TemporaryDirectory(prefix="dfmp2-", dir=lib.param.TMPDIR) as folder:
        path = str(Path(folder) / f"scratch{SUFFIX}")
        with RunFile.create(path, Shape(sizes, sizes.nao), {"fields": {}}) as file:
            yield file

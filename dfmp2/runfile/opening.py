"""Create, open or refuse the run file of an input."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dfmp2.errors import CheckpointError
from dfmp2.results.sizes import Sizes
from dfmp2.runfile.file import InUseError, RunFile, is_run_file
from dfmp2.runfile.identity import difference, fingerprint
from dfmp2.runfile.layout import Shape
from dfmp2.settings import Settings

__all__ = ["SUFFIX", "default_path", "open_run", "scratch_run"]

SUFFIX = ".dfmp2.h5"


def default_path(name: str, fields: dict[str, Any]) -> str:
    """The run file of an input in the current folder; other inputs have other names."""
    return f"{name}-{fingerprint(fields)}{SUFFIX}"


def open_run(path: str, shape: Shape, content: dict[str, Any], restart: bool = False) -> RunFile:
    """Open the run file of this input, or make it.

    Parameters
    ----------
    path : str
    shape : Shape
    content : dict
        Plain data; ``content["fields"]`` is what must agree with a file that exists.
    restart : bool
        Start over: an existing run file is replaced.

    Returns
    -------
    RunFile

    Raises
    ------
    CheckpointError
        If the file belongs to another input (the message names the first field that differs), is
        damaged, in use, no run file, or cannot be written.
    """
    if not Path(path).exists():
        return RunFile.create(path, shape, content)
    if restart:
        if not is_run_file(path):
            raise CheckpointError(f"{path}: is no run file of dfmp2, so it is not replaced")
        try:
            RunFile(path).close()
        except InUseError:
            raise
        except CheckpointError:
            pass  # a damaged file may be replaced, too
        return RunFile.create(path, shape, content, replace=True)
    file = RunFile(path)
    plain = Settings.energy_defaults()  # a setting that is not named has its default
    differs = difference({**plain, **file.input["fields"]}, {**plain, **content["fields"]})
    if differs is not None:
        file.close()
        raise CheckpointError(
            f"{path}: is the run file of another input: {differs}; name another file with "
            "--checkpoint, or start over with --restart"
        )
    return file


@contextmanager
def scratch_run(sizes: Sizes) -> Iterator[RunFile]:
    """A run file that is gone afterwards, for a B that does not fit in memory."""
    from pyscf import lib

    with tempfile.TemporaryDirectory(prefix="dfmp2-", dir=lib.param.TMPDIR) as folder:
        path = str(Path(folder) / f"scratch{SUFFIX}")
        with RunFile.create(path, Shape(sizes, sizes.nao), {"fields": {}}) as file:
            yield file

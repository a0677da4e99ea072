"""The list of compiled programs: those that were launched on a device of this machine before.

The first successful launch of a program adds it to the list. The cache of the compiler has no list
of its programs. It may have been cleared in the meantime.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["cache_folder", "compiled_before", "list_path", "note_compiled", "numba_folder"]


def cache_folder() -> Path:
    """Folder ``dfmp2`` in the cache folder of the user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dfmp2"


def numba_folder() -> Path:
    """Folder of the code that numba compiled: ``NUMBA_CACHE_DIR``, or one in the cache folder."""
    return Path(os.environ.get("NUMBA_CACHE_DIR") or cache_folder() / "numba")


def list_path() -> Path:
    """File of the list: ``programs.json`` in the cache folder."""
    return cache_folder() / "programs.json"


def compiled_before(device: str) -> set[str]:
    """Programs that were launched on a device of this name before, on this machine.

    Parameters
    ----------
    device : str
        Name of the device, as in the provenance.

    Returns
    -------
    set of str
        Keys of `dfmp2.kernels.launch.program_key`. Empty if the list is missing or damaged.
    """
    programs = _stored().get(device)
    return set(programs) if isinstance(programs, list) else set()


def note_compiled(device: str, programs: set[str]) -> None:
    """Add programs to the list. It is no error if the list cannot be written.

    Parameters
    ----------
    device : str
        Name of the device, as in the provenance.
    programs : set of str
        Keys of `dfmp2.kernels.launch.program_key`.
    """
    try:
        path, stored = list_path(), _stored()
        before = stored.get(device)
        stored[device] = sorted({*(before if isinstance(before, list) else ()), *programs})
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(stored, indent=1), encoding="utf-8")
        draft.replace(path)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        pass


def _stored() -> dict[str, Any]:
    """The list; empty if it is missing or damaged."""
    try:
        found = json.loads(list_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError):
        return {}
    return found if isinstance(found, dict) else {}

"""Compile a function with numba, and keep the machine code on disk with checksums.

numba loads what it finds. A damaged file would end the process, give wrong numbers, or make every
later run fail. So files that do not match their checksums are deleted and compiled again. Where the
folder cannot be used, the function is compiled in every process.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from dfmp2.backends.compiled import numba_folder
from dfmp2.errors import BackendUnavailable

__all__ = ["CachedFunction", "compiled"]

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}
"""With Python's error model, each divisor is tested and the loops are not vectorised."""


def compiled(function: Callable[..., None]) -> CachedFunction:
    """Compile a function of arrays and numbers, without the lock of the interpreter."""
    return CachedFunction(function, **OPTIONS)


class CachedFunction:
    """A compiled function.

    Parameters
    ----------
    function : callable
        Compiled in numba's nopython mode, once for each kind of arguments.
    **options
        Of `numba.njit`.

    Raises
    ------
    BackendUnavailable
        If NUMBA_DISABLE_JIT switches the compiler off: the loops would take hours in Python.

    Attributes
    ----------
    folder : pathlib.Path or None
        Where its machine code is kept; None if it is not kept.
    """

    def __init__(self, function: Callable[..., None], **options: Any) -> None:
        if numba.config.DISABLE_JIT:
            raise BackendUnavailable(
                "numba's compiler is switched off, and dfmp2 needs it; unset NUMBA_DISABLE_JIT"
            )
        self._function, self._options = function, options
        self._known = 0
        self.folder: Path | None = None
        chosen = numba.config.CACHE_DIR
        try:
            # numba's own choice is the package's folder. pip does not remove its files there: what
            # is left of an uninstalled package would hide one installed from a checkout.
            numba.config.CACHE_DIR = wanted = chosen or str(numba_folder())
            self._compiled = numba.njit(cache=True, **options)(function)
            self.folder = Path(self._compiled.stats.cache_path)
            if not self.folder.is_relative_to(wanted):  # numba cannot use it, and took its own
                raise OSError(f"{wanted} cannot be used")
            self._delete_damaged()
        except (RuntimeError, OSError):  # the folder cannot be used, or there is no home folder
            self._compile_without_cache()
        finally:
            numba.config.CACHE_DIR = chosen

    def __call__(self, *args: Any) -> None:
        try:
            self._compiled(*args)
        except OSError:  # numba could not store the machine code; nothing was computed yet
            self._compile_without_cache()
            self._compiled(*args)
        if self.folder is not None and len(self._compiled.overloads) != self._known:
            self._known = len(self._compiled.overloads)
            if self._compiled.stats.cache_misses:
                self._store_checksums()

    def _compile_without_cache(self) -> None:
        self._compiled, self.folder = numba.njit(**self._options)(self._function), None

    @property
    def _list(self) -> Path:
        return self.folder / f"{self._function.__name__}.crc32.json"  # type: ignore[operator]

    def _checksums(self) -> dict[str, int]:
        files = self.folder.glob(f"*.{self._function.__name__}-*.nb[ic]")  # type: ignore[union-attr]
        return {file.name: zlib.crc32(file.read_bytes()) for file in files}

    def _delete_damaged(self) -> None:
        try:
            stored = json.loads(self._list.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            stored = {}
        found = self._checksums()
        if found != stored:
            for name in found:
                (self.folder / name).unlink(missing_ok=True)  # type: ignore[operator]

    def _store_checksums(self) -> None:
        draft = self._list.with_suffix(f".{os.getpid()}")
        try:
            draft.write_text(json.dumps(self._checksums()), encoding="utf-8")
            draft.replace(self._list)
        except OSError:
            draft.unlink(missing_ok=True)  # the next process compiles again

"""The choice of NKI: AWS's package if it can be used, else the bundled simulator.

Kernels import ``nki, nisa, nl`` from here, so one source serves both. AWS's package is used from
version 0.3.0 on and only if it imports. The public registry holds a placeholder of the same name
(version 0.0.1), which is not used.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from . import simulator

__all__ = ["HAS_NKI", "MINIMUM", "nisa", "nki", "nki_version", "nl", "why_not"]

MINIMUM = Version("0.3.0")
"""First version with the ``nki`` namespace that the kernels are written in."""


def _find() -> tuple[Any, Any, Any, str | None, str | None]:
    """Return (nki, nisa, nl, version, reason why AWS's package is not used)."""
    bundled = (simulator, simulator.isa, simulator.language)
    try:
        version = importlib.metadata.version("nki")
    except importlib.metadata.PackageNotFoundError:
        return *bundled, None, "the package nki is not installed"
    try:
        too_old = Version(version) < MINIMUM
    except InvalidVersion:
        too_old = True
    if too_old:
        reason = (
            f"nki {version} is installed, {MINIMUM} is needed (0.0.1 is the public registry's "
            "placeholder; AWS's package comes from its Neuron repository)"
        )
        return *bundled, None, reason
    try:
        package = importlib.import_module("nki")
        isa = importlib.import_module("nki.isa")
        language = importlib.import_module("nki.language")
    except (ImportError, OSError) as error:
        return *bundled, None, f"nki {version} is installed but does not import: {error}"
    missing = [name for name in ("jit", "simulate") if not hasattr(package, name)]
    if missing:
        return *bundled, None, f"nki {version} has no {' or '.join(missing)}"
    return package, isa, language, version, None


if TYPE_CHECKING:
    # AWS's package has no type information; the simulator has the same signatures.
    nki = simulator
    nisa = simulator.isa
    nl = simulator.language
    nki_version: str | None = None
    _why_not: str | None = None
else:
    nki, nisa, nl, nki_version, _why_not = _find()
HAS_NKI: bool = _why_not is None
"""True if AWS's package (>= 0.3.0) is used."""


def why_not() -> str | None:
    """Return the reason why AWS's package is not used; None if it is."""
    return _why_not

"""The one place that finds NKI: AWS's package, or the bundled simulator in its place.

Kernels import ``nki, nisa, nl`` from here and do not know which they got. AWS's package counts
from version 0.3.0 and only if it imports; the public registry holds a placeholder of the same
name (version 0.0.1), which does not.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from typing import TYPE_CHECKING, Any

from . import simulator

__all__ = ["HAS_NKI", "MINIMUM", "nisa", "nki", "nki_version", "nl", "why_not"]

MINIMUM = (0, 3, 0)
"""First version with the ``nki`` namespace that the kernels are written in."""


def _parse(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version.split("+")[0])[:3])


def _find() -> tuple[Any, Any, Any, str | None, str | None]:
    """Return (nki, nisa, nl, version, reason why AWS's package is not used)."""
    stand_in = (simulator, simulator.isa, simulator.language)
    try:
        version = importlib.metadata.version("nki")
    except importlib.metadata.PackageNotFoundError:
        return *stand_in, None, "the package nki is not installed"
    if _parse(version) < MINIMUM:
        needed = ".".join(map(str, MINIMUM))
        reason = (
            f"nki {version} is installed, {needed} is needed (0.0.1 is the public registry's "
            "placeholder; AWS's package comes from its Neuron repository)"
        )
        return *stand_in, None, reason
    try:
        package = importlib.import_module("nki")
        isa = importlib.import_module("nki.isa")
        language = importlib.import_module("nki.language")
    except (ImportError, OSError) as error:
        return *stand_in, None, f"nki {version} is installed but does not import: {error}"
    missing = [name for name in ("jit", "simulate") if not hasattr(package, name)]
    if missing:
        return *stand_in, None, f"nki {version} has no {' or '.join(missing)}"
    return package, isa, language, version, None


if TYPE_CHECKING:
    # Types come from the stand-in, whose signatures are those of the real package.
    nki = simulator
    nisa = simulator.isa
    nl = simulator.language
    nki_version: str | None = None
    _why_not: str | None = None
else:
    nki, nisa, nl, nki_version, _why_not = _find()
HAS_NKI: bool = _why_not is None
"""True where AWS's package (>= 0.3.0) is really importable."""


def why_not() -> str | None:
    """Say why AWS's package is not used; None where it is."""
    return _why_not

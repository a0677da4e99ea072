"""Which backend does the work: decided before the work starts, with the reason kept.

The process-wide default (`set_backend`) is the only global state of dfmp2. A backend named for
one run wins over it.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfmp2.backends.base import Backend
from dfmp2.errors import BackendUnavailable, InputError

__all__ = ["BACKENDS", "Selection", "get_backend", "select", "set_backend"]

BACKENDS = ("auto", "pytorch", "nki", "simulator")
"""Names that `--backend`, `set_backend` and ``DFMP2.backend`` accept."""

_default = "auto"


def _checked(name: str) -> str:
    if name not in BACKENDS:
        raise InputError(f"backend {name!r} is unknown; choose one of {', '.join(BACKENDS)}")
    return name


def set_backend(name: str) -> None:
    """Set the process-wide default backend.

    Parameters
    ----------
    name : {"auto", "pytorch", "nki", "simulator"}
        "auto" is the initial value.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    global _default
    _default = _checked(name)


def get_backend() -> str:
    """Name of the process-wide default backend."""
    return _default


@dataclass(frozen=True)
class Selection:
    """A backend, and why it was taken."""

    backend: Backend
    reason: str


def select(name: str | None = None, device: str | None = None) -> Selection:
    """Make the backend for one run.

    Parameters
    ----------
    name : str, optional
        One of `BACKENDS`; the process-wide default when not given.
    device : str, optional
        "cpu", "cuda" or "cuda:N" for torch. Not given: CUDA where torch sees a GPU, else the CPU.

    Returns
    -------
    Selection

    Raises
    ------
    InputError
        If the name is unknown.
    BackendUnavailable
        If the backend or device asked for cannot be used.
    """
    name = _checked(name or _default)
    if name in ("nki", "simulator"):
        raise BackendUnavailable(
            f"backend {name!r}: this version of dfmp2 cannot run the pipeline through NKI kernels "
            "yet; use --backend pytorch or auto"
        )
    import torch

    from dfmp2.backends.torch import TorchBackend

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        why = "a CUDA GPU is present" if device == "cuda" else "torch sees no CUDA GPU"
    else:
        why = "asked for by name"
    return Selection(TorchBackend(device), f"backend {name}: pytorch on {device} ({why})")
